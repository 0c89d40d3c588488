/** The scenes in view by the rule of the page's URL, and what changed between two lists. */

import { MercatorCoordinate, map, tileZoom, view } from "./canvas.js";
import { rule } from "./choices.js";
import { day } from "./date.js";
import { covers, holds, meets, quarters, split, wrap, wrapped } from "./geometry.js";
import { TMS, info } from "./mosaic.js";
import { ask } from "./server.js";

const LIMIT = 200;
const EDGE = 1e-6; // degrees: boxes are sent with seven decimals

/** Methods that look at each tile by itself, so that the order differs from tile to tile. */
const BY_TILE = ["center", "nadir"];
/** Operations that show one scene; all others make a pixel of several. */
const OF_ONE = ["first", "last"];

/** The last list: its box, the lists of its parts, and all of its scenes; null if there was none. */
let seen = null;

const cut = ({ parts }) => parts.some(({ scenes, truncated }) => truncated || scenes.length >= LIMIT);

/** The method and the operation of the rule, as the server last named them. */
let ruled = { method: "default", operation: "first" };
/** Requests for the order of a tile since the last list, by tile. */
const orders = new Map();

/** The operation that combines several scenes; null if one of them is on top. */
export const combined = () => (OF_ONE.includes(ruled.operation) ? null : ruled.operation);

/** List again; returns the changes since the last list. */
export async function look(signal) {
  const box = area();
  const parts = await within(box, signal);
  const scenes = [...byKey(parts.flatMap((part) => part.scenes)).values()];
  const before = seen;
  seen = { box, parts, scenes };
  orders.clear();
  return before && difference(before, seen);
}

/** Whether the scenes of the present view are listed. */
export const listed = () => seen !== null && String(seen.box) === String(area());

/** Stop watching: the last list is forgotten. */
export function forget() {
  seen = null;
  orders.clear();
}

/** The scenes in view as of the last list; it may have more than are listed. */
export function inView() {
  const boxes = split(wrapped(view()));
  return seen?.scenes.filter((scene) => meets(scene, boxes)) ?? [];
}

/** The number of scenes in view, in words. */
export function count() {
  if (!seen) return "";
  const shown = inView().length;
  return `${shown || "no"}${cut(seen) ? "+" : ""} ${shown === 1 ? "scene" : "scenes"} in view`;
}

/** The newest date of the scenes in view, in words; empty if not all of them are listed. */
export function newest() {
  const dated = inView().filter(({ properties }) => properties?.datetime);
  if (!dated.length || cut(seen)) return "";
  return `newest ${day(dated.reduce((a, b) => (Date.parse(b.properties.datetime) > Date.parse(a.properties.datetime) ? b : a)))}`;
}

const PAGES = 5;
const PAGE = 1_000;

/** A scene that a query selects, wherever it is; null if none of the first thousands is. */
export async function first(query, signal) {
  let path = `items?limit=${PAGE}&${query}`;
  for (let page = 0; path && page < PAGES; page++) {
    const { features, links } = await ask(path, signal);
    if (features.length) return features[0];
    const next = links?.find(({ rel }) => rel === "next");
    path = next && `items${new URL(next.href, location).search}`;
  }
  return null;
}

/** The scenes at a place as of the last list, top first. */
export function under({ lng, lat }) {
  const place = [wrap(lng), lat];
  const part = seen?.parts.find(({ box }) => split(box).some((each) => holds(each, place)));
  return part?.scenes.filter((scene) => covers(scene, place)) ?? [];
}

/** The scenes at a place, requested from the server, top first. */
export async function at({ lng, lat }, signal) {
  const { scenes } = await inBox([wrap(lng), lat, wrap(lng), lat], signal);
  return arranged(scenes, { lng, lat }, signal);
}

/** Scenes of a place in the order of the tile there, where each tile has an order of its own. */
export async function arranged(scenes, place, signal) {
  if (!BY_TILE.includes(ruled.method) || scenes.length < 2) return scenes;
  const order = await orderOfTile(place, signal);
  const rank = ({ key }) => (order.includes(key) ? order.indexOf(key) : order.length);
  return scenes.toSorted((a, b) => rank(a) - rank(b));
}

/** Keys of the scenes of the tile at a place, top first; requested once per list. */
function orderOfTile({ lng, lat }, signal) {
  const z = Math.min(tileZoom(), info.deepest_zoom);
  const { x, y } = MercatorCoordinate.fromLngLat([wrap(lng), lat]);
  const tile = `${z}/${Math.floor(x * 2 ** z)}/${Math.floor(y * 2 ** z)}`;
  if (!orders.has(tile)) {
    const asked = ask(`tiles/${TMS}/${tile}/assets?${rule()}`, signal).then(({ scenes }) => scenes.map(keyOf));
    asked.catch(() => orders.delete(tile));
    orders.set(tile, asked);
  }
  return orders.get(tile);
}

/** The view extended to the edges of its tiles, so that everything on the map is watched. */
export function area() {
  const n = 2 ** tileZoom();
  const bounds = map.getBounds();
  const [nw, se] = [bounds.getNorthWest(), bounds.getSouthEast()].map((place) => MercatorCoordinate.fromLngLat(place));
  const corner = (x, y) => new MercatorCoordinate(x / n, Math.min(1, Math.max(0, y / n))).toLngLat();
  const from = corner(Math.floor(nw.x * n), Math.floor(nw.y * n));
  const to = corner(Math.ceil(se.x * n), Math.ceil(se.y * n));
  return wrapped([from.lng, to.lat, to.lng, from.lat]);
}

const keyOf = ({ collection, id }) => JSON.stringify([collection, id]);

const byKey = (scenes) => new Map(scenes.map((scene) => [scene.key, scene]));

/** The list of a box: its scenes, top first, and what the server says of it. */
async function inBox(box, signal) {
  const given = rule();
  const more = given.size ? `&${given}` : "";
  const list = await ask(`items?bbox=${box.map((d) => d.toFixed(7))}&limit=${LIMIT}${more}`, signal);
  const scenes = list.features.map((feature) => ({ ...feature, key: keyOf(feature) }));
  ruled = list.rule;
  return { box, scenes, truncated: list.truncated };
}

/** The lists of a box: one, or four if the server finds it too large. */
async function within(box, signal) {
  try {
    return [await inBox(box, signal)];
  } catch (error) {
    if (error.status !== 400) throw error;
    const parts = split(box).flatMap(quarters).map((part) => inBox(part, signal));
    return Promise.all(parts);
  }
}

const inside = ({ box }) => split(box).map(([w, s, e, n]) => [w + EDGE, s + EDGE, e - EDGE, n - EDGE]);

/** Scenes added, changed and removed within the area that both lists cover. */
function difference(before, now) {
  const [old, current] = [before, now].map(({ scenes }) => byKey(scenes));
  const change = { arrived: [], updated: [], left: [] };
  let above = !cut(before); // in a truncated list, only scenes above a known one are certainly new
  for (const scene of now.scenes.toReversed()) {
    const was = old.get(scene.key);
    if (was) above = true;
    if (!was && above && meets(scene, inside(before))) change.arrived.push(scene);
    if (was && was.version !== scene.version) change.updated.push(scene);
  }
  if (!cut(now)) change.left = before.scenes.filter((scene) => !current.has(scene.key) && meets(scene, inside(now)));
  return change;
}
