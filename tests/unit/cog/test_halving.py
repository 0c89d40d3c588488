"""Halving of pixels, against an oracle that takes one square of four at a time, and GDAL."""

from collections import Counter
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import from_origin

from livemosaic.cog.write.halving import POLICIES, halve
from overview_cells import FLOATS, TYPES

SEEDS = range(4)
BY_BAND = [policy for policy in POLICIES if policy != "color"]


def _image(
    dtype: str, seed: int, edge: int = 24, count: int = 2
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Few values, so that some are equal, and the extremes of the type; half of it is masked."""
    rng = np.random.default_rng([seed, *dtype.encode()])
    kind = np.dtype(dtype)
    if kind.kind == "f":
        extreme = [0, -1, 1.5, np.finfo(kind).max, np.finfo(kind).min, np.nan, 1 / 3, 1e-3]
    else:
        low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
        extreme = [low, low + 1, high, high - 1, 0, 1, 2, 5, 7, max(low, -3), max(low, -6)]
    chosen = rng.integers(0, len(extreme), (count, edge, edge))
    data = np.array(extreme, kind)[chosen]
    if seed % 2:
        common = rng.integers(0, 4, data.shape)
        data = np.where(rng.random(data.shape) < 0.7, common.astype(kind), data)
    valid = rng.random((edge, edge)) < (1 if seed == 2 else 0.6)
    return np.where(valid, data, kind.type(0)), valid


def _pixel(policy: str, dtype: np.dtype[Any], four: list[Any]) -> Any:
    """One pixel of one band by definition; `four` has its values, row by row, None if invalid."""
    there = [v for v in four if v is not None]
    if policy in ("sample", "color"):
        return there[0]
    real = [v for v in there if v == v]
    if not real:
        return np.nan
    if policy == "mean":
        return _mean(dtype, four, real)
    if policy == "mode":
        best, seen = real[0], Counter[Any]()
        for value in real:
            seen[value] += 1
            best = value if seen[value] > seen[best] else best
        return best
    return min(real) if policy == "min" else max(real)


def _most_frequent(four: list[list[Any]]) -> list[list[Any]]:
    """The color alone of which there are most, by band."""
    colors = [pixel for pixel in zip(*four, strict=True) if None not in pixel]
    best, seen = colors[:1], Counter[Any]()
    for each in colors:
        seen[each] += 1
        best = [each] if seen[each] > seen[best[0]] else best
    return [list(values) for values in zip(*best, strict=True)] or [[None]] * len(four)


def _mean(dtype: np.dtype[Any], four: list[Any], real: list[Any]) -> Any:
    if dtype.kind == "f":
        a, b, c, d = (np.float64(0 if v is None or v != v else v) for v in four)
        with np.errstate(all="ignore"):
            mean = ((a + b) + (c + d)) / len(real)
            if np.isinf(mean):
                n = len(real)
                mean = (a / n + b / n) + (c / n + d / n)
        return mean.astype(dtype)
    return round(Fraction(sum(int(v) for v in real), len(real)))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("dtype", TYPES + FLOATS)
@pytest.mark.parametrize("seed", SEEDS)
def test_each_pixel_is_what_the_definition_says(policy: str, dtype: str, seed: int) -> None:
    data, valid = _image(dtype, seed)
    out, out_valid = halve(data, valid, (policy,) * 2)
    assert out.dtype == data.dtype
    for row, col in np.ndindex(12, 12):
        places = [(2 * row + y, 2 * col + x) for y, x in product((0, 1), (0, 1))]
        four = [[b[p] if valid[p] else None for p in places] for b in data]
        assert out_valid[row, col] == any(valid[p] for p in places)
        if policy == "color":
            four = _most_frequent(four)
        for band in range(2):
            expected = _pixel(policy, data.dtype, four[band]) if out_valid[row, col] else 0
            found = out[band, row, col]
            both_nan = expected != expected and found != found
            assert both_nan or found == expected, (four[band], found, expected)


@pytest.mark.parametrize("policies", list(product(BY_BAND, BY_BAND)), ids="-".join)
def test_each_band_follows_its_own_policy(policies: tuple[str, str]) -> None:
    data, valid = _image("int16", 1)
    together, _ = halve(data, valid, policies)
    for band, policy in enumerate(policies):
        alone, _ = halve(data[band : band + 1], valid, (policy,))
        np.testing.assert_array_equal(together[band], alone[0])


GDALS = {"mean": Resampling.average, "mode": Resampling.mode, "sample": Resampling.nearest}


def _by_gdal(
    path: Path, data: NDArray[Any], valid: NDArray[np.bool_], policy: str
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The overview that gdaladdo makes, with an internal mask."""
    count, edge, _ = data.shape
    how = {
        "driver": "GTiff", "width": edge, "height": edge, "count": count, "dtype": data.dtype,
        "crs": "EPSG:3857", "transform": from_origin(0, 0, 10, 10), "tiled": True,
        "blockxsize": 16, "blockysize": 16, "interleave": "pixel",
    }  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path, "w", **how) as dataset:
            dataset.write(data)
            dataset.write_mask(valid)
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2], GDALS[policy])
    with rasterio.open(path, overview_level=0) as dataset:
        return dataset.read(), dataset.read_masks(1) > 0


@pytest.mark.parametrize("policy", GDALS)
@pytest.mark.parametrize("dtype", TYPES + FLOATS)
@pytest.mark.parametrize("seed", SEEDS)
def test_values_are_those_of_gdaladdo(policy: str, dtype: str, seed: int, tmp_path: Path) -> None:
    """Equal wherever GDAL has a pixel: the masks that it makes for modes and samples lack some."""
    data, valid = _image(dtype, seed, edge=64, count=1)
    if dtype.endswith("64"):
        data = np.fmod(np.nan_to_num(data), 100_000).astype(dtype)  # GDAL computes in float64
    data = np.where(valid, np.nan_to_num(data), data.dtype.type(0))
    out, out_valid = halve(data, valid, (policy,))
    gdal, seen = _by_gdal(tmp_path / "a.tif", data, valid, policy)
    assert (seen <= out_valid).all()
    assert policy != "mean" or (seen == out_valid).all()
    if (policy, dtype) == ("mode", "uint8"):
        # GDAL 3.10 counts masked bytes, too
        seen &= valid[::2, ::2] & valid[1::2, ::2] & valid[::2, 1::2] & valid[1::2, 1::2]
    ours, theirs = out[0][seen], gdal[0][seen]
    if policy == "mean" and data.dtype.kind != "f":
        halves = _are_halves(data[0], valid)[seen]
        assert (np.abs(ours.astype(float) - theirs)[halves] <= 1).all()
        assert (ours % 2 == 0)[halves].all()
        ours, theirs = ours[~halves], theirs[~halves]
    np.testing.assert_array_equal(ours, theirs)


def _are_halves(band: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a mean of four is halfway between integers, which GDAL rounds away from zero."""

    def total(of: NDArray[Any]) -> NDArray[Any]:
        whole: NDArray[Any] = of.reshape(32, 2, 32, 2).sum((1, 3))
        return whole

    count = total(valid.astype(int))
    sums = total(band.astype(np.int64))
    return 2 * (sums % np.maximum(count, 1)) == np.maximum(count, 1)


def test_means_of_means_do_not_drift() -> None:
    """After five halvings the mean is still that of the pixels, to a twentieth of a step."""
    data = np.random.default_rng(0).integers(0, 256, (1, 1024, 1024), np.uint8)
    image, valid = data, np.ones((1024, 1024), bool)
    for _ in range(5):
        image, valid = halve(image, valid, ("mean",))
        assert image.mean() == pytest.approx(data.mean(), abs=0.05)
