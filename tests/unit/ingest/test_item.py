"""STAC Items become scenes."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point

from items import NOW, box, item
from livemosaic.errors import ForbiddenHrefError, InvalidItemError
from livemosaic.geo.footprint import footprint
from livemosaic.ingest.hrefs import resolve
from livemosaic.ingest.item import StacItem
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order
from livemosaic.model.rank import rank
from livemosaic.model.scene import Scene
from livemosaic.storage.allowlist import AllowList

ALLOW = AllowList(("https://", "s3://"))


def parsed(document: dict[str, Any], base: str | None = None) -> StacItem:
    return StacItem.parse(document, order=Order(NOW), base=base)


def scene(document: dict[str, Any], base: str | None = None, **settings: Any) -> Scene:
    return parsed(document, base).scene(Mosaic(id="m", **settings), ALLOW)


def polygon(*ring: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


class TestFootprint:
    def test_a_plain_polygon_stays_as_it_is(self) -> None:
        assert footprint(box(7, 45, 8, 46)).equals(shapely.box(7, 45, 8, 46))

    @pytest.mark.parametrize(
        "geometry",
        [
            pytest.param(polygon((170, 10), (-170, 10), (-170, 20), (170, 20)), id="jumps"),
            pytest.param(polygon((170, 10), (190, 10), (190, 20), (170, 20)), id="runs past 180"),
            pytest.param(polygon((-190, 10), (-170, 10), (-170, 20), (-190, 20)), id="before -180"),
            pytest.param(
                {
                    "type": "MultiPolygon",
                    "coordinates": [
                        box(170, 10, 180, 20)["coordinates"],
                        box(-180, 10, -170, 20)["coordinates"],
                    ],
                },
                id="already split",
            ),
        ],
    )
    def test_a_scene_across_the_antimeridian_is_on_both_sides(self, geometry: Any) -> None:
        found = footprint(geometry)
        assert found.area == pytest.approx(200)
        assert found.bounds == (-180, 10, 180, 20)
        assert found.contains(Point(175, 15))
        assert found.contains(Point(-175, 15))
        assert not found.contains(Point(0, 15))

    @pytest.mark.parametrize("degree", [179.9, 179.99, 180])
    def test_the_globe_is_the_globe(self, degree: float) -> None:
        lat = degree / 2
        assert footprint(box(-degree, -lat, degree, lat)).contains(Point(0, 0))
        assert footprint(box(-degree, -lat, degree, lat)).contains(Point(120, 80))

    @pytest.mark.parametrize(
        ("ring", "pole"),
        [
            pytest.param([(0, 80), (120, 80), (-120, 80)], 89.9, id="north"),
            pytest.param([(-120, 80), (120, 80), (0, 80)], 89.9, id="north, clockwise"),
            pytest.param([(0, -80), (-120, -80), (120, -80)], -89.9, id="south"),
        ],
    )
    def test_a_scene_around_a_pole_holds_the_pole(
        self, ring: list[tuple[float, float]], pole: float
    ) -> None:
        found = footprint(polygon(*ring))
        for lon in (-179, -60, 0, 100, 179):
            assert found.contains(Point(lon, pole))
        assert not found.contains(Point(0, 0))

    def test_holes_stay_holes(self) -> None:
        rings = [box(0, 0, 10, 10)["coordinates"][0], box(4, 4, 6, 6)["coordinates"][0]]
        found = footprint({"type": "Polygon", "coordinates": rings})
        assert not found.contains(Point(5, 5))
        assert found.area == pytest.approx(96)

    def test_overlapping_parts_are_one_footprint(self) -> None:
        parts = [box(0, 0, 2, 2)["coordinates"], box(1, 1, 3, 3)["coordinates"]]
        assert footprint({"type": "MultiPolygon", "coordinates": parts}).area == pytest.approx(7)

    def test_heights_are_dropped(self) -> None:
        ring = [[0, 0, 100], [1, 0, 100], [1, 1, 100], [0, 0, 100]]
        assert not footprint({"type": "Polygon", "coordinates": [ring]}).has_z

    def test_a_ring_that_crosses_itself_is_its_hull(self) -> None:
        corners = polygon((0, 0), (2, 2), (2, 0), (0, 2))
        assert footprint(corners).equals(shapely.box(0, 0, 2, 2))

    @pytest.mark.parametrize(
        ("hole", "area"), [(box(5, 5, 6, 6), 4), (box(1, 1, 5, 5), 3)], ids=["apart", "half out"]
    )
    def test_a_hole_takes_away_what_is_within_the_shell(
        self, hole: dict[str, Any], area: float
    ) -> None:
        rings = [box(0, 0, 2, 2)["coordinates"][0], hole["coordinates"][0]]
        assert footprint({"type": "Polygon", "coordinates": rings}).area == area

    def test_a_hole_that_crosses_itself_is_none(self) -> None:
        crossing = polygon((1, 1), (2, 2), (2, 1), (1, 2))["coordinates"][0]
        rings = [box(0, 0, 3, 3)["coordinates"][0], crossing]
        assert footprint({"type": "Polygon", "coordinates": rings}).area == 9

    @pytest.mark.parametrize("lat", [85, -85])
    def test_a_hole_around_a_pole_leaves_it_out(self, lat: float) -> None:
        shell, hole = ([(0, y), (120, y), (-120, y), (0, y)] for y in (lat * 0.8, lat))
        found = footprint({"type": "Polygon", "coordinates": [shell, hole]})
        assert found.contains(Point(-100, lat * 0.9))
        assert not found.intersects(Point(-100, lat * 1.05))

    @pytest.mark.parametrize(
        "hole", [box(-178, 12, -176, 14), box(182, 12, 184, 14), box(179, 12, 181, 14)],
        ids=["in its own turn", "in the next", "across"],
    )  # fmt: skip
    def test_a_hole_across_the_antimeridian_is_one(self, hole: dict[str, Any]) -> None:
        rings = [box(170, 10, 190, 20)["coordinates"][0], hole["coordinates"][0]]
        assert footprint({"type": "Polygon", "coordinates": rings}).area == pytest.approx(196)

    def test_a_crossing_ring_across_the_antimeridian_is_its_hull_on_both_sides(self) -> None:
        found = footprint(polygon((170, 10), (-170, 20), (-170, 10), (170, 20)))
        expected = shapely.union(shapely.box(170, 10, 180, 20), shapely.box(-180, 10, -170, 20))
        assert found.equals(expected)

    @pytest.mark.parametrize(
        ("bbox", "area"),
        [
            pytest.param([7, 45, 8, 46], 1, id="4 numbers"),
            pytest.param([7, 45, 0, 8, 46, 900], 1, id="with heights"),
            pytest.param([170, 10, -170, 20], 200, id="across the antimeridian"),
            pytest.param([-120, 0, 120, 10], 2400, id="more than half of the globe"),
            pytest.param([-180, -90, 180, 90], 64800, id="the globe"),
        ],
    )
    def test_without_a_geometry_the_bbox_is_one(self, bbox: list[float], area: float) -> None:
        assert footprint(None, bbox).area == pytest.approx(area)

    @pytest.mark.parametrize("bbox", [[], [7, 45, 8], ["7", 45, 8, 46], 5, {}, [7, 45, 5e6, 46]])
    def test_a_bad_bbox_is_no_geometry(self, bbox: Any) -> None:
        with pytest.raises(InvalidItemError, match="is not west, south, east, north"):
            footprint(None, bbox)

    @given(
        st.lists(
            st.lists(
                st.lists(st.tuples(st.floats(-360, 360), st.floats(-90, 90)), max_size=8),
                max_size=3,
            ),
            max_size=3,
        )
    )
    def test_any_rings_are_a_valid_footprint_or_refused(self, rings: Any) -> None:
        try:
            found = footprint({"type": "MultiPolygon", "coordinates": rings})
        except InvalidItemError:
            return
        assert found.is_valid
        assert found.area > 0
        assert shapely.box(-180, -90, 180, 90).buffer(1e-9).covers(found)

    @pytest.mark.parametrize(
        ("geometry", "says"),
        [
            pytest.param(None, "has no geometry", id="none"),
            pytest.param({"type": "Point", "coordinates": [0, 0]}, "'Point'", id="point"),
            pytest.param(box(0, 88, 1, 91), "latitude 91", id="beyond the pole"),
            pytest.param(box(0, 0, 400, 1), "longitude 400", id="longitude"),
            pytest.param(
                polygon((0, 0), (1, 1), (2, 2)),
                r"no area.*\[0\.0, 0\.0, 2\.0, 2\.0\]",
                id="no area",
            ),
            pytest.param({"type": "Polygon", "coordinates": []}, "no coordinates", id="empty"),
            pytest.param({"type": "Polygon"}, "do not make a Polygon", id="no coordinates"),
            pytest.param(
                {"type": "Polygon", "coordinates": [[[["x"]]]]}, "do not make", id="nested wrongly"
            ),
            pytest.param(
                {"type": "Polygon", "coordinates": [[[0, 0], [1, float("nan")], [1, 1], [0, 0]]]},
                "not finite",
                id="nan",
            ),
            pytest.param(
                {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "do not make", id="2"
            ),
        ],
    )
    def test_a_bad_geometry_is_refused_with_the_value(self, geometry: Any, says: str) -> None:
        with pytest.raises(InvalidItemError, match=says):
            footprint(geometry)


class TestRank:
    @given(
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(allow_nan=False, allow_infinity=False),
    )
    def test_ranks_sort_as_the_numbers_do(self, a: float, b: float) -> None:
        up = [rank("cloud", {"cloud": value}) for value in (a, b)]
        down = [rank("-cloud", {"cloud": value}) for value in (a, b)]
        assert (up[0] < up[1]) == (a < b)
        assert (down[0] < down[1]) == (a > b)

    def test_the_newest_is_on_top_by_default(self) -> None:
        times = ["2026-01-02T00:00:00Z", "2026-01-01T23:59:59.5Z", "2026-01-01T23:30:00+02:00"]
        ranks = [scene(item(datetime=time)).rank for time in times]
        assert ranks == sorted(ranks)
        assert len(set(ranks)) == 3

    def test_without_the_property_a_scene_is_at_the_bottom(self) -> None:
        assert rank("-cloud", {}) > rank("-cloud", {"cloud": -1e300})
        assert rank("cloud", {"cloud": "high"}) == rank("cloud", {})

    @pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), True, [1]])
    def test_a_value_that_is_no_number_to_sort_by_is_at_the_bottom(self, value: Any) -> None:
        assert rank("cloud", {"cloud": value}) == rank("cloud", {})

    def test_a_time_range_sorts_by_its_start(self) -> None:
        ranged = {"datetime": None, "start_datetime": "2026-01-01T00:00:00Z"}
        assert rank("-datetime", ranged) == rank("-datetime", {"datetime": "2026-01-01T00:00:00Z"})


class TestVersion:
    def test_the_event_decides_and_of_one_moment_the_time_of_update(self) -> None:
        assert scene(item(updated="2026-02-01T01:00:00+01:00")).version.startswith(
            "2026-03-01T12:00:00.000000Z~2026-02-01T00:00:00.000000Z#"
        )
        assert scene(item()).version.startswith("2026-03-01T12:00:00.000000Z#")

    def test_equal_content_has_an_equal_version_and_links_do_not_count(self) -> None:
        assert scene(item()).version == scene(item(links=[{"rel": "x"}])).version
        assert scene(item()).version != scene(item(datetime="2025-01-01T00:00:00Z")).version

    def test_times_of_any_precision_are_read(self) -> None:
        for updated in ("2026-01-01T00:00:00.123456789Z", "2026-01-01t00:00:00z"):
            order = parsed(item(updated=updated)).order
            assert order.partition("~")[2].startswith("2026-01-01T00:00:00")

    def test_an_event_time_of_another_zone_means_the_same(self) -> None:
        assert parsed(item()).order == "2026-03-01T12:00:00.000000Z"
        assert datetime.fromisoformat(parsed(item()).order) == NOW.astimezone(UTC)


class TestAssets:
    TIFFS: ClassVar = {
        "visual": {"href": "https://e.com/v.tif", "type": "image/tiff; application=geotiff"},
        "B04": {"href": "s3://bucket/b04.TIF"},
        "thumbnail": {"href": "https://e.com/t.tif", "type": "image/tiff", "roles": ["thumbnail"]},
        "meta": {"href": "https://e.com/m.json", "type": "application/json"},
    }

    def test_geotiffs_are_kept_and_thumbnails_are_not(self) -> None:
        assert list(scene(item(assets=self.TIFFS)).assets) == ["visual", "B04"]

    def test_a_mosaic_keeps_what_it_names(self) -> None:
        assert scene(item(assets=self.TIFFS), assets=("B04",)).assets == {
            "B04": "s3://bucket/b04.TIF"
        }

    def test_an_item_with_nothing_to_keep_is_refused(self) -> None:
        with pytest.raises(InvalidItemError, match=r"mosaic 'm' keeps \(B08\); its assets: visual"):
            scene(item(assets=self.TIFFS), assets=("B08",))

    @pytest.mark.parametrize(
        "href",
        ["file:///etc/a.tif", "/etc/a.tif", "http://e.com/a.tif", "/vsicurl/https://e.com/a.tif",
         "https://e.com/../a.tif", "https://u:p@e.com/a.tif", "https://169.254.169.254/a.tif"],
    )  # fmt: skip
    def test_a_forbidden_href_refuses_the_item(self, href: str) -> None:
        with pytest.raises(ForbiddenHrefError):
            scene(item(href=href))

    @pytest.mark.parametrize(
        ("href", "base", "expected"),
        [
            ("./a.tif", "s3://bucket/x/item.json", "s3://bucket/x/a.tif"),
            ("../a.tif", "https://e.com/x/y/item.json", "https://e.com/x/a.tif"),
            ("a.tif", "/data/item.json", "/data/a.tif"),
            ("https://e.com/a.tif", "/data/item.json", "https://e.com/a.tif"),
        ],
    )
    def test_a_relative_href_starts_where_the_item_is(
        self, href: str, base: str, expected: str
    ) -> None:
        assert resolve(href, base) == expected

    def test_a_self_link_says_where_the_item_is(self) -> None:
        links = [{"rel": "self", "href": "https://e.com/x/item.json"}]
        assert scene(item(href="a.tif", links=links)).assets["visual"] == "https://e.com/x/a.tif"

    def test_a_relative_href_from_nowhere_is_refused(self) -> None:
        with pytest.raises(InvalidItemError, match=r"'a\.tif' is relative"):
            scene(item(href="a.tif"))

    def test_properties_that_the_mosaic_names_are_kept(self) -> None:
        document = item(properties={"eo:cloud_cover": 3, "platform": "s2a"})
        assert scene(document, properties=("eo:cloud_cover",)).properties == {"eo:cloud_cover": 3}


class TestBadItems:
    @pytest.mark.parametrize(
        ("document", "says"),
        [
            pytest.param({}, "type is 'None'", id="empty"),
            pytest.param(item() | {"type": "Collection"}, "'Collection'", id="a collection"),
            pytest.param(item() | {"stac_version": "0.7.0"}, "'0.7.0'", id="old STAC"),
            pytest.param(item() | {"id": ""}, "id ''", id="no id"),
            pytest.param(item() | {"id": 5}, "id '5'", id="a number as id"),
            pytest.param(item("x" * 513), "512 bytes", id="a long id"),
            pytest.param(item("a\nb"), "control characters", id="a line break"),
            pytest.param(item("\ud800"), "control characters", id="a lone surrogate"),
            pytest.param(item(collection="a#b"), "without '#'", id="a collection with #"),
            pytest.param(item() | {"properties": None}, "properties is NoneType", id="properties"),
            pytest.param(item() | {"assets": []}, "assets is list", id="assets"),
            pytest.param(item(updated="yesterday"), "updated 'yesterday'", id="updated"),
            pytest.param(item(datetime="noon"), "datetime 'noon'", id="datetime"),
            pytest.param(item(assets={"a.tif": {"type": "image/tiff"}}), "no href", id="no href"),
        ],
    )  # fmt: skip
    def test_it_is_refused_and_says_why(self, document: dict[str, Any], says: str) -> None:
        with pytest.raises(InvalidItemError, match=says):
            scene(document)
