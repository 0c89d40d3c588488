/** Outlines of scenes, by vector tiles: below the zooms at which the mosaic is drawn, and elsewhere on demand. */

import { ABOVE, footprintLayers } from "../base/layers.js";
import { map } from "../canvas.js";
import { rule } from "../choices.js";
import { TMS, info, sayPartial, tooLow } from "../mosaic.js";
import { TOKEN } from "../server.js";
import { partialTiles } from "../tiles.js";

let always = false;
/** URL of the tiles that the source has. */
let followed = null;

/** URL of tiles of the scenes that the address selects. */
function template() {
  const query = rule();
  query.delete("layers");
  if (TOKEN) query.set("access_token", TOKEN);
  return `live://vector/${TMS}/{z}/{x}/{y}.mvt?${query}`;
}

const ids = () => footprintLayers().map(({ id }) => id);

/** Draw the outlines of the address's scenes if they are to be seen at this zoom; hidden ones are not requested. */
export function drawFootprints() {
  const isShown = Boolean(info?.bounds) && (always || tooLow());
  if (isShown) follow();
  const visibility = isShown ? "visible" : "none";
  const others = ids().filter((id) => map.getLayer(id) && (map.getLayoutProperty(id, "visibility") ?? "visible") !== visibility);
  for (const id of others) map.setLayoutProperty(id, "visibility", visibility);
  if (!others.length || isShown) return;
  partialTiles(({ isVector }) => !isVector); // what hidden tiles lack is of no concern now
  sayPartial();
}

function follow() {
  const url = template();
  if (url === followed) return;
  followed = url;
  const source = map.getSource("footprints");
  if (source) return source.setTiles([url]);
  map.addSource("footprints", { type: "vector", tiles: [url], maxzoom: info.deepest_zoom });
  for (const layer of footprintLayers()) map.addLayer(layer, ABOVE);
}

function toggle(button) {
  always = !always;
  button.setAttribute("aria-pressed", String(always));
  drawFootprints();
}

export const footprints = { id: "footprints", label: "Outlines of scenes", path: "M4 8l9-4 7 5-4 10-10 1Z", run: toggle };
