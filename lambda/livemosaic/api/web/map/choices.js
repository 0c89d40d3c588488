/** The viewer's choices: a named render, and the order of scenes. Both are kept in the page's URL. */

import { $, el } from "./page.js";

const OPERATIONS = { mean: "Mean of all", median: "Median of all", min: "Lowest values", max: "Highest values" };
/** URL parameters of orders that the menu does not offer. */
const OTHER_ORDERS = ["lock", "method", "mosaicRule", "pixel_selection", "sortby", "viewpoint"];
/** URL parameters that are not of the rule, and would mean something else to a list of scenes. */
const NOT_OF_SCENES = ["access_token", "bbox", "limit", "tile_format", "tile_scale", "token"];
const BY_DATE = ["Newest on top", "Oldest on top"];

/** The offered choices as text, so that the menus are not rebuilt while in use. */
let offered = "";

/** Offer the choices of a mosaic; `chosen` is called after the URL has changed. */
export function offer(info, chosen) {
  const key = JSON.stringify([info.renders, info.rules, info.sortby, location.search]);
  if (key === offered) return;
  offered = key;
  fill("render", renders(info), ["render"], chosen);
  fill("order", orders(info), ["ascending", "operation", ...OTHER_ORDERS], chosen);
  $("choices").hidden = ["render", "order"].every((id) => $(id).hidden);
}

/** Labels of the named renders, by the query of each. */
function renders({ renders, default_render: usual }) {
  const named = Object.entries(renders ?? {}).map(([name, { title }]) => [`${new URLSearchParams({ render: name })}`, title ?? name]);
  return { "": "Default colors", ...(usual && { "render=none": "Without colors" }), ...Object.fromEntries(named) };
}

/** URL parameters of values and colors: one of them replaces the default render of a mosaic. */
const LOOKS = ["algorithm", "algorithm_params", "assets", "bidx", "color_formula", "colormap", "colormap_name", "expression", "nodata", "rescale", "unscale"];

/** The name of the render that tiles show; empty if there is none. */
export function shownRender(info) {
  const given = new URLSearchParams(location.search);
  const name = given.get("render") ?? (LOOKS.some((each) => given.has(each)) ? "" : info?.default_render);
  return Object.hasOwn(info?.renders ?? {}, name) ? name : "";
}

function orders({ sortby, rules }) {
  const [stored, turned] = sortby === "-datetime" ? BY_DATE : sortby.replace("+", "") === "datetime" ? BY_DATE.toReversed() : [`By ${sortby}`, "Turned around"];
  const usual = Object.keys(rules.default).length ? "Default order" : stored;
  const allowed = Object.keys(OPERATIONS).filter((name) => !rules.operations.length || rules.operations.includes(name));
  const operations = allowed.map((name) => [`operation=${name}`, OPERATIONS[name]]);
  return { "": usual, "ascending=false": turned, ...Object.fromEntries(operations) };
}

/** The parameters of the page's URL for requests about scenes: which there are, and in which order. */
export function rule() {
  const given = new URLSearchParams(location.search);
  for (const name of NOT_OF_SCENES) given.delete(name);
  return given;
}

/** URL parameters that select scenes. */
const SELECTION = ["datetime", "filter", "filter-lang", "ids", "lock", "mosaicRule"];

/** The parameters of the page's URL that select scenes. */
export const selection = () => new URLSearchParams([...new URLSearchParams(location.search)].filter(([name]) => SELECTION.includes(name)));

/** Take the selection of scenes out of the page's URL. */
export const selectAll = () => choose(SELECTION, "");

/** Fill a menu; it is hidden if it has one choice, or if the URL has a value that it does not offer. */
function fill(id, options, names, chosen) {
  const current = [...new URLSearchParams(location.search)].filter(([name]) => names.includes(name));
  const now = `${new URLSearchParams(current)}`;
  $(id).hidden = Object.keys(options).length < 2 || !(now in options);
  $(id).replaceChildren(...Object.entries(options).map(([value, text]) => el("option", { value }, text)));
  $(id).value = now;
  $(id).onchange = () => {
    choose(names, $(id).value);
    chosen();
  };
}

const past = [];

/** Replace parameters of the page's URL, by their names, with a query. */
export function choose(names, query) {
  const kept = [...new URLSearchParams(location.search)].filter(([name]) => !names.includes(name));
  const search = `${new URLSearchParams([...kept, ...new URLSearchParams(query)])}`;
  if (`?${search}` === (location.search || "?")) return;
  const what = `${names}`;
  if (past.at(-1)?.what !== what) past.push({ what, search: location.search }); // all days of a time-lapse are one choice
  replace(search && `?${search}`);
}

/** Take a parameter of the page alone out of its URL; whether it was there. */
export function drop(name) {
  const given = new URLSearchParams(location.search);
  if (!given.has(name)) return false;
  given.delete(name);
  replace(given.size ? `?${given}` : "");
  return true;
}

/** Set the query of the page's URL. */
const replace = (search) => history.replaceState(history.state, "", `${location.pathname}${search}${location.hash}`);

export const canUndo = () => past.length > 0;

/** Take back the last choice. */
export const undo = () => replace(past.pop().search);
