/** A second map over the first one, to the right of a line that can be moved: another day, or another render. */

import { map, secondMap } from "../canvas.js";
import { addMosaic, recheck, tilejson } from "../mosaic.js";
import { $ } from "../page.js";
import { partialTiles } from "../tiles.js";

const PARTS = ["other", "swipe", "swipe-line", "swipe-title"];
/** Half of the width of the slider's thumb, which keeps within the slider. */
const THUMB_PX = 20;

let other = null;
let changed = null;
let name = null;

/** What the map is compared with; null if it is not. */
export const compared = () => name;

const follow = () => other.jumpTo({ center: map.getCenter(), zoom: map.getZoom() });
const redraw = () => other.getSource("mosaic")?.setUrl(tilejson(changed));
const refresh = () => other.getSource("mosaic") && other.refreshTiles("mosaic");

function cut() {
  const share = Number($("swipe").value) / 100;
  const left = `calc(${THUMB_PX}px + (100% - ${2 * THUMB_PX}px) * ${share})`;
  $("other").style.clipPath = `inset(0 0 0 ${left})`;
  $("swipe-line").style.left = $("swipe-title").style.left = left;
}

function listen(how) {
  map[how === "add" ? "on" : "off"]("move", follow);
  window[`${how}EventListener`]("redrawn", redraw);
  window[`${how}EventListener`]("refreshed", refresh);
}

/** Compare the page's view with the same but for some parameters; null takes one out. */
export function compare(title, changes) {
  endComparison();
  [name, changed] = [title, changes];
  for (const id of PARTS) $(id).hidden = false;
  map.getContainer().insertBefore($("other"), map.getContainer().querySelector(".maplibregl-control-container"));
  $("swipe-title").textContent = title;
  cut();
  const made = (other = secondMap("other"));
  made.on("error", ({ error }) => ($("swipe-title").textContent = `${title}: ${error.message}`));
  made.on("load", () => addMosaic(made, tilejson(changes)));
  listen("add");
}

export function endComparison() {
  if (!other) return;
  listen("remove");
  other.remove();
  [other, name] = [null, null];
  for (const id of PARTS) $(id).hidden = true;
  partialTiles(() => false); // what the other's tiles lack is of no concern now
  recheck();
}

$("swipe").addEventListener("input", cut);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", endComparison);
