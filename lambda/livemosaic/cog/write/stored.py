"""An overview cell as stored: its blocks, still encoded or decoded."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.cog.tiff import support as tag
from livemosaic.cog.tiff.directories import BrokenHeaderError, Directory, iterate_directories
from livemosaic.cog.tiff.palette import BITS
from livemosaic.cog.write.codec import (
    NO_PREDICTOR,
    UnusableCellError,
    decode,
    decode_mask,
    predictor_of,
)
from livemosaic.cog.write.header import DEFLATE, Lengths, header
from livemosaic.cog.write.profile import DTYPES, MOST_BYTES, CellProfile, Place
from livemosaic.storage.objects import Buffer

Block = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values (bands, height, width), zero where invalid, and the mask (height, width), True where
valid."""
Encoded = tuple[Buffer, Buffer]
"""A block's values and mask as bytes; empty where all are zero."""

_KINDS: Final = {1: "u", 2: "i", 3: "f"}
_TYPES: Final = {f"{t.kind}{t.itemsize}": t for t in map(np.dtype, sorted(DTYPES))}
_SIZES: Final = (tag.WIDTH, tag.HEIGHT, tag.TILE_WIDTH, tag.TILE_HEIGHT)


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    """The table of blocks of an image or a mask."""

    offsets: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def end(self) -> int:
        """Offset of the end of the last block that is stored; 0 where none is."""
        both = zip(self.offsets, self.lengths, strict=True)
        return max((at + size for at, size in both if size), default=0)


@dataclass(frozen=True, slots=True, eq=False)
class StoredCell:
    """An overview cell, opened by `open_cell`. Its bytes are shared, not copied.

    They may be just the leading ones: the coarsest overview comes first.
    """

    dtype: np.dtype[Any]
    count: int
    """Bands, without the mask."""
    edge: int
    """Width and height in pixels."""
    block: int
    """Width and height of a block in pixels."""
    _predictor: int
    _levels: tuple[tuple[_Image, _Image], ...]
    """Image and mask of each level, full resolution first."""
    _body: memoryview

    @property
    def levels(self) -> int:
        """Levels: the full resolution and its overviews, down to a single block."""
        return len(self._levels)

    def across(self, level: int) -> int:
        """Returns the blocks in a row of a level; 0 is the full resolution."""
        return self.edge // self.block >> level

    def places(self, level: int = 0) -> Iterator[Place]:
        """Yields the places of a level's blocks that have a valid pixel, row by row."""
        for i, length in enumerate(self._levels[level][1].lengths):
            if length:
                yield i % self.across(level), i // self.across(level)

    def encoded(self, level: int, place: Place) -> Encoded:
        """Returns a block's values and mask as they are stored; UnusableCellError if cut off."""
        i = self._index(level, place)
        image, mask = self._levels[level]
        return self._bytes(image, i), self._bytes(mask, i)

    def read(self, level: int, place: Place) -> Block:
        """Returns a decoded block; UnusableCellError for one that is damaged."""
        values, mask = self.encoded(level, place)
        shape = (self.block, self.block)
        data = decode(values, (self.count, *shape), self.dtype, self._predictor)
        return data, decode_mask(mask, shape)

    def end(self, level: int) -> int:
        """Returns how many leading bytes hold a level and all coarser ones; 0 if none is stored."""
        images = [image for pair in self._levels[level:] for image in pair]
        return max(image.end for image in images)

    def smallest(self) -> Block:
        """Returns the coarsest overview, a single block: one of the parent's own blocks.

        UnusableCellError as `read`. Needs `end(levels - 1)` leading bytes of the file.
        """
        return self.read(self.levels - 1, (0, 0))

    def lengths(self) -> list[tuple[Lengths, Lengths]]:
        """Returns the lengths of the blocks of each level's image and mask."""
        return [(image.lengths, mask.lengths) for image, mask in self._levels]

    def has(self, profile: CellProfile) -> bool:
        """Whether the header is, byte for byte, that of this profile, and no byte is besides."""
        start = header(profile, self.lengths())
        blocks = sum(sum(lengths) for pair in self.lengths() for lengths in pair)
        return self._body[: len(start)] == start and len(start) + blocks == len(self._body)

    def _index(self, level: int, place: Place) -> int:
        across = self.across(level)
        if not (0 <= place[0] < across and 0 <= place[1] < across):
            raise ValueError(f"no block {place}: level {level} has {across} × {across}")
        return place[1] * across + place[0]

    def _bytes(self, image: _Image, i: int) -> Buffer:
        start, length = image.offsets[i], image.lengths[i]
        if length and start + length > len(self._body):
            raise UnusableCellError(f"cut short: {len(self._body):,} of {start + length:,} bytes")
        return self._body[start : start + length]


def open_cell(body: Buffer) -> StoredCell:
    """Opens an overview cell by its header; UnusableCellError for anything else.

    Takes the whole file, or at least all bytes before the first block, some 4 KB.
    """
    whole = memoryview(body).cast("B")
    try:
        directories = list(iterate_directories(_within(whole)))
        return _opened(directories, whole)
    except (ValueError, TypeError, IndexError, OverflowError, struct.error) as e:
        raise UnusableCellError(f"no overview cell: {e}") from e


def _opened(directories: list[Directory], body: memoryview) -> StoredCell:
    full = directories[0]
    edge, block = full.number(tag.WIDTH, 0), full.number(tag.TILE_WIDTH, 0)
    pairs = list(zip(directories[::2], directories[1::2], strict=True))
    if edge != block << (len(pairs) - 1):
        raise UnusableCellError(f"no overview cell: {len(pairs)} levels of {edge} px")
    levels = [
        (_image(image, edge >> level, block), _image(mask, edge >> level, block))
        for level, (image, mask) in enumerate(pairs)
    ]
    dtype, count = _dtype(full), full.number(tag.SAMPLES, 0)
    if not 0 < edge * edge * count * dtype.itemsize <= MOST_BYTES:
        raise UnusableCellError(f"no overview cell: {count} bands of {edge} px")
    return StoredCell(dtype, count, edge, block, _predictor(full, dtype), tuple(levels), body)


def _dtype(full: Directory) -> np.dtype[Any]:
    kind, bits = _KINDS.get(full.number(tag.FORMAT, 1), "?"), full.number(BITS, 1)
    if (name := f"{kind}{bits // 8}") not in _TYPES:
        raise UnusableCellError(f"no overview cell: of {bits} bits")
    return _TYPES[name]


def _predictor(full: Directory, dtype: np.dtype[Any]) -> int:
    predictor = full.number(tag.PREDICTOR, NO_PREDICTOR)
    if predictor not in (predictor_of(dtype, palette) for palette in (False, True)):
        raise UnusableCellError(f"no overview cell: predictor {predictor} of {dtype}")
    return predictor


def _image(directory: Directory, edge: int, block: int) -> _Image:
    stated = [directory.number(each, 0) for each in _SIZES]
    if stated != [edge, edge, block, block] or directory.number(tag.PLANAR, 0) != 1:
        raise UnusableCellError(
            f"no overview cell: {stated} instead of {edge} in blocks of {block}"
        )
    if directory.number(tag.COMPRESSION, 0) != DEFLATE:
        raise UnusableCellError("no overview cell: another compression")
    offsets, lengths = (
        tuple(map(int, directory.numbers(each))) for each in (tag.OFFSETS, tag.COUNTS)
    )
    if not len(offsets) == len(lengths) == (edge // block) ** 2 or min(offsets + lengths) < 0:
        raise UnusableCellError(f"no overview cell: {len(offsets)} blocks")
    return _Image(offsets, lengths)


def _within(body: memoryview) -> Any:
    def fetch(start: int, stop: int) -> memoryview:
        if stop > len(body):
            raise BrokenHeaderError(f"cut short at byte {stop}")
        return body[start:stop]

    return fetch
