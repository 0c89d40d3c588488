"""LERC2 (github.com/Esri/lerc), version 3: a blob for each band, without loss. Pure.

Values are stored as they are ("one sweep"), not in compressed blocks: the mask is what clients need
LERC for, and HTTP compresses. GDAL writes LERC, too, but no mask; the package `lerc` has no library
for ARM.
"""

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_KEY: Final = b"Lerc2 "
_VERSION: Final = 3
_BLOCK: Final = 8
_TYPES: Final = {
    "int8": 0, "uint8": 1, "int16": 2, "uint16": 3, "int32": 4, "uint32": 5, "float32": 6,
    "float64": 7,
}  # fmt: skip
_RUN: Final = 32_767
_END: Final = struct.pack("<h", -32_768)
_FLETCHER: Final = 65_535
_PART: Final = 1 << 20
"""Words that are summed up at once."""
DTYPES: Final = frozenset(_TYPES)
"""Names of the numpy data types that LERC2 has."""


def encode_lerc(data: NDArray[Any], valid: NDArray[np.bool_]) -> bytes:
    """Encodes bands, shape (bands, height, width), of a dtype in `DTYPES`; all have one mask."""
    return b"".join(_blob(band, valid) for band in data)


def _blob(band: NDArray[Any], valid: NDArray[np.bool_]) -> bytes:
    values = band[valid]
    least, largest = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    body = _mask(valid)
    if least != largest or np.isnan(least):
        little = values.astype(values.dtype.newbyteorder("<"))
        body += b"\1" + little.tobytes()
    tolerance = 0.0 if band.dtype.kind == "f" else 0.5
    kind = _TYPES[band.dtype.name]
    shape = *band.shape, len(values), _BLOCK
    size = len(_KEY) + struct.calcsize("<iI6i3d") + len(body)
    counted = struct.pack("<6i3d", *shape, size, kind, tolerance, least, largest) + body
    return _KEY + struct.pack("<iI", _VERSION, _checksum(counted)) + counted


def _mask(valid: NDArray[np.bool_]) -> bytes:
    """Returns the bits of a mask in runs of plain bytes; none where all pixels are alike."""
    if valid.all() or not valid.any():
        return struct.pack("<i", 0)
    bits = np.packbits(valid).tobytes()
    parts = [bits[start : start + _RUN] for start in range(0, len(bits), _RUN)]
    runs = b"".join(struct.pack("<h", len(part)) + part for part in parts) + _END
    return struct.pack("<i", len(runs)) + runs


def _checksum(counted: bytes) -> int:
    """Returns Fletcher's sum of big-endian words of 16 bits, as LERC computes it.

    Both sums are modulo 65,535, where 0 stands as 65,535.
    """
    words = np.frombuffer(counted + b"\0" * (len(counted) % 2), ">u2")
    first = second = _FLETCHER
    for start in range(0, len(words), _PART):
        part = words[start : start + _PART].astype(np.uint64)
        after = len(words) - start
        weights = np.arange(after, after - len(part), -1, dtype=np.uint64) % _FLETCHER
        first += int(part.sum())
        second += int((part * weights).sum())
    second = (second + len(words) * _FLETCHER) % _FLETCHER
    return (second or _FLETCHER) << 16 | (first % _FLETCHER or _FLETCHER)
