/** What a viewer may choose: a named render, and what lies on top. Both go into the page's address. */

import { $, el } from "./page.js";

const OPERATIONS = { mean: "Mean of all", median: "Median of all", min: "Lowest values", max: "Highest values" };
/** Parameters that say another order than those offered. */
const OTHER_ORDERS = ["lock", "method", "mosaicRule", "pixel_selection", "sortby", "viewpoint"];
const BY_DATE = ["Newest on top", "Oldest on top"];

/** What is offered, as text, so that it is not built anew under someone's hands. */
let offered = "";

/** Offer what a mosaic has; `chosen` is called when the address has changed. */
export function offer(info, chosen) {
  const key = JSON.stringify([info.renders, info.rules, info.sortby]);
  if (key === offered) return;
  offered = key;
  fill("render", renders(info), ["render"], chosen);
  fill("order", orders(info), ["ascending", "operation", ...OTHER_ORDERS], chosen);
  $("choices").hidden = ["render", "order"].every((id) => $(id).hidden);
}

/** Choices by the query that each stands for. */
function renders({ renders }) {
  const named = Object.entries(renders ?? {}).map(([name, { title }]) => [`${new URLSearchParams({ render: name })}`, title ?? name]);
  return { "": "Default colors", ...Object.fromEntries(named) };
}

function orders({ sortby, rules }) {
  const [stored, turned] = sortby === "-datetime" ? BY_DATE : sortby.replace("+", "") === "datetime" ? BY_DATE.toReversed() : [`By ${sortby}`, "Turned around"];
  const usual = Object.keys(rules.default).length ? "Default order" : stored;
  const allowed = Object.keys(OPERATIONS).filter((name) => !rules.operations.length || rules.operations.includes(name));
  const operations = allowed.map((name) => [`operation=${name}`, OPERATIONS[name]]);
  return { "": usual, "ascending=false": turned, ...Object.fromEntries(operations) };
}

/** Nothing is offered where there is one choice only, or where the address says something else. */
function fill(id, options, names, chosen) {
  const said = [...new URLSearchParams(location.search)].filter(([name]) => names.includes(name));
  const now = `${new URLSearchParams(said)}`;
  $(id).hidden = Object.keys(options).length < 2 || !(now in options);
  $(id).replaceChildren(...Object.entries(options).map(([value, text]) => el("option", { value }, text)));
  $(id).value = now;
  $(id).onchange = () => {
    choose(names, $(id).value);
    chosen();
  };
}

/** Whether the scene that is first in the mosaic's own order is the one that shows. */
export const asStored = () => $("order").selectedIndex === 0;

function choose(names, query) {
  const kept = [...new URLSearchParams(location.search)].filter(([name]) => !names.includes(name));
  const search = `${new URLSearchParams([...kept, ...new URLSearchParams(query)])}`;
  history.replaceState(history.state, "", `${location.pathname}${search && `?${search}`}${location.hash}`);
}
