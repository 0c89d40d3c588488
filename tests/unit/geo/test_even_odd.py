"""Polygons that cross themselves are filled by the even-odd rule, in bounded work."""

from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
import shapely
from shapely.geometry import GeometryCollection, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.polygons.even_odd import even_odd


def random_polygons(seed: int, rings: int, *, lattice: bool) -> list[Polygon]:
    """On a lattice, edges overlap and vertices touch, too."""
    random = np.random.default_rng(seed)
    sizes = [(int(random.integers(3, 16)), 2) for _ in range(rings)]
    if lattice:
        return [Polygon(random.integers(0, 6, size).astype(float)) for size in sizes]
    return [Polygon(random.uniform(-100, 100, size)) for size in sizes]


def by_triangles(polygon: Polygon) -> BaseGeometry:
    """The even-odd rule: what lies in an odd number of the triangles from one vertex."""
    first, *rest = polygon.exterior.coords[:-1]
    triangles = (Polygon([first, *edge]) for edge in pairwise(rest))
    return reduce(BaseGeometry.symmetric_difference, triangles, Polygon())


def check_same(found: BaseGeometry, expected: BaseGeometry) -> None:
    assert found.is_valid
    assert found.area == pytest.approx(expected.area, rel=1e-9, abs=1e-9)
    assert found.symmetric_difference(expected).area < 1e-6


@pytest.mark.parametrize("rings", [1, 2, 3])
def test_random_polygons_are_filled_as_make_valid_fills_them(rings: int) -> None:
    for seed in range(60):
        given = MultiPolygon(random_polygons(seed, rings, lattice=False))
        valid = [part for part in shapely.get_parts(shapely.make_valid(given)) if part.area]
        check_same(even_odd(given), shapely.union_all(valid))


@pytest.mark.parametrize("rings", [1, 2, 3])
def test_edges_that_overlap_cancel_each_other(rings: int) -> None:
    """`make_valid` takes an edge that a ring goes along twice for one."""
    for seed in range(60):
        given = random_polygons(seed, rings, lattice=True)
        expected = reduce(BaseGeometry.symmetric_difference, map(by_triangles, given))
        found = even_odd(MultiPolygon(given))
        check_same(found if found.area else Polygon(), expected)


@pytest.mark.parametrize("rise", [5e-324, -5e-313, 1e-300])
def test_an_edge_that_is_level_but_for_less_than_numbers_can_divide_by(rise: float) -> None:
    found = even_odd(Polygon([(0, 0), (2, rise), (0, 1), (2, 1)]))
    assert [part.area for part in shapely.get_parts(found)] == [0.5, 0.5]


def test_a_ring_that_crosses_itself_everywhere_is_refused() -> None:
    ring = np.random.default_rng(1).uniform(-100, 100, (500, 2))
    with pytest.raises(InvalidRequestError, match="cross in more than 5,000 places"):
        even_odd(Polygon(ring))


def test_a_comb_is_refused_whose_teeth_are_all_near_each_other() -> None:
    """It crosses itself once or twice, and to find out takes the square of its edges."""
    steps = np.arange(2000)[:, None] * (1e-6, -1e-6)
    teeth = steps + (np.arange(2000)[:, None] % 2)
    with pytest.raises(InvalidRequestError, match="more than 500,000 pairs"):
        even_odd(Polygon([*teeth, (0.5, 2), (0.2, -3)]))


def test_a_long_ring_that_crosses_itself_once_is_filled() -> None:
    """A figure of eight of twenty thousand vertices: the number of edges alone is no reason."""
    turn = np.linspace(0, 2 * np.pi, 20_000, endpoint=False) + 0.1
    eight = Polygon(np.column_stack([np.sin(turn), np.sin(2 * turn)]))
    found = even_odd(eight)
    assert len(found.geoms) == 2
    assert found.area == pytest.approx(8 / 3, rel=1e-4)


def test_what_has_no_area_becomes_a_line_and_other_types_stay() -> None:
    flat = Polygon([(0, 0), (2, 2), (0, 0)])
    assert even_odd(flat).length == pytest.approx(8**0.5)
    bow = Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    both = even_odd(GeometryCollection([Point(5, 5), bow]))
    assert both.geoms[0] == Point(5, 5)
    assert both.geoms[1].area == 0.5
