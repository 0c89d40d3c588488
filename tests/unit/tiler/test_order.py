"""Orders of scenes: total, and the same for whoever asks, whatever scenes keep."""

import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, box

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.covering import cover
from livemosaic.geo.footprint import centre
from livemosaic.model.raster import Grid
from livemosaic.model.rule import Method, Rule
from livemosaic.model.scene import IndexedScene
from livemosaic.tiler.rules.order import ordered

CELLS = cell_grid("WebMercatorQuad")
LONLAT = CRS.from_epsg(4326)
VIEW = Grid(LONLAT, (7, 45, 9, 47), 256, 256)


def found(name: str, rank: str = "0", **told: Any) -> IndexedScene:
    place = told.pop("centre", (8.0, 46.0))
    time = told.pop("datetime", None)
    return IndexedScene(f"c#{name}", rank, "1", time, {}, told, (("0", b""),), place)


def names(scenes: list[IndexedScene], rule: Rule, view: Grid = VIEW) -> list[str]:
    return [scene.id for scene in ordered(scenes, rule, CELLS, view)]


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-3, 3),
    st.sampled_from(["a", "b", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+02:00", "2026", ""]),
    st.lists(st.integers(), max_size=1),
)
places = st.tuples(st.floats(-180, 180), st.floats(-90, 90))
scenes_met = st.lists(
    st.builds(
        found,
        st.text("abc", min_size=1, max_size=3),
        st.sampled_from(["0", "1", "~"]),
        x=values,
        centre=places,
        nadir=st.none() | places.map(list),
    ),
    max_size=6,
    unique_by=lambda scene: scene.key,
).map(lambda scenes: sorted(scenes, key=lambda scene: (scene.rank, scene.key)))
rules = st.builds(
    Rule,
    method=st.sampled_from(get_args(Method)),
    ascending=st.booleans(),
    sort_field=st.just("x"),
    sort_value=st.sampled_from([None, 1.5, "1", "b", "2026-01-01T00:00:00Z"]),
    kept_in=st.sampled_from(["", "nadir"]),
    operation=st.sampled_from(["first", "last"]),
)


class TestEveryOrder:
    @given(scenes_met, rules)
    def test_has_each_scene_once(self, scenes: list[IndexedScene], rule: Rule) -> None:
        assert sorted(names(scenes, rule)) == sorted(scene.id for scene in scenes)

    @given(scenes_met, rules, st.data())
    def test_of_two_scenes_is_the_same_whatever_others_there_are(
        self, scenes: list[IndexedScene], rule: Rule, data: st.DataObject
    ) -> None:
        """So a scene that comes or goes moves no other: an order is total."""
        some = [scene for scene in scenes if data.draw(st.booleans())]
        left = {scene.id for scene in some}
        assert names(some, rule) == [name for name in names(scenes, rule) if name in left]

    @given(scenes_met, rules)
    def test_of_last_is_that_of_first_upside_down(
        self, scenes: list[IndexedScene], rule: Rule
    ) -> None:
        last = Rule(method=rule.method, sort_field="x", operation="last", kept_in=rule.kept_in)
        first = Rule(method=rule.method, sort_field="x", kept_in=rule.kept_in)
        assert names(scenes, last) == names(scenes, first)[::-1]

    @given(scenes_met)
    def test_has_scenes_without_the_value_last_either_way(self, scenes: list[IndexedScene]) -> None:
        for ascending in (True, False):
            rule = Rule(method="attribute", sort_field="x", ascending=ascending)
            there = [
                isinstance(scene.properties["x"], int | float | str)
                for scene in ordered(scenes, rule, CELLS, VIEW)
            ]
            assert there == sorted(there, reverse=True)

    def test_gives_a_scene_met_twice_once_with_all_of_its_parts(self) -> None:
        parts = [(("00", b""),), (("01", b""),)]
        twice = [IndexedScene("c#a", "0", "1", None, {}, {}, part, (8, 46)) for part in parts]
        (whole,) = ordered(twice, Rule(operation="mean"), CELLS, VIEW)
        assert whole.parts == parts[0] + parts[1]


class TestAttribute:
    def test_numbers_times_and_text_are_each_in_their_own_order(self) -> None:
        kept = {"t": "b", "s": "2026-01-01T01:00:00+02:00", "r": "2026-01-01T00:00:00Z"}
        kept |= {"q": 10, "p": 9.5, "o": "10"}  # type: ignore[dict-item]
        scenes = [found(name, x=value) for name, value in kept.items()]
        rule = Rule(method="attribute", sort_field="x")
        assert names(scenes, rule) == ["p", "q", "s", "r", "o", "t"]

    def test_nearest_to_a_date_is_on_top(self) -> None:
        days = {"a": "2026-01-01", "b": "2026-01-11", "c": "2026-01-08"}
        scenes = [found(name, datetime=f"{day}T00:00:00Z") for name, day in days.items()]
        rule = Rule(method="attribute", sort_field="datetime", sort_value="2026-01-09")
        assert names(scenes, rule) == ["c", "b", "a"]

    def test_what_cannot_be_near_a_value_is_last(self) -> None:
        scenes = [found("a", x="text"), found("b", x=3), found("c", x="2026-01-01T00:00:00Z")]
        rule = Rule(method="attribute", sort_field="x", sort_value=2)
        assert names(scenes, rule)[0] == "b"


class TestPlaces:
    def test_the_centre_nearest_to_the_middle_of_the_view_is_on_top_across_the_antimeridian(
        self,
    ) -> None:
        view = Grid(LONLAT, (178, -1, 180, 1), 256, 256)
        scenes = [found("a", centre=(177.0, 0.0)), found("b", centre=(-179.9, 0.0))]
        assert names(scenes, Rule(method="center"), view) == ["b", "a"]

    def test_a_view_of_another_crs_has_its_middle_where_it_is(self) -> None:
        utm = Grid(CRS.from_epsg(32632), (499_000, 5_099_000, 501_000, 5_101_000), 256, 256)
        scenes = [found("a", centre=(8.0, 46.0)), found("b", centre=(9.0, 46.05))]
        assert names(scenes, Rule(method="center"), utm) == ["b", "a"]

    def test_a_view_with_no_middle_on_the_globe_is_refused(self) -> None:
        beyond = Grid(CRS.from_epsg(3573), (3e7, 3e7, 4e7, 4e7), 256, 256)
        with pytest.raises(InvalidRequestError, match="not on the globe"):
            names([found("a")], Rule(method="center"), beyond)

    def test_a_row_without_a_centre_has_that_of_its_parts(self) -> None:
        """Rows of before it was kept."""
        footprint = MultiPolygon([box(7.0, 45.0, 7.4, 45.4)])
        cells = cover(CELLS, footprint, quadkey_zoom=14, minzoom=0, max_cells=16)
        parts = tuple(
            (cell, part) for cell in cells.cells if (part := cells.part(cell)) is not None
        )
        old = IndexedScene("c#old", "9", "1", None, {}, {}, parts, None)
        near, far = found("near", centre=(7.21, 45.2)), found("far", centre=(7.3, 45.2))
        rule = Rule(method="viewpoint", viewpoint=(7.2, 45.2))
        assert names([far, near, old], rule) == ["old", "near", "far"]

    @pytest.mark.parametrize(
        "kept",
        [
            [7.0, 45.0],
            [7.0, 45.0, 786_000.0],
            {"type": "Point", "coordinates": [7.0, 45.0]},
            {"lon": 7.0, "lat": 45.0},
        ],
        ids=str,
    )
    def test_the_kept_nadir_may_be_written_in_several_ways(self, kept: Any) -> None:
        scenes = [found("a", centre=(7.1, 45.0)), found("b", at=kept)]
        rule = Rule(method="viewpoint", viewpoint=(7.0, 45.0), kept_in="at")
        assert names(scenes, rule) == ["b", "a"]

    @pytest.mark.parametrize("kept", [None, "7,45", [7], [7, 91], {"lon": "7"}, [None, 1]], ids=str)
    def test_one_that_is_no_place_is_not_gone_by(self, kept: Any) -> None:
        scenes = [found("a", centre=(8.0, 46.1)), found("b", at=kept)]
        assert names(scenes, Rule(method="nadir", kept_in="at")) == ["b", "a"]

    def test_the_point_below_the_sensor_follows_from_the_angles(self) -> None:
        """Looking west from 10° east of the scene: incidence less off-nadir, along the equator."""
        angles = {"view:azimuth": 270, "view:off_nadir": 30, "view:incidence_angle": 40}
        looked = found("looked", **angles, centre=(8.0, 0.0))
        others = [found("a", centre=(17.9, 0.0)), found("b", centre=(18.2, 0.0))]
        rule = Rule(method="viewpoint", viewpoint=(18.0, 0.0))
        assert names([*others, looked], rule) == ["looked", "a", "b"]


class TestCentre:
    @pytest.mark.parametrize(
        ("boxes", "expected"),
        [
            ([(7, 45, 9, 47)], (8, 46)),
            ([(178, 0, 180, 2), (-180, 0, -178, 2)], (180, 1)),
            ([(179, 0, 180, 2), (-180, 0, -177, 2)], (-179, 1)),
            ([(-180, -90, 180, 90)], (0, 0)),
        ],
        ids=str,
    )
    def test_it_is_where_the_scene_is(
        self, boxes: list[tuple[float, ...]], expected: tuple[float, float]
    ) -> None:
        lon, lat = centre(MultiPolygon([box(*one) for one in boxes]))
        assert (math.isclose(lon, expected[0]), lat) == (True, expected[1])
