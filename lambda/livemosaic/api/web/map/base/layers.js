/** The page's own layers: the ground with its coastline, lines and marks. The mosaic comes below the first mark. */

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
/** Nothing to draw. */
export const none = { type: "FeatureCollection", features: [] };
const lines = (source, width, paint) => ({
  id: `${source}-${width}`,
  type: "line",
  source,
  layout: { "line-join": "round" },
  paint: { "line-width": width, ...paint },
});
const dot = (source, paint) => ({ id: source, type: "circle", source, paint: { "circle-stroke-width": 2, ...paint } });
const glow = ["number", ["feature-state", "glow"], 1];

/** Whether the map is of the Earth: the page has no coastline of other bodies. */
const EARTH = document.documentElement.dataset.tms === "WebMercatorQuad";
/** Zooms between which the land disappears: its outline at 1:110,000,000 is wrong by kilometres. */
const [COARSE, TOO_COARSE] = [5, 8];
const fading = (from, to) => ["interpolate", ["linear"], ["zoom"], COARSE, from, TOO_COARSE, to];
const OWN = ["graticule", "boundary", "flash", "outline", "pin", "beacon"];

const sea = () => (EARTH ? fading(color("--map-sea"), color("--map-ground")) : color("--map-ground"));

const land = () => [
  { id: "land", type: "fill", source: "land", paint: { "fill-color": color("--map-ground"), "fill-antialias": false } },
  lines("land", 1, { "line-color": color("--map-coast"), "line-opacity": fading(1, 0) }),
];

/** The style of the map without the mosaic, in the colors of the page's scheme. */
export const style = () => ({
  version: 8,
  sources: {
    ...(EARTH && { land: { type: "geojson", data: new URL("../../land/land.json", import.meta.url).href } }),
    ...Object.fromEntries(OWN.map((id) => [id, { type: "geojson", data: none, tolerance: 0 }])),
  },
  layers: [
    { id: "ground", type: "background", paint: { "background-color": sea() } },
    ...(EARTH ? land() : []),
    lines("graticule", 1, { "line-color": color("--map-line") }),
    lines("boundary", 1, { "line-color": color("--map-edge"), "line-dasharray": [4, 3] }),
    dot("beacon", { "circle-radius": 6, "circle-color": color("--map-edge"), "circle-stroke-color": "#fff" }),
    lines("flash", 6, { "line-color": "#000", "line-opacity": ["*", 0.35, glow], "line-blur": 3 }),
    lines("flash", 2.5, { "line-color": "#ffd23f", "line-opacity": glow }),
    lines("outline", 5, { "line-color": "#000", "line-opacity": 0.4, "line-blur": 2 }),
    lines("outline", 2, { "line-color": "#fff" }),
    dot("pin", { "circle-radius": 5, "circle-color": "#fff", "circle-stroke-color": "#111" }),
  ],
});

/** Layers of the vector tiles of scenes, for the colors of the page's scheme. */
export const footprintLayers = () => [
  {
    id: "density",
    type: "fill",
    source: "footprints",
    "source-layer": "density",
    paint: {
      "fill-color": color("--map-edge"),
      "fill-opacity": ["interpolate", ["linear"], ["ln", ["get", "count"]], 0, 0.2, 8, 0.8],
      "fill-antialias": false,
    },
  },
  { ...lines("footprints", 1, { "line-color": color("--map-edge") }), "source-layer": "footprints" },
];

/** The layer that the mosaic, and footprints over it, are drawn below. */
export const ABOVE = "flash-6";
