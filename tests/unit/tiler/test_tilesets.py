"""What a mosaic reaches of each TileMatrixSet, against morecantile and the rule of tiles."""

import morecantile
import numpy as np
import pytest
from morecantile.errors import PointOutsideTMSBounds

from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.tiler.tilesets import reach
from livemosaic.tiler.views import TileAddress

PLACES: dict[str, BBox] = {
    "Alps": (7.1, 45.2, 8.3, 46.1),
    "Spitsbergen": (10.0, 76.0, 30.0, 81.0),
    "North Pole": (-180.0, 72.0, 180.0, 90.0),
    "New Zealand": (172.0, -44.0, 175.0, -40.0),
    "Antarctica": (-120.0, -89.0, 120.0, -70.0),
    "world": (-180.0, -90.0, 180.0, 90.0),
}
TMS = morecantile.tms.list()


def mosaic(bounds: BBox | None, **settings: int) -> Mosaic:
    return Mosaic(id="m", bounds=bounds, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("tms_id", TMS)
@pytest.mark.parametrize("place", PLACES)
def test_no_place_within_the_bounds_is_outside_the_limits(place: str, tms_id: str) -> None:
    """morecantile says which tiles they are on, and warns of those that are on none."""
    reached = reach(mosaic(PLACES[place]), tms_id)
    tms = morecantile.tms.get(tms_id)
    for zoom in {tms.minzoom, min(9, tms.maxzoom)}:
        tiles = [tile for at in _places(PLACES[place]) if (tile := _tile(tms, *at, zoom))]
        if reached is None:
            assert not tiles
            return
        (limits,) = reached.between(zoom, zoom).limits()
        for tile in tiles:
            assert limits.columns[0] <= tile.x <= limits.columns[1], tile
            assert limits.rows[0] <= tile.y <= limits.rows[1], tile


def _places(bounds: BBox) -> list[tuple[float, float]]:
    west, south, east, north = bounds
    lons, lats = np.linspace(west, east, 7)[1:-1], np.linspace(south, north, 6)[1:-1]
    return [(float(lon), float(lat)) for lon in lons for lat in lats]


def _tile(
    tms: morecantile.TileMatrixSet, lon: float, lat: float, zoom: int
) -> morecantile.Tile | None:
    try:
        return tms.tile(lon, lat, zoom)
    except PointOutsideTMSBounds:
        return None


@pytest.mark.parametrize("zoom", [0, 7, 14])
def test_limits_are_as_narrow_as_the_bounds(zoom: int) -> None:
    """Of a box of whole tiles, just these."""
    web = morecantile.tms.get("WebMercatorQuad")
    tile = morecantile.Tile(2**zoom // 3, 2**zoom // 5, zoom)
    reached = reach(mosaic(tuple(web.bounds(tile))), "WebMercatorQuad")
    assert reached is not None
    (limits,) = reached.between(zoom, zoom).limits()
    assert (limits.columns, limits.rows) == ((tile.x, tile.x), (tile.y, tile.y))


@pytest.mark.parametrize("tms_id", TMS)
@pytest.mark.parametrize("place", ["Alps", "New Zealand", "Spitsbergen"])
def test_zooms_are_those_at_which_tiles_amid_the_mosaic_are_served(place: str, tms_id: str) -> None:
    bounds = PLACES[place]
    m = mosaic(bounds, minzoom=6, maxzoom=11)
    reached = reach(m, tms_id)
    if reached is None:
        pytest.skip("it lies outside")
    lon, lat = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2

    def alike(zoom: int) -> int:
        tile = reached.tms.tile(lon, lat, zoom)
        return TileAddress(tms_id, zoom, tile.x, tile.y).view(m, 256).area.zoom

    every = range(reached.tms.minzoom, reached.tms.maxzoom + 1)
    served = [zoom for zoom in every if 6 <= alike(zoom) <= 11]
    assert [reached.minzoom, reached.maxzoom] == [served[0], served[-1]]


@pytest.mark.parametrize(
    ("place", "tms_id"),
    [("New Zealand", "EuropeanETRS89_LAEAQuad"), ("North Pole", "UPSAntarcticWGS84Quad")],
)
def test_a_mosaic_may_lie_outside(place: str, tms_id: str) -> None:
    assert reach(mosaic(PLACES[place]), tms_id) is None


def test_a_mosaic_without_scenes_may_come_to_lie_anywhere() -> None:
    reached = {tms_id: reach(mosaic(None), tms_id) for tms_id in TMS}
    assert all(reached.values())


def test_other_zooms_are_kept_within_the_matrix_set() -> None:
    reached = reach(mosaic(PLACES["Alps"]), "WebMercatorQuad")
    assert reached is not None
    wide, high = reached.between(-3, 99), reached.between(30, 30)
    assert (wide.minzoom, wide.maxzoom) == (0, 24)
    assert (high.minzoom, high.maxzoom) == (24, 24)


def test_an_unknown_matrix_set_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="Nowhere"):
        reach(mosaic(None), "Nowhere")
