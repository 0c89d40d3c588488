"""The values of a place: of every scene there, and of what the rule makes of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from affine import Affine
from rasterio.crs import CRS
from rio_tiler.io import Reader

from api.served import EDGE, LEFT, RIGHT, SIZE, STEP, WEB, WHOLE, Server, quiet, scene, serving
from cogs import positions, write_cog
from items import box
from livemosaic.table.sqlite import SqliteTable


def place(column: float, row: float) -> tuple[float, float]:
    """Longitude and latitude of pixels of the tile that rasters are made on."""
    lon, lat = WEB.lnglat(EDGE.left + column * STEP, EDGE.top - row * STEP)
    return lon, lat


INSIDE = place(10.5, 10.5)


def point(server: Server, at: tuple[float, float] = INSIDE, **query: Any) -> Any:
    return server.get(f"/mosaics/m/point/{float(at[0])!r},{float(at[1])!r}", **query)


def told(server: Server, at: tuple[float, float] = INSIDE, **query: Any) -> dict[str, Any]:
    answer = point(server, at, **query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def of_scenes(document: dict[str, Any]) -> dict[str, list[float | None]]:
    return {each["name"]: each["values"] for each in document["assets"]}


class TestEveryScene:
    def test_all_are_told_top_first_and_the_one_that_shows(self, server: Server) -> None:
        for day in (2, 1, 3):
            server.publish(f"s{day}", [day, 10 * day], day=day)
        document = told(server)
        assert document["coordinates"] == list(INSIDE)
        assert list(of_scenes(document).items()) == [
            ("s3", [3, 30]),
            ("s2", [2, 20]),
            ("s1", [1, 10]),
        ]
        assert (document["values"], document["band_names"]) == ([3, 30], ["b1", "b2"])
        assert (document["skipped"], document["truncated"]) == ([], None)

    @pytest.mark.parametrize(
        ("dtype", "value", "nodata"),
        [
            ("int64", 9007199254740993, 9007199254740992),
            ("int64", -9223372036854775807, None),
            ("uint64", 18446744073709551613, None),
        ],
    )
    def test_integers_of_64_bits_are_exact(
        self, server: Server, dtype: str, value: int, nodata: int | None
    ) -> None:
        """float64 has neither the value nor its difference from nodata."""
        pixels = np.full((1, SIZE, SIZE), value, dtype)
        server.publish("exact", pixels, nodata=nodata)
        document = told(server)
        assert document["values"] == [value]
        assert of_scenes(document) == {"exact": [value]}

    def test_scenes_beside_it_are_not(self, server: Server) -> None:
        server.publish("left", 1, LEFT)
        server.publish("right", 2, RIGHT)
        assert of_scenes(told(server)) == {"left": [1]}
        assert of_scenes(told(server, place(200, 10))) == {"right": [2]}

    def test_where_a_scene_has_a_hole_it_has_no_value_and_the_one_below_shows(
        self, server: Server
    ) -> None:
        holed = np.full((2, SIZE, SIZE), 7, np.uint8)
        holed[:, 10, 10] = 0
        server.publish("below", [1, 2], day=1)
        server.publish("holed", holed, day=2, nodata=0)
        document = told(server)
        assert of_scenes(document) == {"holed": [None, None], "below": [1, 2]}
        assert document["values"] == [1, 2]
        assert told(server, place(11.5, 10.5))["values"] == [7, 7]

    def test_nothing_but_nodata_is_null(self, server: Server) -> None:
        server.publish("empty", 0, nodata=0)
        document = told(server)
        assert of_scenes(document) == {"empty": [None]}
        assert document["values"] == [None]

    def test_what_no_json_number_can_be_is_null(self, server: Server) -> None:
        server.publish("odd", [np.inf, 1.5], dtype="float32")
        assert told(server)["values"] == [None, 1.5]

    def test_unreadable_scenes_are_told_with_the_reason(self, server: Server) -> None:
        server.publish("below", 1, day=1)
        server.add(scene("gone", server.url("nowhere.tif"), day=2))
        document = told(server)
        assert of_scenes(document) == {"below": [1]}
        assert document["values"] == [1]
        (skipped,) = document["skipped"]
        assert skipped["name"] == "gone"
        assert "nowhere.tif" in skipped["why"]

    def test_if_none_can_be_read_that_is_all_there_is_to_say(self, server: Server) -> None:
        server.add(scene("gone", server.url("nowhere.tif")))
        document = told(server)
        assert (document["assets"], document["values"]) == ([], [])
        assert [each["name"] for each in document["skipped"]] == ["gone"]

    def test_of_two_hundred_as_many_are_told_as_may_be_read(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        with serving(sqlite_table, folder, max_scenes=199) as server:
            server.create()
            path = server.publish("top", 5, day=28)
            server.add(*(scene(f"s{n:03}", server.url(path)) for n in range(199)))
            document = told(server)
            assert (len(document["assets"]), document["truncated"]) == (199, "max_scenes=199")
            fewer = told(server, max_scenes=20)
            assert fewer["assets"] == document["assets"][:20]
            assert fewer["assets"][0]["name"] == "top"
            assert fewer["truncated"] == "max_scenes=20"


class TestRule:
    @pytest.fixture
    def three(self, server: Server) -> Server:
        for day, value in ((1, 30), (2, 10), (3, 50)):
            server.publish(f"s{day}", value, day=day)
        return server

    @pytest.mark.parametrize(
        ("operation", "value"),
        [("first", 50), ("last", 30), ("min", 10), ("mean", 30), ("sum", 90), ("count", 3)],
    )
    def test_it_makes_one_value_of_all(self, three: Server, operation: str, value: float) -> None:
        document = told(three, operation=operation)
        assert document["values"] == [value]
        assert sorted(of_scenes(document)) == ["s1", "s2", "s3"]

    def test_it_chooses_and_orders(self, three: Server) -> None:
        document = told(three, sortby="datetime", ids="s1,s2")
        assert list(of_scenes(document)) == ["s1", "s2"]
        assert document["values"] == [30]

    def test_a_place_is_no_sliver(self, three: Server) -> None:
        assert len(told(three, min_pixels=100)["assets"]) == 3

    def test_scenes_are_listed_without_being_read(self, three: Server) -> None:
        lon, lat = INSIDE
        (three.folder / "s2-1.tif").unlink()
        listed = three.get(f"/mosaics/m/point/{lon},{lat}/assets", ids="s1,s2").json()["scenes"]
        assert [(each["id"], each["read"]) for each in listed] == [("s2", True), ("s1", True)]
        assert listed[0]["assets"]["visual"].endswith(".tif")


class TestValues:
    def test_an_expression_is_told_by_number_and_described_by_its_text(
        self, server: Server
    ) -> None:
        server.publish("a", [3, 4])
        document = told(server, expression="b1*b2;b2/2")
        assert document["values"] == [12, 2]
        assert document["band_names"] == document["assets"][0]["band_names"] == ["b1", "b2"]
        assert document["band_descriptions"] == ["b1*b2", "b2/2"]

    def test_bands_and_nodata_are_chosen(self, server: Server) -> None:
        server.publish("a", [3, 4])
        document = told(server, bidx=2)
        assert (document["values"], document["band_names"]) == ([4], ["b2"])
        assert told(server, bidx=2, nodata=4)["values"] == [None]

    def test_a_palette_keeps_its_values(self, server: Server) -> None:
        server.publish("a", 2, colormap={2: (255, 0, 0, 255)})
        assert told(server)["values"] == [2]

    def test_a_band_that_no_scene_has_is_refused(self, server: Server) -> None:
        server.publish("a", 1)
        assert point(server, bidx=9).status_code == 400

    def test_values_between_pixels_are_never_mixed(self, server: Server) -> None:
        columns = np.broadcast_to(np.arange(SIZE), (1, SIZE, SIZE)).astype("uint8")
        server.publish("a", columns)
        assert told(server, place(99.9, 3), resampling="cubic")["values"] == [99]


PLACES = {
    "utm": (32633, Affine(10, 0, 500_000, 0, -10, 5_300_000)),
    "lonlat": (4326, Affine(1e-4, 0, 14, 0, -1e-4, 50)),
    "mercator": (3857, Affine(10, 0, 1_500_003, 0, -10, 6_000_007)),
    "polar": (3413, Affine(30, 0, 300_000, 0, -30, -900_000)),
    "rotated": (32633, Affine(8, 6, 500_000, 6, -8, 5_300_000)),
    "centimetres": (32633, Affine(0.01, 0, 500_000, 0, -0.01, 5_300_000)),
}
EXTENT = 500
"""Pixels along an edge of rasters that hold their own columns and rows."""


@pytest.fixture(params=PLACES)
def raster(request: pytest.FixtureRequest, server: Server) -> Any:
    epsg, transform = PLACES[request.param]
    path = server.folder / "positions.tif"
    write_cog(
        path,
        positions(EXTENT, EXTENT),
        crs=CRS.from_epsg(epsg),
        transform=transform,
        overviews=[2, 4, 8],
    )
    to_lonlat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    corners = [transform @ at for at in ((0, 0), (EXTENT, 0), (EXTENT, EXTENT), (0, EXTENT))]
    lons, lats = to_lonlat.transform(*zip(*corners, strict=True))
    around = box(min(lons) - 0.01, min(lats) - 0.01, max(lons) + 0.01, max(lats) + 0.01)
    server.add(scene("a", server.url(path)) | {"geometry": around})
    return server, path, transform, to_lonlat, epsg


class TestThePixelThatHoldsThePlace:
    """At full resolution: rasters have overviews, of which none may be taken."""

    def test_it_is_the_one_that_rio_tiler_takes(self, raster: Any) -> None:
        server, path, transform, to_lonlat, epsg = raster
        drawn = np.random.default_rng(3).uniform(1, EXTENT - 1, (12, 2))
        with quiet(), Reader(str(path)) as source:
            for column, row in drawn:
                x, y = transform @ (column, row)
                lon, lat = to_lonlat.transform(x, y)
                theirs = source.point(lon, lat).array.tolist()
                assert told(server, (lon, lat))["values"] == theirs == [int(column), int(row)]
                of_crs = told(server, (x, y), coord_crs=f"EPSG:{epsg}")
                assert of_crs["values"] == theirs
                assert of_crs["coordinates"] == [x, y]

    @pytest.mark.parametrize("beside", [1e-3, -1e-3])
    def test_the_next_pixel_starts_at_its_edge(self, raster: Any, beside: float) -> None:
        server, _, transform, _, epsg = raster
        at = transform @ (300 + beside, 400 - beside)
        values = told(server, at, coord_crs=f"EPSG:{epsg}")["values"]
        assert values == [300 + (-1 if beside < 0 else 0), 400 + (-1 if beside > 0 else 0)]

    def test_beyond_the_last_pixel_there_is_none(self, raster: Any) -> None:
        server, _, transform, _, epsg = raster
        inside, outside = (transform @ (EXTENT + off, 5.5) for off in (-1e-3, 1e-3))
        assert told(server, inside, coord_crs=f"EPSG:{epsg}")["values"] == [EXTENT - 1, 5]
        assert told(server, outside, coord_crs=f"EPSG:{epsg}")["values"] == [None, None]


class TestWhere:
    @pytest.mark.parametrize("at", ["20,20", "-0.0,0", "180,0", "-180,-90", "0,90"])
    def test_a_place_without_scenes_has_no_content(self, server: Server, at: str) -> None:
        server.publish("a", 1)
        answer = server.get(f"/mosaics/m/point/{at}")
        assert (answer.status_code, answer.content) == (204, b"")

    @pytest.mark.parametrize(
        "at", ["181,3", "3,90.5", "nan,3", "3,nan", "1e400,3", "3,-inf", "x,3", "3,٣x", "1e3,0"]
    )
    @pytest.mark.parametrize("suffix", ["", "/assets"])
    def test_what_is_no_place_is_refused(self, server: Server, at: str, suffix: str) -> None:
        answer = server.get(f"/mosaics/m/point/{at}{suffix}")
        assert answer.status_code == 400, answer.text
        assert "point" in answer.json()["detail"] or "number" in answer.json()["detail"]

    @pytest.mark.parametrize("crs", ["EPSG:999999", "/etc/passwd", "+proj=longlat", "x" * 200])
    def test_what_is_no_crs_is_refused(self, server: Server, crs: str) -> None:
        assert point(server, coord_crs=crs).status_code == 400

    def test_on_both_sides_of_the_antimeridian_it_is_one_place(self, server: Server) -> None:
        path = server.folder / "dateline.tif"
        crs, transform = CRS.from_epsg(3832), Affine(100, 0, 3_300_000, 0, -100, 0)
        to_lonlat = pyproj.Transformer.from_crs(3832, 4326, always_xy=True)
        write_cog(path, positions(900, 900), crs=crs, transform=transform)
        edges = to_lonlat.transform([3_300_000, 3_390_000], [0, -90_000])
        west, east, north, south = edges[0][0], edges[0][1], edges[1][0], edges[1][1]
        halves = [box(west, south, 180, north), box(-180, south, east, north)]
        footprint = {"type": "MultiPolygon", "coordinates": [h["coordinates"] for h in halves]}
        server.add(scene("a", server.url(path)) | {"geometry": footprint})
        for column in (5.5, 420.5, 895.5):
            at = to_lonlat.transform(*(transform @ (column, 7.5)))
            assert told(server, at)["values"] == [int(column), 7]

    def test_a_mosaic_that_is_not_there_is_not_found(self, server: Server) -> None:
        assert server.get("/mosaics/nowhere/point/1,1").status_code == 404


def test_it_needs_no_zoom(server: Server) -> None:
    """The minzoom of a mosaic limits pictures; a place is as deep as can be."""
    server.create("deep", minzoom=13, quadkey_zoom=14)
    server.publish("a", 4, WHOLE, mosaic="deep")
    lon, lat = INSIDE
    assert server.get(f"/mosaics/deep/point/{lon},{lat}").json()["values"] == [4]


@pytest.mark.parametrize("column", [64, 128, 192])
@pytest.mark.parametrize("beside", [-1e-14, 0, 8e-15])
def test_a_point_at_the_edge_of_index_cells_is_in_one_of_them(
    server: Server, column: int, beside: float
) -> None:
    server.publish("a", 7)
    lon, lat = place(column, 10.5)
    assert told(server, (lon + beside, lat))["values"] == [7]
