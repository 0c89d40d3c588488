/** The scenes in view, and what was added, changed and removed between two polls. */

import { MercatorCoordinate, map, tileZoom, view } from "./canvas.js";
import { covers, meets, quarters, split, wrap, wrapped } from "./geometry.js";
import { ask } from "./server.js";

const LIMIT = 200;
const EDGE = 1e-6; // degrees: boxes are sent with seven decimals

/** The last poll: its box and its scenes, top first; null if there was none. */
let seen = null;

const cut = ({ scenes }) => scenes.length >= LIMIT;

/** Poll again; returns the changes since the last poll. */
export async function look(signal) {
  const box = watched();
  const scenes = await within(box, signal);
  const before = seen;
  seen = { box, scenes };
  return before && difference(before, seen);
}

/** Stop watching: the last poll is forgotten. */
export function forget() {
  seen = null;
}

/** The number of scenes in view, in words. */
export function count() {
  if (!seen) return "";
  const boxes = split(wrapped(view()));
  const shown = seen.scenes.filter((scene) => meets(scene, boxes)).length;
  return `${shown || "no"}${cut(seen) ? "+" : ""} ${shown === 1 ? "scene" : "scenes"} in view`;
}

/** The scenes at a place as of the last poll, top first. */
export const under = ({ lng, lat }) => seen?.scenes.filter((scene) => covers(scene, [wrap(lng), lat])) ?? [];

/** The scenes at a place, requested from the server, top first. */
export function at({ lng, lat }, signal) {
  return inBox([wrap(lng), lat, wrap(lng), lat], signal);
}

/** The view extended to the edges of its tiles, so that everything on the map is watched. */
function watched() {
  const n = 2 ** tileZoom();
  const bounds = map.getBounds();
  const [nw, se] = [bounds.getNorthWest(), bounds.getSouthEast()].map((place) => MercatorCoordinate.fromLngLat(place));
  const corner = (x, y) => new MercatorCoordinate(x / n, Math.min(1, Math.max(0, y / n))).toLngLat();
  const from = corner(Math.floor(nw.x * n), Math.floor(nw.y * n));
  const to = corner(Math.ceil(se.x * n), Math.ceil(se.y * n));
  return wrapped([from.lng, to.lat, to.lng, from.lat]);
}

const keyed = (feature) => ({ ...feature, key: JSON.stringify([feature.collection, feature.id]) });

const byKey = (scenes) => new Map(scenes.map((scene) => [scene.key, scene]));

async function inBox(box, signal) {
  const { features } = await ask(`items?bbox=${box.map((d) => d.toFixed(7))}&limit=${LIMIT}`, signal);
  return features.map(keyed);
}

/** The scenes of a box, top first; in four parts if the server finds it too large. */
async function within(box, signal) {
  const found = await inBox(box, signal).catch((error) => {
    if (error.status !== 400) throw error;
    return Promise.all(split(box).flatMap(quarters).map((part) => inBox(part, signal)));
  });
  return [...byKey(found.flat()).values()];
}

const inside = ({ box }) => split(box).map(([w, s, e, n]) => [w + EDGE, s + EDGE, e - EDGE, n - EDGE]);

/** Scenes added, changed and removed within the area that both polls cover. */
function difference(before, now) {
  const [old, current] = [before, now].map(({ scenes }) => byKey(scenes));
  const change = { arrived: [], updated: [], replaced: [], left: [] };
  let above = !cut(before); // in a truncated list, only scenes above a known one are certainly new
  for (const scene of now.scenes.toReversed()) {
    const was = old.get(scene.key);
    if (was) above = true;
    if (!was && above && meets(scene, inside(before))) change.arrived.push(scene);
    if (was && was.version !== scene.version) {
      change.updated.push(scene);
      change.replaced.push(was);
    }
  }
  if (!cut(now)) change.left = before.scenes.filter((scene) => !current.has(scene.key) && meets(scene, inside(now)));
  return change;
}
