"""Encoding: every body is decoded again and compared with the pixels that went in."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rio_tiler.colormap import cmap
from rio_tiler.models import ImageData

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Render
from livemosaic.render.encode import encode
from livemosaic.render.stack.compose import empty

SIZE = 16
GRID = Grid(
    CRS.from_epsg(3857), (1000.0, 2000.0, 1000.0 + SIZE * 10, 2000.0 + SIZE * 10), SIZE, SIZE
)
DISPLAY = ("png", "jpeg", "webp")
FORMATS = ("auto", *DISPLAY, "jp2", "tif", "npy")


def pixels(bands: int = 3, dtype: str = "uint8", hole: bool = False, high: int = 256) -> Pixels:
    """Smooth values below `high`; the top left quarter is invalid where there is a hole."""
    ramp = np.linspace(0, high - 1, SIZE * SIZE).reshape(SIZE, SIZE)
    data = np.stack([np.rot90(ramp, n) for n in range(bands)]).astype(dtype)
    valid = np.ones((SIZE, SIZE), np.bool_)
    if hole:
        valid[: SIZE // 2, : SIZE // 2] = False
    return Pixels(data * valid.astype(data.dtype), valid, tuple(f"b{n + 1}" for n in range(bands)))


def decoded(body: bytes) -> tuple[np.ndarray, tuple[ColorInterp, ...]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with MemoryFile(body) as file, file.open() as source:
            return source.read(), source.colorinterp


def loaded(body: bytes) -> np.ndarray:
    return np.load(io.BytesIO(body))


def image_of(source: Pixels) -> ImageData:
    """The same pixels for rio-tiler."""
    mask = np.broadcast_to(~source.valid, source.data.shape)
    return ImageData(np.ma.MaskedArray(source.data.copy(), mask), crs=GRID.crs, bounds=GRID.bounds)


class TestFormats:
    @pytest.mark.parametrize(
        ("requested", "media_type", "magic"),
        [
            ("png", "image/png", b"\x89PNG"),
            ("jpeg", "image/jpeg", b"\xff\xd8\xff"),
            ("webp", "image/webp", b"RIFF"),
            ("jp2", "image/jp2", b"\x00\x00\x00\x0cjP"),
            ("tif", "image/tiff; application=geotiff", b"II*\x00"),
            ("npy", "application/x-binary", b"\x93NUMPY"),
        ],
    )
    def test_each_format_has_its_media_type(self, requested, media_type, magic):
        result = encode(pixels(), Render(format=requested), GRID)
        assert (result.format, result.media_type) == (requested, media_type)
        assert result.body.startswith(magic)

    @pytest.mark.parametrize("return_mask", [True, False])
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            (pixels(), "jpeg"),
            (pixels(1), "jpeg"),
            (pixels(hole=True), "png"),
            (pixels(dtype="uint16"), "png"),
            (empty(GRID), "png"),
        ],
        ids=["full", "grey", "hole", "16 bits", "empty"],
    )
    def test_auto_is_jpeg_only_where_nothing_is_lost(self, source, expected, return_mask):
        assert encode(source, Render(return_mask=return_mask), GRID).format == expected

    def test_auto_sees_the_pixels_after_rescale(self):
        render = Render(rescale=((0, 1000),))
        assert encode(pixels(dtype="float32"), render, GRID).format == "jpeg"

    @pytest.mark.parametrize("dtype", ["uint8", "uint16"])
    @pytest.mark.parametrize("bands", [1, 3])
    def test_png_keeps_values_and_says_what_is_valid(self, bands, dtype):
        source = pixels(bands, dtype, hole=True, high=np.iinfo(dtype).max + 1)
        data, interpretation = decoded(encode(source, Render(format="png"), GRID).body)
        assert data.dtype == dtype
        assert interpretation[-1] == ColorInterp.alpha
        np.testing.assert_array_equal(data[:-1], source.data)
        np.testing.assert_array_equal(data[-1], source.valid * np.iinfo(dtype).max)

    @pytest.mark.parametrize("requested", ["png", "webp", "tif", "npy"])
    def test_without_a_mask_there_is_no_alpha(self, requested):
        source = pixels(hole=True)
        body = encode(source, Render(format=requested, return_mask=False), GRID).body
        data = loaded(body) if requested == "npy" else decoded(body)[0]
        assert data.shape == (3, SIZE, SIZE)

    @pytest.mark.parametrize("bands", [1, 3])
    def test_jpeg_is_close_and_black_where_not_valid(self, bands):
        source = pixels(bands, hole=True)
        data, _ = decoded(encode(source, Render(format="jpeg"), GRID).body)
        assert data.shape == (bands, SIZE, SIZE)
        assert data[:, : SIZE // 2 - 1, : SIZE // 2 - 1].mean() < 10
        if bands == 1:
            assert np.abs(data.astype(int) - source.data)[:, SIZE // 2 :].mean() < 10

    @pytest.mark.parametrize("bands", [1, 3])
    def test_webp_has_three_bands_and_alpha(self, bands):
        source = pixels(bands, hole=True)
        data, _ = decoded(encode(source, Render(format="webp"), GRID).body)
        assert data.shape == (4, SIZE, SIZE)
        np.testing.assert_array_equal(data[3], source.valid * 255)

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
    def test_jpeg_2000_is_close_and_says_what_is_valid(self, dtype):
        source = pixels(3, dtype, hole=True, high=200)
        data, _ = decoded(encode(source, Render(format="jp2"), GRID).body)
        assert data.dtype == dtype
        assert np.abs(data[:3].astype(int) - source.data)[:, SIZE // 2 :].mean() < 30
        opaque = {"uint16": 65535, "int16": 32767}.get(dtype, 255)
        seen = data[3] > opaque / 2
        assert (seen == source.valid).mean() > 0.9

    @pytest.mark.parametrize(("bands", "shown"), [(1, 1), (2, 1), (3, 3), (4, 3), (9, 3)])
    @pytest.mark.parametrize("requested", ["png", "jpeg"])
    def test_display_formats_show_one_band_or_three(self, requested, bands, shown):
        body = encode(pixels(bands), Render(format=requested, return_mask=False), GRID).body
        data, _ = decoded(body)
        assert len(data) == shown
        if requested == "png":
            np.testing.assert_array_equal(data, pixels(bands).data[:shown])

    @pytest.mark.parametrize("source", [pixels(), pixels(1, hole=True)], ids=["full", "hole"])
    @pytest.mark.parametrize("return_mask", [True, False])
    @pytest.mark.parametrize("requested", ["png", "npy"])
    def test_rio_tiler_renders_the_same(self, requested, return_mask, source):
        ours = encode(source, Render(format=requested, return_mask=return_mask), GRID).body
        theirs = image_of(source).render(add_mask=return_mask, img_format=requested)
        decode = loaded if requested == "npy" else lambda body: decoded(body)[0]
        np.testing.assert_array_equal(decode(ours), decode(theirs))

    def test_tiles_can_be_encoded_side_by_side(self):
        source = pixels(hole=True)
        formats = [("png", "jpeg", "webp", "tif")[n % 4] for n in range(200)]
        with ThreadPoolExecutor(8) as pool:
            bodies = list(pool.map(lambda f: encode(source, Render(format=f), GRID).body, formats))
        assert len(set(bodies)) == 4

    def test_an_image_beyond_the_format_is_refused(self):
        wide = Pixels(np.ones((1, 1, 20_000), "uint8"), np.ones((1, 20_000), np.bool_), ("b1",))
        grid = Grid(GRID.crs, GRID.bounds, 20_000, 1)
        with pytest.raises(InvalidRequestError, match=r"webp cannot hold .* 20000 × 1 pixels"):
            encode(wide, Render(format="webp"), grid)


class TestGeoTIFF:
    @pytest.mark.parametrize("return_mask", [True, False])
    @pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
    @pytest.mark.parametrize(
        "dtype", ["uint8", "uint16", "int8", "int16", "uint32", "int64", "float32", "float64"]
    )
    def test_values_names_place_and_validity_survive(self, dtype, bands, return_mask):
        source = pixels(bands, dtype, hole=True, high=100)
        body = encode(source, Render(format="tif", return_mask=return_mask), GRID).body
        with MemoryFile(body) as file, file.open() as target:
            assert target.crs == GRID.crs
            assert target.transform == GRID.transform
            assert tuple(target.bounds) == GRID.bounds
            assert target.compression.name == "deflate"
            assert target.descriptions[:bands] == source.names
            assert target.dtypes[0] == dtype
            assert target.count == bands + return_mask
            assert (target.colorinterp[-1] == ColorInterp.alpha) == return_mask
            assert ColorInterp.alpha not in target.colorinterp[:bands]
            data = target.read(list(range(1, bands + 1)), masked=True)
            valid = source.valid if return_mask else np.ones_like(source.valid)
            np.testing.assert_array_equal(data.data, source.data)
            for mask in np.ma.getmaskarray(data):
                np.testing.assert_array_equal(mask, ~valid)
            np.testing.assert_array_equal(target.dataset_mask(), valid * 255)

    @pytest.mark.parametrize(
        ("dtype", "opaque"),
        [("uint8", 255), ("uint16", 65535), ("int16", 32767), ("int8", 127), ("float32", 255)],
    )
    def test_alpha_is_opaque_by_the_rules_of_gdal(self, dtype, opaque):
        source = pixels(1, dtype, hole=True, high=100)
        data, _ = decoded(encode(source, Render(format="tif"), GRID).body)
        np.testing.assert_array_equal(data[-1], source.valid * opaque)

    def test_red_green_and_blue_are_said(self):
        _, interpretation = decoded(encode(pixels(), Render(format="tif"), GRID).body)
        assert [one.name for one in interpretation] == ["red", "green", "blue", "alpha"]

    def test_complex_pixels_are_carried(self):
        source = pixels(1, "complex64")
        data, _ = decoded(encode(source, Render(format="tif", return_mask=False), GRID).body)
        np.testing.assert_array_equal(data, source.data)

    @pytest.mark.parametrize("dtype", ["bool", "float16"])
    def test_what_tiff_has_no_type_for_is_refused(self, dtype):
        with pytest.raises(InvalidRequestError, match=f"tif cannot hold 1 bands of {dtype}"):
            encode(pixels(1, dtype), Render(format="tif"), GRID)


class TestNumpy:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
    def test_the_mask_is_the_last_band(self, dtype):
        source = pixels(4, dtype, hole=True)
        data = loaded(encode(source, Render(format="npy"), GRID).body)
        assert data.dtype == dtype
        np.testing.assert_array_equal(data[:4], source.data)
        np.testing.assert_array_equal(data[4], source.valid * 255)

    @pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "uint64", "complex64"])
    def test_dtypes_that_no_image_has_are_carried(self, dtype):
        source = pixels(2, dtype, high=100)
        render = Render(format="npy", return_mask=False)
        data = loaded(encode(source, render, GRID).body)
        assert data.dtype == dtype
        np.testing.assert_array_equal(data, source.data)


class TestRescale:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
    @pytest.mark.parametrize(
        "ranges",
        [((10, 90),), ((-50, 300),), ((0, 100), (20, 30), (7, 8)), ((0.1, 99.7),)],
        ids=["one", "wider", "each", "fractions"],
    )
    def test_rio_tiler_rescales_the_same(self, ranges, dtype):
        """Compared through float: rio-tiler's own buffer of an int dtype cannot hold all steps."""
        source = pixels(3, dtype, hole=True, high=100)
        ours = loaded(encode(source, Render(format="npy", rescale=ranges), GRID).body)
        expected = image_of(Pixels(source.data.astype("float64"), source.valid, source.names))
        expected.rescale(in_range=ranges)
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours[:3], expected.data)

    def test_the_ends_are_clipped_and_what_is_invalid_is_zero(self):
        data = np.array([[[-5.0, 0, 5, 10, 99, 0]]])
        valid = np.array([[True, True, True, True, True, False]])
        source = Pixels(data, valid, ("b1",))
        render = Render(format="npy", rescale=((-10, 10),))
        grid = Grid(GRID.crs, GRID.bounds, 6, 1)
        result = loaded(encode(source, render, grid).body)
        assert result[0, 0].tolist() == [63, 127, 191, 255, 255, 0]

    @pytest.mark.parametrize("count", [3, 4])
    def test_ranges_may_count_the_bands_or_those_shown(self, count):
        ranges = tuple((0.0, 100.0 + n) for n in range(count))
        result = encode(pixels(4, "uint16"), Render(format="png", rescale=ranges), GRID)
        same = encode(pixels(3, "uint16"), Render(format="png", rescale=ranges[:3]), GRID)
        np.testing.assert_array_equal(decoded(result.body)[0], decoded(same.body)[0])

    def test_any_other_number_of_ranges_is_refused(self):
        with pytest.raises(InvalidRequestError, match="2 ranges for 3 bands"):
            encode(pixels(3), Render(rescale=((0, 1), (0, 1))), GRID)

    @pytest.mark.parametrize(
        "bad",
        [(5, 5), (9, 1), (float("nan"), 1), (0, float("inf")), (-1.7e308, 1.7e308)],
        ids=str,
    )
    def test_a_range_without_extent_is_refused(self, bad):
        with pytest.raises(InvalidRequestError, match="rescale="):
            encode(pixels(1), Render(rescale=(bad,)), GRID)

    def test_nan_and_infinity_among_valid_pixels_do_no_harm(self):
        source = pixels(1, "float32")
        source.data[0, 0, :3] = np.nan, np.inf, -np.inf
        data = loaded(encode(source, Render(format="npy", rescale=((0, 256),)), GRID).body)
        assert data[0, 0, 1:3].tolist() == [255, 0]

    def test_complex_pixels_cannot_be_rescaled(self):
        with pytest.raises(InvalidRequestError, match="complex64"):
            encode(pixels(1, "complex64"), Render(rescale=((0, 1),)), GRID)


class TestColormap:
    @pytest.mark.parametrize("requested", ["png", "tif", "npy"])
    def test_rio_tiler_colours_the_same(self, requested):
        source = pixels(1, hole=True)
        body = encode(source, Render(format=requested, colormap="viridis"), GRID).body
        data = loaded(body) if requested == "npy" else decoded(body)[0]
        theirs = image_of(source).render(img_format="npy", colormap=cmap.get("viridis"))
        expected = loaded(theirs)
        np.testing.assert_array_equal(data[3], expected[3])
        np.testing.assert_array_equal(data[:, source.valid], expected[:, source.valid])

    def test_what_is_invalid_is_black(self):
        render = Render(format="npy", colormap="viridis", return_mask=False)
        data = loaded(encode(pixels(1, hole=True), render, GRID).body)
        assert not data[:, : SIZE // 2, : SIZE // 2].any()

    def test_a_translucent_colour_is_alpha_and_no_jpeg(self, monkeypatch):
        half = {n: (n, n, n, 128 if n < 100 else 255) for n in range(256)}
        monkeypatch.setitem(cmap.data, "half", half)
        source = pixels(1)
        result = encode(source, Render(colormap="half"), GRID)
        assert result.format == "png"
        data, _ = decoded(result.body)
        np.testing.assert_array_equal(data[3], np.where(source.data[0] < 100, 128, 255))

    def test_rescale_comes_first(self):
        render = Render(format="npy", colormap="viridis", rescale=((0, 1000),))
        data = loaded(encode(pixels(1, "float32", high=1001), render, GRID).body)
        assert data[:3, 0, 0].tolist() == list(cmap.get("viridis")[0][:3])
        assert data[:3, -1, -1].tolist() == list(cmap.get("viridis")[255][:3])

    @pytest.mark.parametrize(
        ("source", "name", "message"),
        [
            (pixels(1), "nope", "colormap 'nope' is not known"),
            (pixels(1), "../../etc/passwd", "is not known"),
            (pixels(2), "viridis", "needs pixels of one band, these have 2"),
            (pixels(3), "viridis", "needs pixels of one band, these have 3"),
            (pixels(1, "uint16"), "viridis", "uint16 pixels need rescale=min,max"),
        ],
        ids=["unknown", "path", "two bands", "three bands", "16 bits"],
    )
    def test_what_cannot_be_coloured_is_refused(self, source, name, message):
        with pytest.raises(InvalidRequestError, match=message):
            encode(source, Render(colormap=name), GRID)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("dtype", "requested"),
        [
            *product(("float32", "int16", "uint32", "int8", "bool"), ("auto", *DISPLAY)),
            ("uint16", "jpeg"),
            ("uint16", "webp"),
        ],
    )
    def test_pixels_that_cannot_be_shown_need_a_rescale(self, dtype, requested):
        message = f"{dtype} pixels need rescale=min,max for {requested}; tif and npy carry them"
        with pytest.raises(InvalidRequestError, match=message):
            encode(pixels(1, dtype), Render(format=requested), GRID)

    @pytest.mark.parametrize("requested", FORMATS)
    @pytest.mark.parametrize("return_mask", [True, False])
    @pytest.mark.parametrize(
        "render",
        [{}, {"rescale": ((0, 1), (0, 2), (0, 3))}, {"colormap": "viridis"}],
        ids=["plain", "rescale", "colormap"],
    )
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "complex64", "bool"])
    @pytest.mark.parametrize("bands", [1, 2, 4])
    def test_a_tile_without_valid_pixels_never_is(
        self, bands, dtype, render, return_mask, requested
    ):
        nothing = Pixels(
            np.zeros((bands, SIZE, SIZE), dtype),
            np.zeros((SIZE, SIZE), np.bool_),
            tuple(f"b{n + 1}" for n in range(bands)),
        )
        render = Render(format=requested, return_mask=return_mask, **render)
        result = encode(nothing, render, GRID)
        data = loaded(result.body) if result.format == "npy" else decoded(result.body)[0]
        assert not data.any()
        assert data.shape[1:] == (SIZE, SIZE)
