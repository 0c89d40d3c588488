/** A histogram of the values of one band, and the range that is stretched to black and white. */

import { el, svg } from "../page.js";

const [WIDTH, HEIGHT] = [296, 44];

function bars([counts, edges], range) {
  const most = Math.max(...counts, 1);
  const [from, to] = [edges[0], edges.at(-1)];
  const x = (value) => Math.min(WIDTH, Math.max(0, ((value - from) / (to - from || 1)) * WIDTH));
  const made = counts.map((count, i) => {
    const height = HEIGHT * Math.sqrt(count / most); // a linear scale hides all but the peak
    return svg("rect", { x: x(edges[i]), y: HEIGHT - height, width: Math.max(0.5, x(edges[i + 1]) - x(edges[i]) - 0.5), height });
  });
  const marks = (range ?? []).map((value) => svg("line", { x1: x(value), x2: x(value), y1: 0, y2: HEIGHT }));
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "histogram", "aria-hidden": "true", preserveAspectRatio: "none" }, ...made, ...marks);
}

function number(label, value, changed) {
  const made = el("input", { type: "number", step: "any", "aria-label": label, value: value ?? "", placeholder: "as stored" });
  made.addEventListener("change", () => changed(Number(made.value)));
  return made;
}

/** `range` is that of the style, null if there is none; `changed` gets another. */
export function histogram({ name, low, high, histogram }, range, changed) {
  const [from, to] = range ?? [null, null];
  const set = (a, b) => Number.isFinite(a + b) && a < b && changed([a, b]);
  const inputs = el(
    "div",
    { class: "row" },
    number(`Darkest value of ${name}`, from, (value) => set(value, to ?? high)),
    number(`Brightest value of ${name}`, to, (value) => set(from ?? low, value)),
  );
  return el("div", { class: "band" }, el("p", { class: "hint" }, name), bars(histogram, range), inputs);
}
