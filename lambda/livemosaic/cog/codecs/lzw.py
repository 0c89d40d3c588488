"""LZW and LZMA by GDAL's libtiff, with a limit on decoded bytes."""

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio import Env, MemoryFile
from rasterio.session import DummySession

from livemosaic.storage.objects import Buffer

_HEADER: Final = struct.Struct("<2sHIH")
_ENTRY: Final = struct.Struct("<HHII")
_ENTRIES: Final = 10
_PLACE: Final = struct.pack("<9d", 1, 1, 0, 0, 0, 0, 0, 0, 0)
"""Any scale and tie point: rasterio would warn of a file that has none."""
_SHORT: Final = 3
_LONG: Final = 4
_DOUBLE: Final = 12


def decode_bodies(bodies: Sequence[Buffer], compression: int, size: int) -> NDArray[np.uint8]:
    """Returns the first `size` decoded bytes of each body, shape (bodies, size); raises if fewer.

    Blocks of 512 × 512 take 3.6 ms for RGB (async-tiff: 5.7), 8.6 ms for four bands of uint16
    (14.6), and 5.6 ms for float32 with its predictor (8.6).
    """
    # No AWS session, and no search for sidecars: see `gdal`.
    with (
        Env(DummySession(), GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"),
        MemoryFile(_tiff(bodies, compression, size)) as file,
        file.open(driver="GTiff") as dataset,
    ):
        rows: NDArray[np.uint8] = dataset.read(1)
        return rows


def _tiff(bodies: Sequence[Buffer], compression: int, size: int) -> bytes:
    """Builds a TIFF of bytes in which each body is a strip of one line."""
    count = len(bodies)
    place = _HEADER.size + _ENTRIES * _ENTRY.size + 4
    offsets = place + len(_PLACE)
    counts = offsets + 4 * count
    lengths = [len(body) for body in bodies]
    *starts, _ = accumulate(lengths, initial=counts + 4 * count)
    single = count == 1  # a table of one number is that number
    entries = [
        (256, _LONG, 1, size),
        (257, _LONG, 1, count),
        (258, _SHORT, 1, 8),
        (259, _SHORT, 1, compression),
        (262, _SHORT, 1, 1),
        (273, _LONG, count, starts[0] if single else offsets),
        (278, _LONG, 1, 1),
        (279, _LONG, count, lengths[0] if single else counts),
        (33550, _DOUBLE, 3, place),
        (33922, _DOUBLE, 6, place + 24),
    ]
    header = _HEADER.pack(b"II", 42, 8, len(entries))
    directory = b"".join(_ENTRY.pack(*entry) for entry in entries) + bytes(4)
    tables = struct.pack(f"<{2 * count}I", *starts, *lengths)
    return b"".join([header, directory, _PLACE, tables, *bodies])
