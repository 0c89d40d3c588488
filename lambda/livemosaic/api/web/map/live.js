/** Follows the mosaic's change feed, and applies the changes. */

import { announce, sayAway } from "./feed.js";
import { meet, split } from "./geometry.js";
import { followOverviews, info, learn, refresh, retryFailed, sayZoom, stale, tooLow } from "./mosaic.js";
import { $, say, status } from "./page.js";
import { hover, renew } from "./panel.js";
import * as scenes from "./scenes.js";
import { ask, passes, recovered } from "./server.js";
import { keptMs } from "./tiles.js";
import { drawFootprints } from "./tools/footprints.js";
import { heard } from "./time/story.js";
import { sayLost, seekAnew } from "./tools/lost.js";

const POLL_MS = 3_000;
/** Poll of a mosaic in which nothing has happened for a while: each costs read units. */
const IDLE_POLL_MS = 5_000;
const IDLE_MS = 60_000;
const SLOWEST_POLL_MS = 30_000;
const WORLD = [-180, -90, 180, 90];
/** Second refresh after a change: reads are eventually consistent, and mosaics cached for seconds. */
const SETTLE_MS = 4_000;

/** Where the feed was read to; null to begin now. */
let cursor = null;
/** Changes before the first poll, which the feed lists for a while, by id: null before it. */
let before = null;
/** Changes that the feed lists again until they are settled, by id. */
let known = new Set();
let busy = 0;

let timer = 0;
let looking = null;
let failures = 0;
export let looks = 0;

export function lookIn(ms) {
  clearTimeout(timer);
  timer = setTimeout(look, ms);
}

/** Poll now, unless the page is hidden, and then repeatedly. */
export async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  looking?.abort();
  const { signal } = (looking = new AbortController());
  try {
    await lookOnce(signal);
    found();
  } catch (error) {
    if (!signal.aborted) lost(error);
  }
}

async function lookOnce(signal) {
  if (failures || stale() || isNew()) await learn(signal);
  sayZoom();
  const answer = await ask(feed(), signal);
  const all = newsOf(answer);
  const news = all.filter(isInView);
  const away = all.filter((change) => !news.includes(change));
  if (tooLow()) scenes.forget();
  else if (news.length || isNew()) await list(signal);
  $("count").textContent = info.bounds ? scenes.count() : "";
  $("newest").textContent = info.bounds ? scenes.newest() : "";
  hover();
  if (news.length) seekAnew();
  drawFootprints();
  await sayLost(signal);
  if (news.length) await react(news, signal);
  before ??= idsOf((await ask(feed(answer.cursor), signal)).changes);
  sayAway(away.filter(({ id }) => !known.has(id) && !before.has(id)));
  heard(news.length + away.length > 0);
  cursor = answer.cursor; // not before: what fails is listed again
  known = idsOf(answer.changes.filter(({ settled }) => !settled));
}

const idsOf = (changes) => new Set(changes.map(({ id }) => id));

/** Whether the scenes of this view are not listed yet. */
const isNew = () => !tooLow() && !scenes.listed();

/** URL of what changed since a poll, the last one by default, in view or elsewhere. */
const feed = (since = cursor) => `changes?${new URLSearchParams(since ? { since } : {})}`;

/** Whether a change may show in view; before anything is known to be anywhere, all may. */
function isInView({ bbox }) {
  const here = split(scenes.area());
  return !info.bounds || split(bbox).some((box) => here.some((part) => meet(box, part)));
}

/**
 * Each change once when it is made, and once when it is settled, as what the server reads may lag
 * until then.
 */
function newsOf({ reset, changes }) {
  const fresh = changes.filter(({ id, settled }) => settled || !known.has(id));
  return reset ? [{ kind: "mosaic", bbox: WORLD }, ...fresh] : fresh;
}

async function list(signal) {
  const change = await scenes.look(signal).catch((error) => ofRule(error, signal));
  if (change) announce(change);
}

/** A 404 is of the rule, which names scenes that do not exist, where the mosaic itself exists. */
async function ofRule(error, signal) {
  if (error.status === 404) {
    await learn(signal);
    error.status = 400;
  }
  throw error;
}

async function react(news, signal) {
  busy = Date.now();
  const boxes = news.map(({ bbox }) => bbox);
  refresh(boxes);
  if (news.some(({ settled }) => !settled)) setTimeout(refresh, SETTLE_MS, boxes);
  if (keptMs()) setTimeout(refresh, SETTLE_MS + keptMs(), boxes); // by then no cache has old ones
  renew();
  await learn(signal);
}

/** Poll by another rule: nothing of the last poll is news. */
export function lookAnew() {
  scenes.forget();
  drawFootprints();
  renew();
  look();
}

function found() {
  looks += 1;
  say("rule", null);
  if (failures) recovered();
  failures = 0;
  status("live", "live");
  retryFailed();
  followOverviews();
  lookIn(Date.now() - busy < IDLE_MS ? POLL_MS : IDLE_POLL_MS);
}

function lost(error) {
  failures += 1;
  if (error.status === 400) {
    looks += 1;
    $("count").textContent = $("newest").textContent = "";
    status("gone", "not drawn");
    say("rule", "The mosaic cannot be drawn like this", error.message);
  } else if (error.status === 404) {
    status("gone", "not found");
    say("gone", "This mosaic does not exist", error.message);
  } else if (error.status === 401) {
    status("gone", "locked");
    say("gone", "This mosaic is no longer shown", error.message);
  } else {
    status("waiting", "reconnecting…");
    if (!info) say("gone", "The server does not answer", "The map appears as soon as it does.");
  }
  if (!passes(error)) console.warn(error);
  const wait = Math.min(SLOWEST_POLL_MS, POLL_MS * 1.7 ** (failures - 1)) * (0.8 + 0.4 * Math.random());
  lookIn(Math.max(wait, 1_000 * (error.retryAfter ?? 0)));
}
