/**
 * The live map of one mosaic: asks every few seconds which scenes are in view, and where some came,
 * changed or went, asks again for the tiles they touch.
 *
 * What comes from Items is hostile: it enters the page as text nodes only.
 */

const POLL_MS = 3_000;
const SLOWEST_POLL_MS = 30_000;
const GIVE_UP_MS = 20_000;
/** Reads are eventually consistent and mosaics cached for seconds: a second look at what changed. */
const SETTLE_MS = 4_000;
/** For what polling cannot see: changes below the first scenes of a deep stack. */
const RECHECK_MS = 300_000;
const LEARN_MS = 30_000;
const SCENES = 200;
const SHOWN = 8;

const ADDRESS = /^(.*\/)mosaics\/([^/]+)\/map\.html$/.exec(location.pathname) ?? ["", "/", ""];
const BASE = location.origin + ADDRESS[1];
const MOSAIC = `mosaics/${encodeURIComponent(decodeURIComponent(ADDRESS[2]))}`;
const PLACED = /^#[\d.]+\/-?[\d.]+\/-?[\d.]+/.test(location.hash); // before the map writes it
const TILEJSON = `${BASE}${MOSAIC}/tiles/WebMercatorQuad/tilejson.json?${tileParameters()}`;

function tileParameters() {
  const given = new URLSearchParams(location.search);
  if (devicePixelRatio > 1 && !given.has("tile_scale")) given.set("tile_scale", "2");
  return given;
}

// Page

const $ = (id) => document.getElementById(id);

/** An element; strings among its children become text. */
function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

function date(scene, format = DAY) {
  const text = scene.properties?.datetime;
  const time = new Date(text ?? NaN);
  if (Number.isNaN(time.valueOf())) return String(text ?? "no date");
  return format.format(time) + (format === MINUTE ? " UTC" : "");
}

function status(state, text) {
  const pill = $("status");
  if (pill.dataset.state === state && pill.textContent === text) return;
  pill.dataset.state = state;
  pill.textContent = text;
}

/** What stands in the way, most serious first; the first is shown. */
const problems = { page: null, gone: null, empty: null, low: null, tiles: null };

function say(kind, title, text = "", action = null) {
  problems[kind] = title && { title, text, action };
  const shown = Object.values(problems).find(Boolean);
  const change = shown?.title !== $("message-title").textContent || shown?.text !== $("message-text").textContent;
  $("message").hidden = !shown;
  if (!shown || !change) return;
  $("message-title").textContent = shown.title;
  $("message-text").textContent = shown.text;
  $("message-action").hidden = !shown.action;
  $("message-action").textContent = shown.action?.label ?? "";
  $("message-action").onclick = shown.action?.run ?? null;
}

// Server

async function refusal(response) {
  const body = await response.json().catch(() => null);
  const detail = body?.detail ?? body?.message ?? `the server answered ${response.status}`;
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  return Object.assign(new Error(String(detail)), { status: response.status, retryAfter });
}

async function ask(path, signal) {
  const ends = AbortSignal.any([AbortSignal.timeout(GIVE_UP_MS), ...(signal ? [signal] : [])]);
  const response = await fetch(`${BASE}${MOSAIC}/${path}`, { signal: ends, cache: "no-store" });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** No answer, or one that says to come again. */
const passes = (error) => !error.status || error.status === 429 || error.status > 500;
const recovery = new EventTarget();

/** Some time, or less where the server is found to be back. */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const done = () => (signal.aborted ? reject(signal.reason) : resolve());
    setTimeout(done, ms);
    recovery.addEventListener("recovered", done, { once: true, signal });
    signal.addEventListener("abort", done, { once: true });
  });
}

// Tiles

let underWay = 0;
/** Tiles of the view that cannot be had, and why. */
const bad = new Map();
/** The latest request of each tile that is being asked for: by address, the answer to come. */
const latest = new Map();

/** A tile's bytes. Where it is asked for again meanwhile, the later answer serves both. */
async function loadTile({ url }, { signal }) {
  const path = url.slice("live://".length);
  const own = fetchTile(path, signal);
  latest.set(path, own);
  document.body.classList.toggle("loading", ++underWay > 0);
  try {
    let data = await own;
    for (let seen = own, next; (next = latest.get(path)) && next !== seen; seen = next) {
      data = await next.catch(() => data);
    }
    bad.delete(path);
    return { data };
  } catch (error) {
    if (!signal.aborted && error.status !== 404) bad.set(path, error);
    throw error;
  } finally {
    if (latest.get(path) === own) latest.delete(path);
    sayBad();
    document.body.classList.toggle("loading", --underWay > 0);
  }
}

/** Pixels on the map stay while this waits: a tile is only given up where asking again is useless. */
async function fetchTile(path, signal) {
  for (let wait = 1_000, tries = 1; ; wait = Math.min(2 * wait, 10_000), tries++) {
    let error;
    try {
      const response = await fetch(BASE + path, { signal, cache: "no-cache" });
      if (response.ok) return await response.arrayBuffer();
      error = await refusal(response);
    } catch (failure) {
      if (signal.aborted) throw failure;
      error = failure;
    }
    if (!(passes(error) || (error.status === 500 && tries < 3))) throw error;
    await pause(Math.max(wait, 1_000 * (error.retryAfter ?? 0)), signal);
  }
}

function sayBad() {
  const [error] = bad.values();
  const useless = error && error.status < 500;
  const title = useless ? "The mosaic cannot be drawn like this" : "Some tiles are missing";
  say("tiles", error ? title : null, useless ? error.message : `${error?.message}. They are asked for again.`);
}

/** Tile addresses are taken relative to the page: the server may not know its name outside. */
function throughHere(url, type) {
  if (type !== "Tile") return { url };
  return { url: `live://${url.slice(url.split("?")[0].lastIndexOf(`${MOSAIC}/tiles/`))}` };
}

// Geometry, in longitude and latitude

const polygons = ({ geometry: g }) =>
  g?.type === "MultiPolygon" ? g.coordinates : g?.type === "Polygon" ? [g.coordinates] : [];

function contains(polygon, [x, y]) {
  let inside = false;
  for (const ring of polygon) {
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [[x1, y1], [x2, y2]] = [ring[i], ring[j]];
      if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
    }
  }
  return inside;
}

/** Whether a segment enters a box (Liang and Barsky). */
function enters([x1, y1], [x2, y2], [west, south, east, north]) {
  let [from, to] = [0, 1];
  for (const [p, q] of [[x1 - x2, x1 - west], [x2 - x1, east - x1], [y1 - y2, y1 - south], [y2 - y1, north - y1]]) {
    if (p < 0) from = Math.max(from, q / p);
    else if (p > 0) to = Math.min(to, q / p);
    else if (q < 0) return false;
  }
  return from <= to;
}

const meets = (scene, boxes) =>
  polygons(scene).some((polygon) =>
    boxes.some(
      (box) =>
        contains(polygon, [box[0], box[1]]) ||
        polygon.some((ring) => ring.some((point, i) => i > 0 && enters(ring[i - 1], point, box))),
    ),
  );

function boundsOf(polygon) {
  const [xs, ys] = [0, 1].map((axis) => polygon[0].map((point) => point[axis]));
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

const wrap = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;

/** A box within ±180°: west > east where it crosses the antimeridian. */
function wrapped(west, east) {
  if (east - west >= 360) return [-180, 180];
  const [w, e] = [wrap(west), wrap(east)];
  return [w, e === -180 ? 180 : e];
}

// Map

const maplibre = await import("./maplibre/maplibre-gl.mjs").catch((error) => {
  status("gone", "not available");
  say("page", "The map cannot be drawn", "MapLibre GL is missing on this server: it was not built in.");
  throw error;
});
const { Map: MapLibre, NavigationControl, ScaleControl, AttributionControl, MercatorCoordinate } = maplibre;
maplibre.addProtocol("live", loadTile);

const dark = matchMedia("(prefers-color-scheme: dark)");
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

let map;
try {
  map = new MapLibre({
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
    style: {
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
    },
  });
} catch (error) {
  status("gone", "not available");
  say("page", "This browser cannot draw the map", "It needs WebGL 2, which is off or not there.");
  throw error;
}
map.touchZoomRotate.disableRotation();
map.keyboard.disableRotation();
map.addControl(new NavigationControl({ showCompass: false }), "top-right");
map.addControl(new ScaleControl({ maxWidth: 96 }), "bottom-left");
map.addControl(new AttributionControl({ compact: false, customAttribution: "livemosaic · MapLibre" }), "bottom-right");

dark.addEventListener("change", () => {
  map.setPaintProperty("ground", "background-color", color("--map-ground"));
  map.setPaintProperty("graticule-1", "line-color", color("--map-line"));
});

const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

/** Meridians and parallels over the view and as much again on each side. */
function drawGraticule() {
  const bounds = map.getBounds();
  const [west, south, east, north] = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
  const step = STEPS.find((s) => (s / 360) * 512 * 2 ** map.getZoom() >= 120) ?? 30;
  const every = (from, to, low, high) => {
    const [first, last] = [Math.max(low, 2 * from - to), Math.min(high, 2 * to - from)].map((d) => Math.floor(d / step));
    return Array.from({ length: last - first + 2 }, (_, i) => (first + i) * step);
  };
  const [xs, ys] = [every(west, east, -720, 720), every(south, north, -85, 85)];
  const coordinates = [
    ...xs.map((x) => [[x, ys[0]], [x, ys.at(-1)]]),
    ...ys.map((y) => [[xs[0], y], [xs.at(-1), y]]),
  ];
  map.getSource("graticule").setData({ type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates } });
}

const motion = () => !matchMedia("(prefers-reduced-motion: reduce)").matches;

const narrow = () => innerWidth <= 640;
const padding = () => (narrow() ? { top: 90, bottom: 40, left: 24, right: 24 } : 56);
const cornersOf = ([west, south, east, north]) => [[west, south], [east, north]];

function fit(bounds, animate = true) {
  map.fitBounds(cornersOf(bounds), { padding: padding(), maxZoom: 16, animate: animate && motion(), duration: 1_800 });
}

// Mosaic

/** The mosaic as the server tells it; null until it has. */
let info = null;
let learned = 0;
let moved = false;
const tileZoom = () => Math.max(0, Math.round(map.getZoom() + 1)); // tiles are 256 pixels wide
const tooLow = () => info !== null && tileZoom() < info.minzoom;

async function learn(signal) {
  const now = await ask("info", signal);
  const before = info;
  [info, learned] = [now, Date.now()];
  document.title = `${info.title || info.id} · livemosaic`;
  $("title").textContent = info.title || info.id;
  say("gone", null);
  say("empty", info.bounds ? null : "This mosaic is empty", "Scenes show here as soon as they are added.");
  if (!before && info.bounds && PLACED) moved = true;
  if (info.bounds && !before?.bounds && !moved) await arrive(before !== null);
  followSource(before);
}

/** The first view: all of the mosaic, or a scene where all of it is too much to draw. */
async function arrive(animate) {
  const camera = map.cameraForBounds(cornersOf(info.bounds), { padding: padding() });
  if (!camera || Math.round(camera.zoom + 1) >= info.minzoom) return fit(info.bounds, animate);
  const [scene] = (await ask("items?limit=1")).features;
  const [west, south, east, north] = scene ? boundsOf(polygons(scene)[0]) : info.bounds;
  map.jumpTo({ center: [(west + east) / 2, (south + north) / 2], zoom: Math.max(0, info.minzoom - 1) });
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** Keep the source to the mosaic's bounds and zooms, of which the TileJSON may be seconds behind. */
function followSource(before) {
  const source = map.getSource("mosaic");
  if (!source) {
    map.addSource("mosaic", { type: "raster", url: TILEJSON, tileSize: 256 });
    map.addLayer({ id: "mosaic", type: "raster", source: "mosaic", paint: { "raster-fade-duration": 200 } }, "flash-6");
    return;
  }
  const world = [-180, -90, 180, 90];
  const behind = !same(source.bounds, info.bounds ?? world) || source.minzoom !== info.minzoom;
  if (before?.revision !== info.revision || behind) source.setUrl(TILEJSON);
}

/** Tiles that could not be had, to be asked for again. */
let failed = [];

map.on("error", async ({ error, sourceId, tile }) => {
  if (sourceId !== "mosaic") return console.error(error);
  if (tile && error.status >= 500) failed.push(tile.tileID.canonical);
  if (tile || passes(error)) return;
  const body = await error.body?.text().then(JSON.parse).catch(() => null);
  say("page", "The mosaic cannot be drawn like this", String(body?.detail ?? error.message));
});

function retryFailed() {
  const tiles = failed.splice(0);
  if (tiles.length) map.refreshTiles("mosaic", tiles);
  if (map.getSource("mosaic")?.loaded() && !map.getSource("mosaic").tiles) map.getSource("mosaic").setUrl(TILEJSON);
}

/** Ask again for the tiles of some scenes, at every zoom that may be on the map; for all if many. */
function refresh(list) {
  if (!map.getSource("mosaic")) return;
  const tiles = [];
  for (const polygon of list.flatMap(polygons)) {
    for (const z of new Set([-2, -1, 0, 1].map((more) => Math.min(tileZoom() + more, info.maxzoom)))) {
      if (z >= 0 && !addTiles(tiles, polygon, z)) return map.refreshTiles("mosaic");
    }
  }
  map.refreshTiles("mosaic", tiles);
}

/** Whether there were few enough to add. */
function addTiles(tiles, polygon, z) {
  const [west, south, east, north] = boundsOf(polygon);
  const n = 2 ** z;
  const [nw, se] = [[west, north], [east, south]].map((at) => MercatorCoordinate.fromLngLat(at));
  const [left, top, right, bottom] = [nw.x, nw.y, se.x, se.y].map((d) => Math.min(n - 1, Math.max(0, Math.floor(d * n))));
  if ((right - left + 1) * (bottom - top + 1) > 1_000 || tiles.length > 4_000) return false;
  for (let x = left; x <= right; x++) for (let y = top; y <= bottom; y++) tiles.push({ z, x, y });
  return true;
}

// Following

/** The last look: its scenes, top first, the boxes it covers, whether the list was cut. */
let seen = null;
let scenes = [];
let timer = 0;
let failures = 0;
let looking = null;
let looks = 0;

function lookIn(ms) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, ms);
}

async function look() {
  clearTimeout(timer);
  looking?.abort();
  const { signal } = (looking = new AbortController());
  try {
    await lookOnce(signal);
    if (failures) recovery.dispatchEvent(new Event("recovered"));
    failures = 0;
    status("live", "live");
    retryFailed();
    lookIn(POLL_MS);
  } catch (error) {
    if (!signal.aborted) lost(error);
  }
}

function lost(error) {
  failures += 1;
  if (error.status === 404) {
    status("gone", "not found");
    say("gone", "This mosaic does not exist", error.message);
  } else {
    status("waiting", "reconnecting…");
    if (!info) say("gone", "The server does not answer", "The map shows as soon as it does.");
  }
  if (!passes(error)) console.warn(error);
  const wait = Math.min(SLOWEST_POLL_MS, POLL_MS * 1.7 ** (failures - 1)) * (0.8 + 0.4 * Math.random());
  lookIn(Math.max(wait, 1_000 * (error.retryAfter ?? 0)));
}

async function lookOnce(signal) {
  if (!info?.bounds || failures || Date.now() - learned > LEARN_MS) await learn(signal);
  noteZoom();
  if (tooLow()) return void settle({ boxes: [], list: [], cut: false });
  const area = watched();
  const list = await scenesOf(area, signal);
  const now = { ...area, list, cut: list.length >= SCENES };
  const change = compare(seen, now);
  settle(now);
  await react(change, signal);
  looks += 1;
}

function settle(now) {
  [seen, scenes] = [now, now.list];
  const view = map.getBounds();
  const [west, east] = wrapped(view.getWest(), view.getEast());
  const shown = scenes.filter((scene) => meets(scene, split([west, view.getSouth(), east, view.getNorth()]))).length;
  const more = now.cut ? "+" : "";
  $("count").textContent = tooLow() || !info?.bounds ? "" : `${shown || "no"}${more} ${shown === 1 ? "scene" : "scenes"} in view`;
  hover();
}

/** The view, out to the edges of its tiles: whatever is on the map is watched. */
function watched() {
  const view = map.getBounds();
  const n = 2 ** tileZoom();
  const [nw, se] = [view.getNorthWest(), view.getSouthEast()].map((at) => MercatorCoordinate.fromLngLat(at));
  const at = (x, y) => new MercatorCoordinate(x / n, Math.min(1, Math.max(0, y / n))).toLngLat();
  const [from, to] = [at(Math.floor(nw.x * n), Math.floor(nw.y * n)), at(Math.ceil(se.x * n), Math.ceil(se.y * n))];
  const [west, east] = wrapped(from.lng, to.lng);
  return { bbox: [west, to.lat, east, from.lat], boxes: split([west, to.lat, east, from.lat]) };
}

const split = ([west, south, east, north]) =>
  west <= east ? [[west, south, east, north]] : [[west, south, 180, north], [-180, south, east, north]];

const keyed = (feature) => ({ ...feature, key: JSON.stringify([feature.collection, feature.id]) });

/** The scenes of an area, top first; in four parts where the server finds it too large. */
async function scenesOf({ bbox, boxes }, signal) {
  const asked = (box) => ask(`items?bbox=${box.map((d) => d.toFixed(7))}&limit=${SCENES}`, signal);
  const found = await asked(bbox).catch(async (error) => {
    if (error.status !== 400) throw error;
    const parts = await Promise.all(boxes.flatMap(quarters).map(asked));
    return { features: parts.flatMap((part) => part.features) };
  });
  return [...new Map(found.features.map(keyed).map((scene) => [scene.key, scene])).values()];
}

function quarters([west, south, east, north]) {
  const [x, y] = [(west + east) / 2, (south + north) / 2];
  return [[west, y, x, north], [x, y, east, north], [west, south, x, y], [x, south, east, y]];
}

const EDGE = 1e-6; // degrees: boxes are sent with seven decimals
const inner = ({ boxes }) => boxes.map(([w, s, e, n]) => [w + EDGE, s + EDGE, e - EDGE, n - EDGE]);

/** What came, changed and went where both looks could see it. */
function compare(before, now) {
  const change = { arrived: [], updated: [], replaced: [], left: [] };
  if (!before) return change;
  const [old, current] = [before, now].map(({ list }) => new Map(list.map((scene) => [scene.key, scene])));
  let above = !before.cut; // of a list that was cut, only what lies above a scene in it is new
  for (const scene of now.list.toReversed()) {
    const was = old.get(scene.key);
    if (was) above = true;
    if (!was && above && meets(scene, inner(before))) change.arrived.push(scene);
    if (was && was.version !== scene.version) {
      change.updated.push(scene);
      change.replaced.push(was);
    }
  }
  if (!now.cut) change.left = before.list.filter((scene) => !current.has(scene.key) && meets(scene, inner(now)));
  return change;
}

async function react({ arrived, updated, replaced, left }, signal) {
  const touched = [...arrived, ...updated, ...replaced, ...left];
  if (!touched.length) return;
  refresh(touched);
  setTimeout(refresh, SETTLE_MS, touched);
  announce("+", "added", arrived);
  announce("↻", "updated", updated);
  announce("−", "removed", left);
  if (arrived.length + updated.length) flash([...arrived, ...updated]);
  if (pin) pinAt(pin);
  await learn(signal);
}

// Feed

function announce(sign, word, list) {
  const shown = list.length > 4 ? list.slice(-3) : list;
  if (list.length > shown.length) line(sign, word, `${list.length - shown.length} more scenes`, "", null);
  for (const scene of shown) line(sign, word, scene.id, date(scene), scene);
}

function line(sign, word, id, when, scene) {
  const button = el(
    "button",
    { type: "button", title: scene ? "Show it on the map" : "" },
    el("span", { class: "sign", "aria-hidden": "true" }, sign),
    el("span", { class: "id" }, String(id)),
    el("span", { class: "when" }, sign === "+" ? when : word),
  );
  if (scene) button.onclick = () => fit(boundsOf(polygons(scene)[0]));
  const entry = el("li", { class: word === "removed" ? "left" : word }, button);
  $("feed").append(entry);
  while ($("feed").children.length > 5) $("feed").firstChild.remove();
  setTimeout(() => entry.classList.add("leaving"), 19_000);
  setTimeout(() => entry.remove(), 20_000);
}

const FLASH_MS = 3_500;
let flashes = [];

/** Outline scenes for a moment. */
function flash(list) {
  const since = performance.now();
  if (!flashes.length) requestAnimationFrame(fadeFlashes);
  flashes.push(...list.slice(0, 50).map((scene, i) => ({ since, scene, id: Math.floor(since * 100) + i })));
  const features = flashes.map(({ scene, id }) => ({ type: "Feature", id, properties: {}, geometry: scene.geometry }));
  map.getSource("flash").setData({ type: "FeatureCollection", features });
}

function fadeFlashes(now) {
  const left = flashes.filter(({ since }) => now - since < FLASH_MS);
  for (const { id, since } of left) {
    const age = Math.max(0, now - since) / FLASH_MS;
    map.setFeatureState({ source: "flash", id }, { glow: motion() ? 1 - age ** 2 : 1 });
  }
  flashes = left;
  if (left.length) return void requestAnimationFrame(fadeFlashes);
  map.removeFeatureState({ source: "flash" });
  map.getSource("flash").setData(none);
}

// Scenes under the cursor

let pointer = null;
let pin = null;
let asking = null;
/** What the panel shows, as text, so that it is not built anew under someone's hands. */
let panelKey = "";
let outlined = "";

function outline(scene) {
  const key = scene ? scene.key + scene.version : "";
  if (key === outlined) return;
  outlined = key;
  map.getSource("outline")?.setData(scene ? { type: "Feature", properties: {}, geometry: scene.geometry } : none);
}

function under({ lng, lat }) {
  const at = [wrap(lng), lat];
  return scenes.filter((scene) => polygons(scene).some((polygon) => contains(polygon, at)));
}

function hover() {
  if (pin) return;
  const list = pointer && !map.isMoving() ? under(pointer) : [];
  list.length ? showPanel(list, "Under the cursor") : hidePanel();
}

function hidePanel() {
  $("panel").hidden = true;
  panelKey = "";
  outline(null);
}

function showPanel(list, title, note = "") {
  const key = JSON.stringify([title, note, Boolean(pin), list.map((scene) => [scene.key, scene.version])]);
  if (key === panelKey) return;
  panelKey = key;
  const open = new Set([...$("scenes").querySelectorAll("details[open]")].map((d) => d.parentElement.sceneKey));
  const shown = pin ? list : list.slice(0, SHOWN);
  const hidden = list.length - shown.length;
  $("panel").hidden = false;
  $("panel").classList.toggle("pinned", Boolean(pin));
  $("panel-title").textContent = title;
  $("scenes").replaceChildren(...shown.map((scene, i) => entry(scene, i === 0, open.has(scene.key))));
  $("more").textContent = note || (pin ? "" : `${hidden ? `${hidden} more. ` : ""}Click to keep the list`);
  outline(list[0] ?? null);
  if (pin && narrow()) clearOf($("panel").getBoundingClientRect().top);
}

/** Move the map so that the place asked about is above the sheet. */
function clearOf(top) {
  const { y } = map.project([pin.lng, pin.lat]);
  if (y > top - 24) map.panBy([0, y - top / 2], { animate: motion() });
}

function entry(scene, top, open) {
  const cloud = scene.properties?.["eo:cloud_cover"];
  const about = el("span", { class: "about" }, el("span", {}, date(scene, pin ? MINUTE : DAY)));
  if (typeof cloud === "number") about.append(el("span", {}, `${Math.round(cloud)} % cloud`));
  if (top) about.append(el("span", { class: "top" }, "on top"));
  const head = [el("span", { class: "id" }, String(scene.id)), about];
  const item = el("li", {}, pin ? details(scene, head, open) : el("div", { class: "scene" }, ...head));
  item.sceneKey = scene.key;
  for (const type of ["mouseenter", "focusin"]) item.addEventListener(type, () => outline(scene));
  return item;
}

function details(scene, head, open) {
  const assets = Object.entries(scene.assets ?? {}).map(([name, { href }]) => [name, link(String(href))]);
  const texts = Object.entries({ collection: scene.collection, ...scene.properties }).filter(([, value]) => value !== null);
  const facts = [...assets, ...texts.map(([name, v]) => [name, typeof v === "string" ? v : JSON.stringify(v)])];
  const list = facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  const made = el("details", {}, el("summary", { class: "scene" }, ...head), el("dl", { class: "facts" }, ...list));
  made.open = open;
  return made;
}

function link(href) {
  const attributes = { href, target: "_blank", rel: "noopener noreferrer" };
  return /^https:\/\//i.test(href) ? el("a", attributes, href) : href;
}

const degrees = (value, signs) => `${Math.abs(value).toFixed(4)}° ${value < 0 ? signs[1] : signs[0]}`;

/** Keep the list of a place, as the server tells it. */
async function pinAt({ lng, lat }) {
  pin = { lng: wrap(lng), lat };
  asking?.abort();
  const { signal } = (asking = new AbortController());
  map.getSource("pin").setData({ type: "Point", coordinates: [lng, lat] });
  const title = `${degrees(lat, "NS")}, ${degrees(pin.lng, "EW")}`;
  const at = [pin.lng.toFixed(7), lat.toFixed(7)];
  try {
    const { features } = await ask(`items?bbox=${[...at, ...at]}&limit=${SCENES}`, signal);
    showPanel(features.map(keyed), title, features.length ? "" : "No scenes here.");
  } catch (error) {
    if (!signal.aborted) showPanel(under(pin), title, `As of the last look; now: ${error.message}`);
  }
}

function unpin() {
  asking?.abort();
  pin = null;
  map.getSource("pin").setData(none);
  hidePanel();
}

function clicked({ lngLat, point }) {
  const near = pin && map.project([pin.lng, pin.lat]).dist(point) < 10;
  if (near || (pin && !under(lngLat).length)) unpin();
  else pinAt(lngLat);
}

// Events

function noteZoom() {
  const action = { label: "Zoom in", run: () => map.easeTo({ zoom: info.minzoom - 1 }) };
  const text = info?.bounds ? `This mosaic is drawn from zoom ${info.minzoom} on.` : "";
  say("low", tooLow() && info.bounds ? "Zoom in to see the mosaic" : null, text, action);
}

map.on("load", () => {
  drawGraticule();
  look();
});
map.on("movestart", (event) => {
  bad.clear();
  if (event.originalEvent) moved = true;
});
map.on("move", () => map.getSource("graticule") && drawGraticule());
map.on("moveend", () => {
  noteZoom();
  if (info) lookIn(200);
});
let debounce = 0;
map.on("mousemove", ({ lngLat }) => {
  pointer = lngLat;
  clearTimeout(debounce);
  debounce = setTimeout(hover, 40);
});
map.on("mouseout", () => {
  pointer = null;
  clearTimeout(debounce);
  hover();
});
map.on("click", clicked);
map.getCanvas().addEventListener("keydown", (event) => {
  if (event.key === "Enter") pinAt(map.getCenter());
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && pin) unpin();
});
$("unpin").onclick = () => {
  unpin();
  map.getCanvas().focus({ focusVisible: false });
};
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
addEventListener("online", look);
addEventListener("offline", () => status("waiting", "reconnecting…"));
setInterval(() => document.hidden || !map.getSource("mosaic") || map.refreshTiles("mosaic"), RECHECK_MS);

/** For tests and the curious. */
window.livemosaic = { map, look, get scenes() { return scenes; }, get info() { return info; }, get looks() { return looks; } };
