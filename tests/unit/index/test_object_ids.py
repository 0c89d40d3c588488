"""Numbers of scenes: found again by their place, whatever that is."""

import pytest
import shapely
from shapely.geometry import MultiPolygon, box

from livemosaic.index.object_ids.numbers import MOST, number_of_scene, place_of
from livemosaic.model.scene import Scene


def scene(footprint: MultiPolygon, name: str = "a") -> Scene:
    return Scene(collection="s2", id=name, version="1#x", footprint=footprint, rank="~")


FOOTPRINTS = {
    "amid": MultiPolygon([box(7.1, 45.2, 8, 46)]),
    "at the antimeridian": MultiPolygon([box(-180, -5, -179, 5), box(179, -5, 180, 5)]),
    "at the north pole": MultiPolygon([box(-180, 89, 180, 90)]),
    "at the south pole": MultiPolygon([box(100, -90, 180, -89.99)]),
    "at zero": MultiPolygon([box(0, 0, 1e-6, 1e-6)]),
}


@pytest.mark.parametrize("footprint", FOOTPRINTS.values(), ids=FOOTPRINTS)
def test_the_place_in_a_number_touches_the_footprint(footprint: MultiPolygon) -> None:
    number = number_of_scene(scene(footprint))
    place = place_of(number)
    assert 0 < number <= MOST
    assert place is not None
    assert box(*place).buffer(1e-9).intersects(footprint)


def test_a_number_follows_from_the_key_and_the_first_vertex_alone() -> None:
    """Not from the order of vertices, nor from the far end of the footprint."""
    one = FOOTPRINTS["amid"]
    turned = MultiPolygon([shapely.Polygon([(8, 46), (7.1, 46), (7.1, 45.2), (8, 45.2)])])
    longer = MultiPolygon([box(7.1, 45.2, 9, 47)])
    number = number_of_scene(scene(one))
    assert number_of_scene(scene(turned)) == number_of_scene(scene(longer)) == number
    assert number_of_scene(scene(one, "b")) != number


@pytest.mark.parametrize("number", [0, -1, MOST + 1, 1 << 29])
def test_what_no_scene_has_has_no_place(number: int) -> None:
    assert place_of(number) is None
