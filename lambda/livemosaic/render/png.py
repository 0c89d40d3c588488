"""PNG (ISO/IEC 15948), as fast as libdeflate allows."""

import struct
from typing import Any, Final

import deflate
import numpy as np
from numpy.typing import NDArray

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}
"""Gray, gray and alpha, RGB, RGB and alpha, by the number of bands."""
_PALETTE: Final = 3
_OPAQUE: Final = 255
_UP: Final = 2
_LEVEL: Final = 1
"""Level of libdeflate: 1.8 ms and 128 KB for a tile of the benchmark (zlib: 3.2 and 140); level 6
takes up to half as long again, for a few per cent less. One filter serves all rows, unlike libpng's
choice for each: left, average and Paeth are larger or slower. ISA-L needs 0.5 ms, but once in many
thousand tiles gave the same pixels other bytes.
"""
_PALETTED_LEVEL: Final = 6
"""Places in a palette gain more by it: a tenth, in less than a third of the time of GDAL's."""


def encode_png(bands: NDArray[Any]) -> bytes:
    """Encodes bands (1 to 4, height, width), uint8 or uint16; of two or four the last is alpha."""
    count, height, width = bands.shape
    deep = bands.dtype == np.uint16
    pixels = np.ascontiguousarray(np.moveaxis(bands, 0, -1), ">u2" if deep else "u1")
    lines = pixels.view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + lines.shape[1]), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 16 if deep else 8, _COLOR_TYPES[count], 0, 0, 0)
    return _file(header, _chunk(b"IDAT", deflate.zlib_compress(filtered, _LEVEL)))


def encode_paletted(places: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Encodes places, shape (height, width), in a palette of up to 256 colors, shape (colors, 4).

    Red, green, blue and alpha; alpha is stored up to the last color that is not opaque.
    """
    height, width = places.shape
    lines = np.zeros((height, 1 + width), np.uint8)  # without a filter, as places are no amounts
    lines[:, 1:] = places
    translucent = np.flatnonzero(palette[:, 3] < _OPAQUE)
    alpha = palette[: translucent[-1] + 1, 3].tobytes() if len(translucent) else b""
    return _file(
        struct.pack(">IIBBBBB", width, height, 8, _PALETTE, 0, 0, 0),
        _chunk(b"PLTE", palette[:, :3].tobytes()),
        _chunk(b"tRNS", alpha) if alpha else b"",
        _chunk(b"IDAT", deflate.zlib_compress(lines, _PALETTED_LEVEL)),
    )


def _file(header: bytes, *chunks: bytes) -> bytes:
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), *chunks, _chunk(b"IEND", b"")))


def _chunk(kind: bytes, body: bytes | bytearray) -> bytes:
    check = deflate.crc32(body, deflate.crc32(kind))
    return b"".join((struct.pack(">I", len(body)), kind, body, struct.pack(">I", check)))
