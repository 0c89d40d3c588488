"""How deep within its footprint a pixel lies; shapely is the oracle."""

import math

import morecantile
import numpy as np
import pytest
import shapely
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, Polygon, box

from livemosaic.geo.cells import cell_grid
from livemosaic.model.raster import Grid
from livemosaic.render.stack.feather import LEAST, Feather
from livemosaic.tiler.views import TileAddress

WEB = morecantile.tms.get("WebMercatorQuad")
CELLS = cell_grid("WebMercatorQuad")
LEFT, TOP = -20037508.342789244, 20037508.342789244


def star(points: int, seed: int = 0) -> MultiPolygon:
    """Around 7.5° east, 45.5° north, up to 0.2° from there."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * math.pi, points, endpoint=False)
    radius = 0.2 * rng.uniform(0.5, 1, points)
    xy = np.column_stack([7.5 + radius * np.cos(angle), 45.5 + radius * np.sin(angle)])
    return MultiPolygon([Polygon(xy, [box(7.48, 45.49, 7.51, 45.5).exterior])])


def tile(z: int, lon: float = 7.55, lat: float = 45.52) -> Grid:
    found = WEB.tile(lon, lat, z)
    return TileAddress("WebMercatorQuad", z, found.x, found.y).grid(256)


def depth(footprint: MultiPolygon, grid: Grid) -> np.ndarray:
    return Feather.of(footprint, CELLS, grid).depth(slice(0, grid.height))


def by_shapely(footprint: MultiPolygon, grid: Grid) -> np.ndarray:
    """In pixels, exact, and 0 outside."""
    projected = CELLS.project(footprint)
    column, row = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    points = shapely.points(*(grid.transform @ (column, row)))
    away = shapely.distance(points, projected.boundary) / grid.transform.a
    shapely.prepare(projected)
    return np.where(shapely.contains(projected, points), away, 0)


@pytest.mark.parametrize("points", [4, 300])
@pytest.mark.parametrize("z", [7, 10, 12], ids="zoom {}".format)
def test_it_is_the_distance_to_the_edge_and_holes_have_edges(points: int, z: int) -> None:
    grid = tile(z)
    found = depth(star(points), grid)
    exact = by_shapely(star(points), grid)
    np.testing.assert_allclose(found, np.maximum(exact, LEAST), rtol=0, atol=LEAST)
    assert found.dtype == np.float32


def test_neighbours_agree_with_one_picture_over_both() -> None:
    west = TileAddress("WebMercatorQuad", 10, 533, 366).grid(256)
    east = TileAddress("WebMercatorQuad", 10, 534, 366).grid(256)
    left, bottom, _, top = west.bounds
    both = Grid(west.crs, (left, bottom, east.bounds[2], top), 512, 256)
    for seed in range(5):
        footprint = star(60, seed)
        apart = np.hstack([depth(footprint, grid) for grid in (west, east)])
        assert apart.max() > 50
        np.testing.assert_array_equal(apart, depth(footprint, both))


def test_rows_measured_apart_are_those_of_the_whole() -> None:
    feather = Feather.of(star(60), CELLS, tile(10))
    rows = [slice(0, 1), slice(1, 100), slice(100, 256)]
    whole = feather.depth(slice(0, 256))
    np.testing.assert_array_equal(np.vstack([feather.depth(each) for each in rows]), whole)


def test_the_edge_of_the_picture_is_no_edge() -> None:
    grid = tile(14)
    assert depth(MultiPolygon([box(7, 45, 8, 46)]), grid).min() > 1000


def test_outside_it_is_the_least() -> None:
    assert (depth(MultiPolygon([box(1, 1, 2, 2)]), tile(10)) == LEAST).all()
    assert (depth(MultiPolygon(), tile(10)) == LEAST).all()


def test_where_a_footprint_is_cut_at_the_antimeridian_it_has_no_edge() -> None:
    footprint = MultiPolygon([box(179, -1, 180, 1), box(-180, -1, -179, 1)])
    for lon in (179.99, -179.99):
        found = depth(footprint, tile(10, lon, 0.3))
        assert found.min() > 250  # pixels; 0.6° to the north or 0.9° to the ends are more


def test_beyond_the_antimeridian_the_edge_is_as_near_as_anywhere() -> None:
    footprint = MultiPolygon([box(179, -1, 180, 1), box(-180, -1, -179.99, 1)])
    last = TileAddress("WebMercatorQuad", 10, 1023, 511).grid(256)
    ends = 0.01 / 360 * 256 * 2**10  # pixels
    assert depth(footprint, last)[200, -1] == pytest.approx(ends + 0.5, abs=LEAST)


def test_a_footprint_of_all_the_world_has_no_edge_at_all() -> None:
    found = depth(MultiPolygon([box(-180, -90, 180, 90)]), tile(3))
    assert (found == found[0, 0]).all()
    assert np.isfinite(found).all()
    assert found[0, 0] > 10_000


def test_pixels_may_be_of_another_crs_than_the_cells() -> None:
    """0.001° are a pixel of this grid, and the footprint's edges are 0.1° from its middle."""
    grid = Grid(CRS.from_epsg(4326), (7.4, 45.4, 7.6, 45.6), 201, 201)
    found = depth(MultiPolygon([box(7.4, 45.4, 7.6, 45.6)]), grid)
    assert found[100, 100] == pytest.approx(100.5, abs=0.1)
    assert found[100, 20] == pytest.approx(20.5, abs=0.1)
    assert found[20, 100] == pytest.approx(20.5, abs=0.1)
