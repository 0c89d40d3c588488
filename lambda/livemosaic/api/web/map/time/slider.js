/** Time: a slider over the days of the scenes in view, which plays; and a comparison of two of them. */

import { map } from "../canvas.js";
import { choose } from "../choices.js";
import { info, redraw } from "../mosaic.js";
import { actionButton, el } from "../page.js";
import { refill } from "../tools/drawer.js";
import { dayOfSelection, daysInView, selectionOf } from "./dates.js";
import { compare, compared, endComparison } from "./swipe.js";

const STEP_MS = 1_200;
const LOADED_MS = 15_000;

/** Whether a day is shown alone, or with all before it. */
let isAlone = false;
let playing = null;

const selected = () => dayOfSelection(new URLSearchParams(location.search).get("datetime"));

function select(day, alone = isAlone) {
  choose(["datetime"], day ? { datetime: selectionOf(day, alone) } : "");
  redraw();
}

/** Resolves when the tiles of the view have arrived, or after a while. */
function loaded(signal) {
  return new Promise((resolve) => {
    const done = () => resolve(map.off("idle", done));
    map.on("idle", done);
    setTimeout(done, LOADED_MS);
    signal.addEventListener("abort", done, { once: true });
  });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Show one day after another, each until its tiles are there and a moment more; `shown` is called with each. */
export async function play(days, shown, signal, alone = isAlone) {
  for (const [i, day] of days.entries()) {
    if (signal.aborted) return;
    select(day, alone);
    shown(i);
    await Promise.all([loaded(signal), pause(STEP_MS)]);
  }
}

export function stop() {
  playing?.abort();
  playing = null;
}

export const text = (day) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" }).format(new Date(`${day}T00:00:00Z`));

function controls(days, isCut) {
  const at = days.indexOf(selected()?.day);
  const slider = el("input", { type: "range", min: 0, max: days.length - 1, step: 1, value: at < 0 ? days.length - 1 : at, "aria-label": "Day" });
  const label = el("output", { class: "day" });
  const say = (i) => {
    slider.value = i;
    label.textContent = isAlone ? `Only ${text(days[i])}` : `Up to ${text(days[i])}`;
    slider.setAttribute("aria-valuetext", label.textContent);
  };
  if (at >= 0) say(at);
  else label.textContent = "All days";
  slider.addEventListener("input", () => say(Number(slider.value)));
  slider.addEventListener("change", () => {
    stop();
    select(days[slider.value]);
  });
  return { slider, label, say };
}

function player(days, { slider, say }) {
  return actionButton("Play", async (button) => {
    if (playing) return stop();
    const { signal } = (playing = new AbortController());
    button.textContent = "Stop";
    const from = Number(slider.value) === days.length - 1 ? 0 : Number(slider.value);
    await play(days.slice(from), (i) => say(from + i), signal);
    if (playing?.signal === signal) playing = null;
    button.textContent = "Play";
  });
}

function mode() {
  const box = el("input", { type: "checkbox", id: "alone" });
  box.checked = isAlone;
  box.addEventListener("change", () => {
    isAlone = box.checked;
    const now = selected();
    if (now) select(now.day);
    refill(time);
  });
  return el("label", { class: "check" }, box, "Only scenes of that day");
}

/** What the map can be compared with, by title: queries that replace parameters of the page's URL. */
function others(days) {
  const renders = Object.entries(info.renders ?? {}).map(([name, { title }]) => [`Render ${title ?? name}`, { render: name }]);
  const dates = days.toReversed().map((day) => [`${isAlone ? "Only" : "Up to"} ${text(day)}`, { datetime: selectionOf(day, isAlone) }]);
  return Object.fromEntries([["All days", { datetime: null }], ...dates, ...renders]);
}

function comparison(days) {
  const choices = others(days);
  const names = ["Nothing", ...Object.keys(choices)];
  const menu = el("select", { "aria-label": "Compare with" }, ...names.map((name) => el("option", {}, name)));
  menu.value = compared() ?? "Nothing";
  menu.addEventListener("change", () => (choices[menu.value] ? compare(menu.value, choices[menu.value]) : endComparison()));
  return [el("h3", {}, "Compare with"), menu, el("p", { class: "hint" }, "It is drawn to the right of a line that can be moved.")];
}

async function open(body) {
  const now = selected();
  if (now) isAlone = now.isAlone;
  body.append(el("p", { class: "hint", role: "status" }, "Reading the days of the scenes in view…"));
  try {
    const { days, isCut } = await daysInView(AbortSignal.timeout(20_000));
    body.replaceChildren(...(days.length ? filled(days, isCut) : [el("p", { class: "hint" }, "No scene in view has a date.")]));
  } catch (error) {
    body.replaceChildren(el("p", { class: "hint", role: "status" }, error.message));
  }
}

function filled(days, isCut) {
  const made = controls(days, isCut);
  const all = actionButton("All days", () => {
    stop();
    select(null);
    refill(time);
  });
  const count = `${days.length}${isCut ? " or more" : ""} ${days.length === 1 && !isCut ? "day" : "days"} of scenes in view, ${text(days[0])} to ${text(days.at(-1))}`;
  const note = isCut ? `${count}: zoom in to see all of them.` : `${count}.`;
  return [made.label, made.slider, el("div", { class: "row" }, player(days, made), all), mode(), el("p", { class: "hint" }, note), ...comparison(days)];
}

export const time = { id: "time", label: "Time", path: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16ZM12 8v4.5l3 2", open, close: stop };
