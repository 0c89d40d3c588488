"""The same scenes at both servers, in the same order.

Pixels come in patches of `PATCH` × `PATCH` equal values, so that wherever two ways of taking the
nearest pixel disagree about half a pixel, they disagree along the edges of patches only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from cogeo_mosaic.mosaic import MosaicJSON
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import from_bounds
from rasterio.warp import transform_geom

from api import served
from api.served import EDGE, LEFT, SIZE, WHOLE, Part, Z, raster
from cogs import write_cog
from items import box

PATCH: Final = 8
ZOOMS: Final = (8, 12)
PEER_CELLS: Final = Z
"""Zoom of the cells of mosaic.json. Of a tile above, cogeo-mosaic joins the lists of its cells one
after the other, so that scenes come in no order; all of ours are in one cell."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Scenes of one kind, newest first, which is the order of both."""

    name: str
    items: Sequence[Mapping[str, Any]]
    in_files: bool = False
    """Whether each band is an asset of its own."""

    def fill(self, server: served.Server) -> None:
        """Make the mosaic here, of the same name and zooms."""
        settings = {"minzoom": ZOOMS[0], "maxzoom": ZOOMS[1], "quality": 85}  # of rio-tiler's JPEG
        server.create(self.name, title=self.name, **settings)
        server.add(*self.items, mosaic=self.name)

    def write_mosaic_json(self, folder: Path) -> Path:
        """The mosaic as titiler.mosaic reads it."""
        features = [
            {"type": "Feature", "geometry": i["geometry"], "properties": {"path": p}}
            for i, p in zip(self.items, self._paths(folder), strict=True)
        ]
        mosaic = MosaicJSON.from_features(
            features, minzoom=ZOOMS[0], maxzoom=ZOOMS[1], quadkey_zoom=PEER_CELLS, quiet=True
        )
        mosaic.name = self.name
        path = folder / f"{self.name}.mosaic.json"
        path.write_text(mosaic.model_dump_json(exclude_none=True))
        return path

    def _paths(self, folder: Path) -> list[str]:
        if not self.in_files:
            return [item["assets"]["visual"]["href"] for item in self.items]
        for item in self.items:
            (folder / f"{item['id']}.json").write_text(json.dumps(item))
        return [str(folder / f"{item['id']}.json") for item in self.items]


def patches(bands: int, part: Part, seed: int, low: int, high: int) -> NDArray[Any]:
    """Random values from `low` to below `high`, shape (bands, height, width)."""
    columns, rows = part[2] - part[0], part[3] - part[1]
    shape = (bands, -(-rows // PATCH), -(-columns // PATCH))
    small = np.random.default_rng(seed).integers(low, high, shape)
    return small.repeat(PATCH, 1).repeat(PATCH, 2)[:, :rows, :columns]


def stacks(folder: Path) -> list[Stack]:
    """All of them, with their files in the folder."""
    return [_rgb(folder), _many(folder), _bands(folder), _height(folder), _utm(folder)]


def _rgb(folder: Path) -> Stack:
    """Three bands of uint8 that overlap; the topmost has nodata along a slanting edge."""
    parts: list[Part] = [(0, 0, 136, 256), (64, 32, 224, 208), WHOLE]
    items = []
    for n, part in enumerate(parts):
        values = patches(3, part, n, 1, 256).astype("uint8")
        if n == 0:
            rows, columns = np.indices(values.shape[1:])
            values[:, columns > 128 - rows // 4] = 0
        path = raster(folder / f"rgb{n}.tif", values, part, nodata=0, overviews=[2, 4])
        items.append(served.scene(f"rgb{n}", str(path), part, day=9 - n))
    return Stack("rgb", items)


def _many(folder: Path) -> Stack:
    """Four bands of uint16 with a scale and an offset each."""
    items = []
    for n, part in enumerate([LEFT, WHOLE]):
        values = patches(4, part, 10 + n, 1, 4000).astype("uint16")
        values[:, :16, :16] = 0
        path = raster(
            folder / f"many{n}.tif", values, part, nodata=0,
            scales=[0.0001] * 4, offsets=[-0.1, 0, 0, 0],
        )  # fmt: skip
        items.append(served.scene(f"many{n}", str(path), part, day=9 - n))
    return Stack("many", items)


def _bands(folder: Path) -> Stack:
    """A file for each band."""
    items = []
    for n, part in enumerate([LEFT, WHOLE]):
        hrefs = {}
        for m, name in enumerate(["red", "green", "nir"]):
            values = patches(1, part, 20 + 3 * n + m, 1, 4000).astype("uint16")
            values[:, -16:, :16] = 0
            hrefs[name] = str(raster(folder / f"{name}{n}.tif", values, part, nodata=0))
        items.append(served.scene(f"bands{n}", hrefs, part, day=9 - n))
    return Stack("bands", items, in_files=True)


def _height(folder: Path) -> Stack:
    """One band of float32: hills."""
    rows, columns = np.indices((SIZE, SIZE))
    hills = 900 + 400 * np.sin(columns / 23) * np.cos(rows / 31)
    path = raster(folder / "height.tif", hills[None].astype("float32"), WHOLE, nodata=-9999)
    return Stack("height", [served.scene("height0", str(path), WHOLE)])


def _utm(folder: Path) -> Stack:
    """Three bands of uint8 in UTM, turned a little on the map, two of them side by side."""
    crs = CRS.from_epsg(32632)
    west, south, east, north = _bounds_in(crs)
    middle, items = (west + east) / 2, []
    for n, bounds in enumerate([(west, south, middle + 3000, north), (middle, south, east, north)]):
        values = patches(3, WHOLE, 30 + n, 1, 256).astype("uint8")
        path = write_cog(
            folder / f"utm{n}.tif", values, crs=crs, transform=from_bounds(*bounds, SIZE, SIZE),
            nodata=0,
        )  # fmt: skip
        item = served.scene(f"utm{n}", str(path), day=9 - n)
        outline = transform_geom(crs, "OGC:CRS84", box(*bounds))
        items.append({**item, "geometry": outline})
    return Stack("utm", items)


def _bounds_in(crs: CRS) -> tuple[float, float, float, float]:
    bounds: tuple[float, float, float, float] = rasterio.warp.transform_bounds(
        "EPSG:3857", crs, EDGE.left, EDGE.bottom, EDGE.right, EDGE.top
    )
    return bounds
