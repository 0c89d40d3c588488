/** Buttons over the map, and the drawer that the tools of some of them open. */

import { map } from "../canvas.js";
import { $, el, svg } from "../page.js";

/** The open tool; null if the drawer is closed. */
let current = null;

const icon = (path) => svg("svg", { viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": "true" }, svg("path", { d: path }));

/**
 * Adds a group of buttons. A tool has an `id`, a `label`, the `path` of its icon, and either `run`,
 * called on each click, or `open` to fill the drawer's body, and perhaps `close`.
 */
export function addTools(tools) {
  const group = el("div", { class: "maplibregl-ctrl maplibregl-ctrl-group" }, ...tools.map(button));
  map.addControl({ onAdd: () => group, onRemove: () => group.remove() }, "top-right");
}

function button(tool) {
  const attributes = { type: "button", class: "tool", id: `tool-${tool.id}`, title: tool.label, "aria-label": tool.label };
  const made = el("button", { ...attributes, ...(tool.open && { "aria-expanded": "false", "aria-controls": "drawer" }) }, icon(tool.path));
  made.addEventListener("click", () => (tool.run ? tool.run(made) : toggle(tool)));
  return made;
}

const toggle = (tool) => (current === tool ? closeDrawer() : openDrawer(tool));

export function openDrawer(tool) {
  closeDrawer();
  current = tool;
  $(`tool-${tool.id}`).setAttribute("aria-expanded", "true");
  $("drawer-title").textContent = tool.label;
  $("drawer").hidden = false;
  $("drawer-body").replaceChildren();
  tool.open($("drawer-body"));
  $("drawer-body").querySelector("input, select, button, a")?.focus({ focusVisible: false });
}

/** Fill the drawer's body again, if the tool is open. */
export function refill(tool) {
  if (current !== tool) return;
  $("drawer-body").replaceChildren();
  tool.open($("drawer-body"));
}

/** Close the drawer; the focus goes back to the button of its tool. */
export function closeDrawer() {
  if (!current) return;
  const button = $(`tool-${current.id}`);
  button.setAttribute("aria-expanded", "false");
  if ($("drawer").contains(document.activeElement)) button.focus({ focusVisible: false });
  current.close?.();
  current = null;
  $("drawer").hidden = true;
}

export const drawerIsOpen = () => current !== null;
