"""What the blocks of an overview cell are made of. Pure.

A block is a tile: the scenes there, drawn by the mosaic's default rule (a base block), or the
smallest overview of the cell below (a cell block). Its source says which, by a digest: a block with
an equal source has equal pixels and notes, and is not made again.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray

from livemosaic.index.cells.notes import Notes, own
from livemosaic.index.overviews import OverviewCell
from livemosaic.overviews.together.combinations import (
    Assets,
    Combination,
    Combinations,
    Kind,
    of_text,
    serving,
    to_text,
)
from livemosaic.tiler.plan import End, Seen

Block = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values (bands, height, width), zero where invalid, and the mask (height, width)."""
Drawn = Mapping[Assets, Block]
"""The pixels of a block by combination; of one without a valid pixel there are none."""

_SOURCE: Final = re.compile(r"(?P<kind>[bc])(?P<digest>[0-9a-f]*)(\.(\d+)([a-z])(!?))?(:(\d+))?")
_ENDS: Final[dict[str, End]] = {end[0]: end for end in get_args(End)}


def fitted(drawn: Drawn, own: Combinations, wanted: Combination) -> Block | None:
    """Returns the pixels that a block has of a combination of its cell, in the cell's kind."""
    serves = serving(own, wanted.assets)
    if serves is None or serves.kind is None or wanted.kind is None:
        return None
    data, valid = drawn[serves.assets]
    parts = [
        _of_asset(data[serves.kind.bands(serves.assets.index(asset))], count, wanted.kind)
        for asset, count in zip(wanted.assets, wanted.kind.counts, strict=True)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts), valid


def _of_asset(data: NDArray[Any], count: int, kind: Kind) -> NDArray[Any]:
    bands = data[:count] if len(data) >= count else np.repeat(data[:1], count, axis=0)
    return np.ascontiguousarray(bands.astype(kind.dtype, copy=False))


@dataclass(frozen=True, slots=True)
class BlockSource:
    """What a block was made of."""

    digest: str
    """Of the scenes that determine a base block; of the objects of the cell of a cell block."""
    seen: tuple[int, End] | None = None
    """Of a base block: the number of these scenes, and how the search for them ended."""
    skipped: bool = False
    """Whether a scene of a base block could not be read."""
    combinations: Combinations = ()
    """None where no request shows anything."""
    notes: Notes = ()
    """What the block does not show, or in gray."""

    @classmethod
    def of_scenes(
        cls, seen: Seen, combinations: Combinations, notes: Notes, *, skipped: bool
    ) -> Self:
        """Returns the source of a base block."""
        return cls(digest_of(seen), (len(seen.scenes), seen.end), skipped, combinations, notes)

    @property
    def is_cell(self) -> bool:
        """Whether the block is the smallest overview of the cell below."""
        return self.seen is None

    def shows_as(self, other: Self | None) -> bool:
        """Returns whether a block of another source has equal pixels."""
        return other is not None and replace(other, notes=self.notes) == self


def digest_of(seen: Seen) -> str:
    """Returns a digest of the scenes that determine a picture, 24 hexadecimal digits."""
    digest = hashlib.blake2b(seen.end.encode(), digest_size=12)
    for scene in seen.scenes:
        one = scene.key, scene.version, scene.lasting_parts, scene.encodings
        digest.update(repr(one).encode())
    for scene, why in seen.left_out:
        other = scene.key, scene.version, scene.lasting_parts, scene.encodings, why
        digest.update(repr(other).encode())
    return digest.hexdigest()


def to_row(sources: Mapping[str, BlockSource]) -> tuple[dict[str, str], list[str]]:
    """Returns the sources of blocks, and their combinations, as a row keeps them."""
    kinds = sorted({to_text(s.combinations) for s in sources.values() if s.combinations})
    return {name: _text(source, kinds) for name, source in sorted(sources.items())}, kinds


def _text(source: BlockSource, kinds: Sequence[str]) -> str:
    kind = f":{kinds.index(to_text(source.combinations))}" if source.combinations else ""
    if source.seen is None:
        return f"c{source.digest}{kind}"
    count, end = source.seen
    return f"b{source.digest}.{count}{end[0]}{'!' if source.skipped else ''}{kind}"


def from_row(cell: OverviewCell) -> dict[str, BlockSource]:
    """Returns the sources of the blocks of a cell, by the last digits of their quadkeys."""
    known = [of_text(kind) for kind in cell.kinds]
    return {
        name: replace(_source(text, known), notes=own(cell.notes.get(name, ())))
        for name, text in cell.of.items()
    }


def _source(text: str, kinds: Sequence[Combinations]) -> BlockSource:
    found = _SOURCE.fullmatch(text)
    if found is None:
        raise ValueError(f"no source of a block: {text[:80]!r}")
    kind = kinds[int(found[8])] if found[8] else ()
    if found["kind"] == "c":
        return BlockSource(found["digest"], combinations=kind)
    return BlockSource(found["digest"], (int(found[4]), _ENDS[found[5]]), bool(found[6]), kind)
