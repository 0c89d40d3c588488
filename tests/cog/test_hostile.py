"""Files made to exhaust a process are read or refused within the memory that reads are given.

Each is read in a process of its own, whose peak is compared with that of a harmless file.
"""

import json
import lzma
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

GIVEN: Final = 32 * 1024 * 1024
"""`AssetLimits.bytes_at_once` of the reads here."""
ALLOWED: Final = 4
"""Multiples of that: besides decoded pixels there are a header, compressed blocks and GDAL."""
BLOCK: Final = 512
_EPSG_3857: Final = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 3857)

READ: Final = """
import asyncio, json, os, sys
from pathlib import Path
from rasterio.crs import CRS
from livemosaic.cog.reader import CogReader
from livemosaic.errors import LivemosaicError
from livemosaic.storage.allowlist import AllowList
from livemosaic.model.raster import Grid
from livemosaic.model.render import Read
from livemosaic.cog.raster import AssetLimits as Limits

_, path, given, bidx = sys.argv
grid = Grid(CRS.from_epsg(3857), (1_000_000, 5_997_440, 1_002_560, 6_000_000), 256, 256)
reader = CogReader(AllowList([str(Path(path).parent)]), limits=Limits(bytes_at_once=int(given)))
try:
    asyncio.run(reader.read({"a": path}, grid, Read(bidx=tuple(json.loads(bidx))), version="1"))
    why = ""
except LivemosaicError as error:
    why = str(error)
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
print(json.dumps([why, peak]), flush=True)
os._exit(0)  # without a finish, in which async-tiff's threads may abort
"""


def tiff(
    path: Path,
    body: bytes,
    *,
    compression: int = 8,
    block: int = BLOCK,
    size: int = 2 * BLOCK,
    bands: int = 1,
    planar: bool = False,
    jpeg_tables: bytes = b"",
) -> None:
    """All blocks of it are the same bytes; its tables of blocks are as long as its size asks."""
    blocks = (size // block) ** 2 * (bands if planar else 1)
    arrays = [
        struct.pack("<3d", 10, 10, 0),
        struct.pack("<6d", 0, 0, 0, 1_000_000, 6_000_000, 0),
        struct.pack("<16H", *_EPSG_3857),
        struct.pack(f"<{bands}H", *[8] * bands) if bands > 2 else b"",
        jpeg_tables,
    ]
    starts = [8 + 2 + (15 if jpeg_tables else 14) * 12 + 4]
    for array in arrays:
        starts.append(starts[-1] + len(array))
    scale, tie, keys, depths, tables, offsets = starts
    counts, pixels = offsets + 4 * blocks, offsets + 8 * blocks
    entries = [
        (256, 4, 1, size), (257, 4, 1, size), (258, 3, bands, depths if bands > 2 else 8),
        (259, 3, 1, compression), (262, 3, 1, 1), (277, 3, 1, bands), (284, 3, 1, 1 + planar),
        (322, 4, 1, block), (323, 4, 1, block), (324, 4, blocks, offsets), (325, 4, blocks, counts),
        *([(347, 7, len(jpeg_tables), tables)] if jpeg_tables else []),
        (33550, 12, 3, scale), (33922, 12, 6, tie), (34735, 3, 16, keys),
    ]  # fmt: skip
    with path.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<IH", 8, len(entries)))
        file.write(b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4))
        file.write(b"".join(arrays))
        file.write(struct.pack("<I", pixels) * blocks + struct.pack("<I", len(body)) * blocks)
        file.write(body)


def deflated(size: int) -> bytes:
    packer = zlib.compressobj(9)
    chunk = b"\1" * 1024 * 1024
    return b"".join([packer.compress(chunk) for _ in range(size // len(chunk))]) + packer.flush()


def zstandard(size: int) -> bytes:
    """One frame of blocks that each repeat a byte (RFC 8878, 3.1.1.2.2)."""
    block = 128 * 1024
    middle = struct.pack("<I", 1 << 1 | block << 3)[:3] + b"\1"
    last = struct.pack("<I", 1 | 1 << 1 | block << 3)[:3] + b"\1"
    return b"\x28\xb5\x2f\xfd\x00\x58" + middle * (size // block - 1) + last


def xz(size: int) -> bytes:
    packer = lzma.LZMACompressor(preset=0)
    chunk = b"\1" * 1024 * 1024
    return b"".join([packer.compress(chunk) for _ in range(size // len(chunk))]) + packer.flush()


def lzw(size: int) -> bytes:
    """Each code stands for one zero more than the last (TIFF 6.0, section 13)."""
    clear, end = f"{256:012b}", f"{257:012b}"
    widths = ((c, 9 + (c > 510) + (c > 1022) + (c > 2046)) for c in range(258, 4094))
    run = f"{0:09b}" + "".join(f"{code:0{width}b}" for code, width in widths) + clear
    bits = f"{256:09b}" + run * (size // (3837 * 3838 // 2) + 1) + end
    return int(bits.ljust(-len(bits) % 8 + len(bits), "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def jpeg(side: int, frame: int = 0xC0) -> bytes:
    """A frame without data, whose decoder makes up the rest (ITU-T T.81, B.2)."""
    last = 0 if frame == 0xC2 else 63
    segments = {
        0xDB: b"\0" + b"\1" * 64,
        0xC4: b"".join(bytes([table, 1]) + bytes(16) for table in (0x00, 0x10)),
        frame: struct.pack(">BHHB3B", 8, side, side, 1, 1, 0x11, 0),
        0xDA: bytes([1, 1, 0, 0, last, 0]),
    }
    middle = (struct.pack(">BBH", 255, m, len(body) + 2) + body for m, body in segments.items())
    return b"\xff\xd8" + b"".join(middle) + b"\xff\xd9"


def jpeg_in_tables(path: Path) -> None:
    """All but the scan is what the blocks have in common."""
    whole = jpeg(20_000)
    tables, scan, end = whole[:-12], whole[-12:-2], whole[-2:]
    tiff(path, whole[:2] + scan + end, compression=7, jpeg_tables=tables + end)


def jpeg_2000(side: int) -> bytes:
    """One tile whose only packet is empty (ITU-T T.800, A)."""
    segments = {
        0x51: struct.pack(">H8IH3B", 0, side, side, 0, 0, side, side, 0, 0, 1, 7, 1, 1),
        0x52: struct.pack(">2BH6B", 0, 0, 1, 0, 0, 4, 4, 0, 1),
        0x5C: bytes([0x40, 8 << 3]),
        0x90: struct.pack(">HI2B", 0, 0, 0, 1),
    }
    middle = (struct.pack(">BBH", 255, m, len(body) + 2) + body for m, body in segments.items())
    return b"\xff\x4f" + b"".join(middle) + b"\xff\x93\0\xff\xd9"


def webp(side: int) -> bytes:
    """Lossless, all pixels the same, which takes no bits for them (RFC 9649, 3)."""
    size = 0x2F | side - 1 << 8 | side - 1 << 22
    codes = sum(1 << 43 + 4 * i for i in range(5))  # simple ones, of one symbol
    body = (size | codes).to_bytes(10, "little")
    return b"RIFF" + struct.pack("<I8sI", len(body) + 12, b"WEBPVP8L", 9) + body


def lerc(side: int, kind: int = 1) -> bytes:
    """All values the same, which takes none of them."""
    fields = side, side, side * side, 8, 62, kind, 0.0, 1.0, 1.0, 0
    return b"Lerc2 " + struct.pack("<i6i3di", 2, *fields)


LARGE: Final = 400 * 1024 * 1024
FINE: Final = zlib.compress(b"\1" * BLOCK * BLOCK)
FRAMES: dict[str, tuple[bytes, int, int]] = {
    "jpeg": (jpeg(BLOCK), 7, 1),
    "progressive jpeg": (jpeg(BLOCK, 0xC2), 7, 1),
    "webp": (webp(BLOCK), 50001, 3),
    "lerc": (lerc(BLOCK), 34887, 1),
}
"""Blocks of the right size, their compression and bands."""
# How each is made, the bands that are read, why it is refused. GDAL reads of bombs as much as
# a block holds.
HOSTILE: dict[str, tuple[Callable[[Path], None], list[int], str]] = {
    "deflate bomb": (lambda p: tiff(p, deflated(LARGE)), [], ""),
    "zstd bomb": (lambda p: tiff(p, zstandard(LARGE), compression=50000), [], ""),
    "zstd bombs of bands": (
        lambda p: tiff(p, zstandard(LARGE // 16), compression=50000, bands=16, planar=True), [], ""
    ),
    # The same of LZW and LZMA, which GDAL's libtiff unpacks in the first place.
    "lzw bomb": (lambda p: tiff(p, lzw(LARGE), compression=5), [], ""),
    "lzma bomb": (lambda p: tiff(p, xz(LARGE), compression=34925), [], ""),
    "jpeg of 20,000²": (lambda p: tiff(p, jpeg(20_000), compression=7), [], "damaged"),
    "jpeg of 20,000², progressive": (
        lambda p: tiff(p, jpeg(20_000, 0xC2), compression=7), [], "damaged"
    ),
    "jpeg of 20,000² in its tables": (jpeg_in_tables, [], "damaged"),
    "jpeg 2000 of 20,000²": (
        lambda p: tiff(p, jpeg_2000(20_000), compression=34712), [], "JPEG 2000"
    ),
    "webp of 12,000²": (lambda p: tiff(p, webp(12_000), compression=50001, bands=3), [], "damaged"),
    "lerc of 20,000²": (lambda p: tiff(p, lerc(20_000), compression=34887), [], "damaged"),
    "lerc of float64": (lambda p: tiff(p, lerc(8000, 7), compression=34887), [], "damaged"),
    "lerc of 1,500 bands": (
        lambda p: tiff(p, lerc(BLOCK) * 1500, compression=34887), [], "damaged"
    ),
    "blocks of 16,384²": (
        lambda p: tiff(p, FINE, block=16384, size=32768), [], r"blocks of 16384 × 16384.*8192"
    ),
    "blocks of 6,144²": (
        lambda p: tiff(p, FINE, block=6144, size=12288), [], r"needs 75,497,472 bytes.*33,554,432"
    ),
    "500 bands": (lambda p: tiff(p, FINE, bands=500), [], r"500 bands.*64.*bidx"),
    "one of 500 bands": (lambda p: tiff(p, FINE, bands=500), [1], r"131,072,000 samples"),
    # GDAL, asked instead, reads of its tables what it needs.
    "a header of 50 MB": (lambda p: tiff(p, b"x", block=16, size=16 * 2500), [], r"damaged"),
}  # fmt: skip


def read(path: Path, bidx: list[int]) -> tuple[str, int]:
    """Why a file was refused, and the peak of the memory of the process that read it."""
    command = [sys.executable, "-c", READ, str(path), str(GIVEN), json.dumps(bidx)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    answer: Any = json.loads(done.stdout)
    return answer[0], answer[1]


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> int:
    path = tmp_path_factory.mktemp("harmless") / "a.tif"
    tiff(path, FINE)
    why, peak = read(path, [])
    assert not why
    return peak


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's VmHWM")
@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_file_stays_within_the_memory_given(
    tmp_path: Path, harmless: int, how: str
) -> None:
    make, bidx, message = HOSTILE[how]
    make(tmp_path / "a.tif")
    why, peak = read(tmp_path / "a.tif", bidx)
    assert bool(why) == bool(message)
    assert re.search(message, why)
    assert peak - harmless < ALLOWED * GIVEN


@pytest.mark.parametrize("how", FRAMES)
def test_the_same_frame_of_the_right_size_is_read(tmp_path: Path, how: str) -> None:
    body, compression, bands = FRAMES[how]
    tiff(tmp_path / "a.tif", body, compression=compression, bands=bands)
    assert not read(tmp_path / "a.tif", [])[0]
