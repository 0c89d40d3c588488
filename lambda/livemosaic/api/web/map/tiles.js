/** Tile requests of MapLibre, repeated until the tiles arrive. */

import { say } from "./page.js";
import { passes, pause, refusal } from "./server.js";
import { noteLight } from "./style/dark.js";

/** Tiles of the view that are unavailable, with the errors. */
const bad = new Map();
/** What answers say of tiles that do not show all scenes, by URL: place, limit, lag, scenes. */
const partial = new Map();
/** The latest pending request of each tile: promises by URL. */
const latest = new Map();

/** Makes tile URLs relative to the page: the server may not know its public name. */
export function throughHere(url, type) {
  if (type !== "Tile" || url.startsWith("live://")) return { url };
  return { url: `live://${url.slice(url.split("?")[0].lastIndexOf("/tiles/") + 1)}` };
}

/** The bytes of a tile. If it is requested again meanwhile, the later response serves both. */
export async function loadTile({ url }, { signal }) {
  const path = url.slice("live://".length);
  const own = fetchTile(path, signal);
  latest.set(path, own);
  showProgress();
  try {
    let data = await own;
    for (let seen = own, next; (next = latest.get(path)) && next !== seen; seen = next) {
      data = await next.catch(() => data);
    }
    bad.delete(path);
    const tile = placeOf(path);
    if (!tile.isVector) noteLight(tile, data.slice(0)).then(() => changed());
    return { data };
  } catch (error) {
    if (!signal.aborted && error.status !== 404) bad.set(path, error);
    throw error;
  } finally {
    if (latest.get(path) === own) latest.delete(path);
    sayBad();
    showProgress();
  }
}

/** Pixels on the map stay while this waits: a tile fails only if a retry is useless. */
async function fetchTile(path, signal) {
  for (let wait = 1_000, tries = 1; ; wait = Math.min(2 * wait, 10_000), tries++) {
    let error;
    try {
      const response = await fetch(path, { signal, cache: "no-cache" });
      if (response.ok) {
        note(path, response.headers);
        noteLife(response.headers);
        return await response.arrayBuffer();
      }
      error = await refusal(response);
    } catch (failure) {
      if (signal.aborted) throw failure;
      error = failure;
    }
    if (!(passes(error) || (error.status === 500 && tries < 3))) throw error;
    await pause(Math.max(wait, 1_000 * (error.retryAfter ?? 0)), signal);
  }
}

let kept = 0;

/** How long, in ms, caches between here and the server may show a tile that is no longer true. */
export const keptMs = () => kept;

/** The life of a copy in a cache that many users share (RFC 9111, 4.2.1; RFC 5861). */
function noteLife(headers) {
  const control = headers.get("Cache-Control") ?? "";
  const seconds = (name) => Number(control.match(new RegExp(`(?:^|[ ,])${name}=(\\d+)`))?.[1] ?? 0);
  if (control.includes("private") || control.includes("no-cache")) return;
  const life = control.includes("s-maxage") ? seconds("s-maxage") : seconds("max-age");
  kept = Math.max(kept, 1_000 * (life + seconds("stale-while-revalidate")));
}

/** Called when the answers say something else of a tile than before, and when its brightness is known. */
let changed = () => {};
export const onPartial = (handler) => (changed = handler);

function note(path, headers) {
  const limit = headers.get("X-Truncated");
  const [, behind, more] = headers.get("X-Overview")?.match(/stale=(\d+)(\+?)/) ?? [];
  const before = partial.get(path);
  const skipped = entries(headers.get("X-Skipped-Scenes"));
  if (limit || Number(behind) || skipped.length) {
    partial.set(path, { tile: placeOf(path), limit, behind: Number(behind ?? 0), more, skipped });
  } else partial.delete(path);
  if (before || partial.has(path)) changed();
}

function placeOf(path) {
  const [z, x, y] = path.match(/\/(\d+)\/(\d+)\/(\d+)/).slice(1).map(Number);
  return { z, x, y, isVector: path.startsWith("vector/") };
}

/** Scenes and why a tile lacks each, as pairs; a header that names not all of them ends in `...`. */
function entries(header) {
  const listed = header?.split(",").filter(Boolean) ?? [];
  return listed.map((entry) => {
    const [, name, why] = entry.match(/^([^=]*)=?(.*)$/s);
    return [decodeURIComponent(name), decodeURIComponent(why)];
  });
}

/** Tiles that do not show all scenes, of the ones that `shown` keeps; others are forgotten. */
export function partialTiles(shown) {
  for (const [path, { tile }] of partial) if (!shown(tile)) partial.delete(path);
  return [...partial.values()];
}

const showProgress = () => document.body.classList.toggle("loading", latest.size > 0);

function sayBad() {
  const [error] = bad.values();
  if (!error) say("tiles", null);
  else if (error.status < 500) say("tiles", "The mosaic cannot be drawn like this", error.message);
  else say("tiles", "Some tiles are missing", `${error.message}. They are requested again.`);
}

/** The view changes, and with it the missing tiles. */
export const forgetBad = () => bad.clear();
