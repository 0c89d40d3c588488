"""Bytes that libtiff unpacks are as many as are wanted."""

import lzma

import numpy as np
import pytest
from async_tiff.enums import Compression

from livemosaic.cog.codecs.lzw import decode_bodies

BODIES = [lzma.compress(bytes([i]) * 1000, preset=0) for i in range(3)]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 999, 1000])
def test_each_body_is_unpacked_to_as_many_bytes_as_are_wanted(count: int, size: int) -> None:
    rows = decode_bodies(BODIES[:count], Compression.LZMA, size)
    np.testing.assert_array_equal(rows, np.arange(count)[:, None].repeat(size, 1))


def test_a_body_that_is_too_short_is_an_error() -> None:
    with pytest.raises(OSError, match="failed"):
        decode_bodies(BODIES, Compression.LZMA, 1001)


def test_a_block_of_the_largest_size_is_one_line() -> None:
    size = 8192 * 8192
    body = lzma.compress(bytes(size), preset=0)
    assert decode_bodies([body], Compression.LZMA, size).shape == (1, size)


def test_lzw_as_it_was_before_tiff_6_is_read() -> None:
    """Its bits are the other way round, and its codes grow one later."""
    plain = np.random.default_rng(5).integers(0, 200, 300).astype(np.uint8)
    clear, end = 256, 257
    bits, at = clear, 9
    for i, code in enumerate([*plain.tolist(), end]):
        bits |= code << at
        at += 9 if i < 255 else 10
    body = bits.to_bytes(-(-at // 8), "little")
    np.testing.assert_array_equal(decode_bodies([body], Compression.LZW, 300)[0], plain)
