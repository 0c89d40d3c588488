"""Pictures of boxes: of any size, in any CRS, pixel by pixel against rio-tiler."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.warp import transform_bounds

from api import rio
from api.rio import UTM
from api.served import AUTHORIZED, Server, quiet, scene, serving
from items import box
from livemosaic.table.sqlite import SqliteTable

INSIDE = (rio.LEFT + 5_000, rio.TOP - 35_000, rio.LEFT + 35_000, rio.TOP - 5_000)
"""Of both scenes, in UTM, along edges of pixels."""
OUTSIDE = (rio.LEFT - 4_000, rio.TOP - 46_000, rio.LEFT + 46_000, rio.TOP + 4_000)


@pytest.fixture(scope="module")
def two(kept: Server) -> tuple[Server, list[Path]]:
    """Two scenes, one upon the other, and their files, top first."""
    return kept, rio.publish_two(kept)


def url(bounds: Sequence[float], suffix: str = "") -> str:
    return f"/mosaics/m/bbox/{','.join(map(str, bounds))}{suffix}"


def lonlat(bounds: Sequence[float], crs: str = UTM) -> tuple[float, ...]:
    with quiet():
        return tuple(transform_bounds(crs, "EPSG:4326", *bounds))


class TestPixels:
    def test_in_the_crs_of_the_scenes_they_are_theirs(self, two: tuple[Server, list[Path]]) -> None:
        server, paths = two
        picture = server.picture(url(OUTSIDE), coord_crs=UTM)
        oracle = rio.part(paths, OUTSIDE, bounds_crs=CRS.from_string(UTM))
        assert np.array_equal(picture.data, oracle.array.filled(0))
        assert np.array_equal(picture.valid, ~oracle.array.mask[0])
        assert picture.scenes == ["s1", "s0"]

    @pytest.mark.parametrize("dst_crs", ["", "EPSG:3857", "EPSG:3035", UTM, "OGC:CRS84"])
    @pytest.mark.parametrize("size", [{}, {"width": 50, "height": 70}], ids=["native", "small"])
    def test_in_others_they_are_nearest(
        self, two: tuple[Server, list[Path]], dst_crs: str, size: dict[str, int]
    ) -> None:
        """rio-tiler shifts the edge of the box to whole pixels, so by half of one at most."""
        (server, paths), bounds = two, lonlat(INSIDE)
        crs = CRS.from_string(dst_crs or "EPSG:4326")
        picture = server.picture(url(bounds), **size, **({"dst_crs": dst_crs} if dst_crs else {}))
        off = rio.far(picture, rio.part(paths, bounds, dst_crs=crs, **size))
        assert off.max() <= 1 if not size else off.max() <= 300 / 50
        assert (off > 0).mean() < 0.6

    def test_large_pictures_have_no_seams(self, two: tuple[Server, list[Path]]) -> None:
        """A picture of more pixels than are read at once is that of its parts."""
        server, _ = two
        left, bottom, right, top = OUTSIDE
        middle = (bottom + top) / 2
        upper, lower = (left, middle, right, top), (left, bottom, right, middle)
        for resampling in ("nearest", "bilinear"):
            how = {"coord_crs": UTM, "resampling": resampling}
            whole = server.picture(url(OUTSIDE, "/1100x1000"), **how)
            parts = [server.picture(url(b, "/1100x500"), **how) for b in (upper, lower)]
            assert whole.data.shape == (3, 1000, 1100)
            assert np.array_equal(whole.data, np.concatenate([p.data for p in parts], axis=1))


class TestSizes:
    @pytest.mark.parametrize("dst_crs", [UTM, "EPSG:3857"])
    @pytest.mark.parametrize(
        "size",
        [
            {},
            {"max_size": 1024},
            {"max_size": 100},
            {"width": 90},
            {"height": 90},
            {"width": 20, "height": 90},
        ],
        ids=str,
    )
    def test_they_are_those_of_rio_tiler(
        self, two: tuple[Server, list[Path]], dst_crs: str, size: dict[str, int]
    ) -> None:
        server, paths = two
        bounds = lonlat((rio.LEFT + 5_000, rio.TOP - 20_000, rio.LEFT + 35_000, rio.TOP - 5_000))
        if dst_crs == UTM:
            bounds = (rio.LEFT + 5_000, rio.TOP - 20_000, rio.LEFT + 35_000, rio.TOP - 5_000)
        coord = CRS.from_string(UTM if dst_crs == UTM else "EPSG:4326")
        oracle = rio.part(paths, bounds, bounds_crs=coord, dst_crs=CRS.from_string(dst_crs), **size)
        query = {"coord_crs": coord.to_string(), "dst_crs": dst_crs}
        picture = server.picture(url(bounds), **query, **size)
        assert picture.data.shape == oracle.array.shape

    def test_the_path_names_one_too(self, two: tuple[Server, list[Path]]) -> None:
        server, _ = two
        assert server.picture(url(lonlat(INSIDE), "/30x20")).valid.shape == (20, 30)

    def test_without_scenes_pixels_are_square(self, server: Server) -> None:
        assert server.picture(url((10, 40, 12, 41))).valid.shape == (128, 256)
        assert server.picture(url((10, 40, 11, 42)), max_size=50).valid.shape == (50, 25)

    def test_a_scene_that_cannot_be_opened_has_none(self, server: Server) -> None:
        paths = rio.publish_two(server)
        place = {"geometry": box(*lonlat(OUTSIDE))}
        server.add(scene("s9", server.url("nowhere.tif"), day=9) | place)
        picture = server.picture(url(lonlat(INSIDE)))
        assert picture.valid.shape == rio.part(paths, lonlat(INSIDE)).array.shape[1:]
        assert picture.headers["X-Skipped-Scenes"].startswith("s9=")


class TestHeaders:
    def test_they_say_where_it_lies(self, two: tuple[Server, list[Path]]) -> None:
        server, _ = two
        bounds = lonlat(INSIDE)
        headers = server.picture(url(bounds), max_size=10).headers
        assert [float(x) for x in headers["Content-Bbox"].split(",")] == list(bounds)
        assert headers["Content-Crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
        headers = server.picture(url(bounds), max_size=10, dst_crs="EPSG:3857").headers
        assert headers["Content-Crs"] == "<http://www.opengis.net/def/crs/EPSG/0/3857>"
        with quiet():
            expected = transform_bounds("EPSG:4326", "EPSG:3857", *bounds)
        assert [float(x) for x in headers["Content-Bbox"].split(",")] == pytest.approx(expected)

    def test_a_picture_that_is_known_is_not_sent_again(self, server: Server) -> None:
        rio.publish_two(server)
        asked = url(lonlat(INSIDE), ".png") + "?rescale=0,300"
        known = server.get(asked).headers["ETag"]
        answer = server.client.get(asked, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        server.client.delete("/mosaics/m/items/s1?collection=s2", headers=AUTHORIZED)
        answer = server.client.get(asked, headers={"If-None-Match": known})
        assert (answer.status_code, answer.headers["X-Scenes"]) == (200, "s0")

    def test_another_box_or_size_has_another_etag(self, two: tuple[Server, list[Path]]) -> None:
        server, _ = two
        left, bottom, right, top = lonlat(INSIDE)
        asked = [url((left, bottom, right, top), f"/{size}.npy") for size in ("20x20", "21x20")]
        asked.append(url((left, bottom, right, top + 1e-6), "/20x20.npy"))
        asked.append(f"{asked[0]}?dst_crs=EPSG:3857")
        assert len({server.get(one).headers["ETag"] for one in asked}) == len(asked)


class TestAntimeridian:
    @pytest.mark.parametrize("dst_crs", ["EPSG:4326", "EPSG:3857", "EPSG:32660"])
    @pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
    def test_a_box_across_it_is_one_picture(
        self, server: Server, dst_crs: str, resampling: str
    ) -> None:
        """Of a scene on each side, and one that lies across."""
        step = 4 / rio.EDGE
        rio.place(server, 0, 176, 2, "EPSG:4326", step)
        rio.place(server, 1, -180, 2, "EPSG:4326", step)
        rio.place(server, 2, 179.5, 0.5, "EPSG:4326", 1 / rio.EDGE)
        how = {"dst_crs": dst_crs, "resampling": resampling, "width": 400, "height": 200}
        picture = server.picture(url((178, -2, -178, 2)), **how)
        assert picture.scenes == ["s2", "s1", "s0"]
        assert picture.valid[5:-5, 5:-5].all()
        rows = picture.data[2, [20, 100]]
        west, east = slice(5, 190), slice(210, -5)
        assert (rows[0, west] == 0).all() and (rows[0, east] == 1).all()
        assert (rows[1, 160:240] == 2).all()
        assert (np.diff(picture.data[0, 20, west].astype(int)) >= 0).all()
        assert np.diff(picture.data[0, 100, 160:240].astype(int)).min() >= 0

    @pytest.mark.parametrize("rule", ["first", "mean", "blend"])
    def test_it_is_as_anywhere_else_on_that_latitude(self, server: Server, rule: str) -> None:
        server.create("elsewhere")
        for mosaic, east in (("m", 180), ("elsewhere", 20)):
            for number, left, top, wide in ((0, -3.5, 2, 4), (1, -0.3, 2, 4), (2, -0.6, 0.5, 1)):
                place = number, east + left, top, "EPSG:4326", wide / rio.EDGE
                rio.place(server, *place, mosaic)
        how = {"operation": rule, "dst_crs": "EPSG:3857", "width": 300}
        here = server.picture(url((178.1, -1.9, -178.2, 1.8)), **how)
        there = server.picture("/mosaics/elsewhere/bbox/18.1,-1.9,21.8,1.8", **how)
        assert np.array_equal(here.valid, there.valid)
        assert (here.data != there.data).mean() < 0.001

    def test_longitudes_beyond_180_are_the_same(self, server: Server) -> None:
        rio.place(server, 1, -180, 2, "EPSG:4326", 4 / rio.EDGE)
        whole = server.picture(url((178, -2, -178, 2)), max_size=50)
        beyond = server.picture(url((178, -2, 182, 2)), max_size=50)
        assert np.array_equal(whole.data, beyond.data)
        assert whole.valid.mean() == pytest.approx(0.5, abs=0.02)

    def test_a_crs_that_is_cut_there_is_refused(self, server: Server) -> None:
        answer = server.get(url((178, -2, -178, 2), ".png"), dst_crs="EPSG:6933")
        assert answer.status_code == 400
        assert "crosses the antimeridian, where EPSG:6933 is cut" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("corners", "query", "told"),
    [
        pytest.param("10,46,12,45", {}, "10,46,12,45 is empty or inverted", id="inverted"),
        pytest.param("10,45,10,46", {}, "is empty", id="empty"),
        pytest.param("nan,45,12,46", {}, "nan,45,12,46 must be finite", id="nan"),
        pytest.param("10,45,1e999,46", {}, "must be finite", id="infinite"),
        pytest.param("1,2,3,1e300", {"coord_crs": UTM}, "places on a globe", id="far off"),
        pytest.param("10,45,10.00000000000001,46", {}, "is empty", id="thin"),
        pytest.param("a,45,12,46", {}, "minx: Input should be a valid number", id="text"),
        pytest.param("10,45,12,91", {}, "beyond a pole", id="pole"),
        pytest.param("-700,45,12,46", {}, "around the world", id="twice around"),
        pytest.param("10,45,12,46", {"coord_crs": "x"}, "CRS 'x' must be like", id="no crs"),
        pytest.param("10,45,12,46", {"dst_crs": "EPSG:1"}, "there is no CRS", id="unknown crs"),
        pytest.param("10,45,12,46", {"dst_crs": "+init=epsg:4326"}, "must be like", id="proj"),
        pytest.param("10,45,12,46", {"dst_crs": "ESRI:104903"}, "has no place in", id="moon"),
        pytest.param("1,2,3,4", {"coord_crs": "ESRI:104903"}, "is not on Earth", id="on the moon"),
        pytest.param("0,86,9,89", {"dst_crs": "EPSG:3857"}, "has no place in", id="off mercator"),
        pytest.param("10,45,12,46", {"max_size": 0}, "max_size: ", id="no pixels"),
        pytest.param("10,45,12,46", {"width": 9**30}, "width: ", id="many columns"),
        pytest.param("10,45,12,46", {"width": 9000}, "9,000 × 4,500 pixels; this server allows",
                     id="many pixels"),
        pytest.param("10,45,12,46", {"f": "x", "bidx": 0}, "bidx", id="others are checked as well"),
    ],
)  # fmt: skip
def test_a_bad_box_is_refused_by_name(
    kept: Server, corners: str, query: dict[str, Any], told: str
) -> None:
    answer = kept.get(f"/mosaics/m/bbox/{corners}.png", **query)
    assert answer.status_code == 400
    assert told in answer.json()["detail"]


def test_a_picture_coarser_than_the_mosaic_is_refused(server: Server) -> None:
    """By the size of its pixels: a large box of many is as fine as a tile."""
    server.create("deep", minzoom=8)
    for size, status in (("256x256", 400), ("1024x1024", 200)):
        answer = server.get(f"/mosaics/deep/bbox/10,45,14,49/{size}.png")
        assert answer.status_code == status, answer.text
    assert (
        "below the minzoom 8"
        in server.get("/mosaics/deep/bbox/10,45,14,49/256x256.png").json()["detail"]
    )
    answer = server.get("/mosaics/deep/bbox/-20,30,40,60/1500x1500.png")
    assert "is like zoom" in answer.json()["detail"]


def test_an_operator_may_allow_more_pixels(sqlite_table: SqliteTable, tmp_path: Any) -> None:
    with serving(sqlite_table, tmp_path, max_image_pixels=300 * 300) as server:
        server.create()
        assert server.get("/mosaics/m/bbox/1,2,3,4/300x300.png").status_code == 200
        assert server.get("/mosaics/m/bbox/1,2,3,4/300x301.png").status_code == 400


def test_assets_are_the_scenes_that_the_box_meets(two: tuple[Server, list[Path]]) -> None:
    server, _ = two
    corner = (rio.LEFT, rio.TOP - 5_000, rio.LEFT + 5_000, rio.TOP)
    both = server.get(url(INSIDE, "/assets"), coord_crs=UTM).json()["scenes"]
    one = server.get(url(corner, "/assets"), coord_crs=UTM).json()["scenes"]
    assert [(found["id"], found["read"]) for found in both] == [("s1", True), ("s0", True)]
    assert [found["id"] for found in one] == ["s0"]
