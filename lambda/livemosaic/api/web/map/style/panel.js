/** The style panel: what is shown of scenes, stretched how, in which colors. */

import { canUndo, choose, undo } from "../choices.js";
import { info, redraw } from "../mosaic.js";
import { actionButton, el } from "../page.js";
import { inView } from "../scenes.js";
import { ask } from "../server.js";
import { histogram } from "./histogram.js";
import { rampUrl, styleOf } from "./legend.js";
import { presetsOf } from "./presets.js";
import { canSave, saving } from "./save.js";
import { setRescale, stretch, valuesInView } from "./stretch.js";

/** URL parameters that a preset replaces. */
const STYLE = ["algorithm", "algorithm_params", "asset_bidx", "assets", "bidx", "color_formula", "colormap", "colormap_name", "expression", "render", "rescale"];
const ONE_BAND = /^[^;]*$/;

let body = null;
/** Statistics of the bands in view; null before they are known. */
let bands = null;
let problem = "";
let ramps = null;
/** The form that saves the style: it stays while the panel is drawn again, with what was typed. */
let form = null;

const heading = (text) => el("h3", {}, text);

function menu(label, options, value, chosen) {
  const made = el("select", { "aria-label": label });
  made.replaceChildren(...Object.entries(options).map(([key, text]) => el("option", { value: key }, text)));
  made.value = value;
  made.addEventListener("change", () => chosen(made.value));
  return made;
}

/** The query of the page's URL that a preset would have. */
const current = () => essence(new URLSearchParams(location.search));
const essence = (query) => `${new URLSearchParams([...query].filter(([name]) => ["assets", "expression"].includes(name)))}`;

/** Assets of the scenes in view, with what Items state of them. */
function assets() {
  const known = Object.fromEntries((info?.known_assets ?? []).map((key) => [key, {}]));
  for (const scene of inView()) for (const [key, asset] of Object.entries(scene.assets ?? {})) known[key] = { ...known[key], ...asset };
  return known;
}

function shown() {
  const presets = presetsOf(assets());
  const names = { "": "Default", ...Object.fromEntries(Object.keys(presets).map((title) => [title, title])) };
  const now = Object.keys(presets).find((title) => essence(presets[title]) === current()) ?? "";
  return menu("What is shown", names, now, (title) => show(title ? presets[title] : new URLSearchParams()));
}

/** Show a preset; one that has no range of values is stretched to the ones in view. */
async function show(query) {
  choose(STYLE, query);
  redraw();
  await update(query.size > 0 && !query.has("rescale") ? stretch : valuesInView);
}

async function update(read) {
  [bands, problem] = [null, ""];
  draw();
  try {
    bands = await read();
  } catch (error) {
    problem = error.message;
  }
  draw();
}

/** A color ramp, for one band. */
function ramp() {
  const options = { "": "Gray", ...Object.fromEntries((ramps ?? []).map((name) => [name, name])) };
  const { ramp } = styleOf(info);
  const names = menu("Color ramp", options, ramp ?? "", (name) => {
    choose(["colormap", "colormap_name"], name ? { colormap_name: name } : "");
    redraw();
    draw();
  });
  return [heading("Colors"), names, ...(ramp ? [el("img", { class: "ramp", src: rampUrl(ramp), alt: "" })] : [])];
}

function stretched() {
  if (problem) return [el("p", { class: "hint", role: "status" }, problem)];
  if (!bands) return [el("p", { class: "hint", role: "status" }, "Reading the values in view…")];
  const { ranges } = styleOf(info);
  const now = bands.map((_, i) => ranges[i] ?? ranges[0] ?? null);
  const change = (i, range) => setRescale(bands.map((band, j) => (i === j ? range : now[j] ?? [band.low, band.high])));
  return bands.slice(0, 4).map((band, i) => histogram(band, now[i], (range) => {
    change(i, range);
    draw();
  }));
}

function actions() {
  const back = actionButton("Undo", () => {
    undo();
    redraw();
    update(valuesInView);
  });
  back.disabled = !canUndo();
  return el("div", { class: "row actions" }, actionButton("Stretch to view", () => update(stretch), false), back);
}

function draw() {
  if (!body) return;
  const isOne = bands?.length === 1 && ONE_BAND.test(new URLSearchParams(location.search).get("expression") ?? "");
  const focused = document.activeElement?.getAttribute?.("aria-label");
  const isTyping = form.contains(document.activeElement);
  body.replaceChildren(
    heading("Bands"), shown(), heading("Stretch"), ...stretched(), actions(), ...(isOne || styleOf(info).ramp ? ramp() : []), form,
  );
  form.hidden = !canSave();
  if (focused && (isTyping || body.contains(document.activeElement) || document.activeElement === document.body)) body.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus({ focusVisible: false });
}

async function open(into) {
  body = into;
  form = saving(draw);
  update(valuesInView);
  ramps ??= await ask("../../colorMaps?f=json").then(({ colormaps }) => colormaps.map(({ id }) => id), () => []);
  draw();
}

export const style = { id: "style", label: "Style", path: "M12 3a9 9 0 1 0 0 18c1.5 0 2-1 1.5-2.2C13 17 14 16 15.5 16H18a3 3 0 0 0 3-3c0-5.5-4-10-9-10ZM7.5 12h.01M9.5 8h.01M14.5 8h.01", open, close: () => (body = null) };
