/** Goes to coordinates, or to a scene by its id. */

import { fit, map } from "../canvas.js";
import { boundsOf, polygons, wrap } from "../geometry.js";
import { info, stay } from "../mosaic.js";
import { el, motion } from "../page.js";
import { pinAt } from "../panel.js";
import { first } from "../scenes.js";
import { ask } from "../server.js";

/** A number of degrees, perhaps with minutes and seconds, and the letter of its direction. */
const ANGLE = /([NSEW])?\s*([-+]?\d+(?:\.\d+)?)\s*°?(?:\s*(\d+(?:\.\d+)?)\s*['′]\s*(?:(\d+(?:\.\d+)?)\s*["″])?)?\s*([NSEW])?/giu;

/**
 * Longitude and latitude of a text such as `45.5, 8.25`, `8.25E 45.5N` or `45°30′N 8°15′E`; without
 * letters the latitude is first. Null if it is something else.
 */
export function placeOf(text) {
  const found = [...text.matchAll(ANGLE)];
  const rest = text.replaceAll(ANGLE, "").replaceAll(/[\s,;/]/g, "");
  if (found.length !== 2 || rest) return null;
  const angles = found.map(([, before, degrees, minutes = 0, seconds = 0, after]) => {
    const letter = (before ?? after ?? "").toUpperCase();
    const size = Math.abs(Number(degrees)) + Number(minutes) / 60 + Number(seconds) / 3600;
    return { letter, value: degrees.startsWith("-") || "SW".includes(letter || "?") ? -size : size };
  });
  if (/[EW]/.test(angles[0].letter) || /[NS]/.test(angles[1].letter)) angles.reverse();
  const [{ letter: ns, value: lat }, { letter: ew, value: lng }] = angles;
  const isPlace = !/[EW]/.test(ns) && !/[NS]/.test(ew) && Math.abs(lat) <= 90 && Math.abs(lng) <= 360;
  return isPlace ? { lng: wrap(lng), lat } : null;
}

async function goTo(text) {
  stay();
  const place = placeOf(text);
  if (place) {
    map.easeTo({ center: place, zoom: Math.max(map.getZoom(), Math.min(9, info?.deepest_zoom ?? 9)), animate: motion() });
    pinAt(place);
    return `${text} is on the map.`;
  }
  const scene = await named(text);
  if (!scene) return `${text} is neither a pair of coordinates nor the id of a scene.`;
  fit(boundsOf(polygons(scene)[0]));
  return `The scene ${text} is on the map.`;
}


/** The scene with an id, or with `collection/id`; null if there is none. */
async function named(id) {
  try {
    return await ask(`items/${encodeURIComponent(id)}`);
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  return first(new URLSearchParams({ ids: id })).catch((error) => (error.status === 404 ? null : Promise.reject(error)));
}

function open(body) {
  const input = el("input", { type: "search", id: "search", "aria-label": "Coordinates or the id of a scene", placeholder: "45.5, 8.25 or a scene's id", autocomplete: "off", spellcheck: "false", maxlength: 500 });
  const answer = el("p", { role: "status", class: "hint" }, "Latitude first, or with letters: 8.25E 45.5N.");
  const form = el("form", { role: "search", class: "row" }, input, el("button", { type: "submit", class: "action" }, "Go"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text) answer.textContent = await goTo(text).catch((error) => error.message);
  });
  body.append(form, answer);
}

export const search = { id: "search", label: "Search", path: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM15.5 15.5 21 21", open };
