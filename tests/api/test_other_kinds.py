"""Assets of one name that mean different things are never shown as one: what contradicts the
meaning that a mosaic knows is left out, and named."""

import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from api.served import AUTHORIZED, LEFT, RIGHT, Part, Server, footprint, raster, tile_url
from api.served import scene as item_of
from items import item
from livemosaic.index.registry.mosaic import mosaic_key, to_item
from livemosaic.table import Put

SIDES: Mapping[str, Part] = {"left": LEFT, "right": RIGHT}
RGB = [{"name": name, "common_name": name} for name in ("red", "green", "blue")]


@pytest.fixture
def sides(server: Server) -> Iterator[Server]:
    """A raster on each half of the tile: 40 on the left, 90 on the right."""
    raster(server.folder / "left.tif", 40, LEFT)
    raster(server.folder / "right.tif", 90, RIGHT)
    yield server


def scene(
    server: Server,
    side: str,
    stated: Mapping[str, Any],
    *,
    key: str = "data",
    name: str = "",
    **properties: Any,
) -> dict[str, Any]:
    """An Item with one asset that states this."""
    asset = {"href": server.url(f"{side}.tif"), "type": "image/tiff", **stated}
    return item(name or side, footprint(SIDES[side]), assets={key: asset}, properties=properties)


def skipped(headers: Mapping[str, str]) -> str:
    return unquote(headers.get("X-Skipped-Scenes", ""))


def eo(common: str, name: str = "x", **rest: Any) -> dict[str, Any]:
    return {"eo:bands": [{"name": name, "common_name": common, **rest}]}


CONTRADICTIONS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("titles that are bands", {"title": "B04"}, {"title": "VZA"}),
    ("titles of two bands", {"title": "B04"}, {"title": "B11"}),
    ("descriptions", {"description": "B04"}, {"description": "VZA"}),
    ("titles in words", {"title": "Band 4 (red)"}, {"title": "Near Infrared Band 0.8 (B5)"}),
    ("measures in words", {"title": "Land cover"}, {"title": "Monthly Precipitation (mm)"}),
    ("day and night", {"title": "Daytime LST"}, {"title": "Nighttime LST"}),
    ("values and their quality", {"title": "NDVI"}, {"title": "NDVI quality"}),
    ("common names", eo("red"), eo("nir")),
    ("names of bands", {"eo:bands": [{"name": "B04"}]}, {"eo:bands": [{"name": "VZA"}]}),
    ("bands of STAC 1.1", {"bands": [{"eo:common_name": "red"}]}, {"eo:common_name": "nir"}),
    ("bands as text", {"eo:bands": ["nbart_red"]}, {"eo:bands": ["nbart_nir"]}),
    ("common name and title", eo("red"), {"title": "VZA"}),
    (
        "wavelengths",
        {"eo:bands": [{"name": "x", "center_wavelength": 0.665}]},
        {"bands": [{"eo:center_wavelength": 865}]},
    ),
    (
        "wavelengths of red edges",
        eo("rededge", center_wavelength=0.704),
        eo("rededge", center_wavelength=0.783),
    ),
    ("the number of bands", {"eo:bands": RGB}, eo("red")),
    ("the order of bands", {"eo:bands": RGB}, {"eo:bands": RGB[::-1]}),
    ("true color and one band", {"title": "True color image"}, {"title": "Red"}),
    ("units", {"raster:bands": [{"unit": "kelvin"}]}, {"bands": [{"unit": "°C"}]}),
    ("roles", {"roles": ["data"]}, {"roles": ["cloud"]}),
    ("polarizations", {"sar:polarizations": ["VV"]}, {"sar:polarizations": ["HH"]}),
]
AGREEMENTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("nothing and a band", {}, eo("red")),
    ("nothing and a title", {}, {"title": "VZA"}),
    (
        "titles of Copernicus DEM",
        {"title": "N45_00_E007_00"},
        {"title": "Copernicus_DSM_COG_10_S04_00_E008_00_DEM"},
    ),
    ("places that are colors", {"title": "Red River, 2021"}, {"title": "Green Bay"}),
    ("places", {"title": "Nashville"}, {"title": "Angle Lake orthophoto"}),
    ("tiles", {"title": "NAIP_3812260_ne"}, {"title": "BQ31_500_1234"}),
    ("numbers of the same color by two sensors", eo("red", "OLI_B4"), eo("red", "ETM_B3")),
    ("older and newer common names", eo("lwir2"), eo("lwir12")),
    ("a common name of a wider range", eo("nir"), eo("nir08")),
    ("red edge 4 of Sentinel-2", eo("rededge", center_wavelength=0.865), eo("nir08")),
    ("micrometres and nanometres", eo("", center_wavelength=0.66), eo("", center_wavelength=655)),
    ("spellings", {"title": "Red Band (B4)"}, {"title": "Band 4 - Red - 10m"}),
    ("spellings of panchromatic", eo("pan"), {"title": "Band 8 (panchromatic)"}),
    ("spellings of units", {"bands": [{"unit": "K"}]}, {"raster:bands": [{"unit": "kelvin"}]}),
    ("true color by roles", {"roles": ["visual"]}, {"roles": ["data"], "eo:bands": RGB}),
    ("true color by title and bands", {"title": "3-Band Visual"}, {"eo:bands": RGB}),
    ("a fourth band", {"eo:bands": [*RGB, {"common_name": "nir"}]}, {"eo:bands": RGB}),
    (
        "places of bands in the file",
        {"eo:bands": [{"name": "b1"}]},
        {"eo:bands": [{"name": "B04"}]},
    ),
]


class TestPairs:
    @pytest.mark.parametrize(
        ("one", "other"), [c[1:] for c in CONTRADICTIONS], ids=[c[0] for c in CONTRADICTIONS]
    )
    @pytest.mark.parametrize("swapped", [False, True])
    def test_what_contradicts_is_left_out_and_named(
        self, sides: Server, one: dict[str, Any], other: dict[str, Any], swapped: bool
    ) -> None:
        first, second = (other, one) if swapped else (one, other)
        sides.add(scene(sides, "left", first))
        sides.add(scene(sides, "right", second))
        picture = sides.picture()
        assert (picture.at(10), picture.at(200)) == ([40], None)
        assert skipped(picture.headers).startswith("right=has another kind of asset 'data': ")

    @pytest.mark.parametrize(
        ("one", "other"), [a[1:] for a in AGREEMENTS], ids=[a[0] for a in AGREEMENTS]
    )
    @pytest.mark.parametrize("swapped", [False, True])
    def test_what_does_not_contradict_is_shown(
        self, sides: Server, one: dict[str, Any], other: dict[str, Any], swapped: bool
    ) -> None:
        first, second = (other, one) if swapped else (one, other)
        sides.add(scene(sides, "left", first))
        sides.add(scene(sides, "right", second))
        picture = sides.picture()
        assert (picture.at(10), picture.at(200)) == ([40], [90])
        assert skipped(picture.headers) == ""

    @pytest.mark.parametrize(
        ("key", "left", "right"),
        [
            ("B4", "landsat-8", "landsat-7"),
            ("SR_B4.TIF", "LANDSAT_8", "LANDSAT_5"),
            ("B05", "landsat-8", "sentinel-2a"),
            ("B11", "sentinel-2b", "landsat-9"),
        ],
    )
    def test_numbers_of_bands_mean_what_their_sensor_has(
        self, sides: Server, key: str, left: str, right: str
    ) -> None:
        sides.add(scene(sides, "left", {}, key=key, platform=left))
        sides.add(scene(sides, "right", {}, key=key, platform=right))
        assert sides.picture().at(200) is None

    @pytest.mark.parametrize(("left", "right"), [("landsat-8", "sentinel-2a")])
    def test_one_number_may_be_one_color_of_two_sensors(
        self, sides: Server, left: str, right: str
    ) -> None:
        sides.add(scene(sides, "left", {}, key="B04", platform=left))
        sides.add(scene(sides, "right", {}, key="B04", platform=right))
        assert sides.picture().at(200) == [90]

    def test_keys_that_are_file_names_mean_what_their_files_do(self, sides: Server) -> None:
        for side, band in (("left", "B04"), ("right", "SCL")):
            name = f"S2A_32TLR_20260101_{band}"
            sides.add(scene(sides, side, {}, key=name, name=name))
        picture = sides.picture()
        assert (picture.at(10), picture.at(200)) == ([40], None)


class TestWhoDecides:
    def test_what_one_item_lacks_another_adds(self, sides: Server) -> None:
        """Three Items: one says nothing, and the other two contradict each other."""
        raster(sides.folder / "third.tif", 70, LEFT)
        sides.add(scene(sides, "left", {}))
        sides.add(scene(sides, "right", {"title": "NDVI", "roles": ["data"]}, name="right"))
        for stated in ({"title": "LST"}, {"roles": ["cloud"]}):
            asset = {"href": sides.url("third.tif"), "type": "image/tiff", **stated}
            third = item(
                "third", footprint(LEFT), assets={"data": asset}, datetime="2026-02-01T00:00:00Z"
            )
            sides.add(third)
            picture = sides.picture()
            assert (picture.at(10), picture.at(200)) == ([40], [90])
            assert "third=has another kind" in skipped(picture.headers)

    @pytest.mark.parametrize("seed", range(4))
    def test_concurrent_first_items_never_mix(self, any_server: Server, seed: int) -> None:
        """Of Items that contradict each other one decides, and all of its kind are shown."""
        for side in SIDES:
            raster(any_server.folder / f"{side}.tif", 1, SIDES[side])
        documents = [
            scene(any_server, side, {"title": title}, name=f"{title}{n}")
            for n in range(4)
            for title, side in (("NDVI", "left"), ("LST", "right"))
        ]
        random.Random(seed).shuffle(documents)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(any_server.add, documents))
        listed = any_server.get(tile_url("/assets")).json()["scenes"]
        kinds = {each["id"][:3]: set() for each in listed}
        for each in listed:
            kinds[each["id"][:3]].add("another kind" in each["why"])
        assert sorted(kinds.values(), key=str) == [{False}, {True}]

    def test_of_one_message_the_first_item_decides(self, sides: Server) -> None:
        """However many workers share the message."""
        for attempt in range(5):
            mosaic = f"m{attempt}"
            sides.create(mosaic)
            stated = [{"title": "NDVI"}, *[{"title": "LST"}] * 7]
            documents = [scene(sides, "left", each, name=f"i{n}") for n, each in enumerate(stated)]
            sides.add(*documents, mosaic=mosaic)
            listed = sides.get(tile_url("/assets", mosaic)).json()["scenes"]
            assert [s["id"] for s in listed if "another kind" not in s["why"]] == ["i0"]

    def test_a_version_that_no_longer_contradicts_is_shown(self, sides: Server) -> None:
        sides.add(scene(sides, "left", {"title": "NDVI"}))
        sides.add(scene(sides, "right", {"title": "LST"}))
        before = sides.tile(".npy").headers["ETag"]
        sides.add(scene(sides, "right", {"title": "NDVI"}))
        assert sides.picture().at(200) == [90]
        assert sides.tile(".npy").headers["ETag"] != before

    def test_ingestion_warns(self, sides: Server) -> None:
        sides.add(scene(sides, "left", {"title": "NDVI"}))
        answer = sides.post(scene(sides, "right", {"title": "LST"})).json()
        (warning,) = answer["outcomes"][0]["warnings"]
        assert "'data' is lst, not ndvi" in warning
        again = sides.post(scene(sides, "right", {"title": "LST"})).json()
        assert again["outcomes"][0]["warnings"] == [warning]


class TestRequests:
    """In a request a key means what it means in the mosaic, and a pattern what it matches."""

    @pytest.fixture
    def mixed(self, sides: Server) -> Server:
        sides.add(scene(sides, "left", {"title": "NDVI"}))
        sides.add(scene(sides, "right", {"title": "LST"}))
        return sides

    def test_a_key_is_of_the_mosaics_kind(self, mixed: Server) -> None:
        for query in ({"assets": "data"}, {"expression": "data_b1*1"}):
            picture = mixed.picture(**query)
            assert picture.at(10) is not None
            assert picture.at(200) is None
            assert (
                skipped(picture.headers) == "right=has another kind of asset 'data': lst, not ndvi"
            )

    def test_a_pattern_is_what_it_matches(self, mixed: Server) -> None:
        picture = mixed.picture(assets="*.tif")
        assert (picture.at(10), picture.at(200)) == ([40], [90])
        picture = mixed.picture(assets="right.tif")
        assert (picture.at(10), picture.at(200)) == (None, [90])

    def test_users_overrule_with_a_pattern(self, mixed: Server) -> None:
        changed = {"default_assets": ["*.tif"]}
        assert mixed.client.put("/mosaics/m", json=changed, headers=AUTHORIZED).status_code == 200
        picture = mixed.picture()
        assert (picture.at(10), picture.at(200)) == ([40], [90])
        assert skipped(picture.headers) == ""

    def test_a_key_that_looks_like_a_file_is_no_file_of_another_asset(self, sides: Server) -> None:
        raster(sides.folder / "B4.TIF", 60, RIGHT)
        sides.add(scene(sides, "left", {}, key="B4.TIF", platform="landsat-8"))
        named = scene(sides, "right", {}, key="nir08", platform="landsat-7")
        named["assets"]["nir08"]["href"] = sides.url("B4.TIF")
        sides.add(named)
        for query in ({}, {"assets": "B4.TIF"}):
            picture = sides.picture(**query)
            assert (picture.at(10), picture.at(200)) == ([40], None)
        assert skipped(sides.picture().headers) == "right=has no asset 'B4.TIF'"

    def test_kept_by_a_pattern_nothing_is_compared(self, sides: Server) -> None:
        sides.create("kept", assets=["*.tif"])
        for side, title in (("left", "NDVI"), ("right", "LST")):
            sides.add(scene(sides, side, {"title": title}), mosaic="kept")
        assert sides.picture(tile_url(mosaic="kept")).at(200) == [90]

    def test_changed_settings_leave_nothing_stale(self, sides: Server) -> None:
        """Every asset that the mosaic keeps has a meaning, not only those that were shown."""
        for name, value in (("B04", 10), ("B05", 50)):
            for side in SIDES:
                raster(sides.folder / f"{side}.{name}.tif", value, SIDES[side])
        for side, platform in (("left", "landsat-8"), ("right", "sentinel-2a")):
            assets = {
                name: {"href": sides.url(f"{side}.{name}.tif"), "type": "image/tiff"}
                for name in ("B04", "B05")
            }
            sides.add(
                item(
                    side,
                    footprint(SIDES[side]),
                    assets=assets,
                    properties={"platform": platform},
                )
            )
        sides.client.put("/mosaics/m", json={"default_assets": ["B04"]}, headers=AUTHORIZED)
        assert sides.picture().at(200) == [10]
        sides.client.put("/mosaics/m", json={"default_assets": ["B05"]}, headers=AUTHORIZED)
        picture = sides.picture()
        assert (picture.at(10), picture.at(200)) == ([50], None)
        assert "rededge071, not nir08" in skipped(picture.headers)

    def test_points_and_lists_name_it_too(self, mixed: Server) -> None:
        listed = mixed.get(tile_url("/assets")).json()["scenes"]
        assert {each["id"]: each["why"] for each in listed} == {
            "left": "shows",
            "right": "has another kind of asset 'data': lst, not ndvi",
        }


class TestStored:
    def old(self, server: Server, *documents: dict[str, Any]) -> None:
        """A mosaic and scenes as a release wrote them that knew no meanings."""
        for document in documents:
            server.create("one")
            server.add(document, mosaic="one")  # alone, so that nothing contradicts it
            server.client.delete("/mosaics/one", headers=AUTHORIZED)
            server.add(document)
        mosaics = server.services.mosaics
        row = to_item(replace(mosaics.get("m"), revision=50))
        del row["meanings"]
        mosaics.table.transact([Put(mosaic_key("m"), row)])
        for stored in list(mosaics.table.scan("m.")):
            if "other_kinds" in stored.item:
                kept = {k: v for k, v in stored.item.items() if k != "other_kinds"}
                mosaics.table.transact([Put(stored.key, kept)])

    def test_what_was_stored_before_is_shown_as_before(self, sides: Server) -> None:
        self.old(
            sides,
            scene(sides, "left", {"title": "NDVI"}),
            scene(sides, "right", {"title": "LST"}),
        )
        picture = sides.picture()
        assert (picture.at(10), picture.at(200)) == ([40], [90])

    def test_items_that_come_again_are_compared(self, sides: Server) -> None:
        left, right = (
            scene(sides, "left", {"title": "NDVI"}),
            scene(sides, "right", {"title": "LST"}),
        )
        self.old(sides, left, right)
        before = sides.tile(".npy").headers["ETag"]
        sides.add(left)
        assert sides.picture().at(200) == [90]
        sides.add(right)
        picture = sides.picture()
        assert (picture.at(10), picture.at(200)) == ([40], None)
        assert picture.headers["ETag"] != before

    def test_rows_of_usual_scenes_are_as_before(self, sides: Server) -> None:
        sides.add(scene(sides, "left", eo("red")))
        sides.add(scene(sides, "right", eo("red")))
        rows = list(sides.services.mosaics.table.scan("m."))
        assert rows
        assert not any("other_kinds" in row.item for row in rows)
        sides.add(scene(sides, "right", eo("nir"), name="other"))
        rows = [row.item for row in sides.services.mosaics.table.scan("m.")]
        assert {str(row["other_kinds"]) for row in rows if "other_kinds" in row} == {
            "{'data': 'nir, not red'}"
        }

    def test_a_verified_mosaic_keeps_them(self, sides: Server) -> None:
        sides.add(scene(sides, "left", eo("red")), scene(sides, "right", eo("nir")))
        mosaic = sides.services.mosaics.get("m")
        sides.services.index.rewrite(mosaic, "s2#right")
        assert sides.picture().at(200) is None


class TestFiles:
    """What only files say: the number of their bands."""

    def test_no_band_stands_for_one_of_another_asset(self, server: Server) -> None:
        """Asset by asset: the fewest bands of several, and a single one for all."""
        for name, values, height, part in (
            ("four", [1, 2, 3, 4], 90, LEFT),
            ("three", [5, 6, 7], 80, RIGHT),
            ("gray", [9], 70, (0, 0, 256, 64)),
        ):
            color = raster(server.folder / f"{name}.tif", values, part, photometric="minisblack")
            dem = raster(server.folder / f"{name}-dem.tif", height, part)
            day = 2 if name == "gray" else 1
            hrefs = {"color": server.url(color), "dem": server.url(dem)}
            server.add(item_of(name, hrefs, part, day=day))
        picture = server.picture(assets=["color", "dem"])
        assert picture.at(40) == [1, 2, 3, 90]
        assert picture.at(200) == [5, 6, 7, 80]
        assert picture.at(40, 30) == picture.at(200, 30) == [9, 9, 9, 70]
        assert picture.headers["X-Gray-Scenes"] == "gray"

    def test_a_gray_file_among_files_in_color_is_named(self, server: Server) -> None:
        server.publish("color", [10, 20, 30], LEFT)
        assert "X-Gray-Scenes" not in server.picture().headers
        server.publish("gray", 90, RIGHT)
        picture = server.picture()
        assert (picture.at(10), picture.at(200)) == ([10, 20, 30], [90, 90, 90])
        assert picture.headers["X-Gray-Scenes"] == "gray"

    def test_hidden_files_and_chosen_bands_are_not(self, server: Server) -> None:
        server.publish("gray", 90, LEFT)
        server.publish("color", [10, 20, 30], LEFT, day=2)
        assert "X-Gray-Scenes" not in server.picture().headers
        server.publish("more", 50, RIGHT, day=2)
        assert server.picture().headers["X-Gray-Scenes"] == "more"
        assert "X-Gray-Scenes" not in server.picture(bidx=1).headers
