/** Values of all scenes of the rule at the pin, and their chart over time. */

import { rule } from "../choices.js";
import { el, svg } from "../page.js";
import { ask } from "../server.js";

const [WIDTH, HEIGHT, EDGE] = [288, 84, 6];
const BANDS = 4;
const COLORS = ["#c62f3d", "#2f8f4e", "#2f6fc6", "#8a5ab8"];
/** URL parameters of the style and of tiles, which do not change values. */
const NOT_OF_VALUES = ["algorithm", "algorithm_params", "color_formula", "colormap", "colormap_name", "rescale", "return_mask"];

/** The values at a place, as the server reads them: null where no scene covers it. */
export function valuesAt({ lng, lat }, signal) {
  const query = rule();
  for (const name of NOT_OF_VALUES) query.delete(name);
  return ask(`point/${lng.toFixed(7)},${lat.toFixed(7)}?${query}`, signal);
}

const number = (value) => (value === null ? "no data" : String(Number(value.toPrecision(6))));

/** The values of a scene in words; null if the answer does not have the scene. */
export function valuesOf(answer, { id, collection }) {
  const found = answer?.assets.find((each) => each.name === id && (each.collection ?? null) === (collection ?? null));
  return found && found.values.map((value, i) => `${found.band_descriptions[i]} ${number(value)}`).join(", ");
}

/** The line of each band: times and values of the scenes that have both, in order of time. */
function series(assets) {
  const dated = assets.map(({ datetime, values }) => ({ time: Date.parse(datetime ?? ""), values })).filter(({ time }) => !Number.isNaN(time));
  dated.sort((a, b) => a.time - b.time);
  const bands = Math.min(BANDS, dated[0]?.values.length ?? 0);
  return Array.from({ length: bands }, (_, i) => dated.map(({ time, values }) => [time, values[i]]).filter(([, value]) => value !== null));
}

const range = (numbers) => [Math.min(...numbers), Math.max(...numbers)];
const scale = ([from, to], low, high) => (value) => low + (high - low) * (to > from ? (value - from) / (to - from) : 0.5);

/** A chart of the values over time; null if fewer than two scenes have a date. */
export function chart({ assets }) {
  const lines = series(assets);
  const points = lines.flat();
  const [times, values] = [0, 1].map((axis) => range(points.map((point) => point[axis])));
  if (!points.length || times[0] === times[1]) return null;
  const [x, y] = [scale(times, EDGE, WIDTH - EDGE), scale(values, HEIGHT - EDGE, EDGE)];
  const drawn = lines.flatMap((line, i) => {
    const at = line.map(([time, value]) => [x(time).toFixed(1), y(value).toFixed(1)]);
    const dots = at.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.5, fill: COLORS[i] }));
    return [svg("polyline", { points: at.join(" "), stroke: COLORS[i] }), ...dots];
  });
  const names = assets[0].band_descriptions.slice(0, lines.length);
  const label = `Values of ${names.join(", ")} over time, from ${number(values[0])} to ${number(values[1])}`;
  const day = (time) => new Date(time).toISOString().slice(0, 10);
  const ends = el("p", { class: "ends" }, el("span", {}, day(times[0])), el("span", {}, `${number(values[0])} to ${number(values[1])}`), el("span", {}, day(times[1])));
  const keys = names.map((name, i) => el("span", { class: `key key-${i}` }, name));
  return el("figure", { class: "chart" }, svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, ...drawn), ends, el("figcaption", {}, ...keys));
}

/** What the answer leaves out, in words; empty if nothing. */
export function leftOut({ skipped, truncated }) {
  const unread = skipped.length ? `${skipped.length} ${skipped.length === 1 ? "scene" : "scenes"} without a value: ${skipped[0].name}, ${skipped[0].why}. ` : "";
  return unread + (truncated ? `Some scenes are left out: ${truncated}. ` : "");
}
