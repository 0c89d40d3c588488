/** MapLibre's map with the page's own layers; the mosaic's layer is added between them. */

import { footprintLayers, none, style } from "./base/layers.js";
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

const common = () => ({
  maxZoom: 22,
  maxPitch: 0,
  attributionControl: false,
  // A tile out of view is not watched, so it is not kept.
  maxTileCacheSize: 0,
  transformRequest: throughHere,
  style: style(),
});

function made() {
  try {
    return new MapLibre({
      ...common(),
      container: "map",
      hash: true,
      center: [0, 20],
      zoom: 1,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      locale: { "Map.Title": "Map of the mosaic. Arrow keys move, plus and minus zoom, Enter lists the scenes in the middle" },
    });
  } catch (error) {
    status("gone", "not available");
    say("page", "This browser cannot draw the map", "It needs WebGL 2, which is disabled or unavailable.");
    throw error;
  }
}

/** A map of the same place in another element, which follows no pointer. */
export const secondMap = (container) =>
  new MapLibre({ ...common(), container, interactive: false, center: map.getCenter(), zoom: map.getZoom() });

export const map = made();
map.touchZoomRotate.disableRotation();
map.keyboard.disableRotation();
map.addControl(new NavigationControl({ showCompass: false }), "top-right");
map.addControl(new ScaleControl({ maxWidth: 96 }), "bottom-left");
map.addControl(new AttributionControl({ compact: false, customAttribution: "livemosaic · MapLibre" }), "bottom-right");

/** Apply the colors of the page's light or dark scheme. */
export function paint() {
  for (const { id, paint } of [...style().layers, ...footprintLayers()].filter(({ id }) => map.getLayer(id))) {
    for (const [name, value] of Object.entries(paint)) if (name.endsWith("color")) map.setPaintProperty(id, name, value);
  }
}

/** Set the data of one of the page's own sources; nothing empties it. */
export const draw = (id, geojson) => map.getSource(id).setData(geojson ?? none);

/** The view as a box that may reach beyond ±180°. */
export const view = () => map.getBounds().toArray().flat();

export const drawGraticule = () => draw("graticule", graticule(view(), map.getZoom()));

export const tileZoom = () => Math.max(0, Math.round(map.getZoom() + 1)); // tiles are 256 pixels wide

/** Whether a tile of the mosaic, which has none beyond `maxzoom`, is in view: an image, or one of vectors, which is 512 pixels wide. */
export function inView({ z, x, y, isVector }, maxzoom) {
  if (z !== Math.min(isVector ? Math.floor(map.getZoom()) : tileZoom(), maxzoom)) return false;
  const [nw, se] = [map.getBounds().getNorthWest(), map.getBounds().getSouthEast()].map((place) => MercatorCoordinate.fromLngLat(place));
  const n = 2 ** z;
  const across = [-1, 0, 1].some((world) => (x + 1) / n + world > nw.x && x / n + world < se.x);
  return across && (y + 1) / n > nw.y && y / n < se.y;
}

const corners = (box) => {
  const [west, south, east, north] = unwrapped(box);
  return [[west, south], [east, north]];
};
const padding = () => (narrow() ? { top: 90, bottom: 40, left: 24, right: 24 } : 56);

/** A box with west > east as one with east > 180. */
const unwrapped = ([west, south, east, north]) => [west, south, east + (west > east ? 360 : 0), north];

export const middle = (box) => {
  const [west, south, east, north] = unwrapped(box);
  return [(west + east) / 2, (south + north) / 2];
};

const BEACON_PX = 16;

/** Outline a box; where it is too small to be seen, a dot stands for it. */
export function drawBoundary(box) {
  const [west, south, east, north] = unwrapped(box);
  const ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
  draw("boundary", { type: "Polygon", coordinates: [ring] });
  draw("beacon", { type: "Point", coordinates: middle(box) });
  const width = Math.max(1e-9, east - west, north - south) / 360;
  map.setLayerZoomRange("beacon", 0, Math.min(24, Math.max(0, Math.log2(BEACON_PX / (512 * width)))));
}

/** The zoom at which a whole box is in view. */
export const zoomFor = (box) => map.cameraForBounds(corners(box), { padding: padding() })?.zoom;

export function fit(box, animate = true) {
  map.fitBounds(corners(box), { padding: padding(), maxZoom: 16, animate: animate && motion(), duration: 1_800 });
}
