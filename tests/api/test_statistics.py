"""Statistics of areas: those of rio-tiler, whatever the size of the area."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import shapely.affinity
from rasterio.crs import CRS
from rio_tiler.io import Reader
from rio_tiler.models import ImageData
from rio_tiler.mosaic import mosaic_reader

from api.served import LEFT, RIGHT, Server, footprint, quiet, scene, serving
from cogs import write_cog
from items import box
from livemosaic.api.routes import statistics
from livemosaic.table.sqlite import SqliteTable
from livemosaic.tiler import zonal

LONLAT = CRS.from_epsg(4326)
ON_EDGES = 2 if np.lib.NumpyVersion(np.__version__) < "2.5.0" else 6
"""Pixels, of thousands, on the edge of a bin, where our sums and rio-tiler's may round apart."""
WEST, NORTH, STEP = 7.0, 46.0, 0.001
"""Where rasters in degrees start, and the size of their pixels."""
WIDTH, HEIGHT = 300, 200

TRIANGLE = shapely.Polygon([(7.0213, 45.9871), (7.2877, 45.9012), (7.1103, 45.8155)])
# Not on the edges of pixels, of which rounding would decide.
TWO = shapely.union_all(
    [
        shapely.Point(7.05, 45.95).buffer(0.0304) - shapely.Point(7.05, 45.95).buffer(0.01),
        shapely.box(7.20037, 45.81234, 7.40012, 45.90012),
    ]
)


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    given = geometry if isinstance(geometry, dict | None) else shapely.geometry.mapping(geometry)
    return {"type": "Feature", "properties": properties, "geometry": given}


def collection(*features: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def ask(server: Server, document: Any, mosaic: str = "m", **query: Any) -> Any:
    return server.client.post(f"/mosaics/{mosaic}/statistics", json=document, params=query)


def told(server: Server, area: Any, **query: Any) -> dict[str, Any]:
    """Properties of one area."""
    answer = ask(server, feature(area), **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/geo+json"
    properties: dict[str, Any] = answer.json()["properties"]
    return properties


def publish(
    server: Server, name: str, values: Any, *, left: int = 0, day: int = 1, **how: Any
) -> Path:
    """A raster in degrees that starts so many pixels from the west."""
    bands = np.asarray(values)
    _, height, width = bands.shape
    west = WEST + left * STEP
    bounds = west, NORTH - height * STEP, west + width * STEP, NORTH
    path = write_cog(server.folder / f"{name}.tif", bands, crs=LONLAT, bounds=bounds, **how)
    server.add(scene(name, server.url(path), day=day) | {"geometry": box(*bounds)})
    return path


def of_rio_tiler(
    paths: Sequence[Path], area: Any, *, cover_scale: int = 10, **how: Any
) -> ImageData:
    """What TiTiler's endpoint does: picture and coverage."""

    def part(path: Path, shape: Any, **how: Any) -> ImageData:
        with Reader(str(path)) as source:
            return source.feature(shape, align_bounds_with_dataset=True, **how)

    with quiet():
        image, _ = mosaic_reader(paths, part, feature(area), threads=0, **how)
        coverage = image.get_coverage_array(feature(area), cover_scale=cover_scale)
    return image, coverage.astype(np.float64)  # in float32 it would not add up


TOUCHED = {"masked_pixels": 2, "valid_pixels": 2, "valid_percent": 0.02}
"""A pixel that an area only touches may be in or out, by the last digits."""


def assert_same(ours: Mapping[str, Any], theirs: Mapping[str, Any], rel: float = 2e-5) -> None:
    assert ours.keys() == theirs.keys()
    for band, expected in theirs.items():
        for name, value in dict(expected).items():
            if name == "histogram":
                assert np.abs(np.subtract(ours[band][name][0], value[0])).sum() <= ON_EDGES
                assert ours[band][name][1] == pytest.approx(value[1], rel=rel)
            elif value is None or value != value:
                assert ours[band][name] is None
            elif isinstance(value, str):
                assert ours[band][name] == value
            else:
                some = TOUCHED.get(name)
                assert ours[band][name] == pytest.approx(value, rel=rel, abs=some), (band, name)


@pytest.fixture
def noise() -> Any:
    drawn = np.random.default_rng(11).normal(1000, 300, (2, HEIGHT, WIDTH)).clip(1, 9999)
    drawn[:, 60:80, 50:150] = 0
    return drawn.astype("uint16")


@pytest.fixture
def two(server: Server, noise: Any) -> tuple[Server, list[Path]]:
    """The upper one has holes; the lower one shows in them and beside it."""
    below = publish(server, "below", noise // 2, left=WIDTH // 3, day=1)
    above = publish(server, "above", noise, day=2, nodata=0)
    return server, [above, below]


AREAS = pytest.mark.parametrize("area", [TRIANGLE, TWO], ids=["triangle", "two"])


class TestAsRioTiler:
    @AREAS
    @pytest.mark.parametrize("scale", [10, 3])
    def test_of_each_band_in_each_area(self, two: Any, area: Any, scale: int) -> None:
        server, paths = two
        image, coverage = of_rio_tiler(paths, area, cover_scale=scale)
        properties = told(server, area, cover_scale=scale)
        assert properties["used_assets"] == ["above", "below"]
        assert_same(properties["statistics"], image.statistics(coverage=coverage))

    @pytest.mark.parametrize(
        ("query", "how"),
        [
            ({"p": [0, 33, 100]}, {"percentiles": [0, 33, 100]}),
            ({"histogram_bins": "5"}, {"hist_options": {"bins": 5}}),
            ({"histogram_bins": "0,900,2000"}, {"hist_options": {"bins": [0, 900, 2000]}}),
            ({"histogram_range": "500,1500"}, {"hist_options": {"range": [500, 1500]}}),
            ({"categorical": True}, {"categorical": True}),
            (
                {"categorical": True, "c": [900, 901, 3]},
                {"categorical": True, "categories": [900, 901, 3]},
            ),
        ],
        ids=str,
    )
    def test_what_is_asked_of_the_values(self, two: Any, query: Any, how: Any) -> None:
        server, paths = two
        image, coverage = of_rio_tiler(paths, TRIANGLE)
        theirs = image.statistics(coverage=coverage, **how)
        assert_same(told(server, TRIANGLE, **query)["statistics"], theirs)

    @pytest.mark.parametrize(
        "query",
        [{"max_size": 40}, {"width": 70, "height": 90}, {"width": 50}, {"height": 50}],
        ids=str,
    )
    def test_how_many_pixels_it_has(self, two: Any, query: Any) -> None:
        """Fewer pixels are taken of the scenes, and not always the same of two as near."""
        server, paths = two
        image, coverage = of_rio_tiler(paths, TRIANGLE, **query)
        ours = told(server, TRIANGLE, **query)["statistics"]
        for band, theirs in image.statistics(coverage=coverage).items():
            for name in ("count", "valid_pixels", "masked_pixels", "valid_percent"):
                assert ours[band][name] == pytest.approx(getattr(theirs, name), rel=0.01), name
            assert ours[band]["mean"] == pytest.approx(theirs.mean, rel=0.02)

    def test_in_another_crs(self, two: Any) -> None:
        server, paths = two
        utm = CRS.from_epsg(32632)
        image, coverage = of_rio_tiler(paths, TRIANGLE, dst_crs=utm)
        ours = told(server, TRIANGLE, dst_crs="EPSG:32632")["statistics"]
        for band, theirs in image.statistics(coverage=coverage).items():
            for name in ("mean", "std", "count", "median", "percentile_2"):
                assert ours[band][name] == pytest.approx(getattr(theirs, name), rel=0.01), name
        in_utm = shapely.geometry.shape(_moved(TRIANGLE, utm))
        again = told(server, in_utm, coord_crs="EPSG:32632")["statistics"]
        assert again["b1"]["mean"] == pytest.approx(ours["b1"]["mean"], rel=1e-3)

    def test_of_an_expression_by_number(self, two: Any) -> None:
        server, paths = two
        ours = told(server, TRIANGLE, expression="b1-b2;b2/2")["statistics"]
        image, coverage = of_rio_tiler(paths, TRIANGLE, expression="b1*1.0-b2;b2/2.0")
        theirs = image.statistics(coverage=coverage)
        assert [ours[band]["description"] for band in ("b1", "b2")] == ["b1-b2", "b2/2"]
        for band in ("b1", "b2"):
            for name in ("mean", "count", "min", "percentile_98"):
                assert ours[band][name] == pytest.approx(getattr(theirs[band], name), rel=1e-3)

    def test_of_nodata_alone(self, server: Server) -> None:
        path = publish(server, "empty", np.zeros((2, HEIGHT, WIDTH), np.uint8), nodata=0)
        image, coverage = of_rio_tiler([path], TRIANGLE)
        properties = told(server, TRIANGLE)
        assert_same(properties["statistics"], image.statistics(coverage=coverage))
        assert properties["used_assets"] == []


def _moved(geometry: Any, crs: CRS) -> Any:
    from rasterio.warp import transform_geom

    return transform_geom(LONLAT, crs, shapely.geometry.mapping(geometry))


class TestLargeAreas:
    """Read in blocks, each a picture of its own."""

    @AREAS
    def test_blocks_are_as_good_as_one(
        self, two: Any, area: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server, _ = two
        whole = told(server, area)
        monkeypatch.setattr(zonal, "_BLOCK", 37)
        blocks = told(server, area)
        assert sorted(blocks["used_assets"]) == sorted(whole["used_assets"])
        assert_same(blocks["statistics"], whole["statistics"])

    def test_no_picture_is_larger_than_a_block(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows, columns = np.indices((1100, 2300), np.uint16)
        publish(server, "wide", (rows + columns)[None])
        sizes: list[int] = []
        real = server.services.tiler.make.__func__

        async def seen(tiler: Any, draft: Any) -> Any:
            sizes.append(draft.grid.width * draft.grid.height)
            return await real(tiler, draft)

        monkeypatch.setattr(type(server.services.tiler), "make", seen)
        area = shapely.box(WEST, NORTH - 1100 * STEP, WEST + 2300 * STEP, NORTH)
        (band,) = told(server, area)["statistics"].values()
        assert len(sizes) == 6
        assert max(sizes) == 1024 * 1024
        values = (rows + columns).astype(float)
        assert band["valid_pixels"] == values.size
        assert band["mean"] == pytest.approx(values.mean(), rel=1e-4)
        assert band["std"] == pytest.approx(values.std(), rel=1e-4)
        assert (band["min"], band["max"], band["unique"]) == (0, values.max(), 1 + values.max())

    def test_blocks_beside_the_area_are_not_read(
        self, two: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server, _ = two
        monkeypatch.setattr(zonal, "_BLOCK", 10)
        corners = shapely.MultiPolygon(
            [shapely.box(7.001, 45.991, 7.004, 45.994), shapely.box(7.251, 45.811, 7.254, 45.814)]
        )
        # All of the box would be 500 blocks, of which the settings allow two.
        monkeypatch.setattr(server.services.settings, "max_statistics_pixels", 250)
        assert told(server, corners)["statistics"]["b1"]["count"] == pytest.approx(18, rel=0.2)

    def test_each_block_reads_as_many_scenes_as_a_picture_and_says_what_was_left_out(
        self, sqlite_table: SqliteTable, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(sqlite_table, folder, max_scenes=1) as server:
            server.create()
            for n in range(4):
                publish(server, f"s{n}", np.full((1, 50, 50), n + 1, np.uint8), left=50 * n)
            area = shapely.box(WEST, NORTH - 0.05, WEST + 0.2, NORTH)
            one = told(server, area)
            assert (len(one["used_assets"]), one["truncated"]) == (1, "max_scenes=1")
            monkeypatch.setattr(zonal, "_BLOCK", 50)
            several = told(server, area)
            assert sorted(several["used_assets"]) == ["s0", "s1", "s2", "s3"]
            assert "truncated" not in several
            assert several["statistics"]["b1"]["mean"] == pytest.approx(2.5, rel=1e-3)

    def test_more_of_the_index_than_one_look_takes_is_no_hindrance(self, server: Server) -> None:
        server.create("deep", minzoom=9)
        server.publish("a", 5, mosaic="deep")
        here = shapely.geometry.shape(footprint((9, 9, 30, 30)))
        area = shapely.union(here, shapely.affinity.translate(here, 8, 7))
        answer = ask(server, feature(area), mosaic="deep")
        assert answer.status_code == 200, answer.text
        assert answer.json()["properties"]["used_assets"] == ["a"]
        assert answer.json()["properties"]["statistics"]["b1"]["mean"] == 5

    def test_too_many_pixels_are_refused_with_a_way_out(
        self, two: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server, _ = two
        monkeypatch.setattr(server.services.settings, "max_statistics_pixels", 10_000)
        answer = ask(server, feature(TRIANGLE))
        assert answer.status_code == 400
        assert "10,000" in answer.json()["detail"]
        assert "max_size=100" in answer.json()["detail"]
        assert ask(server, feature(TRIANGLE), max_size=100).status_code == 200

    def test_too_few_for_the_minzoom_are_refused(self, server: Server) -> None:
        server.create("deep", minzoom=10)
        server.publish("a", 5, mosaic="deep")
        answer = ask(server, feature(footprint()), mosaic="deep", max_size=20)
        assert answer.status_code == 400
        assert "minzoom 10" in answer.json()["detail"]

    def test_what_takes_too_long_is_given_up(
        self, two: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server, _ = two
        monkeypatch.setattr(server.services.settings, "max_statistics_s", 1e-6)
        answer = ask(server, feature(TRIANGLE))
        assert answer.status_code == 400
        assert "max_size" in answer.json()["detail"]


class TestFeatures:
    def test_all_that_they_had_they_keep(self, server: Server) -> None:
        server.publish("left", 1, LEFT)
        server.publish("right", 2, RIGHT)
        parts = [(10, 10, 30, 30), (200, 10, 230, 30)]
        sent = collection(*(feature(footprint(p), n=n) for n, p in enumerate(parts)))
        sent["features"][0] |= {"id": "first", "bbox": [1, 2, 3, 4]}
        sent["name"] = "mine"
        answer = ask(server, sent).json()
        assert answer["name"] == "mine"
        for n, got in enumerate(answer["features"]):
            assert got["properties"].pop("statistics")["b1"]["mean"] == n + 1
            assert got["properties"].pop("used_assets") == [["left"], ["right"]][n]
            assert got == sent["features"][n]

    def test_one_without_scenes_is_empty_beside_others(self, server: Server) -> None:
        server.publish("a", 1)
        sent = collection(feature(box(20, 20, 20.1, 20.1)), feature(footprint((9, 9, 30, 30))))
        empty, full = (f["properties"] for f in ask(server, sent).json()["features"])
        assert (empty["statistics"], empty["used_assets"]) == ({}, [])
        assert full["statistics"]["b1"]["max"] == 1

    def test_where_no_scene_is_at_all_there_is_no_content(self, server: Server) -> None:
        server.publish("a", 1)
        answer = ask(server, feature(box(20, 20, 20.1, 20.1)))
        assert (answer.status_code, answer.content) == (204, b"")

    def test_there_is_an_end_to_what_is_told_of_many(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.publish("a", 1)
        monkeypatch.setattr(statistics, "_MAX_COUNTS", 20)
        area = feature(footprint((9, 9, 12, 12)))
        assert ask(server, collection(area, area)).status_code == 200
        answer = ask(server, collection(area, area, area))
        assert answer.status_code == 400
        assert "30 counts" in answer.json()["detail"]

    def test_an_empty_collection_is_one(self, server: Server) -> None:
        assert ask(server, collection()).json() == collection()

    def test_properties_may_be_null(self, server: Server) -> None:
        server.publish("a", 1)
        sent = feature(footprint((9, 9, 30, 30))) | {"properties": None}
        assert ask(server, sent).json()["properties"]["statistics"]["b1"]["max"] == 1

    def test_scenes_that_cannot_be_read_are_told(self, server: Server) -> None:
        server.publish("below", 3, day=1)
        server.add(scene("gone", server.url("nowhere.tif"), day=2))
        properties = told(server, footprint((9, 9, 30, 30)))
        assert (properties["used_assets"], properties["statistics"]["b1"]["mean"]) == (["below"], 3)
        assert [each["name"] for each in properties["skipped_assets"]] == ["gone"]
        assert "nowhere.tif" in properties["skipped_assets"][0]["why"]

    def test_across_the_antimeridian_it_is_one_area(self, server: Server) -> None:
        bounds = 179.9, -17.1, 180.1, -17.0
        path = server.folder / "dateline.tif"
        columns = np.broadcast_to(np.arange(200), (1, 100, 200)).astype("uint8")
        write_cog(path, columns, crs=LONLAT, bounds=bounds)
        halves = [box(179.9, -17.1, 180, -17.0), box(-180, -17.1, -179.9, -17.0)]
        both = {"type": "MultiPolygon", "coordinates": [half["coordinates"] for half in halves]}
        server.add(scene("a", server.url(path)) | {"geometry": both})
        band = told(server, both)["statistics"]["b1"]
        assert (band["min"], band["max"]) == (0, 199)
        assert band["count"] == pytest.approx(20_000, rel=1e-2)
        assert band["mean"] == pytest.approx(99.5, rel=1e-2)


class TestRule:
    def test_it_makes_the_pixels_that_count(self, server: Server) -> None:
        for day, value in ((1, 30), (2, 10), (3, 50)):
            server.publish(f"s{day}", value, day=day)
        area = footprint((9, 9, 30, 30))
        for query, value in (
            ({}, 50),
            ({"operation": "last"}, 30),
            ({"operation": "mean"}, 30),
            ({"pixel_selection": "highest"}, 50),
            ({"ids": "s2"}, 10),
        ):
            assert told(server, area, **query)["statistics"]["b1"]["mean"] == value, query

    def test_an_algorithm_goes_before(self, server: Server) -> None:
        server.publish("a", [30, 10])
        area = footprint((9, 9, 30, 30))
        bands = told(server, area, algorithm="normalizedIndex")["statistics"]
        assert list(bands) == ["b1"]
        assert bands["b1"]["mean"] == pytest.approx(-0.5, rel=1e-3)

    def test_one_that_takes_pixels_away_is_refused(self, server: Server) -> None:
        server.publish("a", 30)
        answer = ask(server, feature(footprint((9, 9, 90, 90))), algorithm="hillshade")
        assert answer.status_code == 400
        assert "buffer" in answer.json()["detail"]

    def test_a_palette_keeps_its_values(self, server: Server) -> None:
        server.publish("a", 2, colormap={2: (255, 0, 0, 255)})
        bands = told(server, footprint((9, 9, 30, 30)))["statistics"]
        assert list(bands) == ["b1"]
        assert bands["b1"]["max"] == 2


MANY = [[7 + n / 1e6, 45 + (n % 2) / 1e3] for n in range(200_000)]
BOW = [[7.8, 45.6], [8.0, 45.8], [8.0, 45.6], [7.8, 45.8], [7.8, 45.6]]

BAD = {
    "p": ("-1", "101", "nan", "2.5", ["1"] * 101),
    "c": ("nan", "inf", "x", ["1"] * 1001),
    "histogram_bins": (
        "0",
        "1001",
        "1.5",
        "x",
        "3,2",
        "1,1",
        "nan",
        "1e400",
        "-3",
        "1," * 1001 + "1",
    ),
    "histogram_range": ("1", "2,1", "nan,1", "0,inf", "-1e308,1e308", "a,b"),
    "cover_scale": ("0", "1001", "-1", "x"),
    "max_size": ("0", "-5", "x", "1000000000"),
    "width": ("0", "1000000000"),
    "dst_crs": ("EPSG:0", "/etc/passwd", "EPSG:2"),
}


class TestBadInput:
    @pytest.mark.parametrize(
        "document",
        [
            feature(None),
            {"type": "Feature", "properties": {}},
            feature({"type": "Point", "coordinates": [7.6, 45.5]}),
            feature({"type": "Polygon", "coordinates": []}),
            feature({"type": "Polygon", "coordinates": [[]]}),
            feature({"type": "Polygon", "coordinates": [[[7, 45], [8, 46]]]}),
            feature({"type": "Polygon", "coordinates": [[[7, 45], [7, 45], [7, 45], [7, 45]]]}),
            feature({"type": "Polygon", "coordinates": [[["x", 45], [8, 46], [7, 46], [7, 45]]]}),
            feature({"type": "Polygon", "coordinates": "nothing"}),
            feature({"type": "GeometryCollection", "geometries": []}),
            feature({"type": "Polygon", "coordinates": [MANY]}),
            feature(box(7, 95, 8, 96)),
            feature(footprint()) | {"properties": [1]},
            {"type": "FeatureCollection"},
            {"type": "FeatureCollection", "features": {}},
            {"type": "FeatureCollection", "features": [None]},
            collection(*[feature(footprint())] * 501),
            footprint(),
            {},
            [],
            None,
        ],
        ids=lambda document: json.dumps(document)[:60],
    )
    def test_what_is_no_area_is_refused(self, server: Server, document: Any) -> None:
        server.publish("a", 1)
        answer = ask(server, document)
        assert answer.status_code == 400, answer.text
        assert answer.json()["detail"]

    @pytest.mark.parametrize(
        "body",
        [
            json.dumps(feature(footprint((9, 9, 30, 30)), x=float("nan"))),
            json.dumps(feature(footprint((9, 9, 30, 30)))).replace("45.", "Infinity+45.", 1),
            json.dumps(feature({"type": "Polygon", "coordinates": [[[float("nan"), 45]] * 5]})),
            "{",
            "[" * 50_000,
            b"\xff\xfe",
        ],
        ids=["nan-property", "no-json", "nan-coordinate", "cut", "deep", "no-text"],
    )
    def test_what_is_no_json_is_refused(self, server: Server, body: Any) -> None:
        server.publish("a", 1)
        answer = server.client.post(
            "/mosaics/m/statistics", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400, answer.text

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *((name, value) for name, values in BAD.items() for value in values),
            ("coord_crs", "EPSG:1"),
            ("expression", "9**9**9"),
            ("bidx", "9"),
            ("assets", "swir"),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_what_can_not_be_asked_is_refused(self, server: Server, name: str, value: Any) -> None:
        server.publish("a", [1, 2])
        answer = ask(server, feature(footprint((9, 9, 30, 30))), **{name: value})
        assert answer.status_code == 400, answer.text

    def test_an_area_that_crosses_itself_counts_by_the_even_odd_rule(self, server: Server) -> None:
        server.publish("a", 4)
        band = told(server, {"type": "Polygon", "coordinates": [BOW]})["statistics"]["b1"]
        whole = told(server, box(7.8, 45.6, 8.0, 45.8))["statistics"]["b1"]
        assert band["mean"] == 4
        assert band["count"] == pytest.approx(whole["count"] / 2, rel=0.02)

    def test_as_many_pixels_along_the_edge_as_would_take_minutes_are_refused(
        self, server: Server
    ) -> None:
        server.publish("a", 4)
        query = {"width": 1000, "height": 1000, "cover_scale": 1000}
        answer = ask(server, feature({"type": "Polygon", "coordinates": [BOW]}), **query)
        assert answer.status_code == 400
        assert "cover_scale" in answer.json()["detail"]

    def test_a_mosaic_that_is_not_there_is_not_found(self, server: Server) -> None:
        assert ask(server, feature(footprint()), mosaic="nowhere").status_code == 404


@pytest.mark.parametrize("value", [1e17, 1e300, -3e38, 1e-310])
def test_any_constant_has_statistics(server: Server, value: float) -> None:
    server.publish("a", value, dtype="float64")
    found = told(server, footprint(LEFT))["statistics"]["b1"]
    assert (found["min"], found["max"], found["std"]) == (value, value, 0)
    assert [len(part) for part in found["histogram"]] in ([10, 11], [0, 0])
