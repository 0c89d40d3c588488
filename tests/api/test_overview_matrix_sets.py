"""Overviews in TileMatrixSets other than WebMercatorQuad: a mosaic's own, or that of a request.

Values follow from longitude and latitude, and are compared with these at each pixel; what is shown,
with the same tile of scenes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
from numpy.typing import NDArray

from api.overviews import build
from api.served import Picture, Server, quiet, serving, tile_url
from cogs import write_cog
from items import box, item
from livemosaic.geo.crs import LONLAT, transformer
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.table.sqlite import SqliteTable
from livemosaic.tiler.views import TileAddress

pytestmark = pytest.mark.slow
ACROSS, SIZE, PIXELS = 6, 0.05, 64
"""Scenes of a row, degrees and pixels of a scene's edge."""
BASE, SLOPE = 10_000, 50_000
"""Values at the corner of all scenes, and what they grow by in a degree."""
PLACES = {
    "WebMercatorQuad": (3.0, 49.0),
    "NZTM2000Quad": (172.0, -43.0),
    "UPSArcticWGS84Quad": (20.0, 78.0),
    "WorldMercatorWGS84Quad": (3.0, 66.0),
    "EuropeanETRS89_LAEAQuad": (15.0, 52.0),
}
ASKED = {
    "WebMercatorQuad": ["UTM31WGS84Quad", "EuropeanETRS89_LAEAQuad", "UPSArcticWGS84Quad"],
    "NZTM2000Quad": ["NZTM2000Quad", "WebMercatorQuad", "WorldCRS84Quad", "UTM31WGS84Quad"],
    # Not tiles of degrees: they have five times the detail of cells in one direction there.
    "UPSArcticWGS84Quad": ["UPSArcticWGS84Quad", "WebMercatorQuad"],
    "WorldMercatorWGS84Quad": ["WorldMercatorWGS84Quad", "WebMercatorQuad", "UPSArcticWGS84Quad"],
    "EuropeanETRS89_LAEAQuad": ["EuropeanETRS89_LAEAQuad", "WebMercatorQuad", "WorldCRS84Quad"],
}


@contextmanager
def mosaic_at(folder: Path, tms: str, lon: float, lat: float) -> Iterator[Server]:
    (folder / "assets").mkdir()
    index = f"sqlite:///{folder / 'index.db'}"
    table = SqliteTable(folder / "index.db")
    with serving(table, folder / "assets", index=index, max_scenes=200) as server:
        server.services.mosaics.create(Mosaic(id="m", tms=tms, overviews=OverviewPolicy()))
        server.add(*(scene(server, lon, lat, n) for n in range(ACROSS**2)))
        build(server)
        yield server


def scene(server: Server, lon: float, lat: float, number: int) -> dict[str, Any]:
    """A scene with a slope of longitude and one of latitude, which overlaps its neighbours."""
    row, column = divmod(number, ACROSS)
    west, south = lon + column * SIZE * 0.95, lat + row * SIZE * 0.95
    along = (np.arange(PIXELS) + 0.5) * SIZE / PIXELS
    x, y = np.meshgrid(west - lon + along, south - lat + SIZE - along)
    path = server.folder / f"s{number}.tif"
    bounds = (west, south, west + SIZE, south + SIZE)
    values = BASE + SLOPE * np.stack([x, y])
    write_cog(path, values.astype("uint16"), crs="EPSG:4326", bounds=bounds)
    assets = {"visual": {"href": str(path), "type": "image/tiff"}}
    return item(f"s{number}", box(*bounds), assets=assets)


@pytest.fixture(scope="module", params=PLACES)
def placed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str]]:
    own = request.param
    with mosaic_at(tmp_path_factory.mktemp("placed"), own, *PLACES[own]) as server:
        yield server, own


def test_they_show_what_scenes_show_in_its_place(placed: tuple[Server, str]) -> None:
    server, own = placed
    lon, lat = PLACES[own]
    served = 0
    for asked in ASKED[own]:
        with quiet():
            tms = morecantile.tms.get(asked)
            tiles = [tms.tile(lon + 0.13, lat + 0.13, z) for z in range(tms.minzoom, 9)]
        for tile in tiles:
            at = (tile.z, tile.x, tile.y)
            url = tile_url(tile=at).replace("WebMercatorQuad", asked)
            if server.get(url, overviews="false").status_code == 400:
                continue  # more of the index than one request may read
            shown, live = server.picture(url), server.picture(url, overviews="false")
            served += "X-Overview" in shown.headers
            where = asked, at
            assert not (live.valid & ~grown(shown.valid, 1)).any(), where
            if shown.valid.any() and live.valid.any():
                assert not (shown.valid & ~grown(live.valid, 2)).any(), where
                assert off(shown, TileAddress(asked, *at), lon, lat) <= 1.5, where
    assert served > min(20, 8 * len(ASKED[own]))


def grown(valid: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """A mask and some pixels around it."""
    size, padded = len(valid), np.pad(valid, by)
    span = range(2 * by + 1)
    parts = [padded[y : y + size, x : x + size] for y in span for x in span]
    found: NDArray[np.bool_] = np.logical_or.reduce(parts)
    return found


def off(shown: Picture, tile: TileAddress, lon: float, lat: float) -> float:
    """How far values are from the ones of their places, in pixels."""
    grid = tile.grid(256)
    centres = np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5)
    places = transformer(grid.crs, LONLAT).transform(*(grid.transform @ tuple(centres)))
    furthest = 0.0
    for band, at, first in zip(shown.data, places, (lon, lat), strict=True):
        wanted = BASE + SLOPE * (np.asarray(at) - first)
        with np.errstate(invalid="ignore"):  # far away, where nothing is valid
            pixel = sum(np.abs(step)[shown.valid].max() for step in np.gradient(wanted))
            error = np.abs(band - wanted)[shown.valid].max()
        furthest = max(furthest, (error - SLOPE * SIZE / PIXELS) / pixel)
    return furthest
