/** Polls the mosaic every few seconds and applies the changes. */

import { announce } from "./feed.js";
import { followOverviews, info, learn, refresh, retryFailed, sayZoom, stale, tooLow } from "./mosaic.js";
import { $, say, status } from "./page.js";
import { hover, renew } from "./panel.js";
import * as scenes from "./scenes.js";
import { passes, recovered } from "./server.js";
import { keptMs } from "./tiles.js";

const POLL_MS = 3_000;
const SLOWEST_POLL_MS = 30_000;
/** Second poll after a change: reads are eventually consistent, and mosaics cached for seconds. */
const SETTLE_MS = 4_000;

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
  if (failures || stale()) await learn(signal);
  sayZoom();
  const change = tooLow() ? scenes.forget() : await scenes.look(signal).catch((error) => ofRule(error, signal));
  $("count").textContent = info.bounds ? scenes.count() : "";
  hover();
  if (change) await react(change, signal);
}

/** A 404 is of the rule, which names scenes that do not exist, where the mosaic itself exists. */
async function ofRule(error, signal) {
  if (error.status === 404) {
    await learn(signal);
    error.status = 400;
  }
  throw error;
}

async function react(change, signal) {
  const touched = Object.values(change).flat();
  if (!touched.length) return;
  refresh(touched);
  setTimeout(refresh, SETTLE_MS, touched);
  if (keptMs()) setTimeout(refresh, SETTLE_MS + keptMs(), touched); // by then no cache has old ones
  announce(change);
  renew();
  await learn(signal);
}

/** Poll by another rule: nothing of the last poll is news. */
export function lookAnew() {
  scenes.forget();
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
  lookIn(POLL_MS);
}

function lost(error) {
  failures += 1;
  if (error.status === 400) {
    looks += 1;
    $("count").textContent = "";
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
