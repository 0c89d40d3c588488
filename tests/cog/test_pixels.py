"""What a file's values become: types, validity, scale, palette, bands, stacking, sizes."""

import asyncio
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from cogs import write_cog
from livemosaic.cog.gdal import GdalRaster
from livemosaic.errors import InvalidRequestError, UnreadableAssetError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Read, Resampling

from .tiles import read, reader

MERCATOR = "EPSG:3857"
ORIGIN = Affine(10, 0, 1_000_000, 0, -10, 6_000_000)
SIZE = 300
USUAL = ("nearest", "bilinear", "cubic", "average")
RARE = tuple(name for name in get_args(Resampling) if name not in USUAL)


def same_grid(size: int = SIZE, left: int = 0, top: int = 0, scale: float = 1) -> Grid:
    """The raster's own pixels, or a window of them, `scale` of them to one output pixel."""
    x, y = ORIGIN @ (left, top)
    side = 10 * size * scale
    return Grid(CRS.from_epsg(3857), (x, y - side, x + side, y), size, size)


def noise(dtype: str = "uint8", bands: int = 1, size: int = SIZE) -> NDArray[Any]:
    rng = np.random.default_rng(7)
    return rng.integers(1, 120, (bands, size, size)).astype(dtype)


def cog(tmp_path: Path, data: NDArray[Any], name: str = "a.tif", **how: Any) -> Path:
    return write_cog(tmp_path / name, data, **({"crs": MERCATOR, "transform": ORIGIN} | how))


def stack(tmp_path: Path, grid: Grid, assets: dict[str, Path], **how: Any) -> Pixels:
    hrefs = {key: str(path) for key, path in assets.items()}
    return asyncio.run(reader(tmp_path).read(hrefs, grid, Read(**how), version="1"))


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        *((d, d) for d in ("int8", "uint8", "uint16", "int16", "uint32", "int32")),
        *((d, d) for d in ("float32", "float64")),
        ("int64", "float64"),
        ("uint64", "float64"),
    ],
)
@pytest.mark.parametrize("resampling", USUAL)
def test_values_and_types_survive(tmp_path: Path, stored: str, given: str, resampling: str) -> None:
    """On the raster's own grid every resampling gives back the raster; 64-bit integers, which are
    interpolated as float64, keep their type where they are not."""
    data = noise(stored, 2)
    given = stored if resampling == "nearest" else given
    pixels = read(cog(tmp_path, data), same_grid(), resampling=resampling)
    assert pixels.data.dtype == given
    assert pixels.valid.all()
    np.testing.assert_allclose(pixels.data, data.astype(given), rtol=1e-6)


@pytest.mark.parametrize("extreme", ["min", "max"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "int16", "uint32", "int32"])
@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_the_ends_of_an_integer_type_are_values_too(
    tmp_path: Path, dtype: str, extreme: str, resampling: str
) -> None:
    value = getattr(np.iinfo(dtype), extreme)
    path = cog(tmp_path, np.full((1, SIZE, SIZE), value, dtype))
    pixels = read(path, same_grid(), resampling=resampling)
    assert pixels.valid.all()
    assert (pixels.data == value).all()


def test_complex_numbers_are_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAssetError, match=r"'data'.*complex"):
        read(cog(tmp_path, noise("complex64")), same_grid())


HOLE = np.s_[100:140, 60:200]


def with_hole(tmp_path: Path, how: str) -> Path:
    """A raster of 50 with an invalid hole, said in one of the ways that GeoTIFFs have."""
    real = np.ones((SIZE, SIZE), np.bool_)
    real[HOLE] = False
    flat = np.full((1, SIZE, SIZE), 50, "uint8")
    match how:
        case "nodata":
            return cog(tmp_path, np.where(real, flat, 7).astype("uint8"), nodata=7)
        case "nodata-float":
            data = np.where(real, flat, -3.4028234663852886e38).astype("float32")
            return cog(tmp_path, data, nodata=-3.4028234663852886e38)
        case "nodata-nan":
            return cog(tmp_path, np.where(real, flat, np.nan).astype("float32"), nodata=np.nan)
        case "nan-undeclared":
            return cog(tmp_path, np.where(real, flat, np.nan).astype("float64"))
        case "mask":
            return cog(tmp_path, flat, mask=real)
        case "mask-band-interleaved":
            return cog(tmp_path, flat.repeat(3, 0), mask=real, interleave="band")
        case "alpha":
            data = np.concatenate([flat.repeat(3, 0), real[None] * np.uint8(255)])
            return cog(tmp_path, data, alpha=True, photometric="rgb")
        case "gray-alpha":
            data = np.concatenate([flat, real[None] * np.uint8(255)]).astype("uint16")
            return cog(tmp_path, data, alpha=True)
    raise ValueError(how)


WAYS = [
    "nodata", "nodata-float", "nodata-nan", "nan-undeclared",
    "mask", "mask-band-interleaved", "alpha", "gray-alpha",
]  # fmt: skip


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("resampling", USUAL)
def test_a_hole_is_invalid_and_zero_and_does_not_bleed(
    tmp_path: Path, how: str, resampling: str
) -> None:
    """No resampling mixes what is invalid into what is real: all of that stays 50."""
    path = with_hole(tmp_path, how)
    for grid in (same_grid(), same_grid(100, 20, 30, 1.7), same_grid(200, 90, 90, 0.37)):
        pixels = read(path, grid, resampling=resampling)
        assert 0 < pixels.valid.sum() < pixels.valid.size
        np.testing.assert_allclose(pixels.data[:, pixels.valid], 50, rtol=1e-6)
        assert (pixels.data[:, ~pixels.valid] == 0).all()
    own = read(path, same_grid(), resampling=resampling)
    assert not own.valid[HOLE].any()
    assert (~own.valid).sum() == own.valid[HOLE].size
    assert len(own.names) == (3 if how in ("alpha", "mask-band-interleaved") else 1)


@pytest.mark.parametrize("resampling", sorted({*RARE} - {"cubic_spline"}))
def test_rare_resamplings_give_back_the_raster_too(tmp_path: Path, resampling: str) -> None:
    """But the B-spline, which smooths."""
    data = noise("int16", 2)
    pixels = read(cog(tmp_path, data), same_grid(), resampling=resampling)
    np.testing.assert_array_equal(pixels.data, data)


@pytest.mark.parametrize("resampling", sorted({*RARE} - {"sum"}))
def test_nor_do_rare_resamplings_mix_in_what_is_invalid(tmp_path: Path, resampling: str) -> None:
    path = with_hole(tmp_path, "nodata-float")
    for grid in (same_grid(100, 20, 30, 1.7), same_grid(200, 90, 90, 0.37)):
        pixels = read(path, grid, resampling=resampling)
        assert 0 < pixels.valid.sum() < pixels.valid.size
        np.testing.assert_allclose(pixels.data[:, pixels.valid], 50, rtol=1e-5)
        assert (pixels.data[:, ~pixels.valid] == 0).all()


def test_a_sum_is_of_real_values_in_proportion(tmp_path: Path) -> None:
    path = with_hole(tmp_path, "nodata-float")
    halves = read(path, same_grid(200, 90, 90, 0.5), resampling="sum")
    assert 0 < halves.valid.sum() < halves.valid.size
    np.testing.assert_allclose(halves.data[:, halves.valid], 50 / 4, rtol=0.02)  # so GDAL has it


@pytest.mark.parametrize("how", ["nodata", "mask", "alpha"])
def test_overviews_have_their_own_validity(tmp_path: Path, how: str) -> None:
    path = with_hole(tmp_path, how)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    pixels = read(path, same_grid(75, scale=4))
    hole = np.s_[26:34, 16:49]
    assert not pixels.valid[hole].any()
    assert pixels.valid.sum() > 75 * 75 - 10 * 36 - 1
    assert (pixels.data[:, pixels.valid] == 50).all()


def test_a_read_can_say_what_nodata_is(tmp_path: Path) -> None:
    data = noise()
    pixels = read(cog(tmp_path, data, nodata=1), same_grid(), nodata=5)
    np.testing.assert_array_equal(pixels.valid, data[0] != 5)
    assert read(cog(tmp_path, data), same_grid(), nodata=-9999.5).valid.all()


def test_a_pixel_is_nodata_only_where_all_bands_are(tmp_path: Path) -> None:
    """Pure blue is (0, 0, 255): not a hole."""
    data = np.zeros((3, SIZE, SIZE), "uint8")
    data[2, :, 150:] = 255
    pixels = read(cog(tmp_path, data, nodata=0), same_grid())
    assert pixels.valid[:, 150:].all()
    assert not pixels.valid[:, :150].any()


def test_unscale_applies_each_bands_scale_and_offset(tmp_path: Path) -> None:
    data = noise("uint16", 2)
    data[:, :10] = 0
    path = cog(tmp_path, data, scales=(0.5, 2), offsets=(10, -3), nodata=0)
    pixels = read(path, same_grid(), unscale=True, bidx=(2, 1))
    assert pixels.data.dtype == np.float32
    np.testing.assert_array_equal(pixels.data[0, 10:], data[1, 10:] * 2.0 - 3)
    np.testing.assert_array_equal(pixels.data[1, 10:], data[0, 10:] * 0.5 + 10)
    assert not pixels.valid[:10].any()
    assert (pixels.data[:, :10] == 0).all()
    assert read(path, same_grid()).data.dtype == np.uint16


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_a_palette_becomes_colours_and_is_never_interpolated(
    tmp_path: Path, resampling: str
) -> None:
    colors = {i: (i, 255 - i, i // 2, 255) for i in range(256)}
    data = noise()
    path = cog(tmp_path, data, colormap=colors, nodata=3)
    pixels = read(path, same_grid(), resampling=resampling)
    expected = np.stack([data[0], 255 - data[0], data[0] // 2])
    assert pixels.data.dtype == np.uint8
    assert pixels.names == ("b1", "b2", "b3")
    np.testing.assert_array_equal(pixels.valid, data[0] != 3)
    np.testing.assert_array_equal(pixels.data, np.where(data[0] != 3, expected, 0))
    half = read(path, same_grid(500, scale=0.6), resampling="bilinear")
    assert half.valid.any()
    assert (half.data[0] + half.data[1])[half.valid].tolist() == [255] * half.valid.sum()


@pytest.mark.parametrize("how", [{"palette": False}, {"bidx": (1,)}], ids=["palette", "bidx"])
def test_a_palettes_values_can_be_had_as_they_are(tmp_path: Path, how: dict[str, Any]) -> None:
    data = noise()
    path = cog(tmp_path, data, colormap={i: (i, i, i, 255) for i in range(256)})
    pixels = read(path, same_grid(), resampling="bilinear", **how)
    np.testing.assert_array_equal(pixels.data, data)


def test_bands_are_chosen_by_number_and_keep_it_as_their_name(tmp_path: Path) -> None:
    data = noise(bands=4)
    pixels = read(cog(tmp_path, data), same_grid(), bidx=(3, 1))
    np.testing.assert_array_equal(pixels.data, data[[2, 0]])
    assert pixels.names == ("b3", "b1")


@pytest.mark.parametrize("band", [0, -1, 5])
def test_a_band_that_is_not_there_is_the_requests_fault(tmp_path: Path, band: int) -> None:
    path = cog(tmp_path, noise(bands=4))
    with pytest.raises(InvalidRequestError, match=rf"band {band} .*has 4"):
        read(path, same_grid(), bidx=(1, band))


def test_assets_are_stacked_in_order_and_valid_where_all_are(tmp_path: Path) -> None:
    red, nir = noise("uint8", 2), noise("int16")
    red[:, :20], nir[:, :, :30] = 0, -1
    assets = {
        "nir": cog(tmp_path, nir, "nir.tif", nodata=-1),
        "red": cog(tmp_path, red, "red.tif", nodata=0),
    }
    pixels = stack(tmp_path, same_grid(), assets)
    assert pixels.names == ("nir_b1", "red_b1", "red_b2")
    assert pixels.data.dtype == np.int16
    assert not pixels.valid[:20].any()
    assert not pixels.valid[:, :30].any()
    assert pixels.valid[20:, 30:].all()
    assert (pixels.data[:, ~pixels.valid] == 0).all()
    np.testing.assert_array_equal(pixels.data[0, 20:, 30:], nir[0, 20:, 30:])


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [("uint8", "uint16", "uint16"), ("uint32", "int32", "int64"), ("int8", "uint8", "int16")],
)
def test_a_stack_has_a_type_that_holds_all(tmp_path: Path, one: str, other: str, both: str) -> None:
    assets = {d: cog(tmp_path, noise(d), f"{d}.tif") for d in (one, other)}
    assert stack(tmp_path, same_grid(), assets).data.dtype == both


def test_a_grid_beside_the_raster_is_all_invalid(tmp_path: Path) -> None:
    pixels = read(cog(tmp_path, noise("uint16", 3)), same_grid(64, left=5000))
    assert pixels.data.shape == (3, 64, 64)
    assert pixels.data.dtype == np.uint16
    assert not pixels.valid.any()
    assert not pixels.data.any()


@pytest.mark.parametrize("size", [1, 17, 255, 256, 512, 1024])
def test_a_grid_may_have_any_size(tmp_path: Path, size: int) -> None:
    data = noise(size=1100)
    pixels = read(cog(tmp_path, data), same_grid(size, left=20, top=30))
    np.testing.assert_array_equal(pixels.data[0], data[0, 30 : 30 + size, 20 : 20 + size])


@pytest.mark.parametrize(
    "how",
    [
        {"compress": "lzw", "predictor": 2},
        {"compress": "zstd"},
        {"compress": "webp", "webp_lossless": True, "photometric": "rgb"},
        {"compress": "lerc"},
        {"compress": "lerc_deflate"},
        {"compress": "lerc_zstd"},
        {"compress": "lzma"},
        {"compress": "lzw", "interleave": "band"},
        {"compress": "lzma", "interleave": "band"},
        {"compress": "packbits"},
        {"compress": "none"},
        {"interleave": "band"},
        {"bigtiff": "yes"},
        {"endianness": "big"},
        {"blocksize": 16},
        {"blocksize": 1024},
    ],
    ids=lambda how: "-".join(map(str, how.values())),
)
def test_layouts_make_no_difference(tmp_path: Path, how: dict[str, Any]) -> None:
    data = noise(bands=3)
    np.testing.assert_array_equal(read(cog(tmp_path, data, **how), same_grid()).data, data)


@pytest.fixture
def without_gdals_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(GdalRaster, "_open", refuse)


@pytest.mark.usefixtures("without_gdals_reader")
@pytest.mark.parametrize(
    ("compress", "dtype", "predictor", "endianness"),
    [
        (compress, dtype, predictor, endianness)
        for compress in ("none", "deflate", "lzw", "lzma", "zstd", "lerc")
        for dtype, predictor in (
            ("uint8", 1), ("uint8", 2), ("uint16", 2), ("int32", 2), ("float32", 3), ("float64", 3),
        )
        for endianness in ("little", "big")
        if (compress, dtype[0], endianness) != ("lerc", "f", "big")  # which is left to GDAL
    ],
)  # fmt: skip
def test_lossless_compressions_keep_values(
    tmp_path: Path, compress: str, dtype: str, predictor: int, endianness: str
) -> None:
    data = noise(dtype, 2)
    how = {} if compress in ("none", "lerc") else {"predictor": predictor}
    real = np.ones((SIZE, SIZE), np.bool_)
    real[HOLE] = False
    path = cog(tmp_path, data, compress=compress, endianness=endianness, mask=real, **how)
    for grid in (same_grid(), same_grid(40, 10, 20)):
        pixels = read(path, grid)
        top, left = (0, 0) if grid.width == SIZE else (20, 10)
        there = np.s_[top : top + grid.height, left : left + grid.width]
        np.testing.assert_array_equal(pixels.valid, real[there])
        np.testing.assert_array_equal(pixels.data, np.where(real, data, 0)[:, *there])


@pytest.mark.usefixtures("without_gdals_reader")
@pytest.mark.parametrize(
    ("bands", "how"),
    [
        (1, {"compress": "jpeg"}),
        (3, {"compress": "jpeg", "photometric": "ycbcr"}),
        (3, {"compress": "jpeg", "photometric": "rgb", "jpegtablesmode": 0}),
        (3, {"compress": "jpeg", "interleave": "band", "jpeg_quality": 1}),
        (3, {"compress": "webp", "photometric": "rgb"}),
        (4, {"compress": "webp", "photometric": "rgb", "alpha": True}),
    ],
    ids=lambda how: "-".join(map(str, how.values())) if isinstance(how, dict) else f"{how} bands",
)
def test_lossy_compressions_are_as_gdal_has_them(
    tmp_path: Path, bands: int, how: dict[str, Any]
) -> None:
    """But for the last digits of an inverse cosine transform, and of colours made finer."""
    slopes = np.add.outer(np.arange(SIZE) // 5, np.arange(SIZE) // 4).astype("uint8")
    path = cog(tmp_path, np.stack([slopes + 20 * i for i in range(bands)]), **how)
    with rasterio.open(path) as dataset:
        expected = dataset.read()[: min(bands, 3)].astype("int16")
    pixels = read(path, same_grid())
    assert np.abs(pixels.data - expected)[:, pixels.valid].max() <= 3


def test_a_tie_point_other_than_the_first_pixel_is_heeded(tmp_path: Path) -> None:
    """PixelIsPoint files hold the centre of their first pixel."""
    data = noise()
    path = cog(tmp_path, data)
    with rasterio.Env(GTIFF_POINT_GEO_IGNORE=False), rasterio.open(path, "r+") as dataset:
        dataset.update_tags(AREA_OR_POINT="Point")
    np.testing.assert_array_equal(read(path, same_grid()).data, data)


def test_an_upside_down_raster_is_read_the_right_way_up(tmp_path: Path) -> None:
    data = noise()
    flipped = Affine(10, 0, 1_000_000, 0, 10, 6_000_000 - 10 * SIZE)
    path = cog(tmp_path, data[:, ::-1], transform=flipped)
    np.testing.assert_array_equal(read(path, same_grid()).data, data)
