/** Keeps the style of the page's URL in the mosaic, as a named render. */

import { choose } from "../choices.js";
import { info, learn, redraw } from "../mosaic.js";
import { el } from "../page.js";
import { send } from "../server.js";

const LISTS = ["assets", "bidx"];
const JSONS = ["colormap", "algorithm_params"];
const TEXTS = ["algorithm", "color_formula", "colormap_name", "expression", "resampling"];
const NUMBERS = ["nodata"];
const FLAGS = ["unscale", "return_mask"];
const PARAMETERS = [...LISTS, ...JSONS, ...TEXTS, ...NUMBERS, ...FLAGS, "rescale"];
/** URL parameters that change pictures and have no place in a render. */
const UNSAVED = ["asset_bidx", "reproject"];

/** The style of the page's URL in the terms of the STAC render extension; null if it has none. */
function renderOf(title) {
  const given = new URLSearchParams(location.search);
  const names = PARAMETERS.filter((name) => given.has(name));
  if (!names.length || UNSAVED.some((name) => given.has(name))) return null;
  const all = (name) => given.getAll(name);
  const value = (name) => {
    if (name === "rescale" && given.get(name) === "auto") return "auto";
    if (name === "rescale") return all(name).map((range) => range.split(",").map(Number));
    if (name === "bidx") return all(name).map(Number);
    if (LISTS.includes(name)) return all(name);
    if (JSONS.includes(name)) return JSON.parse(given.get(name));
    if (NUMBERS.includes(name)) return given.get(name) === "nan" ? "nan" : Number(given.get(name));
    return FLAGS.includes(name) ? given.get(name) === "true" : given.get(name);
  };
  const base = info.renders?.[given.get("render")] ?? {};
  return { ...base, title, ...Object.fromEntries(names.map((name) => [name, value(name)])) };
}

/** Whether the page's URL has a style that a render can keep. */
export const canSave = () => renderOf("") !== null;

/** Name of a render by its title: letters, digits, `_`, `.` and `-`. */
const nameOf = (title) => title.trim().toLowerCase().replaceAll(/[^a-z0-9_.-]+/g, "-").replaceAll(/^[^a-z0-9]+|-+$/g, "").slice(0, 63);

async function save(title, token) {
  const name = nameOf(title);
  if (!name) throw new Error("the name needs a letter or a digit");
  if (info.renders?.[name]) throw new Error(`there is a render ${name} already`);
  const patch = { renders: { [name]: renderOf(title) } };
  await send("PATCH", `../${encodeURIComponent(info.id)}`, patch, { token, type: "application/merge-patch+json" });
  choose([...PARAMETERS, "render"], { render: name });
  await learn();
  redraw();
}

/** The form; it asks for a token only where the server does. */
export function saving(done) {
  const title = el("input", { type: "text", "aria-label": "Name of the render", placeholder: "Name of this style", maxlength: 60 });
  const token = el("input", { type: "password", "aria-label": "Token that may write", placeholder: "Token that may write", autocomplete: "off", hidden: "" });
  const button = el("button", { type: "submit", class: "action plain" }, "Save");
  const note = el("p", { class: "hint", role: "status" });
  const form = el("form", { class: "save" }, el("h3", {}, "Save as a render of the mosaic"), el("div", { class: "row" }, title, button), token, note);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await save(title.value, token.value);
      [title.value, note.textContent] = ["", ""];
      done();
    } catch (error) {
      token.hidden = error.status !== 401 && token.hidden;
      note.textContent = error.message;
    }
  });
  return form;
}
