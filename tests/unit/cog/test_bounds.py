"""Bounds from the headers of blocks are what real encoders make of known sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from cogs import write_cog
from livemosaic.cog.codecs.bounds import BombError, jpeg_bound, lerc_bound, webp_bound, zstd_bound

WIDTH, HEIGHT = 64, 48


def block(tmp_path: Path, bands: int, dtype: str = "uint8", **how: Any) -> bytes:
    """The only block of a TIFF by GDAL."""
    data = np.random.default_rng(2).integers(0, 99, (bands, HEIGHT, WIDTH)).astype(dtype)
    size = {"blockxsize": WIDTH, "blockysize": HEIGHT}
    path = write_cog(tmp_path / "a.tif", data, bounds=(0, 0, 1, 1), **size, **how)
    with rasterio.open(path) as dataset:
        start, length = (
            int(dataset.get_tag_item(f"BLOCK_{what}_0_0", "TIFF", bidx=1))
            for what in ("OFFSET", "SIZE")
        )
    return path.read_bytes()[start : start + length]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("bands", [1, 3])
def test_a_jpegs_bound_is_its_size(tmp_path: Path, bands: int, progressive: bool) -> None:
    with rasterio.Env(JPEG_PROGRESSIVE=progressive):
        body = block(tmp_path, bands, compress="jpeg")
    assert jpeg_bound(body) == WIDTH * HEIGHT * bands


def test_a_jpegs_largest_frame_counts_wherever_it_is(tmp_path: Path) -> None:
    body = block(tmp_path, 1, compress="jpeg")
    frame = bytes.fromhex("ffc0 000b 08 ffff ffff 01 01 11 00")
    for hidden in (frame + body, body[:50] + frame + body[50:], b"\xff\xc0" + frame, body + frame):
        assert jpeg_bound(hidden) == 65535 * 65535


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("bands", [3, 4])
def test_a_webps_bound_is_its_colours(tmp_path: Path, bands: int, lossless: bool) -> None:
    how = {"webp_lossless": lossless, "alpha": bands == 4}
    body = block(tmp_path, bands, compress="webp", photometric="rgb", **how)
    assert webp_bound(body) == WIDTH * HEIGHT * 3


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("bands", [1, 3])
def test_a_lercs_bound_is_its_size(tmp_path: Path, bands: int, dtype: str) -> None:
    body = block(tmp_path, bands, dtype, compress="lerc")
    assert lerc_bound(body) == WIDTH * HEIGHT * bands * np.dtype(dtype).itemsize
    assert lerc_bound(body * 3) == 3 * lerc_bound(body)


def test_a_zstandard_frames_bound_is_no_less_than_its_size(tmp_path: Path) -> None:
    body = block(tmp_path, 3, compress="zstd")
    assert zstd_bound(body) >= WIDTH * HEIGHT * 3


@pytest.mark.parametrize("bound", [webp_bound, lerc_bound, zstd_bound])
def test_what_is_no_such_thing_has_no_bound(bound: Any) -> None:
    with pytest.raises(BombError):
        bound(b"RIFF0000WEBPVP9 and so on, and on, and on")
