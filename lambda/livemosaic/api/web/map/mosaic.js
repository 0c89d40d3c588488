/** The mosaic: its description from the server, and its layer on the map. */

import { ABOVE } from "./base/layers.js";
import { MercatorCoordinate, drawBoundary, fit, inView, map, middle, placed, tileZoom, zoomFor } from "./canvas.js";
import { offer, rule, shownRender } from "./choices.js";
import { boundsOf, holds, polygons, split, wrap } from "./geometry.js";
import { $, motion, say, sayNotice, saySkipped } from "./page.js";
import { ask, passes } from "./server.js";
import { isDark } from "./style/dark.js";
import { sayLegend } from "./style/legend.js";
import { forgetBad, partialTiles } from "./tiles.js";

const STALE_MS = 120_000;
const MANY_TILES = 4_000;

/** The TileMatrixSet of the map: WebMercatorQuad, or one of the same shape on another body. */
export const TMS = encodeURIComponent(document.documentElement.dataset.tms);

/** URL of the TileJSON, with the tile parameters of the page's URL; `changes` replace some, and null takes one out. */
export function tilejson(changes = {}) {
  const given = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) value === null ? given.delete(name) : given.set(name, value);
  if (devicePixelRatio > 1 && !given.has("tile_scale")) given.set("tile_scale", "2");
  return new URL(`tiles/${TMS}/tilejson.json?${given}`, location).href;
}

/** The mosaic's description from the server; null until it has arrived. */
export let info = null;
let learned = 0;
let moved = false;

/** A map that the viewer has moved is not moved again. */
export const stay = () => (moved = true);

export const stale = () => !info || Date.now() - learned > STALE_MS;

export const tooLow = () => info !== null && tileZoom() < info.minzoom;

/** Called after the viewer has chosen other parameters. */
let changed = () => {};
export const onChange = (handler) => (changed = handler);

/** URL parameters that name assets, instead of the ones that the mosaic shows. */
const NAMES_ASSETS = ["assets", "expression"];
/** Names of files, and patterns for them, which are no keys of assets. */
const FILE = /[*?]|\.tiff?$/i;

/** The assets of every scene that tiles show; none if the page's URL names others. */
function shownAssets() {
  const given = new URLSearchParams(location.search);
  return shownRender(info) || NAMES_ASSETS.some((name) => given.has(name)) ? [] : (info?.shown_assets ?? []);
}

/** The asset for lack of which tiles leave a scene out; undefined if they show it. */
export const lacking = (scene) => shownAssets().find((name) => !FILE.test(name) && !Object.hasOwn(scene.assets ?? {}, name));

function sayAssets() {
  $("assets").textContent = shownAssets().join(", ");
}

export async function learn(signal) {
  const now = await ask("info", signal);
  const before = info;
  [info, learned] = [now, Date.now()];
  document.title = `${info.title || info.id} · livemosaic`;
  $("title").textContent = info.title || info.id;
  say("gone", null);
  say("empty", info.bounds ? null : "This mosaic is empty", "Scenes appear here as soon as they are added.");
  sayAssets();
  sayLegend(info);
  offer(info, redraw);
  followSource(before);
  if (info.bounds && !same(before?.bounds, info.bounds)) drawBoundary(info.bounds);
  if (!before && info.bounds && placed) stay();
  const isGrown = info.bounds && !same(before?.bounds, info.bounds);
  if (isGrown && !moved) await arrive(before !== null);
}

/** The first view: the whole mosaic, or one scene if the whole is too much to draw. */
async function arrive(animate) {
  const zoom = zoomFor(info.bounds);
  if (zoom === undefined || Math.round(zoom + 1) >= info.minzoom) return fit(info.bounds, animate);
  const [scene] = (await ask(`items?limit=1&${rule()}`).catch(() => ask("items?limit=1"))).features;
  const box = scene ? boundsOf(polygons(scene)[0]) : info.bounds;
  map.jumpTo({ center: middle(box), zoom: Math.max(0, info.minzoom - 1) });
}

/** Show the mosaic again, wherever the map is, and follow it as it grows. */
export function goHome() {
  moved = false;
  if (info?.bounds) arrive(true);
}

/** Zoom in to where the mosaic is drawn: here, if the middle of the map is of the mosaic. */
function enter() {
  const { lng, lat } = map.getCenter();
  const isHere = split(info.bounds).some((box) => holds(box, [wrap(lng), lat]));
  return isHere ? map.easeTo({ zoom: info.minzoom - 1, animate: motion() }) : goHome();
}

export function sayZoom() {
  if (!info?.bounds || !tooLow()) return say("low", null);
  const action = { label: "Zoom in", run: enter };
  say("low", "Zoom in to see the mosaic", `This mosaic is drawn from zoom ${info.minzoom} on.`, action);
}

const isShown = (tile) => info !== null && inView(tile, info.deepest_zoom);

/** Tiles in view that lack scenes: because of a limit, or because overviews follow changes. */
const lackingTiles = () => partialTiles(isShown);

/** URL parameters by which somebody has chosen the colors. */
const COLORS = ["rescale", "colormap", "colormap_name", "color_formula", "algorithm"];

/** What is offered where all that is drawn is nearly black. */
let stretch = null;
export const onDark = (handler) => (stretch = handler);

function isUnstretched() {
  const given = new URLSearchParams(location.search);
  return isDark(isShown) && !shownRender(info) && !COLORS.some((name) => given.has(name));
}

/** Say what the map does not show. */
export function sayPartial() {
  const tiles = lackingTiles();
  const cut = tiles.find(({ limit }) => limit);
  const latest = tiles.reduce((most, each) => (each.behind > most.behind ? each : most), { behind: 0 });
  if (cut) sayNotice(...limited(cut), { label: "Zoom in", run: zoomIn });
  else if (latest.behind) sayNotice(lag(latest), "New scenes are drawn here in a moment; at higher zooms they are already.");
  else if (isUnstretched()) sayNotice("The image is nearly black", "Its values are small for their type.", { label: "Stretch colors", run: stretch });
  else sayNotice(null);
  const skipped = new Map(tiles.flatMap((tile) => tile.skipped));
  const isMore = skipped.delete("...");
  saySkipped(skippedTitle(skipped, isMore), [...skipped], isMore);
}

/** Reasons of scenes that can be read, but do not fit to what the mosaic shows. */
const UNFIT = /^has (no asset|another kind of asset)/;

function skippedTitle(skipped, isMore) {
  if (!skipped.size && !isMore) return null;
  const count = `${skipped.size || "some"}${isMore && skipped.size ? "+" : ""} ${skipped.size === 1 && !isMore ? "scene" : "scenes"}`;
  const unread = [...skipped.values()].some((why) => !UNFIT.test(why));
  if (unread) return `${count} could not be read`;
  return `${count} ${skipped.size === 1 && !isMore ? "is" : "are"} left out`;
}

/** A limit in words, by its name: a tile shows some of its scenes only. */
function limited({ limit, tile }) {
  const [, name, number] = limit.match(/^(\w+)=(\d+)$/) ?? [];
  if (tile.isVector) return ["Some scenes are not outlined at this zoom", number ? `A tile finds at most ${number} scenes.` : limit];
  const most = name === "max_scenes" ? `A tile shows at most ${number} scenes` : `A tile finds at most ${number} scenes`;
  const usual = info.overviews && rule().size ? "; at low zooms only the default order shows all" : "";
  return ["Some scenes are not drawn at this zoom", `${number ? most : limit}${usual}.`];
}

const lag = ({ behind, more }) => `Overviews are ${behind}${more ?? ""} ${behind === 1 ? "scene" : "scenes"} behind`;

const zoomIn = () => map.easeTo({ zoom: Math.min(map.getMaxZoom(), map.getZoom() + 2), animate: motion() });

const FOLLOW_MS = 2_500;
const SLOWEST_FOLLOW_MS = 60_000;
let following = { wait: 0, next: 0 };

/** Request tiles again whose overviews are behind: ever more seldom while they stay so. */
export function followOverviews() {
  const tiles = lackingTiles().filter(({ behind }) => behind);
  const now = performance.now();
  if (!tiles.length) following = { wait: 0, next: 0 };
  if (!tiles.length || now < following.next) return;
  const wait = Math.min(SLOWEST_FOLLOW_MS, Math.max(FOLLOW_MS, 1.5 * following.wait));
  following = { wait, next: now + wait };
  map.refreshTiles("mosaic", tiles.map(({ tile }) => tile));
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** Add the mosaic to a map. */
export function addMosaic(to, url) {
  to.addSource("mosaic", { type: "raster", url, tileSize: 256 });
  to.addLayer({ id: "mosaic", type: "raster", source: "mosaic", paint: { "raster-fade-duration": 200 } }, ABOVE);
}

/** Restrict the source to the mosaic's bounds and zooms; the TileJSON may lag by seconds. */
function followSource(before) {
  const source = map.getSource("mosaic");
  if (!source) {
    return addMosaic(map, tilejson());
  }
  const [west, south, east, north] = info.extent ?? info.bounds ?? [-180, -90, 180, 90];
  const expected = west > east ? [-180, south, 180, north] : [west, south, east, north];
  const behind = !same(source.bounds, expected) || source.minzoom !== info.minzoom;
  if (before?.revision !== info.revision || behind) source.setUrl(tilejson());
}

/** Apply new tile parameters of the page's URL. */
export function redraw() {
  say("page", null);
  forgetBad();
  partialTiles(() => false);
  sayPartial();
  sayAssets();
  sayLegend(info);
  offer(info, redraw);
  map.getSource("mosaic").setUrl(tilejson());
  dispatchEvent(new Event("redrawn"));
  changed();
}

/** Sources of the mosaic's tiles. */
const SOURCES = ["mosaic", "footprints"];
/** Tiles that failed, to be requested again, with their sources. */
let failed = [];

export async function noteFailure({ error, sourceId, tile }) {
  if (!SOURCES.includes(sourceId)) return console.error(error);
  if (tile && error.status >= 500) failed.push({ sourceId, tile: tile.tileID.canonical });
  if (tile || passes(error)) return;
  const body = await error.body?.text().then(JSON.parse).catch(() => null);
  say("page", "The mosaic cannot be drawn like this", String(body?.detail ?? error.message));
}

export function retryFailed() {
  const again = Object.groupBy(failed, ({ sourceId }) => sourceId);
  failed = [];
  for (const [id, found] of Object.entries(again)) map.refreshTiles(id, found.map(({ tile }) => tile));
  const source = map.getSource("mosaic");
  if (source.loaded() && !source.tiles) source.setUrl(tilejson());
}

/** Request all tiles again, in case that clocks are so wrong that the feed missed a change. */
export function recheck() {
  if (!document.hidden) refreshAll();
}

/** Request tiles of all sources that there are again: some, or all. */
const refreshAll = (tiles) => SOURCES.filter((id) => map.getSource(id)).forEach((id) => map.refreshTiles(id, tiles));

/** Request the tiles of some boxes again, at every zoom that may be shown; all tiles if many. */
export function refresh(boxes) {
  const zooms = new Set([-2, -1, 0, 1].map((more) => Math.max(0, Math.min(tileZoom() + more, info.deepest_zoom))));
  const spans = boxes.flatMap(split).flatMap((box) => [...zooms].map((z) => span(box, z)));
  const count = spans.reduce((sum, { left, top, right, bottom }) => sum + (right - left + 1) * (bottom - top + 1), 0);
  dispatchEvent(new Event("refreshed"));
  refreshAll(count > MANY_TILES ? undefined : spans.flatMap(tilesOf));
}

/** Tiles of a zoom within a box, both corners included. */
function span([west, south, east, north], z) {
  const [nw, se] = [[west, north], [east, south]].map((at) => MercatorCoordinate.fromLngLat(at));
  const index = (d) => Math.min(2 ** z - 1, Math.max(0, Math.floor(d * 2 ** z)));
  return { z, left: index(nw.x), top: index(nw.y), right: index(se.x), bottom: index(se.y) };
}

function tilesOf({ z, left, top, right, bottom }) {
  const tiles = [];
  for (let x = left; x <= right; x++) for (let y = top; y <= bottom; y++) tiles.push({ z, x, y });
  return tiles;
}
