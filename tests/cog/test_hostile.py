"""Files made to exhaust a process are read or refused within the memory that reads are given.

Each is read in a process of its own, whose peak is compared with that of a harmless file.
"""

import json
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
"""`Limits.bytes_at_once` of the reads here."""
ALLOWED: Final = 4
"""Multiples of that: besides decoded pixels there are a header, compressed blocks and GDAL."""
BLOCK: Final = 512
_EPSG_3857: Final = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 3857)

READ: Final = """
import asyncio, json, os, sys
from pathlib import Path
from rasterio.crs import CRS
from livemosaic.cog import CogReader
from livemosaic.errors import LivemosaicError
from livemosaic.hrefs import AllowList
from livemosaic.model import Grid, Read
from livemosaic.rasters import Limits

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
) -> None:
    """All blocks of it are the same bytes; its tables of blocks are as long as its size asks."""
    blocks = (size // block) ** 2
    arrays = [
        struct.pack("<3d", 10, 10, 0),
        struct.pack("<6d", 0, 0, 0, 1_000_000, 6_000_000, 0),
        struct.pack("<16H", *_EPSG_3857),
        struct.pack(f"<{bands}H", *[8] * bands) if bands > 2 else b"",
    ]
    starts = [8 + 2 + 14 * 12 + 4]
    for array in arrays:
        starts.append(starts[-1] + len(array))
    scale, tie, keys, depths, offsets = starts
    counts, pixels = offsets + 4 * blocks, offsets + 8 * blocks
    entries = [
        (256, 4, 1, size), (257, 4, 1, size), (258, 3, bands, depths if bands > 2 else 8),
        (259, 3, 1, compression), (262, 3, 1, 1), (277, 3, 1, bands), (284, 3, 1, 1),
        (322, 4, 1, block), (323, 4, 1, block), (324, 4, blocks, offsets), (325, 4, blocks, counts),
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


LARGE: Final = 400 * 1024 * 1024
FINE: Final = zlib.compress(b"\1" * BLOCK * BLOCK)
# How each is made, the bands that are read, why it is refused. GDAL reads of bombs as much as
# a block holds.
HOSTILE: dict[str, tuple[Callable[[Path], None], list[int], str]] = {
    "deflate bomb": (lambda p: tiff(p, deflated(LARGE)), [], ""),
    "zstd bomb": (lambda p: tiff(p, zstandard(LARGE), compression=50000), [], ""),
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
