/** What is seen, for other programs: addresses and commands for exactly this view. */

import { MercatorCoordinate, map, view } from "../canvas.js";
import { wrapped } from "../geometry.js";
import { TMS, info } from "../mosaic.js";
import { el } from "../page.js";
import { refill } from "./drawer.js";

const EARTH = document.documentElement.dataset.tms === "WebMercatorQuad";
const HALF_EQUATOR_M = Math.PI * 6_378_137;

/** URL of the mosaic, with the slash at its end. */
const here = () => new URL(".", location).href;
const query = (more = {}) => new URLSearchParams([...Object.entries(more), ...new URLSearchParams(location.search)]);
const withQuery = (path, more) => {
  const given = `${query(more)}`;
  return here() + path + (given && `?${given}`);
};

/** The view in metres of Web Mercator: west, south, east, north. */
function metres() {
  const bounds = map.getBounds();
  const [nw, se] = [bounds.getNorthWest(), bounds.getSouthEast()].map((place) => MercatorCoordinate.fromLngLat(place));
  const x = (d) => (2 * d - 1) * HALF_EQUATOR_M;
  const y = (d) => (1 - 2 * d) * HALF_EQUATOR_M;
  return [x(nw.x), y(se.y), x(se.x), y(nw.y)].map((d) => d.toFixed(2));
}

function degrees() {
  return wrapped(view()).map((d) => Number(d.toFixed(6)));
}

const pixels = () => [map.getContainer().clientWidth, map.getContainer().clientHeight];

const PICTURES = ["png", "webp", "jpeg"];
/** The format of images: PNG, unless the mosaic allows only others. */
function extension() {
  const allowed = info?.formats?.length ? info.formats : PICTURES;
  return PICTURES.find((name) => allowed.includes(name)) ?? allowed[0];
}

/** URL of an image of the view, pixel for pixel. */
export function imageUrl() {
  const size = pixels().join("x");
  return EARTH
    ? withQuery(`bbox/${metres().join(",")}/${size}.${extension()}`, { coord_crs: "EPSG:3857" })
    : withQuery(`bbox/${degrees().join(",")}/${size}.${extension()}`);
}

function gdal() {
  const [west, south, east, north] = degrees();
  const area = EARTH ? `-projwin ${west} ${north} ${east} ${south} -projwin_srs EPSG:4326 ` : "";
  return `gdal_translate ${area}-outsize ${pixels().join(" ")} \\\n  '/vsicurl/${withQuery("gdal/mosaic.vrt")}' view.tif`;
}

/** Parameters as keywords of Python: a value that is given twice is a list. */
function keywords() {
  const given = query();
  given.delete("access_token");
  return [...new Set(given.keys())].map((name) => {
    const values = given.getAll(name);
    return `${name.replace("-", "_")}=${JSON.stringify(values.length > 1 ? values : values[0])}`;
  });
}

function python() {
  const token = query().get("access_token");
  const root = new URL("../..", location).href.replace(/\/$/, "");
  const area = `(${degrees().join(", ")})`;
  return [
    "import livemosaic",
    "",
    `with livemosaic.open(${JSON.stringify(root)}${token ? `, token=${JSON.stringify(token)}` : ""}) as mosaics:`,
    `    image = mosaics[${JSON.stringify(info.id)}].read(`,
    ...[area, `max_size=${Math.max(...pixels())}`, ...keywords()].map((argument) => `        ${argument},`),
    "    )",
  ].join("\n");
}

const rows = () => [
  ["This page", location.href, "Opens this view again."],
  ["XYZ tiles", withQuery(`tiles/${TMS}/{z}/{x}/{y}`), "MapLibre, Leaflet, OpenLayers, QGIS."],
  ["TileJSON", withQuery(`tiles/${TMS}/tilejson.json`), ""],
  ["WMTS", withQuery("WMTSCapabilities.xml"), "QGIS, ArcGIS, MapProxy."],
  ["Image", `curl -o view.${extension()} '${imageUrl()}'`, "Pixel for pixel what the map shows."],
  ["GDAL", gdal(), "The values or colors of the view."],
  ["Python", python(), "numpy, xarray, rasterio."],
];

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(button.closest(".use").querySelector("code")); // not a secure page: to be copied by hand
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 2_000);
}

function row([title, text, note]) {
  const button = el("button", { type: "button", class: "action plain", "aria-label": `Copy ${title}` }, "Copy");
  button.addEventListener("click", () => copy(text, button));
  return el("section", { class: "use" }, el("div", { class: "row" }, el("h3", {}, title), button), el("code", { tabindex: "0" }, text), ...(note ? [el("p", { class: "hint" }, note)] : []));
}

function open(body) {
  const qgis = el("a", { class: "action", href: withQuery("gdal/mosaic.qlr"), download: `${info?.id ?? "mosaic"}.qlr` }, "QGIS layer");
  const image = el("a", { class: "action plain", href: imageUrl(), download: `view.${extension()}` }, "Image");
  const private_ = query().has("access_token") ? [el("p", { class: "hint" }, "These have your access token: who gets one can see the mosaic as long as it is valid.")] : [];
  body.append(el("div", { class: "row" }, qgis, image), ...private_, ...rows().map(row));
}

map.on("moveend", () => refill(use));

export const use = { id: "use", label: "Use this view", path: "M9 7 4 12l5 5M15 7l5 5-5 5", open };
