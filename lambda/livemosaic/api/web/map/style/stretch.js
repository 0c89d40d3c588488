/** The values in view, and colors stretched to them. */

import { view } from "../canvas.js";
import { choose } from "../choices.js";
import { split, wrapped } from "../geometry.js";
import { info, redraw, tooLow } from "../mosaic.js";
import { say } from "../page.js";
import { send } from "../server.js";

const PIXELS = 512;
const BINS = 48;
/** URL parameters of the style and of tiles, which do not change values. */
const NOT_OF_VALUES = ["access_token", "color_formula", "colormap", "colormap_name", "rescale", "return_mask", "tile_format", "tile_scale"];

function area() {
  const parts = split(info.bounds).flatMap((box) => split(wrapped(view())).map((here) => overlap(box, here))).filter(Boolean);
  return parts.sort((a, b) => size(b) - size(a))[0];
}

function overlap([w, s, e, n], [west, south, east, north]) {
  const box = [Math.max(w, west), Math.max(s, south), Math.min(e, east), Math.min(n, north)];
  return box[0] < box[2] && box[1] < box[3] ? box : null;
}

const size = ([west, south, east, north]) => (east - west) * (north - south);

/** Statistics of each band in view: `name`, `low` and `high` percentiles, and `histogram`. */
export async function valuesInView() {
  const box = info?.bounds && area();
  if (!box) throw new Error("no scene is in view");
  if (tooLow()) throw new Error(`the mosaic is drawn from zoom ${info.minzoom} on`);
  const query = new URLSearchParams(location.search);
  for (const name of NOT_OF_VALUES) query.delete(name);
  query.set("max_size", PIXELS);
  query.set("histogram_bins", BINS);
  const [w, s, e, n] = box;
  const geometry = { type: "Polygon", coordinates: [[[w, s], [e, s], [e, n], [w, n], [w, s]]] };
  const answer = await send("POST", `statistics?${query}`, { type: "Feature", properties: {}, geometry });
  if (!answer) throw new Error("no scene is in view");
  const bands = Object.entries(answer.properties.statistics);
  if (bands.some(([, { valid_pixels }]) => !valid_pixels)) throw new Error("no pixel in view has a value");
  return bands.map(([name, band]) => ({
    name: band.description || name,
    low: band.percentile_2,
    high: band.percentile_98 > band.percentile_2 ? band.percentile_98 : band.percentile_2 + 1,
    histogram: band.histogram,
  }));
}

const text = (value) => String(Number(value.toPrecision(5)));

export function setRescale(ranges) {
  const query = new URLSearchParams(ranges.map(([low, high]) => ["rescale", `${text(low)},${text(high)}`]));
  choose(["rescale"], query);
  redraw();
}

/** Stretch colors to the middle 96 % of the values in view, band by band; returns the bands. */
export async function stretch() {
  document.body.classList.add("stretching");
  try {
    const bands = await valuesInView();
    setRescale(bands.map(({ low, high }) => [low, high]));
    return bands;
  } finally {
    document.body.classList.remove("stretching");
  }
}

export const stretchTool = {
  id: "stretch",
  label: "Stretch to the values in view",
  path: "M4 19c4 0 4-14 8-14s4 14 8 14M4 21h16",
  run: () => stretch().catch((error) => say("stretch", "Colors are not stretched", error.message, { label: "Close", run: () => say("stretch", null) })),
};
