"""A mosaic shows the same assets of every scene; scenes without them are left out, and named."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from shapely.geometry import shape

from api.served import AUTHORIZED, LEFT, RIGHT, Part, Server, footprint, raster, scene, tile_url
from items import item
from livemosaic.index.registry.mosaic import mosaic_key, to_item
from livemosaic.table import Put

COG = "image/tiff; application=geotiff; profile=cloud-optimized"


@pytest.fixture
def bands(server: Server) -> Iterator[Server]:
    """A raster of each kind, with a value of its own, on each half of the tile."""
    for name, value in (("B04", 40), ("VZA", 90), ("visual", 70)):
        raster(server.folder / f"left.{name}.tif", value, LEFT)
        raster(server.folder / f"right.{name}.tif", value, RIGHT)
    yield server


def hls(server: Server, side: str, *names: str, **rest: Any) -> dict[str, Any]:
    """An Item with these assets in this order."""
    part: Part = LEFT if side == "left" else RIGHT
    return scene(side, {name: server.url(f"{side}.{name}.tif") for name in names}, part, **rest)


def skipped(headers: Mapping[str, str]) -> str:
    return unquote(headers.get("X-Skipped-Scenes", ""))


class TestOneChoice:
    @pytest.mark.parametrize("first", [0, 1])
    def test_assets_in_other_orders_are_the_same_assets(self, bands: Server, first: int) -> None:
        items = [hls(bands, "left", "B04", "VZA"), hls(bands, "right", "VZA", "B04")]
        bands.add(items[first])
        bands.add(items[1 - first])
        picture = bands.picture()
        assert (picture.at(10), picture.at(200)) == ([40], [40])
        assert skipped(picture.headers) == ""

    def test_concurrent_first_scenes_agree(self, any_server: Server) -> None:
        """Of Items that give different choices, one decides for all."""
        for name in ("a", "b"):
            raster(any_server.folder / f"{name}.tif", 1)
        items = [
            scene(f"{name}{n}", {name: any_server.url(f"{name}.tif")})
            for n in range(4)
            for name in ("a", "b")
        ]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(any_server.add, items))
        info = any_server.get("/mosaics/m").json()
        assert info["shown_assets"] in (["a"], ["b"])
        assert sorted(info["known_assets"]) == ["a", "b"]

    def test_a_better_asset_changes_nothing_later(self, bands: Server) -> None:
        bands.add(hls(bands, "left", "B04"))
        before = bands.tile(".npy").headers["ETag"]
        bands.add(hls(bands, "right", "visual", "B04"))
        picture = bands.picture()
        assert (picture.at(10), picture.at(200)) == ([40], [40])
        assert bands.get("/mosaics/m").json()["shown_assets"] == ["B04"]
        assert picture.headers["ETag"] != before

    def test_a_scene_without_it_is_left_out_and_named(self, bands: Server) -> None:
        bands.add(hls(bands, "left", "B04", "VZA"))
        bands.add(hls(bands, "right", "VZA"))
        picture = bands.picture()
        assert (picture.at(10), picture.at(200)) == ([40], None)
        assert skipped(picture.headers) == "right=has no asset 'B04'"
        assert picture.scenes == ["left"]

    def test_the_image_is_still_revalidated(self, bands: Server) -> None:
        """A scene that is left out for its assets is no failure: the image has an ETag."""
        bands.add(hls(bands, "left", "B04"))
        bands.add(hls(bands, "right", "VZA"))
        tag = bands.tile(".npy").headers["ETag"]
        again = bands.client.get(tile_url(".npy"), headers={"If-None-Match": tag})
        assert again.status_code == 304

    def test_scenes_that_are_left_out_do_not_use_up_the_scenes_of_an_image(
        self, bands: Server
    ) -> None:
        bands.add(hls(bands, "left", "B04"))
        bands.add(
            *(
                scene(f"above{n}", {"VZA": bands.url("left.VZA.tif")}, LEFT, day=2)
                for n in range(30)
            )
        )
        picture = bands.picture()
        assert picture.at(10) == [40]
        assert "X-Truncated" not in picture.headers

    def test_points_statistics_and_the_list_of_a_tile_say_so_too(self, bands: Server) -> None:
        bands.add(hls(bands, "left", "B04"))
        bands.add(hls(bands, "right", "VZA"))
        west, south, east, north = shape(footprint(RIGHT)).bounds
        answer = bands.get(
            f"/mosaics/m/point/{west + (east - west) / 3},{south + (north - south) / 3}"
        )
        assert answer.status_code == 200, answer.text
        point = answer.json()
        assert point["skipped"] == [{"name": "right", "why": "has no asset 'B04'"}]
        area = {"type": "Feature", "properties": {}, "geometry": footprint(RIGHT)}
        counted = bands.client.post("/mosaics/m/statistics", json=area).json()
        assert counted["properties"]["skipped_assets"][0]["name"] == "right"
        listed = bands.get(tile_url("/assets")).json()["scenes"]
        assert {each["id"]: each["why"] for each in listed} == {
            "left": "shows",
            "right": "has no asset 'B04'",
        }

    def test_a_request_may_name_the_other_asset(self, bands: Server) -> None:
        bands.add(hls(bands, "left", "B04"))
        bands.add(hls(bands, "right", "VZA"))
        assert bands.picture(assets="VZA").at(200) == [90]


class TestSettings:
    def test_who_sees_the_mosaic_sees_what_it_shows(self, bands: Server) -> None:
        assert bands.get("/mosaics/m").json()["shown_assets"] == []
        bands.add(hls(bands, "left", "VZA", "B04"))
        for url in ("/mosaics/m", "/mosaics/m/tiles/WebMercatorQuad/tilejson.json"):
            assert bands.get(url).json()["shown_assets"] == ["B04"]

    def test_put_changes_it_and_the_etag(self, bands: Server) -> None:
        bands.add(hls(bands, "left", "VZA", "B04"))
        before = bands.tile(".npy").headers["ETag"]
        for given, value in (({"default_assets": ["VZA"]}, 90), ({}, 40)):
            answer = bands.client.put("/mosaics/m", json=given, headers=AUTHORIZED)
            assert answer.status_code == 200
            assert bands.picture().at(10) == [value]
            assert (bands.tile(".npy").headers["ETag"] == before) == (value == 40)

    def test_kept_assets_decide(self, bands: Server) -> None:
        bands.create("vza", assets=["VZA"])
        bands.add(hls(bands, "left", "visual", "VZA", "B04"), mosaic="vza")
        assert bands.get("/mosaics/vza").json()["shown_assets"] == ["VZA"]

    def test_what_is_no_longer_kept_is_no_longer_shown(self, bands: Server) -> None:
        bands.add(hls(bands, "left", "visual", "VZA", "B04"))
        for kept, shown in ((["B04", "visual"], "visual"), (["VZA"], "VZA")):
            settings = {"assets": kept}
            answer = bands.client.put("/mosaics/m", json=settings, headers=AUTHORIZED)
            assert answer.json()["shown_assets"] == [shown]

    def test_a_mosaic_stored_before_shows_what_it_showed(self, bands: Server) -> None:
        """Of the collections whose Items have the same assets in the same order."""
        for names, shown in (
            (("VZA", "B04"), ["VZA"]),
            (("B04", "visual"), ["visual"]),
            (("nir", "blue", "green", "red"), ["red", "green", "blue"]),
        ):
            mosaics = bands.services.mosaics
            bands.create("old")
            stored = replace(mosaics.get("old"), known_assets=names, levels=(9,), revision=7)
            row = to_item(stored)
            del row["chosen_assets"]
            mosaics.table.transact([Put(mosaic_key("old"), row)])
            assert bands.get("/mosaics/old").json()["shown_assets"] == shown
            bands.add(hls(bands, "left", "visual", "B04", "VZA"), mosaic="old")
            assert bands.get("/mosaics/old").json()["shown_assets"] == shown
            assert mosaics.get("old").chosen_assets == tuple(shown)
            bands.client.delete("/mosaics/old", headers=AUTHORIZED)


class TestNames:
    """Assets whose keys differ from Item to Item: by title, and by the last part of the href."""

    def granules(self, bands: Server) -> list[dict[str, Any]]:
        orders = {"left": ("VZA", "B04"), "right": ("B04", "VZA")}
        parts = {"left": LEFT, "right": RIGHT}
        return [
            item(
                side,
                footprint(parts[side]),
                assets={
                    f"data{n or ''}": {"title": name, "href": bands.url(f"{side}.{name}.tif")}
                    for n, name in enumerate(names)
                },
            )
            for side, names in orders.items()
        ]

    def test_numbered_keys_are_known_by_their_titles(self, bands: Server) -> None:
        bands.add(*self.granules(bands))
        picture = bands.picture()
        assert (picture.at(10), picture.at(200)) == ([40], [40])
        picture = bands.picture(assets="VZA")
        assert (picture.at(10), picture.at(200)) == ([90], [90])
        assert sorted(bands.get("/mosaics/m").json()["known_assets"]) == ["B04", "VZA"]

    @pytest.mark.parametrize("name", ["VZA", "*.VZA.tif", "?????VZA.tif"])
    def test_settings_name_them_by_title_and_file(self, bands: Server, name: str) -> None:
        items = self.granules(bands)
        bands.create("kept", assets=[name])
        bands.post({"type": "FeatureCollection", "features": items}, "kept")
        picture = bands.picture(tile_url(mosaic="kept"))
        assert picture.at(10) == [90]
        assert picture.at(200) == (None if "?" in name else [90])

    def test_requests_name_them_by_file(self, bands: Server) -> None:
        bands.add(
            *(
                scene(side, {f"{side}-{n}": bands.url(f"{side}.{n}.tif") for n in names}, part)
                for side, names, part in (
                    ("left", ("VZA", "B04"), LEFT),
                    ("right", ("B04", "VZA"), RIGHT),
                )
            )
        )
        picture = bands.picture(assets="*.VZA.tif")
        assert (picture.at(10), picture.at(200)) == ([90], [90])
        picture = bands.picture(assets="left.VZA.tif")
        assert (picture.at(10), picture.at(200)) == ([90], None)
        assert bands.tile(".npy", assets="VZB").status_code == 400

    def test_default_assets_may_be_files_or_titles(self, bands: Server) -> None:
        for name in ("*.VZA.tif", "VZA"):
            mosaic = f"m{len(name)}"
            bands.create(mosaic, default_assets=[name])
            bands.add(*self.granules(bands), mosaic=mosaic)
            picture = bands.picture(tile_url(mosaic=mosaic))
            assert (picture.at(10), picture.at(200)) == ([90], [90])

    def test_a_pattern_that_fits_several_names_both(self, bands: Server) -> None:
        bands.add(hls(bands, "left", "B04", "VZA"))
        answer = bands.tile(".npy", assets="left.*.tif")
        assert answer.status_code == 200
        why = skipped(answer.headers)
        assert "'B04'" in why and "'VZA'" in why

    def test_a_title_of_several_refuses_the_item_and_names_both(self, bands: Server) -> None:
        bands.create("kept", assets=["Band"])
        document = hls(bands, "left", "B04", "VZA")
        for asset in document["assets"].values():
            asset["title"] = "Band"
        answer = bands.post(document, "kept")
        assert answer.status_code == 400
        assert "'B04' and 'VZA'" in answer.json()["outcomes"][0]["detail"]

    def test_the_key_goes_before_titles(self, bands: Server) -> None:
        bands.create("kept", assets=["B04"])
        document = hls(bands, "left", "B04", "VZA")
        document["assets"]["VZA"]["title"] = "B04"
        bands.add(document, mosaic="kept")
        assert bands.picture(tile_url(mosaic="kept")).at(10) == [40]


class TestFormats:
    @pytest.mark.parametrize(
        "media",
        [
            "image/x.geotiff",
            "application/octet-stream",
            "image/tiff",
            "image/tiff; application=geotiff",
            "IMAGE/TIFF; application=geotiff; profile=cloud-optimized",
            "image/vnd.stac.geotiff; cloud-optimized=true",
            "image/geotiff",
            "image/geo+tiff",
            "image/x-geotiff",
            "application/geotiff",
            "image/cog",
            "image/x.cog",
            "GeoTIFF",
            "COG",
            "image/tiff, application=geotiff",
            "image/tiff application=geotiff",
            '"image/tiff"',
            "binary/octet-stream",
            "",
            None,
        ],
    )
    @pytest.mark.parametrize("kept", [[], ["visual"]])
    def test_geotiffs_by_any_name_are_taken(
        self, bands: Server, media: str | None, kept: list[str]
    ) -> None:
        bands.create("kept", assets=kept)
        document = hls(bands, "left", "visual")
        document["assets"]["visual"]["type"] = media
        bands.add(document, mosaic="kept")
        assert bands.picture(tile_url(mosaic="kept")).at(10) == [70]

    @pytest.mark.parametrize(
        ("media", "file", "named"),
        [
            ("image/jp2", "TCI.jp2", "JPEG 2000"),
            (None, "TCI.jp2", "JPEG 2000"),
            ("image/jp2; profile=x", "TCI", "JPEG 2000"),
            ("image/tiff; application=geotiff", "B04.JP2", "JPEG 2000"),
            ("application/vnd+zarr", "store", "Zarr"),
            ("application/vnd.zarr; version=3", "store", "Zarr"),
            (None, "store.zarr/red", "Zarr"),
            ("application/x-netcdf", "a.nc", "netCDF"),
            ("application/octet-stream", "a.nc", "netCDF"),
            ("application/x-hdf5", "a.h5", "HDF"),
            ("application/x-hdf", "a.hdf", "HDF"),
            ("application/vnd.laszip+copc", "a.copc.laz", "point cloud"),
            ("image/png", "a.png", "PNG"),
            ("image/jpeg", "a.jpg", "JPEG"),
            ("application/x-foo", "a.foo", "application/x-foo"),
            ("text/xml", "a.xml", "text/xml"),
        ],
    )
    @pytest.mark.parametrize("kept", [[], ["visual"]])
    def test_other_formats_are_refused_by_name(
        self, bands: Server, media: str | None, file: str, named: str, kept: list[str]
    ) -> None:
        bands.create("kept", assets=kept)
        document = hls(bands, "left", "visual")
        document["assets"]["visual"] |= {"type": media, "href": f"{bands.href}/{file}"}
        answer = bands.post(document, "kept")
        assert answer.status_code == 400
        detail = answer.json()["outcomes"][0]["detail"]
        assert named in detail
        assert "visual" in detail

    def test_one_of_another_format_is_left_out_beside_a_good_one(self, bands: Server) -> None:
        bands.create("kept", assets=["visual", "B04"])
        document = hls(bands, "left", "visual", "B04")
        document["assets"]["visual"]["type"] = "image/jp2"
        answer = bands.post(document, "kept")
        assert answer.status_code == 200
        assert "JPEG 2000" in str(answer.json())
        assert bands.picture(tile_url(mosaic="kept")).at(10) == [40]

    @pytest.mark.parametrize("role", ["thumbnail", "overview", "metadata"])
    def test_roles_that_are_no_data_are_not_kept(self, bands: Server, role: str) -> None:
        document = hls(bands, "left", "VZA", "B04")
        document["assets"]["B04"]["roles"] = [role]
        bands.add(document)
        assert bands.get("/mosaics/m").json()["known_assets"] == ["VZA"]
