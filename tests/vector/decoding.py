"""Decodes vector tiles with other people's code: Mapbox's own, as maps do, and GDAL's driver."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

ROOT = Path(__file__).parents[2]
EXTENT = 4096
_WORLD = 2 * np.pi * 6378137.0

_BY_MAPBOX = """
import { VectorTile } from "@mapbox/vector-tile";
import { PbfReader } from "pbf";
import { readFileSync } from "node:fs";
const { layers } = new VectorTile(new PbfReader(readFileSync(0)));
const of = (layer, n) => {
  const f = layer.feature(n);
  const rings = f.loadGeometry().map((ring) => ring.map(({ x, y }) => [x, y]));
  return { type: f.type, properties: f.properties, rings };
};
const all = Object.entries(layers).map(([name, layer]) => [
  name,
  { ...layer, features: Array.from(Array(layer.length), (_, n) => of(layer, n)) },
]);
process.stdout.write(JSON.stringify(Object.fromEntries(all)));
"""

Shown = list[tuple[dict[str, Any], Any]]
"""Properties and shape, in units of the tile, y downwards, of each feature of a layer."""


def read(tile: bytes) -> dict[str, Any]:
    """All layers, as `@mapbox/vector-tile` reads them: rings with their vertices as they are."""
    made = subprocess.run(
        ["node", "--input-type=module", "-e", _BY_MAPBOX],
        input=tile,
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert made.returncode == 0, made.stderr.decode()
    layers: dict[str, Any] = json.loads(made.stdout)
    return layers


def by_mapbox(tile: bytes, layer: str, _folder: Path) -> Shown:
    found = read(tile).get(layer, {"features": []})
    return [(each["properties"], shape_of(each["rings"])) for each in found["features"]]


def signed_area(ring: list[list[float]]) -> float:
    """By the surveyor's formula, in the tile's own axes (MVT 4.3.3.3)."""
    x, y = np.array(ring, float).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def shape_of(rings: list[list[list[float]]]) -> Any:
    """Polygons by the winding of their rings, as the specification has it."""
    polygons: list[list[Any]] = []
    for ring in rings:
        if signed_area(ring) > 0:
            polygons.append([ring, []])
        else:
            polygons[-1][1].append(ring)
    return shapely.MultiPolygon([(outer, holes) for outer, holes in polygons])


def by_gdal(tile: bytes, layer: str, folder: Path) -> Shown:
    ogr2ogr = shutil.which("ogr2ogr")
    if ogr2ogr is None:
        pytest.skip("GDAL's commands are not installed")
    # As the tile 0/0/0 of the world, whose coordinates are turned back into units.
    path = folder / "0" / "0" / "0.pbf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tile)
    made = subprocess.run(
        [
            *(ogr2ogr, "-f", "GeoJSON", "-lco", "COORDINATE_PRECISION=6", "-oo", "CLIP=NO"),
            *("-a_srs", "EPSG:4326", "/vsistdout/", str(path), layer),
        ],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr.decode()
    features = json.loads(made.stdout)["features"]
    return [(f["properties"], shapely.transform(_shape(f), _units)) for f in features]


def _shape(feature: dict[str, Any]) -> Any:
    return shapely.from_geojson(json.dumps(feature["geometry"]))


def _units(xy: Any) -> Any:
    return np.rint((xy + np.array([_WORLD / 2, -_WORLD / 2])) * [EXTENT / _WORLD, -EXTENT / _WORLD])


DECODERS: dict[str, Callable[[bytes, str, Path], Shown]] = {"mapbox": by_mapbox, "gdal": by_gdal}
