/** The legend: colors of a named color ramp, and the values at its ends. */

import { shownRender } from "../choices.js";
import { $, el } from "../page.js";

/** URL of a color ramp as an image. */
export const rampUrl = (name) => `../../colorMaps/${encodeURIComponent(name)}?f=png&height=1`;

/** The style of tiles: of the page's URL, else of the named render in it. */
export function styleOf(info) {
  const given = new URLSearchParams(location.search);
  const named = info?.renders?.[shownRender(info)] ?? {};
  const isAuto = (given.get("rescale") ?? named.rescale) === "auto";
  const ranges = given.has("rescale") ? given.getAll("rescale").map((text) => text.split(",").map(Number)) : named.rescale;
  return {
    ramp: given.get("colormap_name") ?? (given.has("colormap") ? null : named.colormap_name) ?? null,
    ranges: isAuto ? [] : (ranges ?? []),
    isAuto,
    what: given.get("expression") ?? (given.has("assets") ? given.getAll("assets").join(", ") : null) ?? named.title ?? named.expression ?? (info?.shown_assets ?? []).join(", "),
  };
}

export function sayLegend(info) {
  const { ramp, ranges, isAuto, what } = styleOf(info);
  $("legend").hidden = !ramp;
  if (!ramp) return;
  const [low, high] = ranges[0] ?? (isAuto ? ["2 %", "98 %"] : [0, 255]);
  const image = el("img", { src: rampUrl(ramp), alt: `Color ramp ${ramp}, from ${low} to ${high}` });
  const scale = el("p", { class: "scale" }, el("span", {}, String(low)), el("span", {}, what), el("span", {}, String(high)));
  $("legend").replaceChildren(image, scale);
}
