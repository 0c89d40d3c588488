"""A mosaic that is clipped to a boundary: nothing outside of it shows, in whatever way one asks."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from api.overviews import build, cells, make_scenes, publish, with_overviews
from api.served import AUTHORIZED, EDGE, LEFT, RIGHT, WEB, Server, raster, scene, tile_url
from cogs import write_cog
from items import box, item
from livemosaic.geo.polygons.inside import clip_area
from livemosaic.model.raster import Grid

WEST, SOUTH = WEB.lnglat(EDGE.left, EDGE.bottom)
EAST, NORTH = WEB.lnglat(EDGE.right, EDGE.top)
MIDDLE = (WEST + EAST) / 2
LEFT_HALF = box(WEST - 1, SOUTH - 1, MIDDLE, NORTH + 1)
ALL = box(WEST - 5, SOUTH - 5, EAST + 5, NORTH + 5)
CIRCLE = [[math.cos(n / 400), math.sin(n / 400)] for n in range(2500)] + [[1.0, 0.0]]
BOX = f"{WEST},{SOUTH},{EAST},{NORTH}"


def clip(server: Server, geometry: Any, status: int = 200, mosaic: str = "m") -> Any:
    patch = {"clip_to_boundary": geometry}
    answer = server.client.patch(f"/mosaics/{mosaic}", json=patch, headers=AUTHORIZED)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def halved(server: Server) -> Server:
    server.publish("a", 7)
    clip(server, LEFT_HALF)
    return server


def valid(server: Server, url: str, **query: Any) -> Any:
    answer = server.get(url, **query)
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))[-1] != 0


class TestImages:
    def test_tiles_show_what_lies_inside(self, halved: Server) -> None:
        made = halved.picture()
        assert made.valid[:, :128].all()
        assert not made.valid[:, 128:].any()
        assert (made.data[0, made.valid] == 7).all()

    def test_so_do_boxes_maps_and_features(self, halved: Server) -> None:
        for crs in ("EPSG:4326", "EPSG:32632", "EPSG:3035"):
            url = f"/mosaics/m/bbox/{BOX}/100x100.npy"
            made = valid(halved, url, coord_crs="EPSG:4326", dst_crs=crs)
            clip(halved, None)
            whole = valid(halved, url, coord_crs="EPSG:4326", dst_crs=crs)
            clip(halved, LEFT_HALF)
            assert 0.45 < made.sum() / whole.sum() < 0.55
            assert not (made & ~whole).any()
        feature = {"type": "Feature", "properties": {}, "geometry": box(WEST, SOUTH, EAST, NORTH)}
        answer = halved.client.post("/mosaics/m/feature/64x64.npy", json=feature)
        inside = np.load(io.BytesIO(answer.content))[-1] != 0
        assert inside[:, :31].all()
        assert not inside[:, 33:].any()

    def test_so_do_other_services(self, halved: Server) -> None:
        wms = {
            "SERVICE": "WMS", "VERSION": "1.3.0", "REQUEST": "GetMap", "LAYERS": "m",
            "CRS": "CRS:84", "BBOX": BOX, "WIDTH": 64, "HEIGHT": 64, "FORMAT": "image/tiff",
        }  # fmt: skip
        arcgis = {"bbox": BOX, "bboxSR": 4326, "size": "64,64", "format": "tiff", "f": "image"}
        for url, query in (
            ("/mosaics/m/wms", wms),
            ("/arcgis/rest/services/m/ImageServer/exportImage", arcgis),
        ):
            answer = halved.get(url, **query)
            with MemoryFile(answer.content) as file, file.open() as image:
                mask = image.dataset_mask() > 0
            assert mask[32, :31].all()
            assert not mask[:, 33:].any()

    def test_the_etag_is_another_one_and_holds(self, halved: Server) -> None:
        tag = halved.tile(".png").headers["ETag"]
        same = halved.client.get(tile_url(".png"), headers={"If-None-Match": tag})
        assert same.status_code == 304
        clip(halved, ALL)
        other = halved.client.get(tile_url(".png"), headers={"If-None-Match": tag})
        assert other.status_code == 200

    def test_what_lies_within_is_the_same_bytes(self, server: Server) -> None:
        server.publish("a", (np.arange(65536).reshape(1, 256, 256) % 251).astype(np.uint8))
        before = [server.tile(end).content for end in (".png", ".tif", "@2x.webp", ".npy")]
        clip(server, ALL)
        assert before == [server.tile(end).content for end in (".png", ".tif", "@2x.webp", ".npy")]

    def test_bands_and_type_of_values_are_those_of_the_scenes(self, halved: Server) -> None:
        clip(halved, box(100, 0, 101, 1))
        outside = halved.tile(".tif")
        clip(halved, None)
        inside = halved.tile(".tif")
        with MemoryFile(inside.content) as file, file.open() as image:
            kind = image.count, image.dtypes, image.nodata
        with MemoryFile(outside.content) as file, file.open() as image:
            assert (image.count, image.dtypes, image.nodata) == kind
            assert not (image.dataset_mask() > 0).any()

    def test_scenes_below_show_nothing_outside_either(self, halved: Server) -> None:
        halved.publish("b", 9, RIGHT, day=2)
        for operation in ("first", "mean", "count", "last"):
            assert halved.picture(operation=operation).at(200) is None
        assert halved.picture(operation="mean").at(9) == [7]
        assert halved.tile().headers["X-Scenes"] == "a"

    def test_holes_and_parts(self, server: Server) -> None:
        server.publish("a", 7)
        at = [WEST + (EAST - WEST) * n / 8 for n in range(9)]
        ring = box(at[0], SOUTH, at[4], NORTH)["coordinates"][0]
        hole = box(at[1], SOUTH - 1, at[2], NORTH + 1)["coordinates"][0]
        hole = [[lon, min(max(lat, SOUTH + 0.01), NORTH - 0.01)] for lon, lat in hole]
        other = box(at[6], SOUTH, at[7], NORTH)["coordinates"]
        clip(server, {"type": "MultiPolygon", "coordinates": [[ring, hole[::-1]], other]})
        seen = [server.picture().at(32 * n + 16) is not None for n in range(8)]
        assert seen == [True, False, True, True, False, False, True, False]


class TestValues:
    def test_points_outside_have_no_value(self, halved: Server) -> None:
        middle = (SOUTH + NORTH) / 2
        inside = halved.get(f"/mosaics/m/point/{MIDDLE - 0.1},{middle}").json()
        outside = halved.get(f"/mosaics/m/point/{MIDDLE + 0.1},{middle}")
        assert inside["values"] == [7]
        assert outside.status_code == 204

    def test_statistics_count_what_lies_inside(self, halved: Server) -> None:
        area = {"type": "Feature", "properties": {}, "geometry": box(WEST, SOUTH, EAST, NORTH)}

        def count() -> float:
            answer = halved.client.post("/mosaics/m/statistics", json=area)
            assert answer.status_code == 200, answer.text
            (band,) = answer.json()["properties"]["statistics"].values()
            return float(band["count"])

        half = count()
        whole_area = halved.get("/mosaics/m/statistics").json()["area_km2"]
        clip(halved, None)
        assert half == pytest.approx(count() / 2, rel=0.01)
        every = halved.get("/mosaics/m/statistics").json()["area_km2"]
        assert whole_area == pytest.approx(every / 2, rel=0.01)

    def test_the_boundary_is_within_it(self, halved: Server) -> None:
        bbox = halved.get("/mosaics/m/boundary").json()["bbox"]
        assert bbox[2] == pytest.approx(MIDDLE, abs=0.01)
        clip(halved, box(100, 0, 101, 1))
        assert halved.get("/mosaics/m/boundary").status_code == 204

    def test_a_small_part_of_a_mosaic_is_seen_as_a_whole(self, halved: Server) -> None:
        """Not as a pixel or none of the image of all scenes."""
        step = (EAST - WEST) / 2000
        inside = box(WEST + 5 * step, SOUTH + 0.1, WEST + 6 * step, SOUTH + 0.1 + step)
        clip(halved, inside)
        assert halved.get("/mosaics/m/boundary").json()["bbox"] == pytest.approx(
            [WEST + 5 * step, SOUTH + 0.1, WEST + 6 * step, SOUTH + 0.1 + step], abs=1e-6
        )
        whole = halved.get("/mosaics/m/statistics").json()
        true_km2 = (111.32 * step) ** 2 * math.cos(math.radians(SOUTH + 0.1))
        assert whole["area_km2"] == pytest.approx(true_km2, rel=0.02)
        assert whole["bounds"] == pytest.approx(
            [WEST + 5 * step, SOUTH + 0.1, WEST + 6 * step, SOUTH + 0.1 + step]
        )


def publish_world(server: Server) -> None:
    path = write_cog(
        server.folder / "world.tif", np.full((1, 90, 180), 7, np.uint8), crs="EPSG:4326",
        bounds=(-180, -90, 180, 90),
    )  # fmt: skip
    assets = {"visual": {"href": str(path), "type": "image/tiff"}}
    server.add(item("w", box(-180, -90, 180, 90), assets=assets))


class TestPlaces:
    def test_both_sides_of_the_antimeridian(self, server: Server) -> None:
        publish_world(server)
        jumping = {
            "type": "Polygon",
            "coordinates": [[[170, -20], [-170, -20], [-170, 20], [170, 20], [170, -20]]],
        }
        clip(server, jumping)
        made = server.picture("/mosaics/m/tiles/WebMercatorQuad/0/0/0")
        columns = np.flatnonzero(made.valid.any(axis=0))
        assert columns.tolist() == [*range(7), *range(249, 256)]
        around = valid(server, "/mosaics/m/bbox/160,-30,-160,30/80x60.npy")
        assert np.flatnonzero(around.any(axis=0)).tolist() == [*range(20, 60)]
        found = server.get("/mosaics/m/boundary").json()
        assert found["bbox"] == pytest.approx([170, -20, -170, 20], abs=0.1)
        whole = server.get("/mosaics/m/statistics").json()
        assert whole["bounds"] == [170, -20, -170, 20]
        assert whole["area_km2"] == pytest.approx(found["properties"]["area_km2"], rel=0.01)
        seam = valid(server, "/mosaics/m/bbox/160,-30,-160,30/81x60.npy")
        assert np.flatnonzero(seam.any(axis=0)).tolist() == [*range(20, 61)]
        several = {
            "SERVICE": "WMS", "VERSION": "1.3.0", "REQUEST": "GetMap", "LAYERS": "m",
            "CRS": "CRS:84", "BBOX": "-360,-90,360,90", "WIDTH": 144, "HEIGHT": 36,
            "FORMAT": "image/tiff",
        }  # fmt: skip
        with (
            MemoryFile(server.get("/mosaics/m/wms", **several).content) as file,
            file.open() as map_,
        ):
            there = np.flatnonzero((map_.dataset_mask() > 0).any(axis=0)).tolist()
        assert there == [34, 35, 36, 37, 106, 107, 108, 109]

    def test_up_to_a_pole(self, server: Server) -> None:
        publish_world(server)
        clip(server, box(-180, -90, 180, 0))
        made = server.picture("/mosaics/m/tiles/WebMercatorQuad/0/0/0")
        assert not made.valid[:128].any()
        assert made.valid[128:].all()
        polar = {"coord_crs": "EPSG:3031", "dst_crs": "EPSG:3031"}
        assert valid(server, "/mosaics/m/bbox/-3e6,-3e6,3e6,3e6/512x512.npy", **polar).all()

    def test_on_another_body(self) -> None:
        """Degrees of Mars, in whatever of its projections."""
        mars = CRS.from_user_input("IAU_2015:49900")
        area = clip_area(json.dumps(box(0, -10, 10, 10)))
        grid = Grid(mars, (-10, -10, 10, 10), 20, 20)
        mask = area.mask(grid, mars)
        assert mask is not None
        assert mask[:, 10:].all()
        assert not mask[:, :10].any()
        assert area.mask(Grid(mars, (1, 1, 2, 2), 4, 4), mars) is None


def test_overviews_keep_all_pixels(tmp_path: Path) -> None:
    with with_overviews(tmp_path) as server:
        tiles = make_scenes(tmp_path / "assets", 4)
        publish(server, tiles)
        build(server)
        before = cells(server)
        west, south, east, north = server.get("/mosaics/m").json()["bounds"]
        url = f"/mosaics/m/bbox/{west},{south},{east},{north}/64x64.npy"
        whole = valid(server, url)
        assert server.get(url).headers["X-Overview"]
        clip(server, box(west, south, (west + east) / 2, north))
        half = valid(server, url)
        assert server.get(url).headers["X-Overview"]
        np.testing.assert_array_equal(half[:, :32], whole[:, :32])
        assert not half[:, 32:].any()
        tiles_before = [cell.digest for cell in before]
        publish(server, make_scenes(tmp_path / "assets", 4)[:1])
        build(server)
        clip(server, None)
        build(server)
        np.testing.assert_array_equal(valid(server, url), whole)
        assert [cell.digest for cell in cells(server)] == tiles_before


def test_a_derived_mosaic_has_its_own(halved: Server) -> None:
    halved.create("d", sources=[{"mosaic": "m"}])
    picture = halved.picture(tile_url(mosaic="d"))
    assert picture.valid.all()
    clip(halved, LEFT_HALF, mosaic="d")
    assert not halved.picture(tile_url(mosaic="d")).valid[:, 128:].any()


class TestSetting:
    def test_it_comes_back_as_it_was_given(self, server: Server) -> None:
        assert server.get("/mosaics/m").json()["clip_to_boundary"] is None
        assert clip(server, LEFT_HALF)["clip_to_boundary"] == json.loads(json.dumps(LEFT_HALF))
        feature = {"type": "Feature", "properties": {"a": 1}, "geometry": LEFT_HALF}
        assert clip(server, feature)["clip_to_boundary"]["type"] == "Polygon"
        assert clip(server, json.dumps(LEFT_HALF))["clip_to_boundary"]["type"] == "Polygon"
        assert clip(server, None)["clip_to_boundary"] is None

    @pytest.mark.parametrize(
        "geometry",
        [
            {"type": "Point", "coordinates": [1, 2]},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, "x"], [1, 0], [0, 0]]]},
            {"type": "Polygon", "coordinates": []},
            {"type": "Feature", "geometry": None},
            {"type": "Polygon"},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]},
            {"type": "Polygon", "coordinates": [[["0", "0"], ["1", "0"], ["1", "1"], ["0", "0"]]]},
            {"type": "Polygon", "coordinates": [[[True, 0], [1, 0], [1, 1], [True, 0]]]},
            {"a": 1},
            {},
            "no json",
            "[" * 100_000,
            7,
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
            {"type": "Polygon", "coordinates": [CIRCLE]},
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_others_are_refused(self, server: Server, geometry: Any) -> None:
        assert "clip_to_boundary" in clip(server, geometry, 400)["detail"]

    def test_an_empty_place_is_a_blank_image(self, server: Server) -> None:
        path = server.url(raster(server.folder / "a.tif", 7, LEFT))
        server.add(scene("a", {"visual": path}, LEFT))
        clip(server, box(100, 0, 101, 1))
        answer = server.tile(".png")
        assert answer.status_code == 200
        assert answer.headers["X-Scenes"] == ""
