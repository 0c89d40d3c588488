"""Boxes in other CRS, against rasterio and against all that lies in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform_bounds

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import Box, lonlat_bounds
from livemosaic.geo.crs import transformer
from livemosaic.model.raster import Grid

LONLAT, WEB = CRS.from_epsg(4326), CRS.from_epsg(3857)
WORLD = 40075016.685578488
lons, lats = st.floats(-179, 179), st.floats(-80, 80)
widths = st.floats(0.001, 30)


@pytest.mark.parametrize("epsg", [3857, 32632, 3035, 2056])
def test_it_is_the_box_of_rasterio(epsg: int) -> None:
    bounds = (7.0, 45.0, 9.5, 47.0)
    moved = Box.of(LONLAT, bounds).to(CRS.from_epsg(epsg)).bounds
    assert moved == pytest.approx(transform_bounds(LONLAT, CRS.from_epsg(epsg), *bounds))
    back = Box(CRS.from_epsg(epsg), moved).to(LONLAT).bounds
    assert back == pytest.approx(transform_bounds(CRS.from_epsg(epsg), LONLAT, *moved))


@pytest.mark.parametrize("crs", [WEB, CRS.from_epsg(3413), CRS.from_epsg(3832)])
@given(west=lons, south=lats, width=widths, height=st.floats(0.001, 9))
def test_all_of_a_box_is_in_that_of_another_crs(
    crs: CRS, west: float, south: float, width: float, height: float
) -> None:
    """Also where it goes beyond the antimeridian; to within a thousandth of its size, or five of
    one that goes around the world, as where a CRS is cut. Web Mercator ends at its square."""
    east = west + width if west + width <= 180 else west + width - 360
    box = Box.of(LONLAT, (west, south, east, south + height))
    left, bottom, right, top = box.to(crs).bounds
    lon, lat = np.meshgrid(np.linspace(west, west + width, 7), np.linspace(south, box.bounds[3], 7))
    x, y = transformer(LONLAT, crs).transform((lon + 180) % 360 - 180, lat)
    x = np.where((x < left) & (right > WORLD / 2) & (crs == WEB), x + WORLD, x)
    y = np.minimum(y, WORLD / 2) if crs == WEB else y
    near = (5e-3 if right - left > 0.9 * WORLD else 1e-3) * max(right - left, top - bottom)
    assert (x >= left - near).all() and (x <= right + near).all()
    assert (y >= bottom - near).all() and (y <= top + near).all()


@pytest.mark.parametrize(
    ("crs", "bounds", "to", "moved"),
    [
        (LONLAT, (170, -1, -170, 1), LONLAT, (170, -1, 190, 1)),
        (LONLAT, (-180, 0, 180, 85.06), WEB, (-WORLD / 2, 0, WORLD / 2, WORLD / 2)),
        (LONLAT, (190, 0, 200, 1), WEB, (190 / 360 * WORLD, 0, 200 / 360 * WORLD, 111325.14)),
        (WEB, (WORLD * 0.4, 0, WORLD * 0.6, 1), LONLAT, (144, 0, 216, 8.98e-6)),
        (CRS.from_epsg(32660), (7e5, 0, 9e5, 1e5), WEB, (19903596.87, 0, 20103361.87, 100668.46)),
        (CRS.from_epsg(3413), (-1e6, -1e6, 1e6, 1e6), LONLAT, (-180, 76.9988, 180, 90)),
    ],
    ids=["across", "world", "beyond", "back", "utm across", "around the pole"],
)
def test_the_edge_of_the_world_is_no_end(
    crs: CRS, bounds: tuple[float, ...], to: CRS, moved: tuple[float, ...]
) -> None:
    assert Box.of(crs, bounds).to(to).bounds == pytest.approx(moved, rel=1e-4, abs=1e-6)


def test_a_crs_with_a_cut_there_has_no_box_across_it() -> None:
    with pytest.raises(InvalidRequestError, match="is cut; ask for its two sides"):
        Box.of(LONLAT, (170, -1, -170, 1)).to(CRS.from_epsg(6933))


@pytest.mark.parametrize(
    ("crs", "bounds"),
    [(LONLAT, (170, -10, 190, 10)), (WEB, (WORLD * 0.475, -1e6, WORLD * 0.525, 1e6))],
    ids=["degrees", "metres"],
)
def test_a_grid_across_the_antimeridian_is_there_on_the_globe(
    crs: CRS, bounds: tuple[float, float, float, float]
) -> None:
    west, south, east, north = lonlat_bounds(Grid(crs, bounds, 256, 256), LONLAT)
    assert (west, east) == pytest.approx((170, -170), abs=2)
    assert (south, north) == pytest.approx((-10, 10), abs=2)


def test_a_grid_partly_off_the_globe_is_where_the_rest_of_it_is() -> None:
    west, south, east, north = lonlat_bounds(
        Grid(CRS.from_epsg(3035), (0, 0, 2e7, 2e7), 256, 256), LONLAT
    )
    assert west < -29 and east > 150 and south < 21 and north == 90
