"""What TiTiler's parameters make of a tile, as clients ask for it."""

from typing import get_args

import numpy as np
import pytest
from rasterio.io import MemoryFile
from rio_tiler.colormap import cmap

from api.served import SIZE, STEP, Server, scene, tile_url, transform
from cogs import write_cog
from livemosaic.model.render import Resampling


def ramp(bands: int = 1, dtype: str = "float32", high: float = 900.0) -> np.ndarray:
    """Hills: no two of the tile's edges are alike."""
    x, y = np.meshgrid(np.linspace(0, 7, SIZE), np.linspace(0, 5, SIZE))
    hills = (np.sin(x) * np.cos(y * y) + 1) / 2
    return np.stack([np.rot90(hills, n) * high for n in range(bands)]).astype(dtype)


@pytest.fixture
def hills(server: Server) -> Server:
    server.publish("hills", ramp())
    return server


@pytest.fixture
def city(server: Server) -> Server:
    server.publish("city", ramp(3, "uint8", 255))
    return server


class TestWhatAStyleDoes:
    def test_an_algorithm_is_run_on_the_composed_pixels(self, server: Server) -> None:
        """Not scene by scene: there is no edge between two halves of one hill."""
        values = ramp()
        server.publish("left", values[:, :, : SIZE // 2], (0, 0, SIZE // 2, SIZE))
        server.publish("right", values[:, :, SIZE // 2 :], (SIZE // 2, 0, SIZE, SIZE))
        asked = {"algorithm": "hillshade", "algorithm_params": '{"buffer": 0}'}
        halves = server.picture(**asked)
        server.create("one")
        server.publish("whole", values, mosaic="one")
        whole = server.picture(tile_url(mosaic="one"), **asked)
        np.testing.assert_array_equal(halves.data, whole.data)

    def test_a_buffer_is_what_an_algorithm_drops_from(self, hills: Server) -> None:
        """As in TiTiler, also where it is 0: then the tile is smaller."""
        drawn = hills.picture(algorithm="hillshade", buffer=3)
        assert drawn.data.shape == (1, SIZE, SIZE)
        small = hills.picture(algorithm="hillshade", buffer=0)
        np.testing.assert_array_equal(small.data, drawn.data[:, 3:-3, 3:-3])

    def test_a_color_formula_brightens(self, city: Server) -> None:
        plain, bright = city.picture(), city.picture(color_formula="gamma rgb 2")
        expected = (np.sqrt(plain.data / 255.0) * 255).astype("uint8")
        np.testing.assert_array_equal(bright.data, expected)

    def test_a_colormap_of_the_request_is_used(self, server: Server) -> None:
        server.publish("classes", 7)
        assert server.picture(colormap='{"7": "#010203"}').at(9) == [1, 2, 3]
        assert server.picture(colormap='[[[6.5, 8], "#040506"]]').at(9) == [4, 5, 6]
        assert server.picture(colormap='{"8": "#010203"}').at(9) is None

    def test_all_of_it_goes_together(self, hills: Server) -> None:
        said = {"rescale": "0,900", "color_formula": "gamma r 1.5", "colormap_name": "viridis"}
        values = hills.picture(rescale="0,900", color_formula="gamma r 1.5").data[0]
        lut = np.array([cmap.get("viridis")[n][:3] for n in range(256)])
        np.testing.assert_array_equal(hills.picture(**said).data, lut[values].transpose(2, 0, 1))

    def test_each_of_it_changes_the_etag(self, server: Server) -> None:
        server.publish("grey", ramp(1, "uint8", 255))
        ways: list[dict[str, str]] = [
            {},
            {"algorithm": "cast"},
            {"algorithm": "floor"},
            {"algorithm": "hillshade", "algorithm_params": '{"azimuth": 1}'},
            {"algorithm": "hillshade", "algorithm_params": '{"azimuth": 2}'},
            {"color_formula": "gamma r 1"},
            {"color_formula": "gamma r 2"},
            {"rescale": "0,1"},
            {"rescale": "0,2"},
            {"colormap": '{"1": "#fff"}'},
            {"colormap": '{"1": "#ffe"}'},
            {"reproject": "cubic"},
            {"buffer": "1"},
        ]
        tags = {server.tile(".npy", **way).headers["ETag"] for way in ways}
        assert len(tags) == len(ways)


class TestFormats:
    @pytest.mark.parametrize("return_mask", ["true", "false"])
    def test_jpeg_2000_shows_three_bands(self, city: Server, return_mask: str) -> None:
        answer = city.tile(".jp2", return_mask=return_mask)
        assert answer.headers["Content-Type"] == "image/jp2"
        with MemoryFile(answer.content) as file, file.open() as image:
            assert image.driver == "JP2OpenJPEG"
            assert image.count == (4 if return_mask == "true" else 3)
            assert image.crs == "EPSG:3857"
            close = np.abs(image.read([1, 2, 3]).astype(int) - city.picture().data)
        assert close.mean() < 10

    def test_pngraw_is_png(self, city: Server) -> None:
        raw = city.tile(".pngraw")
        assert raw.headers["Content-Type"] == "image/png"
        assert raw.content == city.tile(".png").content


class TestBuffer:
    @pytest.mark.parametrize(("buffer", "size"), [(0.5, 257), (1, 258), (2.5, 261), (64, 384)])
    def test_it_adds_pixels_on_each_side(self, city: Server, buffer: float, size: int) -> None:
        assert city.picture(buffer=buffer).data.shape == (3, size, size)

    def test_they_are_those_of_the_neighbours(self, server: Server) -> None:
        part = (-SIZE, -SIZE, 2 * SIZE, 2 * SIZE)
        values = np.random.default_rng(1).integers(0, 255, (1, 3 * SIZE, 3 * SIZE), "uint8")
        server.publish("wide", values, part)
        around = server.picture(buffer=9)
        np.testing.assert_array_equal(
            around.data, values[:, SIZE - 9 : 2 * SIZE + 9, SIZE - 9 : 2 * SIZE + 9]
        )

    def test_a_neighbours_scene_shows_in_it(self, server: Server) -> None:
        server.publish("here", 1)
        server.publish("there", 2, (SIZE, 0, 2 * SIZE, SIZE))
        around = server.picture(buffer=2)
        assert around.data[0, 9, -5:].tolist() == [1, 1, 1, 2, 2]

    def test_at_the_edge_of_the_world_there_is_nothing_beyond(self, server: Server) -> None:
        answer = server.get("/mosaics/m/tiles/WebMercatorQuad/0/0/0.png", buffer=4)
        assert answer.status_code == 200

    @pytest.mark.parametrize("buffer", ["-1", "0.25", "nan", "inf", "1e9", "x"])
    def test_what_it_cannot_be_is_refused(self, city: Server, buffer: str) -> None:
        answer = city.tile(buffer=buffer)
        assert answer.status_code == 400
        assert "buffer" in answer.json()["detail"]


class TestResampling:
    @pytest.fixture
    def coarse(self, server: Server) -> Server:
        """Three source pixels for four of the tile, and far more around than one tile."""
        size = 3 * SIZE
        values = np.random.default_rng(2).uniform(0, 100, (1, size, size)).astype("float32")
        path = server.folder / "coarse.tif"

        where = transform((-SIZE, -SIZE, 0, 0), STEP * 4 / 3)
        write_cog(path, values, crs="EPSG:3857", transform=where)
        server.add(scene("coarse", server.url(path), (-SIZE, -SIZE, 2 * SIZE, 2 * SIZE)))
        return server

    @pytest.mark.parametrize("how", get_args(Resampling))
    def test_pixels_at_an_edge_are_those_of_a_larger_picture(
        self, coarse: Server, how: str
    ) -> None:
        """So there is nothing that TiTiler's `padding` could better."""
        alone = coarse.picture(resampling=how).data
        around = coarse.picture(resampling=how, buffer=16).data[:, 16:-16, 16:-16]
        np.testing.assert_allclose(alone, around, rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(coarse.picture(resampling=how, padding=8).data, alone)

    @pytest.mark.parametrize("padding", ["-1", "100000", "0.5", "x"])
    def test_padding_is_a_number_of_pixels_all_the_same(self, city: Server, padding: str) -> None:
        answer = city.tile(padding=padding)
        assert answer.status_code == 400
        assert "padding" in answer.json()["detail"]

    def test_reproject_says_the_same_and_resampling_goes_before_it(self, coarse: Server) -> None:
        cubic = coarse.picture(resampling="cubic").data
        np.testing.assert_array_equal(coarse.picture(reproject="cubic").data, cubic)
        both = coarse.picture(resampling="cubic", reproject="average").data
        np.testing.assert_array_equal(both, cubic)
        assert (coarse.picture(resampling="nearest", reproject="cubic").data != cubic).any()

    def test_what_gdal_cannot_warp_with_is_refused(self, coarse: Server) -> None:
        answer = coarse.tile(resampling="gauss")
        assert answer.status_code == 400
        assert "'lanczos'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("algorithm", "nope"),
        ("algorithm", "x" * 8000),
        ("algorithm_params", "{}"),
        ("color_formula", "gamma R 1e999"),
        ("color_formula", "gamma R 1 " * 700),
        ("colormap", '{"1": "red"}'),
        ("colormap", '{"1": [NaN, 0, 0, 0]}'),
        ("colormap", "[[[[[["),
        ("colormap_name", "../../etc/passwd"),
        ("rescale", "nan,nan"),
        ("rescale", "5,5"),
        ("rescale", "10,0"),
        ("rescale", "1"),
        ("render", "nope"),
        ("unscale", "perhaps"),
    ],
    ids=lambda value: value[:30],
)
def test_bad_input_is_refused_by_name(city: Server, name: str, value: str) -> None:
    for path in (tile_url(), "/mosaics/m/tiles/WebMercatorQuad/tilejson.json"):
        answer = city.get(path, **{name: value})
        assert answer.status_code == 400, answer.text
        assert name.partition("_")[0] in answer.json()["detail"]
        assert len(answer.json()["detail"]) < 1000
