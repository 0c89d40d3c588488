"""Upper bounds of decoded blocks, by their own headers: decoders allocate what these declare."""

import re
import struct
from typing import Final

_ZSTD_FRAME: Final = 0xFD2FB528
ZSTD_BLOCK: Final = 128 * 1024

_JPEG_FRAME: Final = re.compile(rb"\xff[\xc0-\xcf](?=(.{8}))", re.DOTALL)
_LERC_BYTES: Final = (1, 1, 2, 2, 4, 4, 4, 8)
_WEBP_BANDS: Final = 3


class BombError(ValueError):
    """A block decodes to more bytes than it may."""


def zstd_bound(body: bytes) -> int:
    """Returns the most bytes a Zstandard frame (RFC 8878, 3.1.1) decodes to, by its blocks.

    BombError if the bytes are not exactly one frame.
    """
    if int.from_bytes(body[:4], "little") != _ZSTD_FRAME or len(body) < 6:
        raise BombError("is no single frame")
    flags = body[4]
    single, checksum = flags >> 5 & 1, flags >> 2 & 1
    at = 5 + (not single) + (0, 1, 2, 4)[flags & 3] + ((1 if single else 0), 2, 4, 8)[flags >> 6]
    bound, last = 0, 0
    while not last:
        header = int.from_bytes(body[at : at + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if at + 3 > len(body) or kind == 3:
            raise BombError("is damaged")
        at += 3 + (1 if kind == 1 else size)
        bound += ZSTD_BLOCK if kind == 2 else size
    if at + 4 * checksum != len(body):
        raise BombError("is no single frame")
    return bound


def jpeg_bound(body: bytes) -> int:
    """Returns the bytes of the largest frame header (ITU-T T.81, B.2.2) found anywhere in a JPEG.

    Whichever one a decoder takes for its frame is among them.
    """
    largest = 0
    for found in _JPEG_FRAME.finditer(body):
        length, bits, height, width, bands = struct.unpack(">HBHHB", found[1])
        if length == 8 + 3 * bands:
            largest = max(largest, height * width * bands * (2 if bits > 8 else 1))
    return largest


def jpeg_is_subsampled(body: bytes) -> bool:
    """Whether a frame header found in a JPEG gives one of several bands more samples than others.

    libtiff allows that of YCbCr alone; a decoder returns other colors as they are stored.
    """
    for found in _JPEG_FRAME.finditer(body):
        length, bands = found[1][0] << 8 | found[1][1], found[1][7]
        factors = body[found.start() + 11 : found.start() + 11 + 3 * bands : 3]
        if length == 8 + 3 * bands and len(set(factors)) > 1:
            return True
    return False


def webp_bound(body: bytes) -> int:
    """Returns the bytes of a WebP's red, green and blue, by its first chunk (RFC 9649, 2.5–2.7)."""
    if body[:4] != b"RIFF" or body[8:12] != b"WEBP":
        raise BombError("is no WebP")
    match body[12:16]:
        case b"VP8 ":
            width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", body, 26))
        case b"VP8L":
            sizes = int.from_bytes(body[21:25], "little")
            width, height = (sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (24, 27))
        case _:
            raise BombError("is no WebP")
    size: int = width * height * _WEBP_BANDS
    return size


def lerc_bound(body: bytes) -> int:
    """Returns the bytes of LERC2's equal-sized bands, by the first one (`Lerc2::HeaderInfo`).

    BombError for LERC1, and for LERC inside Deflate or Zstandard.
    """
    if body[:6] != b"Lerc2 ":
        raise BombError("is no LERC2")
    version, depth = int.from_bytes(body[6:10], "little"), 1
    if version > 3:
        height, width, depth, kind = struct.unpack_from("<14x3I12xI", body)
    else:
        layout = "<14x2I12xI" if version == 3 else "<10x2I12xI"
        height, width, kind = struct.unpack_from(layout, body)
    size: int = height * width * depth * _LERC_BYTES[kind]
    return size * body.count(b"Lerc2 ")


def lerc_has_holes(body: bytes) -> bool:
    """Whether a LERC2 block has values that are masked or nodata: GDAL's NaN, async-tiff's zero."""
    at = body.find(b"Lerc2 ")
    while at >= 0:
        version = int.from_bytes(body[at + 6 : at + 10], "little")
        sizes = at + (14 if version > 2 else 10)
        depth = version > 3
        height, width, *_, valid = struct.unpack_from("<4i" if depth else "<3i", body, sizes)
        if valid != height * width or (version > 5 and body[sizes + 32]):
            return True
        at = body.find(b"Lerc2 ", at + 1)
    return False
