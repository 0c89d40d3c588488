/**
 * The live map of one mosaic: follows its change feed, and reloads the tiles of scenes that were
 * added, changed or removed. This module connects events to their handlers.
 */

import { drawGraticule, map, paint } from "./map/canvas.js";
import { look, lookAnew, lookIn, looks } from "./map/live.js";
import { info, noteFailure, onChange, recheck, sayPartial, sayZoom, stay } from "./map/mosaic.js";
import { $, status } from "./map/page.js";
import { click, pinAt, pointAt, unpin } from "./map/panel.js";
import { forgetBad, onPartial } from "./map/tiles.js";

const AFTER_MOVE_MS = 200;
const RECHECK_MS = 1_800_000;

map.on("error", noteFailure);
await map.once("load");

map.on("movestart", ({ originalEvent }) => {
  forgetBad();
  if (originalEvent) stay();
});
map.on("move", drawGraticule);
map.on("moveend", () => {
  sayZoom();
  sayPartial();
  if (info) lookIn(AFTER_MOVE_MS);
});
onPartial(sayPartial);
onChange(lookAnew);
map.on("mousemove", ({ lngLat }) => pointAt(lngLat));
map.on("mouseout", () => pointAt(null));
map.on("click", click);

map.getCanvas().addEventListener("keydown", ({ key }) => key === "Enter" && pinAt(map.getCenter()));
addEventListener("keydown", ({ key }) => key === "Escape" && unpin());
$("unpin").addEventListener("click", () => {
  unpin();
  map.getCanvas().focus({ focusVisible: false });
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
document.addEventListener("visibilitychange", look);
addEventListener("online", look);
addEventListener("offline", () => status("waiting", "reconnecting…"));
setInterval(recheck, RECHECK_MS);

drawGraticule();
look();

/** For tests. */
window.livemosaic = { map, get info() { return info; }, get looks() { return looks; } };
