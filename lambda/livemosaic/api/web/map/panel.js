/** The list of scenes at a place: under the cursor, or at the viewer's pin. */

import { draw, map } from "./canvas.js";
import { day, minute } from "./date.js";
import { wrap } from "./geometry.js";
import { lacking } from "./mosaic.js";
import { $, el, motion, narrow } from "./page.js";
import { chart, leftOut, valuesAt, valuesOf } from "./point/values.js";
import { arranged, at, combined, under } from "./scenes.js";

const SHOWN = 8;
const REST_MS = 40;

let pointer = null;
let resting = 0;
let pin = null;
let asking = null;
/** Values at the pin as the server last read them; null before. */
let values = null;
/** The shown list as text, so that it is not rebuilt while in use. */
let shownKey = "";

/** Handle a new place of the cursor, or none. */
export function pointAt(place) {
  pointer = place;
  clearTimeout(resting);
  resting = setTimeout(hover, REST_MS);
}

/** List the scenes under the cursor, unless a list is pinned. */
export async function hover() {
  if (pin) return;
  const place = pointer;
  const found = place && !map.isMoving() ? under(place) : [];
  const scenes = await arranged(found, place).catch(() => []);
  if (pin || place !== pointer) return;
  scenes.length ? show(scenes, "Under the cursor") : hide();
}

export function click({ lngLat, point }) {
  const near = pin && map.project(pin).dist(point) < 10;
  if (near || (pin && !under(lngLat).length)) unpin();
  else pinAt(lngLat);
}

const degrees = (value, signs) => `${Math.abs(value).toFixed(4)}° ${value < 0 ? signs[1] : signs[0]}`;

/** Pin the list of a place, as the server returns it. */
export async function pinAt({ lng, lat }) {
  if (pin?.lng !== wrap(lng) || pin?.lat !== lat) values = null;
  pin = { lng: wrap(lng), lat };
  asking?.abort();
  const { signal } = (asking = new AbortController());
  draw("pin", { type: "Point", coordinates: [lng, lat] });
  const title = `${degrees(lat, "NS")}, ${degrees(pin.lng, "EW")}`;
  try {
    const scenes = await at(pin, signal);
    show(scenes, title, scenes.length ? "Reading values… " : "No scenes here.");
    const found = scenes.length ? await valuesAt(pin, signal).catch(failed) : null;
    if (signal.aborted) return;
    values = found;
    show(scenes, title, scenes.length ? values?.failure ?? (values ? leftOut(values) : "") : "No scenes here.");
  } catch (error) {
    if (!signal.aborted) show(under(pin), title, `As of the last update; now: ${error.message}`);
  }
}

const failed = ({ message }) => ({ assets: [], skipped: [], truncated: null, failure: `Values are not there: ${message}` });

/** Request the pinned list again. */
export const renew = () => pin && pinAt(pin);

export function unpin() {
  if (!pin) return;
  asking.abort();
  pin = values = null;
  draw("pin", null);
  hide();
}

function hide() {
  if ($("panel").hidden) return;
  $("panel").hidden = true;
  shownKey = "";
  outline();
}

function show(scenes, title, note = "") {
  const key = JSON.stringify([title, note, combined(), pin && values, scenes.map((scene) => [scene.key, scene.version, lacking(scene)])]);
  if (key === shownKey) return;
  shownKey = key;
  const open = new Set([...$("scenes").querySelectorAll("details[open]")].map((d) => d.parentElement.sceneKey));
  const top = scenes.find((scene) => !lacking(scene));
  const shown = pin ? scenes : scenes.slice(0, SHOWN);
  const hidden = scenes.length - shown.length;
  $("panel").hidden = false;
  $("panel").classList.toggle("pinned", Boolean(pin));
  $("panel-title").textContent = title;
  $("scenes").replaceChildren(...shown.map((scene) => entry(scene, scene === top, open.has(scene.key))));
  const drawn = pin && values && chart(values);
  $("chart").replaceChildren(...(drawn ? [drawn] : []));
  const how = combined() && scenes.length > 1 ? `Combined: ${combined()}. ` : "";
  $("more").textContent = pin ? how + note : `${hidden ? `${hidden} more. ` : ""}${how}Click to keep the list`;
  outline(...(combined() ? scenes.filter((scene) => !lacking(scene)) : top ? [top] : []));
  if (pin && narrow()) clearOf($("panel").getBoundingClientRect().top);
}

/** Outline the scenes that show: the one on top, or all that are combined. */
const outline = (...scenes) => draw("outline", { type: "GeometryCollection", geometries: scenes.map(({ geometry }) => geometry) });

/** Move the map so that the pinned place is above the sheet. */
function clearOf(top) {
  const { y } = map.project(pin);
  if (y > top - 24) map.panBy([0, y - top / 2], { animate: motion() });
}

function entry(scene, top, open) {
  const head = [el("span", { class: "id" }, String(scene.id)), about(scene, top)];
  const item = el("li", {}, pin ? details(scene, head, open) : el("div", { class: "scene" }, ...head));
  item.sceneKey = scene.key;
  for (const type of ["mouseenter", "focusin"]) item.addEventListener(type, () => outline(scene));
  return item;
}

function about(scene, top) {
  const cloud = scene.properties?.["eo:cloud_cover"];
  const made = el("span", { class: "about" }, el("span", {}, pin ? minute(scene) : day(scene)));
  if (typeof cloud === "number") made.append(el("span", {}, `${Math.round(cloud)} % cloud`));
  const lacks = lacking(scene);
  if (lacks) made.append(el("span", { class: "lacks" }, `left out: no asset ${lacks}`));
  if (top && !combined()) made.append(el("span", { class: "top" }, "on top"));
  const read = pin && valuesOf(values, scene);
  if (read) made.append(el("span", { class: "values" }, read));
  return made;
}

function details(scene, head, open) {
  const item = (scene.links ?? []).filter(({ rel }) => rel === "self").map(({ href }) => ["Item", ownLink(href)]);
  const assets = Object.entries(scene.assets ?? {}).map(([name, { href }]) => [name, link(String(href))]);
  const texts = Object.entries({ collection: scene.collection, ...scene.properties }).filter(([, value]) => value !== null);
  const facts = [...item, ...assets, ...texts.map(([name, v]) => [name, typeof v === "string" ? v : JSON.stringify(v)])];
  const list = facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  const made = el("details", {}, el("summary", { class: "scene" }, ...head), el("dl", { class: "facts" }, ...list));
  made.open = open;
  return made;
}

/** A link to a document of this server, whose public name it may not know. */
function ownLink(href) {
  const path = href.slice(href.lastIndexOf("/items/") + 1);
  const token = new URLSearchParams(location.search).get("access_token");
  const url = new URL(path, location);
  if (token) url.searchParams.set("access_token", token);
  return el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, path);
}

function link(href) {
  const attributes = { href, target: "_blank", rel: "noopener noreferrer" };
  return /^https:\/\//i.test(href) ? el("a", attributes, href) : href;
}
