"""A mosaic of many small scenes with its overviews, on a server. For any test to use."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
from numpy.typing import NDArray

from api.served import WEB, Server, serving
from cogs import write_cog
from items import box, item
from livemosaic.index.overviews import OverviewCell, OverviewRows
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.services import building
from livemosaic.table.sqlite import SqliteTable

NATIVE = 13
"""Zoom of the tiles that have the scenes' resolution."""
SIDE = 128
"""Pixels of a scene's edge."""
_APART = 119
"""Pixels from a scene to the next: they overlap by 7 %."""
_STEP = 2 * 20037508.342789244 / 2**NATIVE / 256
_PIXEL = _STEP * 2 ** (NATIVE - 3)
_CENTRE = (73.5 * _PIXEL, 295.5 * _PIXEL)
"""Of all scenes: the centre of a pixel of zoom 3, near 13° E and 46° N."""

BBox = tuple[float, float, float, float]


@dataclass(frozen=True)
class Tile:
    """One scene of a grid of them."""

    name: str
    path: Path
    bounds: BBox
    """In EPSG:3857."""
    day: int


def make_scenes(folder: Path, across: int, *, dtype: str = "uint8", bands: int = 3) -> list[Tile]:
    """Scenes side by side, each of one color and some noise, of random days."""
    rng = np.random.default_rng(5)
    half = across * _APART / 2
    return [
        _scene(folder, rng, column - half / _APART, row - half / _APART, n, dtype, bands)
        for n, (column, row) in enumerate(product(range(across), repeat=2))
    ]


def _scene(
    folder: Path,
    rng: np.random.Generator,
    column: float,
    row: float,
    number: int,
    dtype: str,
    bands: int,
) -> Tile:
    left, top = _CENTRE[0] + column * _APART * _STEP, _CENTRE[1] - row * _APART * _STEP
    bounds = (left, top - SIDE * _STEP, left + SIDE * _STEP, top)
    values = rng.integers(20, 230, (bands, 1, 1)) + rng.integers(0, 20, (bands, SIDE, SIDE))
    name = f"s{number:03}"
    path = write_cog(folder / f"{name}.tif", values.astype(dtype), crs="EPSG:3857", bounds=bounds)
    return Tile(name, path, bounds, int(rng.integers(1, 28)))


def document(tile: Tile, **rest: Any) -> dict[str, Any]:
    """The Item of a scene."""
    left, bottom, right, top = tile.bounds
    (west, south), (east, north) = WEB.lnglat(left, bottom), WEB.lnglat(right, top)
    return item(
        tile.name,
        box(west, south, east, north),
        datetime=f"2026-01-{tile.day:02}T00:00:00Z",
        assets={"visual": {"href": str(tile.path), "type": "image/tiff"}},
        **rest,
    )


def publish(server: Server, tiles: Sequence[Tile]) -> None:
    """Put scenes in, some hundred at once."""
    for first in range(0, len(tiles), 200):
        server.add(*map(document, tiles[first : first + 200]))


def build(server: Server, mosaic: str = "m") -> None:
    """Make the overviews of all changes so far."""
    with building(server.services) as builder:
        builder.run(mosaic)


def cells(server: Server) -> list[OverviewCell]:
    """The overview cells that stand."""
    mosaic = server.services.mosaics.get("m")
    assert mosaic.shown_overviews is not None
    rows = OverviewRows(server.services.index.table).rows(mosaic, mosaic.shown_overviews)
    return [cell for cell in rows if not cell.retired]


@contextmanager
def with_overviews(
    folder: Path, policy: OverviewPolicy | None = None, table: Any = None, **settings: Any
) -> Iterator[Server]:
    """A server with an empty mosaic `m` that has overviews."""
    assets = folder / "assets"
    assets.mkdir()
    index = f"sqlite:///{folder / 'index.db'}"
    table = table or SqliteTable(folder / "index.db")
    with serving(table, assets, index=index) as server:
        server.services.mosaics.create(
            Mosaic(id="m", overviews=policy or OverviewPolicy(), **settings)
        )
        yield server


def tiles_over(tiles: Sequence[Tile], zoom: int) -> list[morecantile.Tile]:
    """The tiles of a zoom that scenes lie on."""
    boxes = np.array([tile.bounds for tile in tiles])
    west, south = WEB.lnglat(boxes[:, 0].min(), boxes[:, 1].min())
    east, north = WEB.lnglat(boxes[:, 2].max(), boxes[:, 3].max())
    return list(WEB.tiles(west, south, east, north, [zoom]))


def covered(tiles: Sequence[Tile], tile: morecantile.Tile) -> NDArray[np.bool_]:
    """The pixels of a map tile whose centres lie in some scene."""
    edge = WEB.xy_bounds(tile)
    step = (edge.right - edge.left) / 256
    x = edge.left + (np.arange(256) + 0.5) * step
    y = edge.top - (np.arange(256) + 0.5) * step
    out = np.zeros((256, 256), np.bool_)
    for left, bottom, right, top in (tile.bounds for tile in tiles):
        out[np.ix_((y > bottom) & (y < top), (x >= left) & (x < right))] = True
    return out
