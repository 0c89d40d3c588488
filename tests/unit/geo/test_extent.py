"""Bounds on the globe, where ±180 are one meridian."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import shapely
from shapely.geometry import MultiPolygon, Point, box, mapping

from livemosaic.errors import InvalidItemError
from livemosaic.geo.antimeridian import extent, middle, united
from livemosaic.geo.footprint import footprint
from livemosaic.model.raster import BBox

FAULTS = Path(__file__).parents[3].parent / "shared" / "faults" / "items"
WORLD = (-180.0, -90.0, 180.0, 90.0)


def of(*spans: tuple[float, float]) -> MultiPolygon:
    return MultiPolygon([box(west, 0, east, 10) for west, east in spans])


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        (((7, 8),), (7, 8)),
        (((179, 180), (-180, -178)), (179, -178)),
        (((176, 179), (-179.5, -178)), (176, -178)),
        (((60, 180), (-180, -60)), (60, -60)),
        (((-120, -70), (70, 90)), (-120, 90)),
        (((-180, 180),), (-180, 180)),
        (((-180, 0), (0, 180)), (-180, 180)),
        (((-180, -179), (178, 180), (10, 20)), (10, -179)),
    ],
)
def test_bounds_cross_the_antimeridian_where_the_polygons_do(
    spans: tuple[tuple[float, float], ...], expected: tuple[float, float]
) -> None:
    for order in permutations(spans):
        west, _, east, _ = extent(of(*order))
        assert (west, east) == expected


def test_growing_bounds_hold_all_that_they_held_and_stay_if_nothing_is_new() -> None:
    places: list[BBox] = [
        (float(w), 0.0, float(w + 9 - 360 * (w > 171)), 1.0) for w in range(-180, 180, 7)
    ]
    for first in places:
        for second in places:
            both = united(first, second)
            for one in (first, second):
                assert united(both, one) == both


def test_the_middle_is_within_180() -> None:
    assert middle((178, -19, -179, -16)) == (179.5, -17.5)
    assert middle((178, 0, -170, 10)) == (-176, 5)
    assert middle(WORLD) == (0, 0)


@pytest.mark.parametrize(
    ("west", "east"),
    [(0, 360), (-360, 0), (-180.25, 179.75), (-179.95, 180.05), (0, 359.75), (0.125, 359.875)],
)
@pytest.mark.parametrize("lat", [90, 90.125, 60, 85])
@pytest.mark.parametrize("dense", [False, True])
def test_a_globe_is_found_everywhere_on_whatever_turn(
    west: float, east: float, lat: float, dense: bool
) -> None:
    outline = box(west, -lat, east, lat)
    found = footprint(mapping(shapely.segmentize(outline, 10) if dense else outline))
    for lon in (-179, -100, -0.5, 0.5, 100, 179):
        assert found.intersects(Point(lon, 40)), lon
    assert found.bounds[0] >= -180
    assert found.bounds[2] <= 180
    assert abs(found.bounds[1]) == found.bounds[3] == min(lat, 90)


@pytest.mark.parametrize(
    "bbox", [[0, -90, 360, 90], [-180.05, -90.05, 179.95, 90.05], [0, -60, 359.5, 60]]
)
def test_a_bbox_stands_for_a_missing_geometry_on_whatever_turn(bbox: list[float]) -> None:
    found = footprint(None, bbox)
    assert found.intersects(Point(-100, 40))
    assert found.intersects(Point(100, 40))
    assert extent(found)[::2] == pytest.approx((-180, 180))


def test_a_bbox_from_350_to_10_crosses_greenwich() -> None:
    assert footprint(None, [350, 40, 10, 50]).bounds == (-10, 40, 10, 50)


@pytest.mark.parametrize(
    "outline",
    [box(0, 70, 10, 90.125), box(-20, -90.25, 30, -60), box(0, -90.05, 10, -89)],
)
def test_some_pixels_beyond_a_pole_are_clamped(outline: Any) -> None:
    assert max(map(abs, footprint(mapping(outline)).bounds[1::2])) == 90


@pytest.mark.parametrize(
    "outline",
    [box(24, 88.5, 25, 90.5), box(10, 120, 11, 121), box(40, -91, 48, -89), box(7, 45, 8, 91)],
)
def test_swapped_axes_are_still_refused(outline: Any) -> None:
    with pytest.raises(InvalidItemError, match="swapped"):
        footprint(mapping(outline))


@pytest.mark.skipif(not FAULTS.is_dir(), reason="needs ../shared/faults")
@pytest.mark.parametrize("name", ["01-globe-0-360", "02-half-pixel-beyond-pole"])
def test_faulty_items_are_found_west_and_east(name: str) -> None:
    for line in (FAULTS / f"{name}.ndjson").read_text().splitlines():
        found = footprint(json.loads(line)["geometry"])
        assert found.intersects(Point(-100, 10))
        assert found.intersects(Point(100, 10))
        assert extent(found)[::2] == (-180, 180)
