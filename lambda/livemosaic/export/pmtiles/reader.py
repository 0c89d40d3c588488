"""Reads archives that `ArchiveWriter` wrote: which bytes a tile has there."""

import gzip
import json
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, Self

from cachetools import LRUCache

from livemosaic.export.pmtiles.directory import TileDirectory, flattened
from livemosaic.export.pmtiles.header import HEADER_SIZE, ArchiveHeader
from livemosaic.export.pmtiles.numbering import tile_number

_LEAVES: Final = 64
_DEPTH: Final = 4
"""Of directories, as readers of other projects have it."""
ReadRange = Callable[[int, int], bytes]
"""Returns bytes of a half-open range of an archive; fewer where it ends."""


class Archive:
    """An archive whose root directory was read; leaf directories are when they are needed.

    Thread-safe.
    """

    def __init__(self, header: ArchiveHeader, root: TileDirectory, read: ReadRange) -> None:
        self.header = header
        self._root = root
        self._read = read
        self._leaves: LRUCache[int, TileDirectory] = LRUCache(_LEAVES)
        self._lock = Lock()

    @classmethod
    def open(cls, read: ReadRange) -> Self:
        """Reads header and root; raises `ValueError` where they are not as written."""
        header = ArchiveHeader.from_bytes(read(0, HEADER_SIZE))
        start = header.root.offset
        root = TileDirectory.from_bytes(read(start, start + header.root.length))
        return cls(header, root, read)

    @property
    def entries(self) -> TileDirectory:
        """The entries of all directories; raises `ValueError` where they are not as written."""
        return flattened(self._root, self._leaf_bytes)

    def metadata(self) -> dict[str, Any]:
        """Returns its metadata."""
        start = self.header.metadata.offset
        found = self._read(start, start + self.header.metadata.length)
        document: dict[str, Any] = json.loads(gzip.decompress(found))
        return document

    def tile(self, zoom: int, x: int, y: int) -> bytes | None:
        """Returns the bytes of a tile; None where the archive has none.

        Raises `ValueError` where a directory is not as written.
        """
        number = tile_number(zoom, x, y)
        entries = self._root
        for _ in range(_DEPTH):
            if (n := entries.last_until(number)) < 0:
                return None
            offset, length = int(entries.offsets[n]), int(entries.lengths[n])
            if entries.runs[n]:
                if number - int(entries.numbers[n]) >= int(entries.runs[n]):
                    return None
                start = self.header.tiles.offset + offset
                return self._read(start, start + length)
            entries = self._leaf(offset, length)
        raise ValueError(f"a directory lies below more than {_DEPTH} others")

    def _leaf(self, offset: int, length: int) -> TileDirectory:
        with self._lock:
            if (found := self._leaves.get(offset)) is not None:
                return found
        found = TileDirectory.from_bytes(self._leaf_bytes(offset, length))
        with self._lock:
            self._leaves[offset] = found
        return found

    def _leaf_bytes(self, offset: int, length: int) -> bytes:
        start = self.header.leaves.offset + offset
        return self._read(start, start + length)
