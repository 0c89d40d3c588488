"""What the blocks of an overview cell are made of, and the type of their values. Pure.

A block is a tile: the scenes there, drawn by the mosaic's default rule (a base block), or the
smallest overview of the cell below (a cell block). Its source says which, by a digest: a block with
an equal source has equal pixels, and is not made again.

Values keep their type. Where blocks differ, a cell has the type that holds all of them
(`numpy.result_type`), and the bands that `render.compose` gives scenes that differ: of several
bands the fewest; a single band stands for each of them.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray

from livemosaic.tiler.plan import End, Seen

Block = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values (bands, height, width), zero where invalid, and the mask (height, width)."""

_SOURCE: Final = re.compile(r"(?P<kind>[bc])(?P<digest>[0-9a-f]*)(\.(\d+)([a-z])(!?))?(:(\d+))?")
_ENDS: Final[dict[str, End]] = {end[0]: end for end in get_args(End)}


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of the values of a block or a cell."""

    dtype: str
    """As numpy names it: `uint8`."""
    counts: tuple[int, ...]
    """Bands of each asset, in order."""
    scaling: tuple[tuple[float, float], ...] | None = ()
    """Scale and offset of each band, of all assets in order; none where they change nothing. None
    where scenes disagree: the numbers are then as each of them stores its own."""
    colors: bool = False
    """Whether the values are colors of a palette, not the numbers that scenes store."""
    renumbered: bool = False
    """Whether bands have other numbers than in the files of scenes: where alpha is not the last, or
    where a single band stands for several."""

    def to_text(self) -> str:
        """Returns the kind as rows keep it."""
        rare = [True] if self.renumbered else []
        return json.dumps([self.dtype, self.counts, self.scaling, self.colors, *rare])

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Makes a kind from its text."""
        dtype, counts, scaling, colors, *rare = json.loads(text)
        pairs = None if scaling is None else tuple((scale, offset) for scale, offset in scaling)
        return cls(dtype, tuple(counts), pairs, colors, bool(rare))


def common(kinds: Iterable[Kind]) -> Kind | None:
    """Returns the kind of a cell of such blocks; None of none."""
    found = sorted(set(kinds), key=Kind.to_text)
    if len(found) < 2:
        return found[0] if found else None
    dtype = np.result_type(*(np.dtype(kind.dtype) for kind in found)).name
    counts = tuple(map(_bands, zip(*(kind.counts for kind in found), strict=True)))
    scalings = {kind.scaling for kind in found}
    scaling = scalings.pop() if len(scalings) == 1 else None
    colors = any(kind.colors for kind in found)
    renumbered = any(kind.renumbered or has_fewer(kind.counts, counts) for kind in found)
    return Kind(dtype, counts, scaling, colors, renumbered)


def has_fewer(counts: Sequence[int], others: Sequence[int]) -> bool:
    """Returns whether an asset has fewer bands than another list of counts has of it."""
    return any(one < other for one, other in zip(counts, others, strict=True))


def _bands(counts: Sequence[int]) -> int:
    several = [count for count in counts if count > 1]
    return min(several) if several else 1


def fitted(block: Block, count: int, dtype: str) -> Block:
    """Returns a block of one asset with as many bands, of that type."""
    data, valid = block
    bands = data[:count] if len(data) >= count else np.repeat(data[:1], count, axis=0)
    return np.ascontiguousarray(bands.astype(dtype, copy=False)), valid


@dataclass(frozen=True, slots=True)
class BlockSource:
    """What a block was made of."""

    digest: str
    """Of the scenes that determine a base block; of the objects of the cell of a cell block."""
    seen: tuple[int, End] | None = None
    """Of a base block: the number of these scenes, and how the search for them ended."""
    skipped: bool = False
    """Whether a scene of a base block could not be read."""
    kind: Kind | None = None
    """None where no pixel is valid."""

    @classmethod
    def of_scenes(cls, seen: Seen, kind: Kind | None, *, skipped: bool) -> Self:
        """Returns the source of a base block."""
        return cls(digest_of(seen), (len(seen.scenes), seen.end), skipped, kind)

    @property
    def is_cell(self) -> bool:
        """Whether the block is the smallest overview of the cell below."""
        return self.seen is None


def digest_of(seen: Seen) -> str:
    """Returns a digest of the scenes that determine a picture, 24 hexadecimal digits."""
    digest = hashlib.blake2b(seen.end.encode(), digest_size=12)
    for scene in seen.scenes:
        one = scene.key, scene.version, sorted(scene.parts), scene.encodings
        digest.update(repr(one).encode())
    return digest.hexdigest()


def to_row(sources: Mapping[str, BlockSource]) -> tuple[dict[str, str], list[str]]:
    """Returns the sources of blocks, and their kinds, as a row keeps them."""
    kinds = sorted({source.kind.to_text() for source in sources.values() if source.kind})
    return {name: _text(source, kinds) for name, source in sorted(sources.items())}, kinds


def _text(source: BlockSource, kinds: Sequence[str]) -> str:
    kind = f":{kinds.index(source.kind.to_text())}" if source.kind else ""
    if source.seen is None:
        return f"c{source.digest}{kind}"
    count, end = source.seen
    return f"b{source.digest}.{count}{end[0]}{'!' if source.skipped else ''}{kind}"


def from_row(of: Mapping[str, str], kinds: Sequence[str]) -> dict[str, BlockSource]:
    """Returns the sources of blocks that a row keeps, by the last digits of their quadkeys."""
    known = [Kind.of_text(kind) for kind in kinds]
    return {name: _source(text, known) for name, text in of.items()}


def _source(text: str, kinds: Sequence[Kind]) -> BlockSource:
    found = _SOURCE.fullmatch(text)
    if found is None:
        raise ValueError(f"no source of a block: {text[:80]!r}")
    kind = kinds[int(found[8])] if found[8] else None
    if found["kind"] == "c":
        return BlockSource(found["digest"], kind=kind)
    return BlockSource(found["digest"], (int(found[4]), _ENDS[found[5]]), bool(found[6]), kind)
