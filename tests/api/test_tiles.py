"""Tiles through HTTP: the newest pixels on top, and what cannot be read is said, never a 5xx."""

import io
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import rasterio
from rio_tiler.colormap import cmap

from api.served import (
    AUTHORIZED,
    EDGE,
    LEFT,
    RIGHT,
    SIZE,
    STEP,
    WHOLE,
    Picture,
    Server,
    X,
    Y,
    Z,
    quiet,
    raster,
    scene,
    serving,
    tile_url,
    transform,
)
from items import box, item
from livemosaic.table.sqlite import SqliteTable

INSIDE, LEFT_OF_MIDDLE, RIGHT_OF_MIDDLE = 20, SIZE // 2 - 1, SIZE // 2
RGB = [10, 20, 30]


def decoded(answer: Any, driver: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Data (bands, height, width) without alpha, and validity."""
    assert answer.status_code == 200, answer.text
    with quiet(), rasterio.MemoryFile(answer.content) as file, file.open(driver=driver) as image:
        bands = image.read()
    return (bands[:-1], bands[-1] > 0) if len(bands) in (2, 4) else (bands, None)


class TestFormats:
    @pytest.mark.parametrize(
        ("suffix", "media", "driver"),
        [
            (".png", "image/png", "PNG"),
            (".jpeg", "image/jpeg", "JPEG"),
            (".jpg", "image/jpeg", "JPEG"),
            (".webp", "image/webp", "WEBP"),
            (".tif", "image/tiff; application=geotiff", "GTiff"),
            (".tiff", "image/tiff; application=geotiff", "GTiff"),
            (".PNG", "image/png", "PNG"),
        ],
    )
    def test_the_extension_names_the_format(
        self, server: Server, suffix: str, media: str, driver: str
    ) -> None:
        server.publish("a", RGB)
        answer = server.tile(suffix)
        assert answer.headers["Content-Type"] == media
        data, _ = decoded(answer, driver)
        assert data.shape == (3, SIZE, SIZE)
        assert np.abs(data.astype(int) - np.reshape(RGB, (3, 1, 1))).max() <= 3

    def test_npy_carries_bands_and_validity_as_they_are(self, server: Server) -> None:
        server.publish("a", [1000, -5], LEFT, dtype="int16")
        bands = np.load(io.BytesIO(server.tile(".npy").content))
        assert (bands.shape, bands.dtype) == ((3, SIZE, SIZE), np.int16)
        assert bands[:2, 0, 0].tolist() == [1000, -5]
        assert (bands[2] != 0).sum() == SIZE * SIZE // 2

    def test_without_extension_a_full_tile_is_jpeg_and_any_other_png(self, server: Server) -> None:
        server.publish("left", RGB, LEFT)
        assert server.tile().headers["Content-Type"] == "image/png"
        server.publish("right", RGB, RIGHT)
        assert server.tile().headers["Content-Type"] == "image/jpeg"
        assert server.tile(".auto").headers["Content-Type"] == "image/jpeg"

    def test_a_geotiff_tile_knows_where_it_lies(self, server: Server) -> None:
        server.publish("a", [1.5, 2.5], dtype="float32")
        answer = server.tile(".tif")
        with quiet(), rasterio.MemoryFile(answer.content) as file, file.open() as image:
            assert image.crs.to_epsg() == 3857
            assert image.bounds == pytest.approx(tuple(EDGE))
            assert image.dtypes[0] == "float32"
            assert image.read(2, masked=True).tolist() == [[2.5] * SIZE] * SIZE

    @pytest.mark.parametrize(
        ("suffix", "query", "edge"),
        [
            ("@1x.npy", {}, 256),
            ("@2x.npy", {}, 512),
            ("@4x.npy", {}, 1024),
            (".npy", {"tilesize": 512}, 512),
            ("@2x.npy", {"tilesize": 512}, 1024),
            ("@2x.npy", {"tilesize": 100}, 200),
            (".npy", {"tilesize": 1}, 1),
        ],
    )
    def test_scale_and_tilesize_multiply(
        self, server: Server, suffix: str, query: dict[str, int], edge: int
    ) -> None:
        server.publish("a", 7)
        bands = np.load(io.BytesIO(server.tile(suffix, **query).content))
        assert bands.shape == (2, edge, edge)
        assert (bands[0] == 7).all()

    def test_a_scale_without_format_is_auto(self, server: Server) -> None:
        server.publish("a", RGB)
        assert server.tile("@2x").headers["Content-Type"] == "image/jpeg"

    def test_twice_the_pixels_show_twice_the_detail(self, server: Server) -> None:
        """Pixels half as large as those of the tile, columns 0, 1, 0, 1…"""
        fine = np.broadcast_to(np.arange(512) % 2, (1, 512, 512)).astype("uint8")
        path = server.folder / "fine.tif"
        raster(path, fine, transform=_half())
        server.add(scene("fine", server.url(path)))
        bands = np.load(io.BytesIO(server.tile("@2x.npy").content))
        assert (bands[0] == fine[0]).all()

    def test_return_mask_false_leaves_validity_out(self, server: Server) -> None:
        server.publish("a", 7, LEFT)
        bands = np.load(io.BytesIO(server.tile(".npy", return_mask=False).content))
        assert bands.shape == (1, SIZE, SIZE)


def _half() -> Any:
    return transform(step=STEP / 2)


class TestOrder:
    def test_the_newest_scene_is_on_top(self, server: Server) -> None:
        server.publish("new", 2, RIGHT, day=2)
        server.publish("old", 1, WHOLE, day=1)
        picture = server.picture()
        assert picture.scenes == ["new", "old"]
        assert (picture.at(LEFT_OF_MIDDLE), picture.at(RIGHT_OF_MIDDLE)) == ([1], [2])

    def test_a_newer_version_of_a_scene_replaces_its_pixels(self, server: Server) -> None:
        server.publish("a", 1)
        assert server.picture().at(INSIDE) == [1]
        server.publish("a", 2)
        assert server.picture().at(INSIDE) == [2]

    def test_a_deleted_scene_uncovers_the_one_below(self, server: Server) -> None:
        server.publish("old", 1, day=1)
        server.publish("new", 2, day=2)
        server.client.delete("/mosaics/m/items/new?collection=s2", headers=AUTHORIZED)
        assert server.picture().at(INSIDE) == [1]

    def test_sortby_decides_what_is_on_top(self, server: Server) -> None:
        server.create("clear", sortby="eo:cloud_cover")
        for name, value, cloud in (("cloudy", 1, 80), ("clear", 2, 3)):
            path = raster(server.folder / f"{name}.tif", value)
            document = scene(name, server.url(path), properties={"eo:cloud_cover": cloud})
            server.add(document, mosaic="clear")
        assert server.picture(tile_url(mosaic="clear")).scenes == ["clear"]

    def test_a_footprint_that_promised_too_much_lets_the_scene_below_show(
        self, server: Server
    ) -> None:
        server.publish("old", 1, WHOLE, day=1)
        server.publish("liar", 2, RIGHT, claims=WHOLE, day=2)
        picture = server.picture()
        assert picture.scenes == ["liar", "old"]
        assert picture.valid.all()
        assert (picture.at(LEFT_OF_MIDDLE), picture.at(RIGHT_OF_MIDDLE)) == ([1], [2])

    def test_a_scene_wanted_only_in_a_later_round_keeps_its_place_in_the_order(
        self, server: Server
    ) -> None:
        """The middle one is found last, and still lies above the bottom one."""
        left, right = (0, 0, 128, 256), (64, 0, 256, 256)
        server.publish("bottom", 1, WHOLE, day=1)
        server.publish("middle", 2, (32, 0, 160, 256), claims=left, day=2)
        server.publish("top", 3, right, claims=(0, 0, 256, 256), day=3)
        picture = server.picture()
        assert picture.scenes == ["top", "middle", "bottom"]
        assert [picture.at(column) for column in (16, 48, 100, 200)] == [[1], [2], [3], [3]]

    def test_round_after_round_until_nothing_is_left_to_try(self, server: Server) -> None:
        for day in range(1, 9):
            part = ((day - 1) * 32, 0, day * 32, 256)
            server.publish(f"s{day}", day, part, claims=WHOLE, day=day)
        picture = server.picture()
        assert picture.data[0, 0].tolist() == np.repeat(np.arange(1, 9), 32).tolist()

    def test_a_hole_of_nodata_shows_what_is_below(self, server: Server) -> None:
        values = np.full((1, SIZE, SIZE), 9, np.uint8)
        values[:, 100:150, 100:150] = 0
        server.publish("old", 1, day=1)
        server.publish("new", values, day=2, nodata=0)
        picture = server.picture()
        assert (picture.at(120, 120), picture.at(160, 160)) == ([1], [9])


class TestUnreadable:
    """The tile is fine without the scene, and says why it is missing."""

    def tile_without(self, server: Server, named: str) -> Picture:
        picture = server.picture()
        assert picture.scenes == ["good"]
        assert (picture.data == 1).all()
        assert picture.valid.all()
        skipped = unquote(picture.headers["X-Skipped-Scenes"])
        assert skipped.startswith("bad=")
        assert named in skipped
        return picture

    @pytest.fixture(autouse=True)
    def below(self, server: Server) -> None:
        server.publish("good", 1, day=1)

    def test_a_file_that_is_missing(self, server: Server) -> None:
        server.add(scene("bad", server.url("nowhere.tif"), day=2))
        self.tile_without(server, "is missing")

    def test_a_file_that_is_empty(self, server: Server) -> None:
        (server.folder / "bad.tif").write_bytes(b"")
        server.add(scene("bad", server.url("bad.tif"), day=2))
        self.tile_without(server, "empty")

    @pytest.mark.parametrize("kept", [4, 100, 0.5, 0.95])
    def test_a_file_that_is_cut_short(self, server: Server, kept: float) -> None:
        noise = np.random.default_rng(1).integers(1, 255, (1, SIZE, SIZE), np.uint8)
        path = server.publish("bad", noise, day=2, blocksize=64)
        body = path.read_bytes()
        path.write_bytes(body[: kept if kept > 1 else int(kept * len(body))])
        self.tile_without(server, "cut short" if kept > 1 else "bad")

    def test_a_file_that_is_not_tiled(self, server: Server) -> None:
        path = server.folder / "bad.tif"
        raster(path, 2, tiled=False, blockxsize=SIZE, blockysize=1)
        server.add(scene("bad", server.url(path), day=2))
        self.tile_without(server, "not tiled")

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"<!doctype html><p>Please log in</p>" * 100, id="a page"),
            pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(1000), id="a PNG"),
            pytest.param(b"II*\0" + b"\xff" * 1000, id="a TIFF's first four bytes"),
            pytest.param(b"<VRTDataset rasterXSize='1' rasterYSize='1'/>", id="a VRT"),
            pytest.param(bytes(100_000), id="zeros"),
        ],
    )
    def test_a_file_that_is_no_tiff(self, server: Server, body: bytes) -> None:
        (server.folder / "bad.tif").write_bytes(body)
        server.add(scene("bad", server.url("bad.tif"), day=2))
        self.tile_without(server, "bad.tif")

    def test_a_file_without_georeferencing(self, server: Server) -> None:
        path = server.folder / "bad.tif"
        with quiet():
            raster(path, 2, crs=None, transform=None)
        server.add(scene("bad", server.url(path), day=2))
        self.tile_without(server, "georeferenc")

    def test_a_folder(self, server: Server) -> None:
        (server.folder / "bad.tif").mkdir()
        server.add(scene("bad", server.url("bad.tif"), day=2))
        self.tile_without(server, "bad.tif")

    def test_a_file_with_less_bands_than_asked_for(self, server: Server) -> None:
        server.publish("bad", [5, 6, 7], day=2)
        server.publish("top", 8, LEFT, day=3)
        picture = server.picture(bidx=3)
        assert picture.scenes == ["bad"]
        assert "band 3" in unquote(picture.headers["X-Skipped-Scenes"])

    def test_where_all_scenes_are_unreadable_the_tile_is_empty(self, server: Server) -> None:
        server.create("bad")
        server.add(scene("a", server.url("nowhere.tif")), mosaic="bad")
        answer = server.tile(".png", mosaic="bad")
        assert answer.status_code == 200
        assert not decoded(answer, "PNG")[1].any()
        assert "is missing" in unquote(answer.headers["X-Skipped-Scenes"])

    def test_a_file_that_is_there_again_shows_again(self, server: Server) -> None:
        path = server.publish("bad", 2, day=2)
        body = path.read_bytes()
        path.unlink()
        self.tile_without(server, "is missing")
        path.write_bytes(body)
        assert server.picture().scenes == ["bad"]


class TestAllowListAfterIngest:
    def test_a_scene_that_leaves_the_allow_list_is_skipped(
        self, tmp_path: Path, folder: Path
    ) -> None:
        """The operator narrows what may be read; what is indexed stays."""
        (folder / "mine").mkdir()
        (folder / "theirs").mkdir()
        with serving(SqliteTable(tmp_path / "kept.db"), folder) as server:
            server.create()
            mine = raster(folder / "mine" / "a.tif", 1)
            theirs = raster(folder / "theirs" / "b.tif", 2)
            server.add(scene("mine", str(mine), day=1), scene("theirs", str(theirs), day=2))
        table = SqliteTable(tmp_path / "kept.db")
        with serving(table, folder, href=f"{folder}/mine") as server:
            picture = server.picture()
            assert picture.scenes == ["mine"]
            assert (picture.data == 1).all()
            assert "allowed prefixes" in unquote(picture.headers["X-Skipped-Scenes"])


KINDS = {
    "one uint8 band": (40, "uint8"),
    "three uint8 bands": ([40, 41, 42], "uint8"),
    "four uint8 bands": ([40, 41, 42, 43], "uint8"),
    "one uint16 band": (4000, "uint16"),
    "three uint16 bands": ([4000, 4001, 4002], "uint16"),
    "one float32 band": (0.5, "float32"),
    "one int16 band": (-40, "int16"),
}
FORMS = (".png", ".jpg", ".webp", ".tif", "", "@2x.png")


class TestMixedKinds:
    @pytest.mark.parametrize("top", KINDS)
    @pytest.mark.parametrize("below", KINDS)
    def test_scenes_of_different_kinds_share_a_tile(
        self, server: Server, top: str, below: str
    ) -> None:
        for day, (kind, part) in enumerate([(below, WHOLE), (top, LEFT)], 1):
            values, dtype = KINDS[kind]
            server.publish(f"s{day}", values, part, day=day, dtype=dtype)
        picture = server.picture()
        assert picture.scenes == ["s2", "s1"]
        shown = np.atleast_1d(KINDS[top][0])[: len(picture.data)]
        under = np.atleast_1d(KINDS[below][0])[: len(picture.data)]
        assert picture.at(LEFT_OF_MIDDLE) == pytest.approx(np.resize(shown, len(picture.data)))
        assert picture.at(RIGHT_OF_MIDDLE) == pytest.approx(np.resize(under, len(picture.data)))
        # One for each pair; each kind meets all of them, above and below.
        form = FORMS[([*KINDS].index(top) + [*KINDS].index(below)) % len(FORMS)]
        assert server.tile(form, rescale="0,5000").status_code == 200
        assert server.tile(form).status_code in (200, 400)

    def test_all_of_them_in_one_tile(self, server: Server) -> None:
        for n, (values, dtype) in enumerate(KINDS.values()):
            part = (n * 32, 0, (n + 1) * 32, 256)
            server.publish(f"s{n}", values, part, day=n + 1, dtype=dtype)
        picture = server.picture()
        assert len(picture.scenes) == len(KINDS)
        assert picture.data.shape == (3, SIZE, SIZE)
        assert server.tile(".png", rescale="0,5000").status_code == 200


class TestBandsAndExpressions:
    @pytest.fixture
    def bands(self, server: Server) -> Server:
        """One asset per band, each a plane of its own values."""
        columns = np.broadcast_to(np.arange(SIZE), (1, SIZE, SIZE))
        hrefs = {
            "red": raster(server.folder / "red.tif", (columns + 100).astype("uint16")),
            "nir": raster(server.folder / "nir.tif", (columns * 3 + 50).astype("uint16")),
            "green": raster(server.folder / "green.tif", 7, dtype="uint8"),
            "blue": raster(server.folder / "blue.tif", 8, dtype="uint8"),
        }
        server.add(scene("a", {name: server.url(path) for name, path in hrefs.items()}))
        return server

    def test_assets_are_stacked_in_the_order_asked_for(self, bands: Server) -> None:
        picture = bands.picture(assets=["nir", "red"])
        assert picture.at(10) == [80, 110]
        assert bands.picture(assets="red,nir").at(10) == [110, 80]

    def test_an_asset_can_be_asked_for_twice_only_as_itself(self, bands: Server) -> None:
        assert bands.tile(".npy", assets=["red", "red"]).status_code == 200

    def test_each_asset_may_have_bands_of_its_own(self, bands: Server) -> None:
        planes = np.stack([np.full((SIZE, SIZE), n, np.uint8) for n in (1, 2, 3)])
        many = raster(bands.folder / "many.tif", planes)
        bands.add(scene("b", {"red": bands.url("red.tif"), "many": bands.url(many)}))
        assert bands.picture(assets=["many|bidx=3,1", "red"]).at(10) == [3, 1, 110]
        assert bands.picture(assets=["red", "many|bidx=2"], bidx=1).at(10) == [110, 2]
        assert bands.picture(assets=["many|bidx=3"], expression="many_b3*2").at(10) == [6]

    @pytest.mark.parametrize(
        "assets",
        [
            "red|bidx=0",
            "red|bidx=",
            "red|bidx=1,x",
            "red|expression=b1*2",
            "|bidx=1",
            "red|bidx=" + "1," * 99 + "1",
            ["red|bidx=1", "red"],
        ],
        ids=str,
    )
    def test_bands_of_an_asset_that_cannot_be_are_refused(self, bands: Server, assets: Any) -> None:
        answer = bands.tile(".npy", assets=assets)
        assert answer.status_code == 400
        assert "bands" in answer.json()["detail"]

    def test_red_green_blue_is_what_a_tile_shows_where_none_is_named(self, bands: Server) -> None:
        assert bands.picture().at(10) == [110, 7, 8]

    def test_default_assets_of_the_mosaic_go_before_that(self, bands: Server) -> None:
        bands.create("nir", default_assets=["nir"])
        bands.add(
            scene("a", {name: bands.url(f"{name}.tif") for name in ("red", "nir")}), mosaic="nir"
        )
        assert bands.picture(tile_url(mosaic="nir")).at(10) == [80]

    def test_ndvi_is_exact(self, bands: Server) -> None:
        picture = bands.picture(expression="(nir-red)/(nir+red)")
        columns = np.arange(SIZE, dtype=np.float32)
        nir, red = columns * 3 + 50, columns + 100
        assert picture.data.dtype == np.float32
        assert picture.data[0, 5].tolist() == ((nir - red) / (nir + red)).tolist()

    def test_blocks_of_an_expression_are_bands(self, bands: Server) -> None:
        assert bands.picture(expression="nir_b1;red_b1*2").at(10) == [80, 220]

    def test_an_expression_over_assets_named_in_the_query(self, bands: Server) -> None:
        got = bands.picture(assets=["red", "nir"], expression="red_b1+nir_b1")
        assert got.at(10) == [190]

    @pytest.mark.parametrize("expression", ["nir*2", "nir_b1*2", "b1*2"])
    def test_an_expression_over_one_asset_by_any_of_its_names(
        self, bands: Server, expression: str
    ) -> None:
        assert bands.picture(expression=expression, assets="nir").at(10) == [160]

    @pytest.mark.parametrize("expression", ["nir*2", "nir_b1*2"])
    def test_an_expression_chooses_its_one_asset_itself(
        self, bands: Server, expression: str
    ) -> None:
        assert bands.picture(expression=expression).at(10) == [160]

    @pytest.mark.parametrize("asked", [{"assets": "nir"}, {"expression": "nir*1"}])
    def test_a_scene_without_the_asset_takes_no_part(
        self, bands: Server, asked: dict[str, str]
    ) -> None:
        bands.publish("visual-only", 5, LEFT, day=2)
        picture = bands.picture(**asked)
        assert picture.scenes == ["a"]
        assert "X-Skipped-Scenes" not in picture.headers

    def test_a_tile_without_a_scene_that_has_the_asset_is_empty(self, server: Server) -> None:
        server.publish("visual-only", 5)
        far = {"nir": {"href": f"{server.folder}/nir.tif"}}
        server.add(item("far", box(100, 0, 101, 1), assets=far))
        picture = server.picture(expression="nir/2")
        assert not picture.valid.any()
        assert picture.scenes == []

    def test_a_scene_without_the_default_asset_is_skipped_and_named(self, server: Server) -> None:
        server.create("m2", default_assets=["visual", "nir"])
        server.publish("visual-only", 5, mosaic="m2")
        answer = server.tile(".png", mosaic="m2")
        assert "has no asset 'nir'" in unquote(answer.headers["X-Skipped-Scenes"])

    def test_the_id_of_a_skipped_scene_ends_at_the_first_equals_sign(self, server: Server) -> None:
        server.create("m2", default_assets=["visual", "nir"])
        server.publish("a=1,b", 5, mosaic="m2")
        entry = server.tile(".png", mosaic="m2").headers["X-Skipped-Scenes"]
        name, _, why = entry.partition("=")
        assert (unquote(name), unquote(why)) == ("a=1,b", "has no asset 'nir'")

    def test_an_asset_that_no_scene_has_is_refused(self, bands: Server) -> None:
        answer = bands.tile(".npy", assets="swir")
        assert answer.status_code == 400
        assert "'swir'" in answer.json()["detail"]
        assert "nir" in answer.json()["detail"]

    def test_division_by_zero_is_not_valid(self, server: Server) -> None:
        values = np.ones((2, SIZE, SIZE), np.uint8)
        values[1, :, :100] = 0
        server.publish("a", values)
        picture = server.picture(expression="b1/b2")
        assert (picture.at(50), picture.at(150)) == (None, [1])

    def test_bidx_takes_bands_in_any_order(self, server: Server) -> None:
        server.publish("a", [10, 20, 30])
        assert server.picture(bidx=[3, 1]).at(INSIDE) == [30, 10]
        assert server.picture(bidx=[2]).at(INSIDE) == [20]
        assert server.picture(bidx=[2, 2]).at(INSIDE) == [20, 20]


class TestValues:
    def test_nodata_of_the_file_is_not_valid(self, server: Server) -> None:
        values = np.full((1, SIZE, SIZE), 5, np.int16)
        values[:, :, :50] = -9999
        server.publish("a", values, nodata=-9999)
        picture = server.picture()
        assert (picture.at(20), picture.at(60)) == (None, [5])

    def test_nodata_of_the_query_goes_before_the_files(self, server: Server) -> None:
        values = np.full((1, SIZE, SIZE), 5, np.int16)
        values[:, :, :50] = -9999
        server.publish("a", values, nodata=-9999)
        picture = server.picture(nodata=5)
        assert (picture.at(20), picture.at(60)) == ([-9999], None)

    def test_nodata_uncovers_the_scene_below(self, server: Server) -> None:
        server.publish("old", 1, day=1)
        server.publish("new", 2, day=2)
        assert server.picture(nodata=2).at(INSIDE) == [1]

    def test_nan_is_never_valid(self, server: Server) -> None:
        values = np.full((1, SIZE, SIZE), 0.5, np.float32)
        values[:, :50] = np.nan
        server.publish("a", values)
        picture = server.picture()
        assert (picture.at(9, 20), picture.at(9, 60)) == (None, [0.5])
        assert server.picture(nodata="nan").at(9, 20) is None

    def test_an_internal_mask_is_kept(self, server: Server) -> None:
        mask = np.ones((SIZE, SIZE), np.bool_)
        mask[:, :50] = False
        server.publish("a", [1, 2, 3], mask=mask)
        assert (server.picture().valid == mask).all()

    def test_an_alpha_band_is_validity_not_a_band(self, server: Server) -> None:
        values = np.full((4, SIZE, SIZE), 9, np.uint8)
        values[3] = 255
        values[3, :, :50] = 0
        server.publish("a", values, alpha=True)
        picture = server.picture()
        assert picture.data.shape[0] == 3
        assert (picture.at(20), picture.at(60)) == (None, [9, 9, 9])

    def test_unscale_applies_scale_and_offset(self, server: Server) -> None:
        server.publish(
            "a", [1000, -200], dtype="int16", scales=[0.5, 0.25], offsets=[10, 1], nodata=-1
        )
        assert server.picture().at(INSIDE) == [1000, -200]
        picture = server.picture(unscale=True)
        assert picture.data.dtype == np.float32
        assert picture.at(INSIDE) == [510, -49]

    def test_rescale_maps_to_a_byte(self, server: Server) -> None:
        columns = np.broadcast_to(np.arange(SIZE) * 10, (1, SIZE, SIZE)).astype("uint16")
        server.publish("a", columns)
        data, valid = decoded(server.tile(".png", rescale="0,2550"), "PNG")
        assert valid.all()
        assert np.abs(data[0, 0].astype(int) - np.arange(SIZE)).max() <= 1
        clipped, _ = decoded(server.tile(".png", rescale="500,1000"), "PNG")
        assert (clipped[0, 0, 40], clipped[0, 0, 110]) == (0, 255)

    def test_rescale_may_differ_by_band(self, server: Server) -> None:
        server.publish("a", [100, 100, 100], dtype="uint16")
        ranges = ["0,100", "0,200", "100,200"]
        data, _ = decoded(server.tile(".png", rescale=ranges), "PNG")
        assert data[:, 9, 9].tolist() == [255, 127, 0]

    @pytest.mark.parametrize("suffix", [".jpg", ".webp"])
    def test_values_that_a_format_cannot_hold_need_rescale(
        self, server: Server, suffix: str
    ) -> None:
        server.publish("a", 4000, dtype="uint16")
        answer = server.tile(suffix)
        assert answer.status_code == 400
        assert "rescale" in answer.json()["detail"]
        assert server.tile(suffix, rescale="0,5000").status_code == 200

    def test_a_colormap_colours_one_band(self, server: Server) -> None:
        columns = np.broadcast_to(np.arange(SIZE), (1, SIZE, SIZE)).astype("uint8")
        server.publish("a", columns)
        data, _ = decoded(server.tile(".png", colormap_name="viridis"), "PNG")
        colours = cmap.get("viridis")
        assert [tuple(data[:, 3, n]) for n in (0, 100, 255)] == [
            tuple(colours[n][:3]) for n in (0, 100, 255)
        ]

    def test_a_palette_image_is_shown_in_its_colours_and_kept_in_data_formats(
        self, server: Server
    ) -> None:
        colours = {1: (255, 0, 0, 255), 2: (0, 0, 255, 255)}
        server.publish("a", 1, LEFT, colormap=colours)
        server.publish("b", 2, RIGHT, colormap=colours)
        data, _ = decoded(server.tile(".png"), "PNG")
        assert data[:, 5, [5, 200]].T.tolist() == [[255, 0, 0], [0, 0, 255]]
        assert server.picture().at(5) == [1]


class TestLimits:
    def test_more_scenes_than_the_limit_are_left_out_and_said(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        with serving(sqlite_table, folder, max_scenes=3) as server:
            server.create()
            for day in range(1, 9):
                server.publish(f"s{day}", day, ((day - 1) * 32, 0, day * 32, 256), day=day)
            picture = server.picture()
            assert picture.headers["X-Truncated"] == "max_scenes=3"
            assert picture.scenes == ["s8", "s7", "s6"]

    def test_a_scene_that_shows_nothing_counts_too(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        with serving(sqlite_table, folder, max_scenes=2) as server:
            server.create()
            server.publish("bottom", 1, day=1)
            for day in (2, 3):
                server.add(scene(f"s{day}", server.url("nowhere.tif"), day=day))
            picture = server.picture()
            assert picture.headers["X-Truncated"] == "max_scenes=2"
            assert not picture.valid.any()

    def test_just_as_many_as_the_limit_are_not_truncated(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        with serving(sqlite_table, folder, max_scenes=2) as server:
            server.create()
            server.publish("left", 1, LEFT)
            server.publish("right", 2, RIGHT)
            assert "X-Truncated" not in server.picture().headers

    def test_rows_are_limited_too(self, sqlite_table: SqliteTable, folder: Path) -> None:
        with serving(sqlite_table, folder, max_rows=2) as server:
            server.create()
            for day in (1, 2, 3):
                server.publish(f"s{day}", day, ((day - 1) * 32, 0, day * 32, 256), day=day)
            assert server.picture().headers["X-Truncated"] == "max_rows=2"


class TestEmptyAndHeaders:
    @pytest.mark.parametrize("suffix", ["", ".png", ".webp", "@2x"])
    def test_where_nothing_is_the_tile_is_transparent(self, server: Server, suffix: str) -> None:
        answer = server.tile(suffix)
        driver = "WEBP" if suffix == ".webp" else "PNG"
        _, valid = decoded(answer, driver)
        assert not valid.any()
        assert answer.headers["X-Scenes"] == ""

    def test_a_jpeg_of_nothing_is_black(self, server: Server) -> None:
        data, _ = decoded(server.tile(".jpg"), "JPEG")
        assert not data.any()

    @pytest.mark.parametrize("filled", [True, False], ids=["full", "empty"])
    def test_nobody_may_keep_a_tile_without_asking_again(
        self, server: Server, filled: bool
    ) -> None:
        if filled:
            server.publish("a", 1)
        control = server.tile().headers["Cache-Control"]
        assert "no-cache" in control or "no-store" in control
        assert "immutable" not in control

    @pytest.mark.parametrize("url", [tile_url(mosaic="nowhere"), tile_url(tile=(10, 5000, 1))])
    def test_an_error_is_never_kept(self, server: Server, url: str) -> None:
        answer = server.get(url)
        assert answer.status_code == 404
        assert answer.headers["Cache-Control"] == "no-store"

    def test_a_scene_published_after_an_empty_tile_shows_at_once(self, server: Server) -> None:
        assert not server.picture().valid.any()
        server.publish("a", 1)
        assert server.picture().valid.all()

    def test_odd_ids_do_not_break_headers(self, server: Server) -> None:
        server.publish("é,\u2603=日本;", 1, LEFT, day=1)
        server.add(scene("gone\u2603", server.url("nowhere.tif"), RIGHT, day=1))
        headers = server.tile().headers
        assert [unquote(name) for name in headers["X-Scenes"].split(",")] == ["é,\u2603=日本;"]
        assert unquote(headers["X-Skipped-Scenes"]).startswith("gone\u2603=")

    def test_a_header_has_an_end(self, sqlite_table: SqliteTable, folder: Path) -> None:
        with serving(sqlite_table, folder, max_scenes=100) as server:
            server.create()
            for n in range(30):
                part = (n * 8, 0, n * 8 + 8, 256)
                server.publish(f"{n:02}" + "é" * 60, n, part)
            listed = server.tile().headers["X-Scenes"]
            assert len(listed) < 4096
            assert listed.endswith("...")

    def test_a_web_page_may_read_what_a_tile_is_made_of(self, server: Server) -> None:
        answer = server.client.get(tile_url(), headers={"Origin": "https://example.com"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "X-Scenes" in answer.headers["Access-Control-Expose-Headers"]


class TestEveryTable:
    """The same from end to end, whatever stores the index."""

    def test_from_an_item_to_a_tile_and_back(self, any_server: Server) -> None:
        server = any_server
        server.publish("old", 1, WHOLE, day=1)
        server.publish("liar", 2, RIGHT, claims=WHOLE, day=2)
        server.add(scene("gone", server.url("nowhere.tif"), day=3))
        picture = server.picture()
        assert picture.scenes == ["liar", "old"]
        assert (picture.at(LEFT_OF_MIDDLE), picture.at(RIGHT_OF_MIDDLE)) == ([1], [2])
        assert "gone" in picture.headers["X-Skipped-Scenes"]
        server.client.delete("/mosaics/m/items/liar?collection=s2", headers=AUTHORIZED)
        assert server.picture().at(RIGHT_OF_MIDDLE) == [1]

    def test_zooms_around_the_level_of_a_scene(self, any_server: Server) -> None:
        any_server.publish("a", 1)
        for up in (0, 1, 3, 6):
            url = tile_url(tile=(Z - up, X >> up, Y >> up))
            assert any_server.picture(url).scenes == ["a"]
        for down in (1, 4, 8):
            url = tile_url(tile=(Z + down, X << down, Y << down))
            assert any_server.picture(url).valid.all()

    def test_items_are_listed_and_paged(self, any_server: Server) -> None:
        paths = raster(any_server.folder / "a.tif", 1)
        any_server.add(*(scene(f"s{n}", any_server.url(paths), day=n + 1) for n in range(5)))
        url, seen = "/mosaics/m/items?limit=2", []
        while url:
            page = any_server.get(url).json()
            seen += [feature["id"] for feature in page["features"]]
            url = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
        assert sorted(seen) == [f"s{n}" for n in range(5)]
        box = any_server.get("/mosaics/m/items", bbox="7.8,45.9,7.9,46").json()
        assert [f["id"] for f in box["features"]] in ([], [f"s{n}" for n in range(4, -1, -1)])

    def test_a_token_that_was_never_given_out_is_no_failure(self, any_server: Server) -> None:
        for after in ("é" * 590, "x" * 590, "", "\0", "#"):
            answer = any_server.get("/mosaics/m/items", token=f"0#{after}")
            assert answer.status_code < 500, answer.text

    def test_ids_too_long_to_be_are_not_found(self, any_server: Server) -> None:
        assert any_server.get("/mosaics/m/items/" + "x" * 5000).status_code == 404
        assert any_server.get("/mosaics/" + "m" * 5000).status_code == 404

    def test_a_mosaic_lives_and_dies(self, any_server: Server) -> None:
        any_server.publish("a", 1)
        assert any_server.client.delete("/mosaics/m", headers=AUTHORIZED).status_code == 204
        assert any_server.tile().status_code == 404
        any_server.create()
        assert not any_server.picture().valid.any()
