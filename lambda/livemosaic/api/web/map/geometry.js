/** Shapes in longitude and latitude; a box is [west, south, east, north]. */

export const polygons = ({ geometry: g }) =>
  g?.type === "MultiPolygon" ? g.coordinates : g?.type === "Polygon" ? [g.coordinates] : [];

export function boundsOf(polygon) {
  const [xs, ys] = [0, 1].map((axis) => polygon[0].map((point) => point[axis]));
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

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

/** Whether a box that does not cross the antimeridian holds a place. */
export const holds = ([west, south, east, north], [x, y]) => west <= x && x <= east && south <= y && y <= north;

/** Whether two boxes that do not cross the antimeridian overlap. */
export const meet = ([w, s, e, n], [west, south, east, north]) => w <= east && west <= e && s <= north && south <= n;

const overlaps = (polygon, box) =>
  contains(polygon, [box[0], box[1]]) ||
  polygon.some((ring) => ring.some((point, i) => i > 0 && enters(ring[i - 1], point, box)));

export const covers = (scene, point) => polygons(scene).some((polygon) => contains(polygon, point));

export const meets = (scene, boxes) =>
  polygons(scene).some((polygon) => boxes.some((box) => overlaps(polygon, box)));

export const wrap = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;

/** A box wrapped to ±180°: west > east if it crosses the antimeridian. */
export function wrapped([west, south, east, north]) {
  if (east - west >= 360) return [-180, south, 180, north];
  const [w, e] = [wrap(west), wrap(east)];
  return [w, south, e === -180 ? 180 : e, north];
}

/** A wrapped box as boxes that do not cross the antimeridian. */
export const split = ([west, south, east, north]) =>
  west <= east ? [[west, south, east, north]] : [[west, south, 180, north], [-180, south, east, north]];

export function quarters([west, south, east, north]) {
  const [x, y] = [(west + east) / 2, (south + north) / 2];
  return [[west, y, x, north], [x, y, east, north], [west, south, x, y], [x, south, east, y]];
}

const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

/** Meridians and parallels over a box and as much again on each side. */
export function graticule([west, south, east, north], zoom) {
  const step = STEPS.find((s) => (s / 360) * 512 * 2 ** zoom >= 120) ?? 30;
  const every = (from, to, low, high) => {
    const [first, last] = [Math.max(low, 2 * from - to), Math.min(high, 2 * to - from)].map((d) => Math.floor(d / step));
    return Array.from({ length: last - first + 2 }, (_, i) => (first + i) * step);
  };
  const [xs, ys] = [every(west, east, -720, 720), every(south, north, -85, 85)];
  const meridians = xs.map((x) => [[x, ys[0]], [x, ys.at(-1)]]);
  const parallels = ys.map((y) => [[xs[0], y], [xs.at(-1), y]]);
  return { type: "MultiLineString", coordinates: [...meridians, ...parallels] };
}
