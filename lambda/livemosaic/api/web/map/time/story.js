/** The story of a mosaic: all of it, day after day. A button tells it, and so does the demo once its scenes are there. */

import { map } from "../canvas.js";
import { choose, drop } from "../choices.js";
import { goHome, info, redraw } from "../mosaic.js";
import { $ } from "../page.js";
import { daysInView } from "./dates.js";
import { play, text } from "./slider.js";

/** Without news for so long, a mosaic that was growing is complete. */
const QUIET_MS = 15_000;
const MOVE_MS = 4_000;

let telling = null;
let latest = Date.now();
/** Whether the page follows a mosaic that grows, to tell its story then: the demo's `?story`. */
let isWaiting = drop("story");

/** Note whether a poll of the feed had news. */
export function heard(isNews) {
  if (isNews) latest = Date.now();
  if (!isWaiting || !info?.bounds || Date.now() - latest < QUIET_MS) return;
  isWaiting = false;
  tell();
}

/** The viewer has other plans. */
export function endStory() {
  isWaiting = false;
  telling?.abort();
}

const caption = (words) => {
  $("caption").hidden = !words;
  $("caption").textContent = words ?? "";
};

const moved = () => new Promise((resolve) => {
  map.once("moveend", resolve);
  setTimeout(resolve, MOVE_MS);
});

async function tell() {
  const button = $("tool-story");
  const { signal } = (telling = new AbortController());
  const before = new URLSearchParams(location.search).get("datetime");
  button.setAttribute("aria-pressed", "true");
  try {
    goHome();
    await moved();
    const { days, isCut } = await daysInView(signal);
    if (days.length < 2) caption(days.length ? `All scenes in view are of ${text(days[0])}` : "No scene in view has a date");
    await play(days.length < 2 ? [] : days, (i) => caption(`Up to ${text(days[i])}${isCut ? " (not all days: zoom in)" : ""}`), signal, false);
  } catch (error) {
    if (!signal.aborted) caption(error.message);
  }
  choose(["datetime"], before ? { datetime: before } : "");
  redraw();
  button.setAttribute("aria-pressed", "false");
  telling = null;
  setTimeout(() => telling ?? caption(null), MOVE_MS);
}

export const story = { id: "story", label: "Watch the mosaic grow", path: "M8 5v14l11-7Z", run: () => (telling ? endStory() : tell()) };
