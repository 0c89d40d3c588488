/** Tile requests of MapLibre, repeated until the tiles arrive. */

import { say } from "./page.js";
import { passes, pause, refusal } from "./server.js";

/** Tiles of the view that are unavailable, with the errors. */
const bad = new Map();
/** The latest pending request of each tile: promises by URL. */
const latest = new Map();

/** Makes tile URLs relative to the page: the server may not know its public name. */
export function throughHere(url, type) {
  if (type !== "Tile") return { url };
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
      if (response.ok) return await response.arrayBuffer();
      error = await refusal(response);
    } catch (failure) {
      if (signal.aborted) throw failure;
      error = failure;
    }
    if (!(passes(error) || (error.status === 500 && tries < 3))) throw error;
    await pause(Math.max(wait, 1_000 * (error.retryAfter ?? 0)), signal);
  }
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
