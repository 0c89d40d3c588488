/**
 * The live map of one mosaic: follows its change feed, and reloads the tiles of scenes that were
 * added, changed or removed. This module connects events to their handlers.
 */

import { drawGraticule, map, paint } from "./map/canvas.js";
import { look, lookAnew, lookIn, looks } from "./map/live.js";
import { goHome, info, noteFailure, onChange, onDark, recheck, sayPartial, sayZoom, stay } from "./map/mosaic.js";
import { $, status } from "./map/page.js";
import { click, pinAt, pointAt, unpin } from "./map/panel.js";
import { forgetBad, onPartial } from "./map/tiles.js";
import { style } from "./map/style/panel.js";
import { stretchTool } from "./map/style/stretch.js";
import { time } from "./map/time/slider.js";
import { endStory, story } from "./map/time/story.js";
import { addTools, closeDrawer, drawerIsOpen } from "./map/tools/drawer.js";
import { drawFootprints, footprints } from "./map/tools/footprints.js";
import { search } from "./map/tools/search.js";
import { use } from "./map/tools/use.js";

const AFTER_MOVE_MS = 200;
const RECHECK_MS = 1_800_000;

const home = { id: "home", label: "Show the whole mosaic", path: "M4 11.5 12 4l8 7.5M6.5 10v9h11v-9", run: goHome };

map.on("error", noteFailure);
addTools([home, search, footprints]);
addTools([stretchTool, style]);
addTools([time, story]);
addTools([use]);
await map.once("load");

map.on("movestart", ({ originalEvent }) => {
  forgetBad();
  if (!originalEvent) return;
  stay();
  endStory();
});
map.on("move", drawGraticule);
map.on("moveend", () => {
  sayZoom();
  sayPartial();
  drawFootprints();
  if (info) lookIn(AFTER_MOVE_MS);
});
onPartial(sayPartial);
onChange(lookAnew);
onDark(stretchTool.run);
map.on("mousemove", ({ lngLat }) => pointAt(lngLat));
map.on("mouseout", () => pointAt(null));
map.on("click", click);

map.getCanvas().addEventListener("keydown", ({ key }) => key === "Enter" && pinAt(map.getCenter()));
addEventListener("keydown", ({ key }) => key === "Escape" && (drawerIsOpen() ? closeDrawer() : unpin()));
$("drawer-close").addEventListener("click", closeDrawer);
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
