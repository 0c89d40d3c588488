"""Footprints of rings that change from 180 to -180, and of positions of several lengths."""

from typing import Any

import pytest
from shapely.geometry import Point

from livemosaic.errors import InvalidItemError
from livemosaic.geo.footprint import footprint

LonLats = list[tuple[float, float]]
RINGS: dict[str, tuple[LonLats, LonLats, LonLats]] = {
    "one corner of two is at -180": (
        [(170, 10), (180, 10), (-180, 20), (170, 20)], [(175, 15)], [(0, 15), (-175, 15), (175, 80)]
    ),
    "a corner is at both": (
        [(170, 10), (180, 10), (-180, 10), (-180, 20), (170, 20)], [(175, 15)], [(0, 15)]
    ),
    "an edge goes on beyond": (
        [(170, 10), (180, 10), (-180, 12), (-170, 12), (-170, 20), (170, 20)],
        [(175, 15), (-175, 15)], [(0, 15)],
    ),
    "around the north pole": (
        [(-180, 80), (-90, 82), (0, 80), (90, 82), (180, 80)], [(0, 85), (100, 89)], [(0, 70)]
    ),
    "around the south pole": (
        [(180, -70), (90, -72), (0, -70), (-90, -72), (-180, -70)], [(0, -85)], [(0, -60), (0, 80)]
    ),
    "a band around the globe": (
        [(-180, -10), (180, -10), (180, 10), (-180, 10)], [(0, 0), (170, 9), (-170, -9)], [(0, 11)]
    ),
    "a band to the pole": (
        [(-180, 80), (180, 80), (180, 90), (-180, 90)], [(0, 85), (100, 81)], [(0, 79)]
    ),
    "Antarctica": (
        [(-180, -90), (-180, -65), (0, -60), (180, -65), (180, -90)], [(0, -80)], [(0, -50)]
    ),
}  # fmt: skip
POSITIONS: dict[str, list[list[Any]]] = {
    "heights at some": [[7, 45], [8, 45, 300], [8, 46], [7, 46, 300], [7, 45]],
    "heights and measures": [[x, y, 300, 1] for x, y in ((7, 45), (8, 45), (8, 46), (7, 45))],
    "unknown heights": [[x, y, None] for x, y in ((7, 45), (8, 45), (8, 46), (7, 45))],
}


@pytest.mark.parametrize("name", RINGS)
def test_a_ring_may_write_180_as_minus_180(name: str) -> None:
    ring, shown, hidden = RINGS[name]
    found = footprint({"type": "Polygon", "coordinates": [[*ring, ring[0]]]})
    assert [place for place in shown if not found.intersects(Point(place))] == []
    assert [place for place in hidden if found.intersects(Point(place))] == []


@pytest.mark.parametrize("name", POSITIONS)
def test_of_a_position_longitude_and_latitude_count(name: str) -> None:
    found = footprint({"type": "Polygon", "coordinates": [POSITIONS[name]]})
    assert found.bounds == (7, 45, 8, 46)


@pytest.mark.parametrize(
    "coordinates", ["a text", ["abc"], [["ab", "cd"]], 5, [[[]]], [[[[7, 45]]]]]
)
@pytest.mark.parametrize("kind", ["Polygon", "MultiPolygon"])
def test_what_is_no_ring_of_positions_is_refused(kind: str, coordinates: Any) -> None:
    with pytest.raises(InvalidItemError, match="geometry has"):
        footprint({"type": kind, "coordinates": coordinates})
