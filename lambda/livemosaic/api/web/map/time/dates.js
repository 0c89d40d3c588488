/** Days of the scenes in view, whatever day the page's URL selects. */

import { rule } from "../choices.js";
import { area } from "../scenes.js";
import { ask } from "../server.js";

const MOST = 1_000;

const dayOf = (scene) => /^\d{4}-\d\d-\d\d/.exec(scene.properties?.datetime ?? "")?.[0];

/** The days in order, and whether there may be more. */
export async function daysInView(signal) {
  const query = rule();
  for (const name of ["datetime", "max_scenes"]) query.delete(name);
  const box = area().map((d) => d.toFixed(7));
  const { features, truncated } = await ask(`items?bbox=${box}&limit=${MOST}&${query}`, signal);
  const days = [...new Set(features.map(dayOf).filter(Boolean))].sort();
  return { days, isCut: Boolean(truncated) || features.length >= MOST };
}

/** The selection of a day alone, or of everything up to it. */
export const selectionOf = (day, isAlone) => (isAlone ? day : `../${day}T23:59:59.999999Z`);

/** The day of such a selection; null of others. */
export function dayOfSelection(datetime) {
  const [, before, day] = /^(\.\.\/)?(\d{4}-\d\d-\d\d)(?:T23:59:59\.999999Z)?$/.exec(datetime ?? "") ?? [];
  return day ? { day, isAlone: !before } : null;
}
