/** The page's elements. Values from Items are untrusted: they are inserted as text nodes only. */

export const $ = (id) => document.getElementById(id);

/** Creates an element; strings among its children become text nodes. */
export const el = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);

/** Creates an element of SVG. */
export const svg = (name, attributes, ...children) => filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Creates a button of a form, plain or the main one, which is given to what it runs. */
export function actionButton(text, run, plain = true) {
  const made = el("button", { type: "button", class: plain ? "action plain" : "action" }, text);
  made.addEventListener("click", () => run(made));
  return made;
}

export function status(state, text) {
  const pill = $("status");
  if (pill.dataset.state === state && pill.textContent === text) return; // otherwise screen readers would repeat it
  pill.dataset.state = state;
  pill.textContent = text;
}

/** Problems, most serious first; the first is shown. */
const problems = { stretch: null, page: null, rule: null, gone: null, empty: null, low: null, tiles: null, away: null };

export function say(kind, title, text = "", action = null) {
  problems[kind] = title && { title, text, action };
  const [shownKind, shown] = Object.entries(problems).find(([, problem]) => problem) ?? [];
  const change = shown?.title !== $("message-title").textContent || shown?.text !== $("message-text").textContent;
  $("message").hidden = !shown;
  if (!shown || !change) return;
  $("message").dataset.kind = shownKind;
  $("message-title").textContent = shown.title;
  $("message-text").textContent = shown.text;
  $("message-action").hidden = !shown.action;
  $("message-action").textContent = shown.action?.label ?? "";
  $("message-action").onclick = shown.action?.run ?? null;
}

/** A remark on what the map shows, beside it: never in the way, unlike `say`. */
export function sayNotice(title, text = "", action = null) {
  $("notice").hidden = !title;
  if (!title || $("notice").dataset.key === `${title} ${text}`) return; // else it would be read out again
  $("notice").dataset.key = `${title} ${text}`;
  $("notice-title").textContent = title;
  $("notice-text").textContent = text;
  $("notice-action").hidden = !action;
  $("notice-action").textContent = action?.label ?? "";
  $("notice-action").onclick = action?.run ?? null;
}

const MOST_SKIPPED = 50;

/** Scenes in view that are not drawn, as pairs of id and reason: a line, and a list on demand. */
export function saySkipped(title, scenes, isMore) {
  const [box, list] = [$("skipped"), $("skipped-scenes")];
  box.hidden = !title;
  const key = JSON.stringify([title, scenes]);
  if (!title || box.dataset.key === key) return; // else what is being read would jump
  box.dataset.key = key;
  $("skipped-title").textContent = title;
  const shown = scenes.slice(0, MOST_SKIPPED).map(([name, why]) =>
    el("li", {}, el("span", { class: "id" }, name), el("span", { class: "why" }, why)));
  const rest = isMore || scenes.length > MOST_SKIPPED ? [el("li", { class: "why" }, "and others")] : [];
  list.replaceChildren(...shown, ...rest);
}

export const narrow = () => innerWidth <= 640;

export const motion = () => !matchMedia("(prefers-reduced-motion: reduce)").matches;
