"""Reads archives that `ArchiveWriter` wrote: which bytes a tile has there."""

import gzip
import json
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from livemosaic.export.pmtiles.directory import TileDirectory, flattened
from livemosaic.export.pmtiles.header import HEADER_SIZE, ArchiveHeader
from livemosaic.export.pmtiles.numbering import tile_number

ReadRange = Callable[[int, int], bytes]
"""Returns bytes of a half-open range of an archive; fewer where it ends."""


class Archive:
    """An archive whose directories were read."""

    def __init__(self, header: ArchiveHeader, entries: TileDirectory, read: ReadRange) -> None:
        self.header = header
        self.entries = entries
        self._read = read

    @classmethod
    def open(cls, read: ReadRange) -> Self:
        """Reads header and directories; raises `ValueError` where they are not as written."""
        header = ArchiveHeader.from_bytes(read(0, HEADER_SIZE))

        def leaf(offset: int, length: int) -> bytes:
            start = header.leaves.offset + offset
            return read(start, start + length)

        start = header.root.offset
        root = TileDirectory.from_bytes(read(start, start + header.root.length))
        return cls(header, flattened(root, leaf), read)

    def metadata(self) -> dict[str, Any]:
        """Returns its metadata."""
        start = self.header.metadata.offset
        found = self._read(start, start + self.header.metadata.length)
        document: dict[str, Any] = json.loads(gzip.decompress(found))
        return document

    def tile(self, zoom: int, x: int, y: int) -> bytes | None:
        """Returns the bytes of a tile; None where the archive has none."""
        number = tile_number(zoom, x, y)
        n = int(np.searchsorted(self.entries.numbers, np.uint64(number), side="right")) - 1
        if n < 0 or number - int(self.entries.numbers[n]) >= int(self.entries.runs[n]):
            return None
        start = self.header.tiles.offset + int(self.entries.offsets[n])
        return self._read(start, start + int(self.entries.lengths[n]))
