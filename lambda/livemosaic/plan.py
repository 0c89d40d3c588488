"""Which scenes a tile must read. Pure: footprints in, candidates out, a round at a time.

Footprints only save work, pixels decide. A round assumes that every unread scene fills all that its
footprint claims, and asks for those that would still show something. When their pixels are known,
the next round asks again from the top with what is truly there: where a footprint promised too much
the scenes below it are wanted after all, in rank order, and nothing is read twice.
"""

from collections.abc import Iterator
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
    _looked: int = 0
    """Candidates taken so far."""
    _cut: bool = False
    """Whether there are more than may be looked at."""
    _met: dict[int, tuple[Found, NDArray[np.uint8]]] = field(default_factory=dict)
    """Those that claim a pixel by their place in rank order, and their claims, a bit a pixel: there
    may be thousands."""
    _shown: dict[int, Mask] = field(default_factory=dict)
    """Pixels that a read scene has, by its place."""

    def next_round(self) -> list[int]:
        """Places of the scenes to read now; none when the tile is done."""
        self.truncated = ""
        holes = np.ones((self.height, self.width), np.bool_)
        wanted: list[int] = []
        for place, claim in self._claims():
            if place in self._shown:
                holes &= ~self._shown[place]
            elif (claim & holes).any():
                if len(self._shown) + len(wanted) == self.max_scenes:
                    self.truncated = f"max_scenes={self.max_scenes}"
                    break
                wanted.append(place)
                holes &= ~claim
            if not holes.any():
                break
        return wanted

    def scene(self, place: int) -> Found:
        """The scene at a place that `next_round` gave."""
        return self._met[place][0]

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
            (scene, words.get(place, "hidden by scenes above it"))
            for place, (scene, _) in self._met.items()
        ]

    def _claims(self) -> Iterator[tuple[int, Mask]]:
        """Places and claims, those met before first."""
        shape = (self.height, self.width)
        for place, (_, packed) in list(self._met.items()):
            bits = np.unpackbits(packed, count=self.height * self.width)
            yield place, bits.view(np.bool_).reshape(shape)
        while self._looked < self.max_rows:
            candidate = next(self.candidates, None)
            if candidate is None:
                return
            place, self._looked = self._looked, self._looked + 1
            if candidate.claim.any():
                self._met[place] = candidate.scene, np.packbits(candidate.claim)
                yield place, candidate.claim
        self._cut = self._cut or next(self.candidates, None) is not None
        if self._cut:
            self.truncated = f"max_rows={self.max_rows}"
