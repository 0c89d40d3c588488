"""Writes archives: tiles in any order in, the bytes of an archive in their order out.

Equal tiles give equal archives, whatever the order in which they came.
"""

import gzip
import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from livemosaic.export.pmtiles.directory import TileDirectory, laid_out
from livemosaic.export.pmtiles.header import HEADER_SIZE, ArchiveHeader, ByteSpan, TileKind
from livemosaic.export.pmtiles.numbering import tile_number, zoom_of_number
from livemosaic.model.raster import BBox

DIGEST: Final = 16
"""Bytes of the digest by which equal tiles are found."""
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveContent:
    """What an archive states of its tiles."""

    kind: TileKind
    bounds: BBox
    """West, south, east, north in degrees."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON; `vector_layers` where tiles are `mvt`."""
    is_gzipped: bool = False
    """Whether the bytes of tiles are compressed by gzip."""


def digest_of_tile(body: bytes) -> bytes:
    """Returns the digest by which equal tiles are found."""
    return hashlib.blake2b(body, digest_size=DIGEST).digest()


@dataclass(frozen=True, slots=True, eq=False)
class Arrangement:
    """An archive before the bytes of its tiles, and their order. Pure."""

    head: bytes
    """All bytes before the tiles."""
    order: NDArray[np.int64]
    """Contents in the order in which their bytes follow, each once."""

    @classmethod
    def of(
        cls,
        numbers: NDArray[np.uint64],
        contents: NDArray[np.int64],
        lengths: NDArray[np.uint64],
        about: ArchiveContent,
    ) -> Self:
        """Arranges tiles: their numbers in any order, the content of each, and bytes of contents.

        Raises `ValueError` for a tile twice.
        """
        numbers, contents = _in_order(numbers, contents)
        order, offsets = _stored(contents, lengths)
        entries = _runs(numbers, contents, lengths, offsets)
        root, leaves = laid_out(entries)
        metadata = gzip.compress(json.dumps(about.metadata, sort_keys=True).encode(), mtime=0)
        sizes = HEADER_SIZE, len(root), len(metadata), len(leaves), int(lengths[order].sum())
        sections = [ByteSpan(at, size) for at, size in _in_turn(sizes)]
        minzoom, maxzoom = (zoom_of_number(int(numbers[n])) for n in (0, -1))
        west, south, east, north = about.bounds
        header = ArchiveHeader(
            root=sections[1],
            metadata=sections[2],
            leaves=sections[3],
            tiles=sections[4],
            addressed=len(numbers),
            entries=len(entries),
            contents=len(order),
            kind=about.kind,
            is_gzipped=about.is_gzipped,
            minzoom=minzoom,
            maxzoom=maxzoom,
            bounds=about.bounds,
            center=((west + east) / 2, (south + north) / 2, minzoom),
        )
        return cls(header.to_bytes() + root + metadata + leaves, order)


class ArchiveWriter:
    """Collects tiles, then gives the bytes of an archive of them. Not thread-safe.

    Keeps the bytes of different tiles in a file, and some 200 bytes of memory for each.
    """

    def __init__(self, spool: IO[bytes]) -> None:
        """Collects in an empty file, open to be written and read."""
        self._spool = spool
        self._places: dict[bytes, int] = {}
        self._lengths = array("Q")
        self._numbers = array("Q")
        self._contents = array("Q")

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, zoom: int, x: int, y: int, body: bytes, digest: bytes = b"") -> None:
        """Adds a tile; `digest` as `digest_of_tile` returns it, where the caller knows it."""
        digest = digest or digest_of_tile(body)
        content = self._places.setdefault(digest, len(self._places))
        if content == len(self._lengths):
            self._lengths.append(len(body))
            self._spool.write(body)
        self._numbers.append(tile_number(zoom, x, y))
        self._contents.append(content)

    def pieces(self, about: ArchiveContent) -> Iterator[bytes]:
        """Yields the bytes of the archive; raises `ValueError` without a tile, or for one twice."""
        if not len(self):
            raise ValueError("an archive needs a tile")
        lengths = np.frombuffer(self._lengths, np.uint64)
        numbers = np.frombuffer(self._numbers, np.uint64)
        contents = np.frombuffer(self._contents, np.uint64).astype(np.int64)
        made = Arrangement.of(numbers, contents, lengths, about)
        yield made.head
        yield from self._bodies(made.order, lengths)

    def _bodies(self, order: NDArray[np.int64], lengths: NDArray[np.uint64]) -> Iterator[bytes]:
        starts = np.cumsum(lengths, dtype=np.uint64) - lengths
        piece = bytearray()
        for content in order:
            self._spool.seek(int(starts[content]))
            piece += self._spool.read(int(lengths[content]))
            if len(piece) >= _PIECE:
                yield bytes(piece)
                piece.clear()
        self._spool.seek(0, 2)
        if piece:
            yield bytes(piece)


def _in_order(
    numbers: NDArray[np.uint64], contents: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    order = np.argsort(numbers, kind="stable")
    numbers = numbers[order]
    if (twice := numbers[1:][numbers[1:] == numbers[:-1]]).size:
        raise ValueError(f"tile number {twice[0]} was added twice")
    return numbers, contents[order]


def _stored(
    contents: NDArray[np.int64], lengths: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Returns contents in the order of the tiles that have them first, and the offset of each."""
    found, firsts = np.unique(contents, return_index=True)
    order = found[np.argsort(firsts)]
    offsets = np.zeros(len(lengths), np.uint64)
    offsets[order] = np.cumsum(lengths[order], dtype=np.uint64) - lengths[order]
    return order, offsets


def _in_turn(sizes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yields where each of some parts begins that follow each other, and its size."""
    ends = np.cumsum((0, *sizes)).tolist()
    yield from ((start, end - start) for start, end in pairwise(ends))


def _runs(
    numbers: NDArray[np.uint64],
    contents: NDArray[np.int64],
    lengths: NDArray[np.uint64],
    offsets: NDArray[np.uint64],
) -> TileDirectory:
    """Returns an entry for each run of neighbours with equal bytes."""
    begins = np.ones(len(numbers), np.bool_)
    begins[1:] = (numbers[1:] != numbers[:-1] + np.uint64(1)) | (contents[1:] != contents[:-1])
    firsts = np.flatnonzero(begins)
    runs = np.diff(firsts, append=len(numbers)).astype(np.uint64)
    shown = contents[firsts]
    return TileDirectory(numbers[firsts], runs, lengths[shown], offsets[shown])
