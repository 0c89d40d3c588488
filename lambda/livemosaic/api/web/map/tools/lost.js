/** Where nothing is to be seen, the page says why, and leads back to the mosaic. */

import { fit, view } from "../canvas.js";
import { selectAll, selection } from "../choices.js";
import { boundsOf, meet, polygons, split, wrapped } from "../geometry.js";
import { goHome, info, redraw, tooLow } from "../mosaic.js";
import { say } from "../page.js";
import { first, inView } from "../scenes.js";

/** What was found of a selection, by its query: a scene, or null. */
const found = new Map();

function isAway() {
  const here = split(wrapped(view()));
  return !split(info.bounds).some((box) => here.some((part) => meet(box, part)));
}

const home = { label: "Show the mosaic", run: goHome };

/** Say why the view has no scene; nothing if it has some, or if another message says it. */
export async function sayLost(signal) {
  if (!info?.bounds || tooLow() || inView().length) return say("away", null);
  if (isAway()) return say("away", "The mosaic is not in view", "The map was moved away from it.", home);
  const query = `${selection()}`;
  if (!query) return say("away", "No scene is here", "The mosaic has scenes elsewhere.", home);
  const scene = await somewhere(query, signal);
  if (scene) {
    const run = () => fit(boundsOf(polygons(scene)[0]));
    return say("away", "No scene here is selected", "The address selects scenes; some are elsewhere.", { label: "Show one", run });
  }
  const run = () => {
    selectAll();
    redraw();
  };
  say("away", "No scene is selected", "The address selects scenes, and the mosaic has none like that.", { label: "Show all scenes", run });
}

/** A scene that the address selects; null if none is found, or if that depends on the place. */
async function somewhere(query, signal) {
  if (!found.has(query)) found.set(query, await first(query, signal).catch(placeless));
  return found.get(query);
}

function placeless(error) {
  if (![400, 404].includes(error.status)) throw error;
  return null;
}

/** Scenes have changed: what was sought may be there now. */
export const seekAnew = () => found.clear();
