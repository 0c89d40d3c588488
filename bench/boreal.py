"""An archive in the shape of icesat2-boreal: 4,900 COGs of 90 km, of one band of float32.

developmentseed/icesat2-boreal-tile-benchmark publishes how long titiler-pgstac and titiler.mosaic
take for views of it. All files here have the same pixels, in steps, so that they are small; blocks,
overviews and projection are those of large ones.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import morecantile
import numpy as np
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.io import MemoryFile

from bench.rasters import Kind, Scene

CRS: Final = "ESRI:102001"
"""Canada Albers Equal Area, in metres."""
ACROSS: Final = 70
"""Scenes in a row and in a column."""
KIND: Final = Kind("boreal", dtype="float32", bands=1, assets=("tif",))
QUERY: Final = (
    ("bidx", "1"),
    ("rescale", "0,400"),
    ("colormap_name", "gist_earth_r"),
    ("color_formula", "gamma r 1.06"),
)
CELL_ZOOM: Final = 7
"""`quadkey_zoom` that cogeo-mosaic takes for such files: the zoom of their coarsest overview."""
_CENTRE: Final = (-102.0, 57.0)
_VIEW: Final = (7, 9)
"""Columns and rows of tiles."""
_PIXELS, _METRES, _BLOCK = 3000, 30.0, 512
_SIDE: Final = _PIXELS * _METRES
_WEST, _NORTH = -35 * _SIDE, 4_600_000.0
"""So that neither a pole nor the antimeridian lies in it."""
_WEB: Final = morecantile.tms.get("WebMercatorQuad")


def make_scenes(folder: Path, across: int = ACROSS) -> list[Scene]:
    """Writes the files that are not there yet, `across` in a row and in a column."""
    template: bytes | None = None
    scenes = []
    for n in range(across**2):
        row, column = (at + (ACROSS - across) // 2 for at in divmod(n, across))
        left, top = _WEST + column * _SIDE, _NORTH - row * _SIDE
        name = f"boreal-{row:02}-{column:02}.tif"
        if not (folder / name).exists():
            template = template or _template()
            (folder / name).write_bytes(_moved(template, left, top))
        footprint = shapely.box(left, top - _SIDE, left + _SIDE, top)
        scenes.append(Scene(name, n, footprint, KIND, CRS))
    return scenes


def view(zoom: int) -> list[morecantile.Tile]:
    """The tiles of a map over the middle, row by row; fewer where the world ends."""
    middle, last = _WEB.tile(*_CENTRE, zoom), 2**zoom - 1
    columns, rows = (
        range(max(0, at - many // 2), min(last, at + many // 2) + 1)
        for at, many in zip((middle.x, middle.y), _VIEW, strict=True)
    )
    return [morecantile.Tile(x, y, zoom) for y in rows for x in columns]


def beside(zoom: int) -> morecantile.Tile:
    """A tile with scenes that is in no view of its zoom, or only in the largest ones."""
    return _WEB.tile(-75.0, 45.0, zoom)


def covered(scenes: Sequence[Scene], tile: morecantile.Tile, size: int) -> NDArray[np.bool_]:
    """The pixels of a tile whose centres lie in the square of all scenes; shape (size, size)."""
    left, bottom, right, top = _WEB.xy_bounds(tile)
    along = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(left + along * (right - left), top - along * (top - bottom))
    x, y = Transformer.from_crs("EPSG:3857", CRS, always_xy=True).transform(x, y)
    west, south, east, north = shapely.total_bounds([scene.footprint for scene in scenes])
    inside: NDArray[np.bool_] = (west < x) & (x < east) & (south < y) & (y < north)
    return inside


def _template() -> bytes:
    y, x = np.mgrid[:_PIXELS, :_PIXELS] - _PIXELS / 2
    steps = np.floor(np.hypot(x, y) / 27) * 5
    profile = {
        "driver": "GTiff",
        "count": 1,
        "height": _PIXELS,
        "width": _PIXELS,
        "dtype": "float32",
        "crs": CRS,
        "transform": Affine(_METRES, 0, _WEST, 0, -_METRES, _NORTH),
        "nodata": np.nan,
    }
    with MemoryFile() as memory, MemoryFile() as cog:
        with memory.open(**profile) as dataset:
            dataset.write(steps[None].astype(np.float32))
        with memory.open() as dataset:
            rasterio.shutil.copy(
                dataset, cog.name, driver="COG", compress="deflate", blocksize=_BLOCK,
                overview_resampling="nearest",
            )  # fmt: skip
        return bytes(cog.read())


def _moved(template: bytes, left: float, top: float) -> bytes:
    """The file with another place of its corner, in the tag ModelTiepoint (33922)."""
    old, new = _tiepoint(_WEST, _NORTH), _tiepoint(left, top)
    if template.count(old) != 1:
        raise RuntimeError(f"{template.count(old)} corners in the template")
    return template.replace(old, new)


def _tiepoint(left: float, top: float) -> bytes:
    return struct.pack("<6d", 0, 0, 0, left, top, 0)
