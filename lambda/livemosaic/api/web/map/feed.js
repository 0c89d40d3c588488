/** Recent changes: a line for each scene, and its outline for a moment. */

import { draw, fit, map } from "./canvas.js";
import { day } from "./date.js";
import { boundsOf, polygons } from "./geometry.js";
import { stay } from "./mosaic.js";
import { $, el, motion, narrow } from "./page.js";

const lines = () => (narrow() ? 1 : 5);
const LINE_MS = 20_000;
const LEAVING_MS = 1_000;
const FLASH_MS = 3_500;
const FLASHES = 50;

export function announce({ arrived, updated, left }) {
  tell("added", "+", arrived);
  tell("updated", "↻", updated);
  tell("left", "−", left);
  flash([...arrived, ...updated]);
}

/** A line for scenes that were added out of view, and a button that shows them. */
export function sayAway(changes) {
  const added = changes.filter(({ kind, deleted }) => kind === "scene" && !deleted);
  if (!added.length) return;
  const button = line("+", added.length === 1 ? "1 scene out of view" : `${added.length} scenes out of view`, "show");
  button.title = "Show it on the map";
  button.onclick = () => show(around(added.map(({ bbox }) => bbox)));
  add("away", button);
}

/** Go to a box; the viewer wants to stay there. */
function show(box) {
  stay();
  fit(box);
}

/** A box around boxes; one that crosses the antimeridian stands for all. */
const around = (boxes) =>
  boxes.find(([west, , east]) => west > east) ?? [0, 1, 2, 3].map((side) => Math[side < 2 ? "min" : "max"](...boxes.map((box) => box[side])));

function tell(kind, sign, scenes) {
  const shown = scenes.length > 4 ? scenes.slice(-3) : scenes;
  const rest = scenes.length - shown.length;
  const what = { added: day, updated: () => "updated", left: () => "removed" }[kind];
  if (rest) add(kind, line(sign, `${rest} more scenes`, kind === "added" ? "" : what()));
  for (const scene of shown) {
    const button = line(sign, String(scene.id), what(scene));
    button.title = "Show it on the map";
    button.onclick = () => show(boundsOf(polygons(scene)[0]));
    add(kind, button);
  }
}

const line = (sign, id, what) =>
  el(
    "button",
    { type: "button" },
    el("span", { class: "sign", "aria-hidden": "true" }, sign),
    el("span", { class: "id" }, id),
    el("span", { class: "when" }, what),
  );

function add(kind, button) {
  const entry = el("li", { class: kind }, button);
  $("feed").append(entry);
  while ($("feed").children.length > lines()) $("feed").firstChild.remove();
  setTimeout(() => entry.classList.add("leaving"), LINE_MS - LEAVING_MS);
  setTimeout(() => entry.remove(), LINE_MS);
}

let flashes = [];

function flash(scenes) {
  if (!scenes.length) return;
  const since = performance.now();
  if (!flashes.length) requestAnimationFrame(fade);
  flashes.push(...scenes.slice(0, FLASHES).map((scene, i) => ({ since, scene, id: Math.floor(since * 100) + i })));
  const features = flashes.map(({ scene, id }) => ({ type: "Feature", id, properties: {}, geometry: scene.geometry }));
  draw("flash", { type: "FeatureCollection", features });
}

function fade(now) {
  flashes = flashes.filter(({ since }) => now - since < FLASH_MS);
  for (const { id, since } of flashes) {
    const age = Math.max(0, now - since) / FLASH_MS;
    map.setFeatureState({ source: "flash", id }, { glow: motion() ? 1 - age ** 2 : 1 });
  }
  if (flashes.length) return void requestAnimationFrame(fade);
  map.removeFeatureState({ source: "flash" });
  draw("flash", null);
}
