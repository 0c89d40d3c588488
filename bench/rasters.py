"""An archive of COGs: overlapping scenes of one UTM zone, dated, with slanting edges of nodata."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import geometry_mask
from rasterio.io import MemoryFile

CRS: Final = "EPSG:32632"
_METRES: Final = 10.0
"""Of a pixel."""
_CENTRE: Final = (500_000.0, 5_000_000.0)
_SPREAD: Final = 25_000.0
"""Scene centres lie within a square of twice that side: about eight scenes on any spot."""
_EDGES: Final = (2048, 2560, 3072, 3584, 4096)
_BLOCK: Final = 512
_FIRST_DAY: Final = datetime(2025, 1, 1, tzinfo=UTC)
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Scene:
    """One COG."""

    name: str
    """Of its file."""
    day: int
    footprint: shapely.Polygon
    """In `CRS`; exactly the pixels whose centres lie inside hold data."""

    @property
    def lonlat(self) -> shapely.Polygon:
        """The footprint with edges cut so finely that it stays true in longitude and latitude."""
        to_lonlat = Transformer.from_crs(CRS, "OGC:CRS84", always_xy=True)
        fine = shapely.segmentize(self.footprint, 2000)
        polygon: shapely.Polygon = shapely.transform(fine, to_lonlat.transform, interleaved=False)
        return polygon

    def item(
        self, href: str, *, item_id: str | None = None, day: int | None = None
    ) -> dict[str, Any]:
        """A STAC Item of the file."""
        taken = _FIRST_DAY + timedelta(days=self.day if day is None else day)
        return {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": item_id or self.name,
            "collection": "bench",
            "geometry": json.loads(shapely.to_geojson(self.lonlat)),
            "properties": {"datetime": taken.isoformat()},
            "links": [],
            "assets": {"visual": {"href": href, "type": "image/tiff"}},
        }


def make_scenes(folder: Path, count: int) -> list[Scene]:
    """Write the files that are not there yet; oldest first."""
    rng = np.random.default_rng(_SEED)
    texture = _texture(rng)
    return [_scene(folder, n, rng, texture) for n in range(count)]


def _scene(folder: Path, n: int, rng: np.random.Generator, texture: NDArray[np.uint8]) -> Scene:
    edge = int(rng.choice(_EDGES))
    x, y = (
        _METRES * round(at + off)
        for at, off in zip(
            np.array(_CENTRE) / _METRES, rng.uniform(-_SPREAD, _SPREAD, 2) / _METRES, strict=True
        )
    )
    left, top = x - _METRES * edge / 2, y + _METRES * edge / 2
    slant = rng.uniform(0.02, 0.25, 4)
    roll = rng.integers(0, max(_EDGES), 2)
    scene = Scene(f"scene-{n:03}.tif", n, _slanted(left, top, _METRES * edge, slant))
    path = folder / scene.name
    if not path.exists():
        shifted = np.roll(texture, tuple(roll), (1, 2))[:, :edge, :edge]
        _write(path, shifted, Affine(_METRES, 0, left, 0, -_METRES, top), scene.footprint)
    return scene


def _slanted(left: float, top: float, side: float, slant: NDArray[np.float64]) -> shapely.Polygon:
    """A square whose corners are cut off along its edges, as an orbit cuts a tile."""
    a, b, c, d = (float(s) * side for s in slant)
    right, bottom = left + side, top - side
    return shapely.Polygon(
        [(left + a, top), (right, top - b), (right - c, bottom), (left, bottom + d)]
    )


def _texture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Red, green, blue that compress about as aerial images do: smooth, with some noise."""
    edge = max(_EDGES)
    out = np.empty((3, edge, edge), np.uint8)
    base = rng.integers(40, 200, (edge // 64 + 1, edge // 64 + 1)).astype(np.float32)
    at = np.arange(edge) / 64
    cell, way = at.astype(int), (at % 1).astype(np.float32)
    rows = base[cell] * (1 - way)[:, None] + base[cell + 1] * way[:, None]
    smooth = rows[:, cell] * (1 - way) + rows[:, cell + 1] * way
    for band in out:
        band[:] = np.clip(smooth + rng.integers(-12, 13, (edge, edge)), 1, 255)
    return out


def _write(
    path: Path, data: NDArray[np.uint8], transform: Affine, footprint: shapely.Polygon
) -> None:
    outside = geometry_mask([footprint], data.shape[1:], transform)
    profile = {
        "driver": "GTiff",
        "count": len(data),
        "height": data.shape[1],
        "width": data.shape[2],
        "dtype": "uint8",
        "crs": CRS,
        "transform": transform,
        "nodata": 0,
    }
    partial = path.with_suffix(".partial")
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(np.where(outside, np.uint8(0), data))
        with memory.open() as dataset, rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"):
            rasterio.shutil.copy(
                dataset,
                partial,
                driver="COG",
                compress="deflate",
                level=6,
                blocksize=_BLOCK,
                overview_resampling="nearest",
            )
    partial.replace(path)  # a run that was interrupted leaves no broken file behind


def newest_first(scenes: Sequence[Scene]) -> list[Scene]:
    """The order in which they are painted: what comes first is on top."""
    return sorted(scenes, key=lambda scene: scene.day, reverse=True)
