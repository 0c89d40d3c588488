"""Values become colors as in TiTiler: its own functions are asked for the same pixels."""

import io
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rio_tiler.colormap import parse_color
from rio_tiler.models import ImageData
from titiler.core.algorithm import algorithms
from titiler.core.resources.enums import ImageType
from titiler.core.utils import render_image

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.render.algorithms import MAX_SAMPLES, parse_algorithm
from livemosaic.render.encode import encode
from livemosaic.render.parameters import Parameters
from livemosaic.render.stack.compose import empty
from livemosaic.render.style import draw_scene

SIZE = 32
GRID = Grid(CRS.from_epsg(3857), (0.0, 0.0, SIZE * 10.0, SIZE * 10.0), SIZE, SIZE)


def pixels(bands: int = 1, dtype: str = "uint8", high: float = 256, hole: bool = True) -> Pixels:
    """Noise below `high`; the top left quarter is invalid where there is a hole."""
    data = np.random.default_rng(bands).uniform(0, high, (bands, SIZE, SIZE)).astype(dtype)
    valid = np.ones((SIZE, SIZE), np.bool_)
    if hole:
        valid[: SIZE // 2, : SIZE // 2] = False
    return Pixels(data * valid.astype(data.dtype), valid, tuple(f"b{n + 1}" for n in range(bands)))


def image_of(source: Pixels) -> ImageData:
    mask = np.broadcast_to(~source.valid, source.data.shape).copy()
    array = np.ma.MaskedArray(source.data.copy(), mask)
    return ImageData(array, crs=GRID.crs, bounds=GRID.bounds)


def ours(source: Pixels, **said: str | list[str]) -> np.ndarray:
    """As npy: bands, then 255 where valid."""
    render = replace(Parameters(**said).render(), format="npy")
    return np.load(io.BytesIO(encode(source, render, GRID).body))


def theirs(source: Pixels, algorithm=None, **styled) -> np.ndarray:
    image = image_of(source)
    with np.errstate(all="ignore"):
        image = algorithm(image) if algorithm else image
        body, _ = render_image(image, output_format=ImageType.npy, **styled)
    return np.load(io.BytesIO(body))


def same(mine: np.ndarray, other: np.ndarray) -> None:
    """Equal where valid, and valid alike; what lies under a mask is anybody's."""
    assert mine.dtype == other.dtype
    assert mine.shape == other.shape
    valid = mine[-1] != 0
    np.testing.assert_array_equal(valid, _is_valid(other[-1]))
    np.testing.assert_array_equal(mine[:-1, valid], other[:-1, valid])


def _is_valid(mask: np.ndarray) -> np.ndarray:
    """rio-tiler's mask: the dtype's smallest value is invalid."""
    low = np.finfo(mask.dtype).min if mask.dtype.kind == "f" else np.iinfo(mask.dtype).min
    return mask != low


class TestAlgorithms:
    @pytest.mark.parametrize(
        ("name", "params", "bands"),
        [
            ("hillshade", {}, 1),
            ("hillshade", {"azimuth": 315, "angle_altitude": 30.5, "buffer": 0}, 1),
            ("slope", {"z_exaggeration": 10}, 1),
            ("contours", {"increment": 10, "thickness": 2, "minz": 0, "maxz": 500}, 1),
            ("contours", {"increment": 0}, 1),
            ("normalizedIndex", {}, 2),
            ("terrarium", {}, 1),
            ("terrarium", {"nodata_height": -5.5}, 1),
            ("terrainrgb", {"interval": 0.5, "baseval": -100}, 1),
            *((name, {}, 3) for name in ("cast", "ceil", "floor", "min", "max", "median")),
            *((name, {}, 3) for name in ("mean", "std", "var", "sum", "grayscale", "bitonal")),
            ("std", {}, 1),
        ],
        ids=str,
    )
    @pytest.mark.parametrize(("dtype", "high"), [("uint8", 256), ("float32", 900), ("int16", 900)])
    def test_each_of_titilers_makes_the_same_of_the_same_pixels(
        self, name, params, bands, dtype, high
    ):
        source = pixels(bands, dtype, high)
        mine = ours(source, algorithm=name, algorithm_params=json.dumps(params))
        try:
            expected = theirs(source, algorithms.get(name)(**params))
        except OverflowError:
            pytest.skip("rio-tiler knows no mask of uint64 with numpy 2.5")
        same(mine, expected)

    def test_all_of_titilers_are_tried_above(self):
        marks = TestAlgorithms.test_each_of_titilers_makes_the_same_of_the_same_pixels.pytestmark
        tried = {case[0] for mark in marks for case in mark.args[1]}
        assert set(algorithms.list()) <= tried

    def test_the_pixels_that_were_read_stay_as_they_are(self):
        source = pixels(3)
        before = source.data.copy()
        ours(source, algorithm="bitonal", color_formula="gamma r 2")
        np.testing.assert_array_equal(source.data, before)

    def test_a_buffer_that_is_dropped_moves_the_bounds(self):
        render = Parameters(algorithm="hillshade", algorithm_params='{"buffer": 4}').render()
        body = encode(pixels(dtype="float32"), replace(render, format="tif"), GRID).body
        with MemoryFile(body) as file, file.open() as target:
            assert target.shape == (SIZE - 8, SIZE - 8)
            assert target.res == (10, 10)
            assert tuple(target.bounds) == (40, 40, SIZE * 10 - 40, SIZE * 10 - 40)

    def test_an_empty_picture_has_the_same_size(self):
        assert ours(empty(GRID), algorithm="hillshade").shape == (2, SIZE - 6, SIZE - 6)

    def test_an_empty_picture_never_raises(self):
        assert not ours(empty(GRID), algorithm="normalizedIndex").any()

    def test_infinity_among_pixels_does_no_harm(self):
        source = pixels(2, "float32")
        source.data[:, 20, 20] = np.inf
        assert ours(source, algorithm="normalizedIndex")[:, 20, 20].tolist() == [0, 0]

    @pytest.mark.parametrize(
        ("name", "bands", "message"),
        [
            ("normalizedIndex", 1, "cannot take 1 bands of uint8, 32 × 32 pixels"),
            ("contours", 3, "must be 1 band"),
            ("grayscale", 1, "with 1 bands"),
        ],
    )
    def test_pixels_that_do_not_fit_are_refused(self, name, bands, message):
        with pytest.raises(InvalidRequestError, match=message):
            ours(pixels(bands), algorithm=name)

    def test_a_buffer_of_all_pixels_is_refused(self):
        with pytest.raises(InvalidRequestError, match="leaves none of them"):
            ours(pixels(), algorithm="slope", algorithm_params='{"buffer": 16}')

    @pytest.mark.parametrize(
        ("name", "params", "message"),
        [
            ("nope", None, "unknown algorithm 'nope'; known are bitonal, cast"),
            ("x" * 9999, None, "unknown algorithm 'x{80}';"),
            ("hillshade", "{", "'{' is not JSON"),
            ("hillshade", "[" * 900, "is not JSON"),
            ("hillshade", "[1]", "must be a JSON object"),
            ("hillshade", '{"azimuth": NaN}', "'azimuth' must be a finite number, it is nan"),
            ("hillshade", '{"azimuth": 1e999}', "it is inf"),
            ("hillshade", '{"azimuth": -1e999}', "it is -inf"),
            ("hillshade", '{"azimuth": 361}', "azimuth of hillshade: .* equal to 360 .it is 361"),
            ("hillshade", '{"buffer": 100}', "buffer of hillshade: .* equal to 99"),
            ("hillshade", '{"buffer": "3"}', "must be a finite number"),
            ("hillshade", '{"output_dtype": "U99999999"}', "must be a finite number"),
            ("hillshade", '{"input_nbands": 1}', "no parameter 'input_nbands'; it has angle_al"),
            ("hillshade", '{"x": ' + "1" * 2000 + "}", "2,007 characters, at most 1,000"),
            ("cast", '{"x": 1}', "cast has no parameter 'x'; it has none"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_what_cannot_be_asked_for_is_refused_before_anything_is_read(
        self, name, params, message
    ):
        with pytest.raises(InvalidRequestError, match=message):
            Parameters(algorithm=name, algorithm_params=params).render()

    def test_parameters_need_an_algorithm(self):
        with pytest.raises(InvalidRequestError, match="need an algorithm"):
            Parameters(algorithm_params="{}").render()

    def test_the_same_algorithm_is_written_the_same(self):
        """As ETags compare it."""
        whole = '{"z_exaggeration": 1.0, "buffer": 3, "azimuth": 45, "angle_altitude": 45}'
        assert repr(parse_algorithm("hillshade", whole)) == repr(parse_algorithm("hillshade"))

    def test_memory_is_bounded(self):
        side = 512
        data = np.ones((1, side, side), np.float64)
        source = Pixels(data, np.ones((side, side), np.bool_), ("b1",))
        tracemalloc.start()
        try:
            ours(source, algorithm="hillshade")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak / data.size * MAX_SAMPLES < 400e6

    def test_pictures_beyond_that_bound_are_refused(self):
        side = 1183
        source = Pixels(
            np.ones((3, side, side), np.uint8), np.ones((side, side), np.bool_), ("a", "b", "c")
        )
        with pytest.raises(InvalidRequestError, match=r"at most 4,194,304 pixels × bands"):
            ours(source, algorithm="median")


class TestColorFormula:
    @pytest.mark.parametrize(
        "formula",
        [
            "gamma rgb 1.8",
            "Gamma RG 1.5, Saturation 1.2, sigmoidal rgb 10 0.35",
            "sigmoidal b -3 0.5",
            "saturation 0",
            "gamma 1 0.7",
        ],
    )
    @pytest.mark.parametrize(("bands", "dtype"), [(3, "uint8"), (5, "uint16")])
    def test_titiler_makes_the_same(self, formula, bands, dtype):
        source = pixels(bands, dtype, np.iinfo(dtype).max + 1)
        expected = theirs(source, color_formula=formula)
        mine = ours(source, color_formula=formula)
        same(mine, expected)
        assert not mine[:, ~source.valid].any()

    def test_rescale_comes_before_and_the_colormap_after(self):
        source = pixels(1, "float32", 5000)
        colors = {n: (n, 255 - n, 7, 255) for n in range(256)}
        said = {"rescale": ["100,4000"], "color_formula": "gamma r 2"}
        expected = theirs(source, rescale=[(100, 4000)], color_formula="gamma r 2", colormap=colors)
        same(ours(source, **said, colormap=json.dumps(colors)), expected)

    def test_the_algorithm_comes_first(self):
        source = pixels(2, "float32", 5000)
        run = algorithms.get("normalizedIndex")()
        expected = theirs(source, run, rescale=[(-1, 1)], color_formula="gamma r 2")
        said = {"algorithm": "normalizedIndex", "rescale": ["-1,1"], "color_formula": "gamma r 2"}
        same(ours(source, **said), expected)

    def test_memory_is_bounded(self):
        side, formula = 1024, "gamma rgb 2, saturation 1.1, sigmoidal rgb 3 0.5"
        data = np.random.default_rng(3).integers(0, 255, (3, side, side), "uint8")
        source = Pixels(data, np.ones((side, side), np.bool_), ("r", "g", "b"))
        expected = ImageData(data.copy()).apply_color_formula(formula).data
        tracemalloc.start()
        try:
            made = ours(source, color_formula=formula)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 8 * data.nbytes
        np.testing.assert_array_equal(made[:3], expected)

    @pytest.mark.parametrize(
        ("formula", "message"),
        [
            ("gamma R 1e999", "not finite"),
            ("gamma R nan", "not finite"),
            ("gamma R -inf", "not finite"),
            ("gamma R 0", "gamma must be greater than 0"),
            ("gamma R", "cannot be run on 3 bands"),
            ("gamma", "cannot be run on 3 bands"),
            ("gamma X 1", "cannot be run on 3 bands"),
            ("gamma 4 1", "BAND must be between 1 and 3"),
            ("sigmoidal rgb 3 2", "bias must be"),
            ("import os", "not a valid operation"),
            (" ".join(["gamma r 1"] * 9), "9 operations, at most 8 are run"),
            ("gamma r 1 " * 999, "9,990 characters, at most 200"),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_what_cannot_be_run_is_refused_before_anything_is_read(self, formula, message):
        with pytest.raises(InvalidRequestError, match=message):
            Parameters(color_formula=formula).render()

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (pixels(3, "float32"), "float32 pixels need rescale=min,max for a color_formula"),
            (pixels(1), "cannot be run on 1 bands"),
        ],
        ids=["float", "one band"],
    )
    def test_pixels_that_do_not_fit_are_refused(self, source, message):
        with pytest.raises(InvalidRequestError, match=message):
            ours(source, color_formula="gamma rgb 2, saturation 1.1")


class TestColormap:
    @pytest.mark.parametrize(
        "colors",
        [
            {n: [n, 0, 255 - n, 255] for n in range(256)},
            {1: "#f00", 2: "#00ff0080", 3: [1, 2, 3]},
            {-1: "#f00", 300: "#0f0"},
        ],
        ids=["each value", "some values", "values beyond 8 bits"],
    )
    @pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
    def test_titiler_gives_each_value_the_same_color(self, colors, dtype):
        source = pixels(1, dtype, 8)
        parsed = {value: parse_color(color) for value, color in colors.items()}
        if len(colors) == 256 and dtype != "uint8":
            expected = theirs(pixels(1, "uint8", 8), colormap=parsed)
            source = Pixels(source.data.astype("uint8").astype(dtype), source.valid, ("b1",))
        else:
            expected = theirs(source, colormap=parsed)
        same(ours(source, colormap=json.dumps(colors)), expected)

    def test_titiler_gives_each_interval_the_same_color(self):
        source = pixels(1, "float32", 10)
        colors = [((0, 2.5), (9, 9, 9, 255)), ((2, 4), (1, 2, 3, 128)), ((7, 99), (5, 6, 7, 255))]
        same(ours(source, colormap=json.dumps(colors)), theirs(source, colormap=colors))

    def test_the_name_goes_before_the_json(self):
        source = pixels(1)
        both = ours(source, colormap_name="viridis", colormap='{"1": "#f00"}')
        np.testing.assert_array_equal(both, ours(source, colormap_name="viridis"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "cannot be read"),
            ("7", "cannot be read"),
            ("[" * 9000, "cannot be read"),
            ("{}", "has 0 colors"),
            ("[]", "has 0 colors"),
            ('{"NaN": "#fff"}', "cannot be read"),
            ('{"1": NaN}', "nan is no color"),
            ('{"1": [NaN, 0, 0]}', "must be of integers from 0 to 255"),
            ('{"1": [256, 0, 0]}', "must be of integers from 0 to 255"),
            ('{"1": [1.5, 0, 0]}', "must be of integers from 0 to 255"),
            ('{"1": [1, 2]}', "is no color"),
            ('{"1": "red"}', "red is no color"),
            ('{"' + "9" * 20 + '": "#fff"}', "is beyond"),
            ('{"' + "9" * 5000 + '": "#fff"}', "cannot be read"),
            ('[[[0, NaN], "#fff"]]', "two numbers within"),
            ('[[[0, 1e999], "#fff"]]', "two numbers within"),
            ('[[[1, 1], "#fff"]]', "the smaller first"),
            ('[[["0", 1], "#fff"]]', "must be two numbers"),
            ("[[[0, 1]]]", "cannot be read"),
            (json.dumps(dict.fromkeys(range(257), "#fff")), "257 colors, it can have 1 to 256"),
            (json.dumps(dict.fromkeys(range(100_000), "#fff")), "at most 10,000 are read"),
        ],
        ids=lambda value: str(value)[:24],
    )
    def test_what_is_no_colormap_is_refused(self, text, message):
        with pytest.raises(InvalidRequestError, match=message):
            Parameters(colormap=text).render()

    def test_a_colormap_is_for_one_band(self):
        with pytest.raises(InvalidRequestError, match="needs pixels of one band, these have 3"):
            ours(pixels(3), colormap='{"1": "#fff"}')


class TestRescale:
    def test_brackets_may_be_around_it_as_in_titiler(self):
        assert Parameters(rescale=["[0,1]", "-1e2,3"]).render().rescale == ((0, 1), (-100, 3))

    @pytest.mark.parametrize(
        "text",
        ["nan,nan", "5,5", "10,0", "1", "", "0,inf", "-inf,0", "a,b", "0,1,2,3", "0,1;", "٣,x"],
    )
    def test_what_is_no_range_is_refused_by_name(self, text):
        with pytest.raises(InvalidRequestError, match=f"rescale '{text}' must be two"):
            Parameters(rescale=[text]).render()

    def test_there_are_not_many(self):
        with pytest.raises(InvalidRequestError, match="65 rescale ranges, at most 64"):
            Parameters(rescale=["0,1"] * 65).render()


class TestScenesDrawnOneByOne:
    def test_they_are_colors_on_the_same_grid(self):
        source = pixels(1, "float32", 1000)
        said = {"rescale": ["0,1000"], "colormap": '[[[100, 256], "#0a0b0c"]]'}
        made = draw_scene(source, GRID, Parameters(**said).render())
        expected = ours(source, **said)
        np.testing.assert_array_equal(made.data, expected[:3])
        np.testing.assert_array_equal(made.valid, expected[3] > 0)
        assert made.names == ("red", "green", "blue")

    def test_an_algorithm_that_drops_pixels_is_refused(self):
        style = Parameters(algorithm="hillshade").render()
        with pytest.raises(InvalidRequestError, match=r"algorithm_params=\{.buffer.: 0\}"):
            draw_scene(pixels(), GRID, style)
