"""The pixels of a tile that a footprint claims, as runs and as a mask."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.geo.rasterize import Outline
from livemosaic.model.raster import Grid, Mask, Runs

WEB, UTM = CRS.from_epsg(3857), CRS.from_epsg(32632)
GRID = Grid(WEB, (1_000_000.0, 5_999_920.0, 1_000_100.0, 6_000_000.0), 10, 8)
"""Pixels of 10 m."""

Ring = NDArray[np.float64]
halves = st.integers(-40, 140).map(lambda n: n / 2)
rings = st.lists(
    st.one_of(st.tuples(halves, halves), st.tuples(st.floats(-20, 120), st.floats(-20, 100))),
    min_size=3,
    max_size=8,
).map(np.array)
"""Corners in metres from the upper left of the grid, some on pixel centres and edges."""


def placed(ring: Ring) -> Ring:
    return ring * (1, -1) + (GRID.bounds[0], GRID.bounds[3])


def filled(outline: Outline) -> Mask:
    """Each pixel centre alone: inside where it has an odd number of edges on its left."""
    column, row = np.meshgrid(np.arange(outline.width) + 0.5, np.arange(outline.height) + 0.5)
    inside = np.zeros(column.shape, np.bool_)
    for xs, ys in outline.lines:
        corners = [*zip(xs.tolist(), ys.tolist(), strict=True)]
        for (x, y), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
            if y != y2:
                is_across = (min(y, y2) <= row) & (row < max(y, y2))
                inside ^= is_across & (x + (row - y) / (y2 - y) * (x2 - x) <= column)
    return inside


@given(st.lists(rings, min_size=1, max_size=3))
@example([np.array([(0.0, 0), (0, 0), (98.4375, 98.4375)])])
def test_it_claims_the_pixels_whose_centres_it_holds(shapes: list[Ring]) -> None:
    """Also with holes, parts of it, and rings that cross themselves."""
    outline = Outline.of([placed(shape) for shape in shapes], WEB, GRID)
    expected, runs = filled(outline), outline.runs()
    assert (outline.burn() == expected).all()
    assert (bool(runs), runs.count) == (expected.any(), expected.sum())


@given(st.lists(arrays(np.bool_, (3, 5)), max_size=4))
def test_runs_are_the_masks_that_they_are_made_of(masks: list[Mask]) -> None:
    several = [Runs.of(mask) for mask in masks]
    assert all((one.mask(3, 5) == mask).all() for one, mask in zip(several, masks, strict=True))
    expected = np.logical_or.reduce([np.zeros((3, 5), np.bool_), *masks])
    assert (Runs.union(several).mask(3, 5) == expected).all()


@given(st.lists(st.lists(rings, min_size=1, max_size=2), min_size=1, max_size=4))
def test_a_union_has_what_any_outline_has(shapes: list[list[Ring]]) -> None:
    """Runs of outlines touch, and are empty here and there."""
    outlines = [Outline.of([placed(ring) for ring in each], WEB, GRID) for each in shapes]
    union = Runs.union([outline.runs() for outline in outlines])
    expected = np.logical_or.reduce([outline.burn() for outline in outlines])
    assert (union.mask(GRID.height, GRID.width) == expected).all()
    assert (bool(union), union.count) == (expected.any(), expected.sum())


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        pytest.param([(-50, -50), (150, -50), (150, 150), (-50, 150)], True, id="around all"),
        pytest.param([(0, 0), (100, 0), (100, 80), (0, 80)], True, id="just it"),
        pytest.param([(100, 0), (200, 0), (200, 80), (100, 80)], False, id="beside"),
        pytest.param([(0, 80), (100, 80), (100, 90), (0, 90)], False, id="below"),
        pytest.param([(14, 14), (16, 14), (16, 16), (14, 16)], True, id="around one centre"),
        pytest.param([(16, 16), (24, 16), (24, 24), (16, 24)], False, id="between centres"),
        pytest.param([(-90, 79), (-90, 200), (100, 200)], False, id="slanted past a corner"),
    ],
)
def test_where_it_lies(corners: list[tuple[float, float]], expected: bool) -> None:
    assert bool(Outline.of([placed(np.array(corners, float))], WEB, GRID).runs()) is expected


@pytest.mark.parametrize(
    ("crs", "world"), [(WEB, 40075016.685578488), (CRS.from_epsg(4326), 360.0)], ids=["m", "°"]
)
@pytest.mark.parametrize("side", [-1, 1])
def test_beyond_the_antimeridian_lies_the_other_side(crs: CRS, world: float, side: int) -> None:
    """A grid from 170 to 190 degrees, or the other way round, and footprints at 175 and -178."""
    x, unit = side * world / 2, world / 360
    grid = Grid(crs, (x - 10 * unit, 0, x + 10 * unit, 10 * unit), 20, 10, world)
    for lon, columns in ((175, (5, 7)), (-178, (12, 14))):
        ring = np.array([(lon, 2), (lon + 2, 2), (lon + 2, 5), (lon, 5)]) * unit
        expected = np.zeros((10, 20), bool)
        expected[5:8, slice(*columns)] = True
        assert np.array_equal(Outline.of([ring], crs, grid).burn(), expected)


def test_a_hole_around_the_tile_is_no_part_of_it() -> None:
    outer = np.array([(-90.0, -90), (190, -90), (190, 190), (-90, 190)])
    hole = np.array([(-5.0, -5), (105, -5), (105, 85), (-5, 85)])
    assert not Outline.of([placed(outer), placed(hole)], WEB, GRID).runs()
