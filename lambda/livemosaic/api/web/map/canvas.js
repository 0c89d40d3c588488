/** MapLibre's map with the page's own layers; the mosaic's layer is added between them. */

import { graticule } from "./geometry.js";
import { motion, narrow, say, status } from "./page.js";
import { loadTile, throughHere } from "./tiles.js";

const maplibre = await import("../maplibre/maplibre-gl.mjs").catch((error) => {
  status("gone", "not available");
  say("page", "The map cannot be drawn", "MapLibre GL is missing on this server: it was not bundled.");
  throw error;
});
const { Map: MapLibre, NavigationControl, ScaleControl, AttributionControl } = maplibre;
export const { MercatorCoordinate } = maplibre;
maplibre.addProtocol("live", loadTile);

/** Whether the page's URL has a map position. */
export const placed = /^#[\d.]+\/-?[\d.]+\/-?[\d.]+/.test(location.hash); // before the map writes it

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const none = { type: "FeatureCollection", features: [] };
const lines = (source, width, paint) => ({
  id: `${source}-${width}`,
  type: "line",
  source,
  layout: { "line-join": "round" },
  paint: { "line-width": width, ...paint },
});
const glow = ["number", ["feature-state", "glow"], 1];

const style = () => ({
  version: 8,
  sources: Object.fromEntries(
    ["graticule", "flash", "outline", "pin"].map((id) => [id, { type: "geojson", data: none, tolerance: 0 }]),
  ),
  layers: [
    { id: "ground", type: "background", paint: { "background-color": color("--map-ground") } },
    lines("graticule", 1, { "line-color": color("--map-line") }),
    lines("flash", 6, { "line-color": "#000", "line-opacity": ["*", 0.35, glow], "line-blur": 3 }),
    lines("flash", 2.5, { "line-color": "#ffd23f", "line-opacity": glow }),
    lines("outline", 5, { "line-color": "#000", "line-opacity": 0.4, "line-blur": 2 }),
    lines("outline", 2, { "line-color": "#fff" }),
    {
      id: "pin",
      type: "circle",
      source: "pin",
      paint: { "circle-radius": 5, "circle-color": "#fff", "circle-stroke-width": 2, "circle-stroke-color": "#111" },
    },
  ],
});

function made() {
  try {
    return new MapLibre({
      container: "map",
      hash: true,
      center: [0, 20],
      zoom: 1,
      maxZoom: 22,
      maxPitch: 0,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      attributionControl: false,
      // A tile out of view is not watched, so it is not kept.
      maxTileCacheSize: 0,
      transformRequest: throughHere,
      locale: { "Map.Title": "Map of the mosaic. Arrow keys move, plus and minus zoom, Enter lists the scenes in the middle" },
      style: style(),
    });
  } catch (error) {
    status("gone", "not available");
    say("page", "This browser cannot draw the map", "It needs WebGL 2, which is disabled or unavailable.");
    throw error;
  }
}

export const map = made();
map.touchZoomRotate.disableRotation();
map.keyboard.disableRotation();
map.addControl(new NavigationControl({ showCompass: false }), "top-right");
map.addControl(new ScaleControl({ maxWidth: 96 }), "bottom-left");
map.addControl(new AttributionControl({ compact: false, customAttribution: "livemosaic · MapLibre" }), "bottom-right");

export function paint() {
  map.setPaintProperty("ground", "background-color", color("--map-ground"));
  map.setPaintProperty("graticule-1", "line-color", color("--map-line"));
}

/** Set the data of one of the page's own sources; nothing empties it. */
export const draw = (id, geojson) => map.getSource(id).setData(geojson ?? none);

/** The view as a box that may reach beyond ±180°. */
export const view = () => map.getBounds().toArray().flat();

export const drawGraticule = () => draw("graticule", graticule(view(), map.getZoom()));

export const tileZoom = () => Math.max(0, Math.round(map.getZoom() + 1)); // tiles are 256 pixels wide

/** Whether a tile of the mosaic's layer, which has none beyond `maxzoom`, is in view. */
export function inView({ z, x, y }, maxzoom) {
  if (z !== Math.min(tileZoom(), maxzoom)) return false;
  const [nw, se] = [map.getBounds().getNorthWest(), map.getBounds().getSouthEast()].map((place) => MercatorCoordinate.fromLngLat(place));
  const n = 2 ** z;
  const across = [-1, 0, 1].some((world) => (x + 1) / n + world > nw.x && x / n + world < se.x);
  return across && (y + 1) / n > nw.y && y / n < se.y;
}

const corners = ([west, south, east, north]) => [[west, south], [east + (west > east ? 360 : 0), north]];
const padding = () => (narrow() ? { top: 90, bottom: 40, left: 24, right: 24 } : 56);

/** The zoom at which a whole box is in view. */
export const zoomFor = (box) => map.cameraForBounds(corners(box), { padding: padding() })?.zoom;

export function fit(box, animate = true) {
  map.fitBounds(corners(box), { padding: padding(), maxZoom: 16, animate: animate && motion(), duration: 1_800 });
}
