"""Which scenes a tile must read. Pure: footprints in, candidates out, a round at a time.

Footprints only save work, pixels decide. A round assumes that every unread scene fills all that its
footprint claims, and asks for those that would still show something. When their pixels are known,
the next round asks again from the top with what is truly there: where a footprint promised too much
the scenes below it are wanted after all, in rank order, and nothing is read twice.

So a tile follows from the scenes that were looked at in all rounds (`Plan.seen`), and whoever meets
the same scenes again (`Plan.foreseen`) knows that it would come out the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from livemosaic.merge import Found

Mask = NDArray[np.bool_]
"""Shape (height, width) of the tile."""

End = Literal["full", "exhausted", "limited"]
"""What ended the looking: pixels everywhere or `max_scenes`; no more candidates; `max_rows`."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A scene that shares an index cell with the tile."""

    scene: Found
    claim: Callable[[], Mask] | None
    """Gives the pixels of the tile that its footprint claims; None where it claims none."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tile follows from: the scenes that were looked at, and none but those."""

    scenes: tuple[Found, ...]
    """The first of those that claim a pixel, in rank order."""
    end: End


@dataclass(slots=True, eq=False)
class _Met:
    """A scene that claims a pixel."""

    scene: Found
    _claim: Callable[[], Mask]
    _packed: NDArray[np.uint8] | None = None
    """Its claim, a bit a pixel: there may be thousands."""

    def claim(self, height: int, width: int) -> Mask:
        if self._packed is None:
            mask = self._claim()
            self._packed = np.packbits(mask)
            return mask
        bits = np.unpackbits(self._packed, count=height * width)
        return bits.view(np.bool_).reshape(height, width)


@dataclass(slots=True, eq=False)
class Plan:
    """The rounds of one tile. Not for use by several threads at once."""

    candidates: Iterator[Candidate]
    """In rank order, read only as far as needed."""
    height: int
    width: int
    max_scenes: int
    """Scenes that may be read."""
    max_rows: int
    """Candidates that may be looked at."""
    truncated: str = ""
    """Why scenes that might have shown were left out; empty if none were."""
    _looked: int = 0
    """Candidates taken so far."""
    _end: End = "full"
    """Why no more of them can be taken; `full` where they can."""
    _met: dict[int, _Met] = field(default_factory=dict)
    """Those that claim a pixel, by their place in rank order."""
    _used: int = 0
    """How many of them rounds have looked at."""
    _used_up: bool = False
    """Whether a round came to the end of them."""
    _shown: dict[int, Mask] = field(default_factory=dict)
    """Pixels that a read scene has, by its place."""

    def next_round(self) -> list[int]:
        """Places of the scenes to read now; none when the tile is done."""
        self.truncated = ""
        holes = np.ones((self.height, self.width), np.bool_)
        wanted: list[int] = []
        for nth, (place, met) in enumerate(self._all_met(), 1):
            self._used = max(self._used, nth)
            if place in self._shown:
                holes &= ~self._shown[place]
            elif ((claim := met.claim(self.height, self.width)) & holes).any():
                if len(self._shown) + len(wanted) == self.max_scenes:
                    self.truncated = f"max_scenes={self.max_scenes}"
                    break
                wanted.append(place)
                holes &= ~claim
            if not holes.any():
                break
        else:
            self._used_up = True
            self.truncated = f"max_rows={self.max_rows}" if self._end == "limited" else ""
        return wanted

    @property
    def seen(self) -> Seen:
        """What the rounds so far have looked at."""
        scenes = [met.scene for met in self._met.values()]
        return Seen(tuple(scenes[: self._used]), self._end if self._used_up else "full")

    def foreseen(self, count: int, end: End) -> Seen | None:
        """What a tile saw that ended like this after `count` scenes, as it would see it now.

        None where it would not end so. Takes no more candidates than such a tile did, burns no
        claim, and what is taken is there for the rounds.
        """
        met: list[Found] = []
        for _, each in self._all_met():
            met.append(each.scene)
            if len(met) == count and end == "full":
                return Seen(tuple(met), end)
            if len(met) > count:
                return None
        return Seen(tuple(met), end) if (len(met), self._end) == (count, end) else None

    def scene(self, place: int) -> Found:
        """The scene at a place that `next_round` gave."""
        return self._met[place].scene

    def record(self, place: int, shown: Mask | None) -> None:
        """Say which pixels a scene turned out to have; None if it could not be read."""
        none = np.zeros((self.height, self.width), np.bool_)
        self._shown[place] = none if shown is None else shown

    def explained(self) -> list[tuple[Found, str]]:
        """The scenes met before any is read, top first, and what becomes of each, in words."""
        words = dict.fromkeys(self.next_round(), "shows")
        if self.truncated.startswith("max_scenes"):
            words[max(self._met)] = f"left out by {self.truncated}"
        return [
            (met.scene, words.get(place, "hidden by scenes above it"))
            for place, met in self._met.items()
        ]

    def _all_met(self) -> Iterator[tuple[int, _Met]]:
        """Places and scenes, those met before first."""
        yield from list(self._met.items())
        while self._looked < self.max_rows:
            candidate = next(self.candidates, None)
            if candidate is None:
                self._end = "exhausted"
                return
            place, self._looked = self._looked, self._looked + 1
            if candidate.claim is not None:
                self._met[place] = _Met(candidate.scene, candidate.claim)
                yield place, self._met[place]
        if self._end == "full":
            self._end = "exhausted" if next(self.candidates, None) is None else "limited"
