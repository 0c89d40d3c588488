"""What the pixels of a tile follow from, as a digest: while it is the same, so are they.

Of a tile that one overview cell shows, it is what the cell's blocks in the tile were made of; of
any other the scenes that determine it, as its ETag has them. Both are known without a pixel.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self, get_args

from livemosaic.geo.cells import Cell
from livemosaic.index.overviews import RUNG, CellImage, OverviewCell
from livemosaic.tiler.picture import Draft, Picture
from livemosaic.tiler.plan import End, Seen

_LAYOUT: Final = struct.Struct("<12sIc")
SIZE: Final = _LAYOUT.size
_CELL: Final = b"c"
_NONE: Final = b"-"
_ENDS: Final[dict[bytes, End]] = {end[0].encode(): end for end in get_args(End)}
_UNREAD: Final = "!"
"""Marks a block, in `overviews.blocks`, of which a scene could not be read."""


@dataclass(frozen=True, slots=True)
class TileBasis:
    """What a tile was drawn from."""

    digest: bytes
    count: int = 0
    """Of the scenes, as `Plan.foreseen` takes it."""
    kind: bytes = _CELL
    """How the search for scenes ended, by its first letter; `c` where a cell shows the tile, `-`
    where the tile is to be drawn again whatever it is made of."""

    @classmethod
    def of(cls, tile: Cell, draft: Draft, made: Picture) -> Self:
        """Returns the basis of a tile that was drawn."""
        if made.skipped or made.lost or made.shown is not draft.shown:
            return cls.unknown()
        if (cell := _only_cell(tile, draft)) is not None:
            return cls.of_cell(tile, *cell)
        return cls(_of_seen(made.seen), len(made.seen.scenes), made.seen.end[0].encode())

    @classmethod
    def unknown(cls) -> Self:
        """Returns the basis of a tile that is to be drawn again whatever it is made of."""
        return cls(b"", kind=_NONE)

    @classmethod
    def of_cell(cls, tile: Cell, cell: OverviewCell, image: CellImage) -> Self:
        """Returns the basis of a tile that an overview cell shows alone."""
        blocks = _blocks(tile, cell)
        if any(_UNREAD in text for _, text in blocks):
            return cls.unknown()
        kind = image.names, image.mixed, image.colors, image.renumbered, image.counts
        numbers = sorted(image.numbers.items())
        return cls(_digest((cell.zoom, kind, numbers, tuple(cell.kinds), blocks)))

    def holds(self, tile: Cell, draft: Draft) -> bool:
        """Whether a tile would be drawn from the same now, by the index alone."""
        if self.kind == _NONE:
            return False
        if (cell := _only_cell(tile, draft)) is not None:
            return self == self.of_cell(tile, *cell)
        if self.kind not in _ENDS:
            return False
        seen = draft.plan.foreseen(self.count, _ENDS[self.kind])
        return seen is not None and _of_seen(seen) == self.digest

    def to_bytes(self) -> bytes:
        """Returns `SIZE` bytes."""
        return _LAYOUT.pack(self.digest, self.count, self.kind)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Reads what `to_bytes` returns."""
        digest, count, kind = _LAYOUT.unpack(stored)
        return cls(digest if kind != _NONE else b"", count, kind)


def is_bare(tile: Cell, draft: Draft) -> bool:
    """Whether no scene shows in a tile, by the index alone."""
    if (found := _only_cell(tile, draft)) is not None:
        return not _blocks(tile, found[0])
    seen = draft.plan.foreseen(0, "exhausted")
    return seen is not None and not seen.left_out


def _blocks(tile: Cell, cell: OverviewCell) -> list[tuple[str, str]]:
    """Returns what the blocks of a cell in a tile were made of, by the end of their quadkeys."""
    within = tile.quadkey[cell.zoom :]
    return [each for each in sorted(cell.of.items()) if each[0].startswith(within)]


def _only_cell(tile: Cell, draft: Draft) -> tuple[OverviewCell, CellImage] | None:
    """Returns the one cell that shows all of a tile, and its image that does; None without one."""
    shown = draft.shown
    if shown is None or shown.rest is not None or len(shown.cells) != 1:
        return None
    (cell,) = shown.cells
    if len(cell.images) != 1 or not 0 <= tile.zoom - cell.zoom <= RUNG:
        return None
    return cell, cell.images[0]


def _of_seen(seen: Seen) -> bytes:
    scenes = [(s.key, s.version, s.lasting_parts, s.encodings, s.source) for s in seen.scenes]
    return _digest((seen.end, *scenes, seen.beyond))


def _digest(values: Iterable[Any]) -> bytes:
    return hashlib.blake2b(repr(values).encode(), digest_size=12).digest()
