/** Outlines of scenes: below the zooms at which the mosaic is drawn, and elsewhere on demand. */

import { draw } from "../canvas.js";
import { selection } from "../choices.js";
import { tooLow } from "../mosaic.js";
import { inView } from "../scenes.js";
import { ask } from "../server.js";

const MOST = 1_000;

let always = false;
/** Scenes of the mosaic, whichever the view: what is outlined below its zooms. Null if not asked. */
let all = null;
/** What is drawn, as text. */
let drawn = "[]";

const outlines = (features) => ({ type: "GeometryCollection", geometries: features.map(({ geometry }) => geometry).filter(Boolean) });

/** Draw the outlines of the present view; `isNews` says that scenes have changed. */
export async function drawFootprints(isNews, signal) {
  if (isNews) all = null;
  if (tooLow()) all ??= await selected(signal);
  const shown = tooLow() ? all : always ? inView() : [];
  const key = JSON.stringify(shown.map(({ collection, id, version }) => [collection, id, version]));
  if (key === drawn) return;
  drawn = key;
  draw("footprints", outlines(shown));
}

/** The scenes that the address selects; none if that depends on the place, or if it names scenes that do not exist. */
async function selected(signal) {
  try {
    return (await ask(`items?limit=${MOST}&${selection()}`, signal)).features;
  } catch (error) {
    if (![400, 404].includes(error.status)) throw error;
    return [];
  }
}

function toggle(button) {
  always = !always;
  button.setAttribute("aria-pressed", String(always));
  drawFootprints(false, AbortSignal.timeout(20_000)).catch(console.warn);
}

/** Another rule selects other scenes. */
export const forgetFootprints = () => (all = null);

export const footprints = { id: "footprints", label: "Outlines of scenes", path: "M4 8l9-4 7 5-4 10-10 1Z", run: toggle };
