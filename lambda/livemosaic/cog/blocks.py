"""Fetches blocks of a TIFF and decodes each to no more bytes than it may hold."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from async_tiff import DecoderRegistry, ImageFileDirectory, Tile
from async_tiff.enums import Compression, PhotometricInterpretation, PlanarConfiguration
from numpy.typing import NDArray

from livemosaic.cog.budget import compute
from livemosaic.cog.codecs.bounds import (
    ZSTD_BLOCK,
    BombError,
    jpeg_bound,
    jpeg_is_subsampled,
    lerc_bound,
    lerc_has_holes,
    webp_bound,
    zstd_bound,
)
from livemosaic.cog.codecs.deflate import bounded_inflate
from livemosaic.cog.codecs.lzw import decode_bodies
from livemosaic.cog.raster import UnsupportedError
from livemosaic.storage.objects import Buffer

_DEFLATE: Final = (Compression.Deflate, Compression.OldDeflate)
_BY_LIBTIFF: Final = (Compression.LZW, Compression.LZMA)
_LERC: Final = 34887
_BOUNDS: Final[dict[int, Callable[[bytes], int]]] = {
    Compression.ZSTD: zstd_bound,
    Compression.ModernJPEG: jpeg_bound,
    Compression.WebP: webp_bound,
    _LERC: lerc_bound,
}
_BOUNDED: Final = {Compression.Uncompressed, *_DEFLATE, *_BY_LIBTIFF, *_BOUNDS}
_ZSTD_SLACK: Final = 8
"""At its higher levels zstd splits what would fit into one of its blocks into several."""


def is_bounded(ifd: ImageFileDirectory) -> bool:
    """Whether `fetch` can bound the decoded size: not of JPEG 2000 or LERC compressed again."""
    return ifd.compression in _BOUNDED and not any((ifd.lerc_parameters or [])[1:])


async def fetch(
    ifd: ImageFileDirectory, wanted: list[tuple[int, int]], lines: list[int], most: int
) -> list[NDArray[Any]]:
    """Returns decoded blocks in TIFF's axis order, each of at most `most` bytes.

    `lines` is how many leading lines of each are needed; later ones are undefined. `GeoTIFF.read`
    is not used: it assembles on the event loop, and computes a transform per block.
    """
    blocks = await ifd.fetch_tiles(wanted)
    line, compression = _line_bytes(ifd), ifd.compression  # made anew each time it is asked for
    full = min(line * (ifd.tile_height or 0), most)
    if compression in _BOUNDS:
        _refuse_bombs(ifd, blocks, full)
        _refuse_misread(ifd, blocks)
    if compression not in (*_DEFLATE, *_BY_LIBTIFF):
        return [np.asarray(a) for a in await asyncio.gather(*(b.decode() for b in blocks))]
    work = [(b, min(n * line, most)) for b, n in zip(blocks, lines, strict=True)]
    unpack = _by_libtiff if compression in _BY_LIBTIFF else _inflated
    if len(work) == 1:
        return await compute(unpack, work, full)
    half = -(-len(work) // 2)
    parts = work[:half], work[half:]
    done = await asyncio.gather(*(compute(unpack, part, full) for part in parts))
    return [array for part in done for array in part]


def _refuse_misread(ifd: ImageFileDirectory, blocks: Sequence[Tile]) -> None:
    """Raises UnsupportedError for blocks that async-tiff decodes unlike GDAL."""
    compression, several = ifd.compression, ifd.samples_per_pixel > 1
    if compression == _LERC and any(map(lerc_has_holes, _all_bodies(blocks))):
        raise UnsupportedError("LERC with holes, which async-tiff fills with zeros")
    if compression != Compression.ModernJPEG or not several:
        return
    ycbcr = ifd.photometric_interpretation == PhotometricInterpretation.YCbCr
    if not ycbcr and any(map(jpeg_is_subsampled, _all_bodies(blocks))):
        raise UnsupportedError("JPEG with bands of several resolutions that is not YCbCr")


def _inflated(work: Sequence[tuple[Tile, int]], full: int) -> list[NDArray[Any]]:
    """Decodes Deflate with our own bounded inflate, as async-tiff's is unbounded.

    Runs in a Python thread: async-tiff's may abort an exiting process when they call Python.
    """
    arrays = []
    for block, needed in work:
        registry = DecoderRegistry(dict.fromkeys(_DEFLATE, bounded_inflate(needed, full)))
        arrays.append(np.asarray(block.decode_sync(decoder_registry=registry)))
    return arrays


def _by_libtiff(work: Sequence[tuple[Tile, int]], full: int) -> list[NDArray[Any]]:
    """Decodes LZW and LZMA: as many lines of each block as any of them needs, then zeros."""
    bodies = [body for block, _ in work for body in _bodies(block)]
    rows = iter(decode_bodies(bodies, work[0][0].compression_method, max(n for _, n in work)))

    def next_row(buffer: Buffer) -> bytes:
        del buffer
        row: bytes = next(rows).tobytes()
        return row.ljust(full, b"\0")

    registry = DecoderRegistry(dict.fromkeys(_BY_LIBTIFF, next_row))
    return [np.asarray(block.decode_sync(decoder_registry=registry)) for block, _ in work]


def _line_bytes(ifd: ImageFileDirectory) -> int:
    """Returns the decoded bytes of a block's line; of one band if bands are planar."""
    planar = ifd.planar_configuration == PlanarConfiguration.Planar
    samples = 1 if planar else ifd.samples_per_pixel
    return -(-(ifd.tile_width or 0) * samples * ifd.bits_per_sample[0] // 8)


def _refuse_bombs(ifd: ImageFileDirectory, blocks: Sequence[Tile], full: int) -> None:
    """Raises BombError for a block whose own header declares more than `full` bytes."""
    zstd = ifd.compression == Compression.ZSTD
    allowed = _ZSTD_SLACK * full + ZSTD_BLOCK if zstd else full
    for body in _all_bodies(blocks):
        if _BOUNDS[ifd.compression](_stream(ifd, body)) > allowed:
            raise BombError(f"more than {full:,} bytes")


def _all_bodies(blocks: Sequence[Tile]) -> Iterator[bytes]:
    return (bytes(body) for block in blocks for body in _bodies(block))


def _bodies(block: Tile) -> list[Buffer]:
    """Returns the compressed bytes of a block: one buffer, or one per band."""
    body = block.compressed_bytes
    return body if isinstance(body, list) else [body]


def _stream(ifd: ImageFileDirectory, body: bytes) -> bytes:
    """Returns what async-tiff passes to its decoder: a JPEG is preceded by its tables."""
    if ifd.jpeg_tables is None or ifd.compression != Compression.ModernJPEG:
        return body
    return bytes(ifd.jpeg_tables[:-2]) + body[2:]
