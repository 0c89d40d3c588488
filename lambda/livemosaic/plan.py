"""Which scenes a tile must read. Pure: footprints in, candidates out, a round at a time.

Footprints only save work, pixels decide. A round assumes that every unread scene fills all that its
footprint claims, and asks for those that would still show something. When their pixels are known,
the next round asks again from the top with what is truly there: where a footprint promised too much
the scenes below it are wanted after all, in rank order, and nothing is read twice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from livemosaic.index import Found

Mask = NDArray[np.bool_]
"""Shape (height, width) of the tile."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A scene and the pixels of the tile that its footprint claims."""

    scene: Found
    claim: Mask


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
    _met: list[Candidate] = field(default_factory=list)
    _shown: dict[int, Mask] = field(default_factory=dict)
    """Pixels that a read scene has, by its place in `_met`."""
    _cut: bool = False
    """Whether there are more candidates than may be looked at."""

    def next_round(self) -> list[int]:
        """Places of the scenes to read now; none when the tile is done."""
        self.truncated = ""
        holes = np.ones((self.height, self.width), np.bool_)
        wanted: list[int] = []
        for place, candidate in enumerate(self._all()):
            if place in self._shown:
                holes &= ~self._shown[place]
            elif (candidate.claim & holes).any():
                if len(self._shown) + len(wanted) == self.max_scenes:
                    self.truncated = f"max_scenes={self.max_scenes}"
                    break
                wanted.append(place)
                holes &= ~candidate.claim
            if not holes.any():
                break
        return wanted

    def scene(self, place: int) -> Found:
        """The scene at a place that `next_round` gave."""
        return self._met[place].scene

    def record(self, place: int, shown: Mask | None) -> None:
        """Say which pixels a scene turned out to have; None if it could not be read."""
        none = np.zeros((self.height, self.width), np.bool_)
        self._shown[place] = none if shown is None else shown

    def explained(self) -> list[tuple[Found, bool]]:
        """The scenes met so far, top first, and whether they are to be read or are hidden."""
        wanted = set(self.next_round()) | set(self._shown)
        return [(candidate.scene, n in wanted) for n, candidate in enumerate(self._met)]

    def _all(self) -> Iterable[Candidate]:
        yield from list(self._met)
        while len(self._met) < self.max_rows:
            candidate = next(self.candidates, None)
            if candidate is None:
                return
            self._met.append(candidate)
            yield candidate
        self._cut = self._cut or next(self.candidates, None) is not None
        if self._cut:
            self.truncated = f"max_rows={self.max_rows}"
