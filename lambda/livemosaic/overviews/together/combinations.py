"""Which assets a block or a cell shows together, and the type of their values. Pure.

A request shows the scenes that have all of its assets. So where some scenes lack an asset, or have
holes in it, requests for some of the assets show more than one for all of them. A block keeps all
assets together, and besides each combination of assets that some of its scenes are limited to, if
these show. Of a combination it notes which of its assets show other scenes without the rest: such
requests it does not serve. Where all scenes have all assets, one combination serves every request.

Values keep their type. Where blocks differ, a cell has the type that holds all of them
(`numpy.result_type`), and the bands that `render.stack.bands` finds in common: of several bands the
fewest; a single band stands for each of them.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, Self

import numpy as np

Assets = tuple[int, ...]
"""Places of assets among all assets of a set of cells, ascending."""

MOST: Final = 3
"""Combinations that a block or a cell keeps beside all assets together, the largest first."""
_MOST_APART: Final = 8
"""Sets of assets that are kept apart; more of them are joined into one."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of the values of a combination in a block or a cell."""

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
    """Whether scenes disagree in the numbers of their bands, or a single band stands for several:
    then no number names a band."""
    numbers: tuple[int, ...] = ()
    """Of each band in the files of scenes, of all assets in order: 2, 3, 4 where alpha comes first.
    None where each asset has 1, 2, 3, …, or scenes disagree."""

    def to_json(self) -> list[Any]:
        """Returns the kind as rows keep it."""
        rare = [self.renumbered, self.numbers] if self.renumbered or self.numbers else []
        return [self.dtype, self.counts, self.scaling, self.colors, *rare]

    @classmethod
    def of_json(cls, values: Sequence[Any]) -> Self:
        """Makes a kind from its JSON."""
        dtype, counts, scaling, colors, *rare = values
        pairs = None if scaling is None else tuple((scale, offset) for scale, offset in scaling)
        renumbered, numbers = rare if len(rare) == 2 else (bool(rare), ())
        return cls(dtype, tuple(counts), pairs, colors, renumbered, tuple(numbers))

    def bands(self, place: int) -> slice:
        """Returns where the bands of one asset are among all."""
        ends = [0, *accumulate(self.counts)]
        return slice(ends[place], ends[place + 1])

    def only(self, places: Sequence[int]) -> Self:
        """Returns the kind of some of the assets."""
        scaling = self.scaling
        if scaling:
            scaling = tuple(pair for place in places for pair in scaling[self.bands(place)])
        counts = tuple(self.counts[place] for place in places)
        numbers = tuple(number for place in places for number in self.numbers[self.bands(place)])
        own = numbers if numbers != _plain(counts) else ()
        return type(self)(self.dtype, counts, scaling, self.colors, self.renumbered, own)

    def numbers_of(self, place: int) -> tuple[int, ...]:
        """Returns the numbers of the bands of one asset; none where they are 1, 2, 3, …."""
        own = self.numbers[self.bands(place)]
        return own if own != _plain([len(own)]) else ()


@dataclass(frozen=True, slots=True)
class Combination:
    """Assets that a block or a cell shows together: the scenes that have all of them."""

    assets: Assets
    kind: Kind | None = None
    """None where no pixel is valid."""
    apart: tuple[Assets, ...] = ()
    """Sets of assets that, without the rest, show other scenes, or pixels that the rest lacks: so
    may every part of each."""

    def serves(self, assets: Assets) -> bool:
        """Returns whether a request for some assets shows the same pixels of them."""
        if assets == self.assets:
            return True
        asked = set(assets)
        return asked <= set(self.assets) and not any(asked <= set(each) for each in self.apart)

    def only(self, assets: Assets) -> Self:
        """Returns the combination of some of its assets, which it serves."""
        if assets == self.assets:
            return self
        places = [self.assets.index(asset) for asset in assets]
        kind = None if self.kind is None else self.kind.only(places)
        parts = (tuple(a for a in each if a in assets) for each in self.apart)
        return type(self)(assets, kind, largest(parts))


Combinations = tuple[Combination, ...]
"""Of one block or cell, the one of all assets first. None: nothing shows."""


def serving(combinations: Combinations, assets: Assets) -> Combination | None:
    """Returns the combination that serves a request for some assets; None where none does."""
    if not combinations:
        return Combination(assets)
    return next((each for each in combinations if each.serves(assets)), None)


def combined(blocks: Iterable[Combinations]) -> Combinations:
    """Returns the combinations of a cell of such blocks; none of none."""
    found = set(blocks) - {()}
    if not found:
        return ()
    sets = closed(each.assets for block in found for each in block)
    whole, *others = [each for assets in sets if (each := _of_cell(found, assets))]
    kept = [each for each in others if not whole.serves(each.assets)]
    return (whole, *kept[:MOST])


def _of_cell(blocks: Iterable[Combinations], assets: Assets) -> Combination | None:
    """Returns a combination of a cell; None where a block does not have it."""
    found = [serving(block, assets) for block in blocks]
    if not all(found):
        return None
    parts = [each.only(assets) for each in found if each]
    kind = common(each.kind for each in parts if each.kind)
    return Combination(assets, kind, largest(each for part in parts for each in part.apart))


def closed(sets: Iterable[Assets]) -> list[Assets]:
    """Returns sets of assets and what each of them share, the largest first; no empty one.

    A request for any assets shows the same scenes as one for the smallest of these that has them.
    """
    found = {each for each in sets if each}
    for one in sorted(found):
        found |= {tuple(a for a in one if a in other) for other in found}
    return sorted(found - {()}, key=_by_size)


def largest(sets: Iterable[Assets]) -> tuple[Assets, ...]:
    """Returns the sets that are not a part of another; joined into one where they are too many."""
    found = {each for each in sets if each}
    kept = [one for one in found if not any(set(one) < set(other) for other in found)]
    if len(kept) > _MOST_APART:
        return (tuple(sorted({asset for each in kept for asset in each})),)
    return tuple(sorted(kept, key=_by_size))


def _by_size(assets: Assets) -> tuple[int, Assets]:
    return -len(assets), assets


def common(kinds: Iterable[Kind]) -> Kind | None:
    """Returns the kind of a cell of such blocks; None of none."""
    found = sorted(set(kinds), key=repr)
    if len(found) < 2:
        return found[0] if found else None
    dtype = np.result_type(*(np.dtype(kind.dtype) for kind in found)).name
    counts = tuple(map(_bands, zip(*(kind.counts for kind in found), strict=True)))
    scalings = {kind.scaling for kind in found}
    scaling = scalings.pop() if len(scalings) == 1 else None
    colors = any(kind.colors for kind in found)
    numbers, renumbered = agreed_numbers(found, counts)
    return Kind(dtype, counts, scaling, colors, renumbered, numbers)


def agreed_numbers(kinds: Collection[Kind], counts: Sequence[int]) -> tuple[tuple[int, ...], bool]:
    """Returns the numbers of bands, and whether they name no band, as in `Kind`.

    Of the first bands of each asset, as many as `counts` says; a single one stands for several.
    """
    named = {_numbers(kind, counts) for kind in kinds if not has_fewer(kind.counts, counts)}
    renumbered = len(named) != 1 or any(
        kind.renumbered or has_fewer(kind.counts, counts) for kind in kinds
    )
    return (named.pop() if len(named) == 1 else ()), renumbered


def _numbers(kind: Kind, counts: Sequence[int]) -> tuple[int, ...]:
    """Returns the numbers of the first bands of each asset; none where they are 1, 2, 3, …."""
    own = kind.numbers or _plain(kind.counts)
    parts = (own[kind.bands(place)][:count] for place, count in enumerate(counts))
    numbers = tuple(number for part in parts for number in part)
    return numbers if numbers != _plain(counts) else ()


def _plain(counts: Iterable[int]) -> tuple[int, ...]:
    return tuple(number for count in counts for number in range(1, count + 1))


def has_fewer(counts: Sequence[int], others: Sequence[int]) -> bool:
    """Returns whether an asset has fewer bands than another list of counts has of it."""
    return any(one < other for one, other in zip(counts, others, strict=True))


def _bands(counts: Sequence[int]) -> int:
    several = [count for count in counts if count > 1]
    return min(several) if several else 1


def to_text(combinations: Combinations) -> str:
    """Returns combinations as rows keep them."""
    return json.dumps(
        [[c.assets, c.apart, None if c.kind is None else c.kind.to_json()] for c in combinations],
        separators=(",", ":"),
    )


def of_text(text: str) -> Combinations:
    """Makes combinations from their text; none from that of the first format, one array."""
    if not text.startswith("[["):
        return ()
    return tuple(
        Combination(
            tuple(assets),
            None if kind is None else Kind.of_json(kind),
            tuple(map(tuple, apart)),
        )
        for assets, apart, kind in json.loads(text)
    )
