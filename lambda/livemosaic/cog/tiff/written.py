"""TIFFs written in memory, for GDAL to decode blocks or interpret tags of another TIFF."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rasterio import Env, MemoryFile
from rasterio.session import DummySession

from livemosaic.storage.objects import Buffer

Value = tuple[int, int, bytes]
"""A tag's type, its count, and its values in little-endian order."""

_OFFSETS, _LENGTHS = 273, 279
_ENTRY: Final = struct.Struct("<HHII")
_PLACE: Final[dict[int, Value]] = {
    33550: (12, 3, struct.pack("<3d", 1, 1, 0)),
    33922: (12, 6, bytes(48)),
}
"""Any scale and tie point: rasterio would warn of a file that has none."""


def shorts(*values: int) -> Value:
    """Returns a tag's value of 16-bit integers."""
    return 3, len(values), struct.pack(f"<{len(values)}H", *values)


def longs(*values: int) -> Value:
    """Returns a tag's value of 32-bit integers."""
    return 4, len(values), struct.pack(f"<{len(values)}I", *values)


@contextmanager
def open_written(tags: Mapping[int, Value], strips: Sequence[Buffer]) -> Iterator[Any]:
    """Opens a TIFF of these tags and compressed strips as a rasterio dataset."""
    # No AWS session, and no search for sidecars: see `gdal`.
    with (
        Env(DummySession(), GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"),
        MemoryFile(_tiff(tags, strips)) as file,
        file.open(driver="GTiff") as dataset,
    ):
        yield dataset


def _tiff(tags: Mapping[int, Value], strips: Sequence[Buffer]) -> bytes:
    lengths = [memoryview(strip).nbytes for strip in strips]
    every = {**_PLACE, **tags, _OFFSETS: longs(*lengths), _LENGTHS: longs(*lengths)}
    long_values = sum(_padded(value) for _, _, value in every.values() if len(value) > 4)
    start = 8 + 2 + len(every) * _ENTRY.size + 4
    at, offsets = start + long_values, []
    for length in lengths:
        offsets.append(at)
        at += length
    every[_OFFSETS] = longs(*offsets)
    entries, values = b"", b""
    for tag, (kind, count, body) in sorted(every.items()):
        inline = len(body) <= 4
        place = int.from_bytes(body, "little") if inline else start + len(values)
        entries += _ENTRY.pack(tag, kind, count, place)
        values += b"" if inline else body.ljust(_padded(body), b"\0")
    header = b"II*\0\x08\0\0\0" + struct.pack("<H", len(every))
    return b"".join([header, entries, bytes(4), values, *strips])


def _padded(body: bytes) -> int:
    return len(body) + -len(body) % 8
