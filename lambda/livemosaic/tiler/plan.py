"""The scenes that a tile must read. Pure: footprints in, places to read out, in rounds.

Footprints only save work, pixels decide. A round assumes that every unread scene fills all that its
footprint claims, and reads the scenes that would still show something. When their pixels are known,
the next round asks again from the top with what is truly there: where a footprint promised too much
the scenes below it are wanted after all, in order, and nothing is read twice.

Scenes come in stored order, and are taken only as far as needed. Where a rule wants another order,
all of them are taken first, up to `max_rows`, and arranged.

So a tile is determined by the scenes that all rounds looked at (`Plan.seen`): where the same scenes
are met again (`Plan.foreseen`), the tile would be the same.

Of deep stacks scenes may come before their turn (`OnTop`): all others are hidden by footprints.
Where pixels turn out not to hide them the plan turns back: it goes on with scenes in their turn, as
if none had come before it, but what was read of these is not read again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal, Protocol, Self
from weakref import proxy

import numpy as np
from numpy.typing import NDArray

from livemosaic.index.merge import OnTop
from livemosaic.model.raster import Mask, Runs
from livemosaic.model.scene import IndexedScene, Part

End = Literal[
    "full", "exhausted", "limited", "outside", "top", "Full", "Exhausted", "Limited", "Outside"
]
"""Why the search ended: pixels everywhere or `max_scenes`; no more candidates; `max_rows`; all that
is left lies outside what is wanted still; or is hidden by scenes that came before their turn. With
a capital letter, after the plan had turned back from these."""


_BACK: Final[Mapping[End, End]] = {
    "Full": "full",
    "Exhausted": "exhausted",
    "Limited": "limited",
    "Outside": "outside",
}
_AFTER_BACK: Final = {end: back for back, end in _BACK.items()}
_NO_MORE: Final[Literal["exhausted"]] = "exhausted"


@dataclass(frozen=True, slots=True)
class Ahead:
    """Where the scenes lie that were not taken yet: none of them claims a pixel elsewhere."""

    parts: tuple[Part, ...]
    claim: Callable[[], Runs]


class Needs(Protocol):
    """What a plan needs of the scenes that it has not taken yet."""

    def may_show(self, ahead: Ahead) -> bool:
        """Whether scenes that lie there may show."""
        ...

    @property
    def only_top(self) -> bool:
        """Whether it takes scenes before their turn where they hide all others by footprints."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """The scenes that a tile was made from, and how the search for them ended."""

    scenes: tuple[IndexedScene, ...]
    """The first scenes that claim a pixel, top first; after the scenes from which the plan turned
    back, if it did."""
    end: End
    left_out: tuple[tuple[IndexedScene, str], ...] = ()
    """Scenes among them that would claim a pixel but are not read, and why."""
    beyond: tuple[Part, ...] = ()
    """Where all other scenes lie, if the search ended `outside`."""


@dataclass(frozen=True, slots=True, eq=False)
class _PlannedScene:
    """A scene that claims a pixel."""

    scene: IndexedScene
    nth: int
    """The number of scenes that were taken before it."""
    _claim: Runs | NDArray[np.uint8]
    """Its pixels of the tile; a bit each, where that is smaller: a plan may hold thousands."""

    @classmethod
    def of(cls, scene: IndexedScene, nth: int, claim: Runs, height: int, width: int) -> Self:
        if 8 * claim.ends.nbytes <= height * width:
            return cls(scene, nth, claim)
        return cls(scene, nth, np.packbits(claim.mask(height, width)))

    def claim(self, height: int, width: int) -> Mask:
        if isinstance(self._claim, Runs):
            return self._claim.mask(height, width)
        bits = np.unpackbits(self._claim, count=height * width)
        return bits.view(np.bool_).reshape(height, width)


class SceneSource(Protocol):
    """Gives a plan its scenes; see `tiler.candidates.Candidates`."""

    @property
    def in_stored_order(self) -> bool:
        """Whether `arranged` would change nothing, so that scenes are taken only as needed."""
        ...

    def scenes(self, needs: Needs) -> Iterator[IndexedScene | OnTop | None]:
        """The scenes that may show, in stored order, read as they are taken.

        None, and perhaps a scene after it, where no more of them are needed.
        """
        ...

    def arranged(self, scenes: Sequence[IndexedScene]) -> Sequence[IndexedScene]:
        """All scenes in another order, top first."""
        ...

    def claim(self, scene: IndexedScene) -> Runs | str | None:
        """The pixels that a scene claims; None for a scene that claims none or takes no part.

        Text says why a scene is left out that would claim some.
        """
        ...


@dataclass(slots=True, eq=False, weakref_slot=True)
class Plan:
    """The rounds of one tile. Not for use by several threads at once."""

    source: SceneSource
    height: int
    width: int
    max_scenes: int
    """Scenes that may be read."""
    max_rows: int
    """Scenes that may be looked at."""
    needs_all: bool = False
    """Whether a pixel depends on every scene that has it, not on the topmost alone."""
    mask: Mask | None = None
    """The pixels that are wanted; None: all are."""
    beside: int = 0
    """Scenes that may be read besides: overview cells."""
    truncated: str = ""
    """Why scenes that might have shown were left out; empty if none were."""
    left_out: dict[int, tuple[IndexedScene, str]] = field(default_factory=dict)
    """Scenes met so far that would claim a pixel but are not read, and why, by the number of scenes
    that were taken before each."""
    _scenes: Iterator[IndexedScene | OnTop | None] | None = None
    """The scenes not taken yet; None before the first is taken."""
    _looked: int = 0
    """Scenes taken so far."""
    _cut: bool = False
    """Whether there were more scenes than could be arranged."""
    _end: End = "full"
    """Why no more scenes can be taken; `full` where they can."""
    _met: dict[int, _PlannedScene] = field(default_factory=dict)
    """Scenes that claim a pixel, in their order, by their places: the number of scenes that were
    taken before each; of ones that came before their turn, a negative number."""
    _before_top: int | None = None
    """The number of scenes taken before the ones that came before their turn; None without any."""
    _ahead: dict[int, _PlannedScene] = field(default_factory=dict)
    """Scenes that were read before their turn, which has not come since the plan turned back."""
    _back_from: tuple[IndexedScene, ...] | None = None
    """The scenes that were met when the plan turned back; None where it did not."""
    _used: int = 0
    """How many scenes of `_met` rounds have looked at."""
    _used_up: bool = False
    """Whether a round reached the end of the scenes."""
    _shown: dict[int, Mask] = field(default_factory=dict)
    """Pixels that a read scene has, by its place."""
    _holes: Mask = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    """The pixels that no scene of this round fills so far."""
    _foreseen: tuple[int, End] | None = None
    """After how many scenes, and why, a tile ended with which this one is compared."""
    _beyond: tuple[Part, ...] = ()
    """Where scenes lie that were not needed."""

    def anew(self) -> "Plan":
        """The same plan, of which no scene was taken yet."""
        how = self.max_scenes, self.max_rows, self.needs_all, self.mask, self.beside
        return Plan(self.source, self.height, self.width, *how)

    def next_round(self) -> list[int]:
        """Returns the places of the scenes to read now; none when the tile is done."""
        self._foreseen = None
        while (wanted := self._round()) is None:
            continue
        return wanted

    def _round(self) -> list[int] | None:
        """Returns the scenes to read; None where the plan turns back, to begin again.

        It does where a pixel that scenes claim is a hole after all: others that they hide by
        footprints may show there, which only come in their turn.
        """
        self.truncated = ""
        holes = self._holes = self._wanted_pixels()
        hidden_in_vain = np.zeros_like(holes)
        wanted: list[int] = []
        for nth, (place, met) in enumerate(self._all_met(), 1):
            self._used = max(self._used, nth)
            before = self._before_top
            if before is not None and met.nth >= before and (hidden_in_vain & holes).any():
                self._turn_back(before)
                return None
            if place in self._shown:
                hidden = self._shown[place]
            elif ((hidden := self.claim(place)) & holes).any():
                if len(self._shown) + len(wanted) == self.max_scenes + self.beside:
                    self.truncated = f"max_scenes={self.max_scenes}"
                    break
                wanted.append(place)
            if not self.needs_all:
                holes &= ~hidden
            if not holes.any():
                break
            if place in self._shown:
                hidden_in_vain |= self.claim(place) & ~hidden
        else:
            if self._before_top is not None and (hidden_in_vain & holes).any():
                self._turn_back(self._before_top)
                return None
            self._used_up = True
            self.truncated = f"max_rows={self.max_rows}" if self._end == "limited" else ""
        if self._cut and not self.truncated:
            self.truncated = f"max_rows={self.max_rows}"
        return wanted

    @property
    def seen(self) -> Seen:
        """The scenes that the rounds so far have looked at."""
        if self._before_top is not None:
            return self._seen(list(self._met), "top")
        places = list(self._met)[: self._used]
        return self._seen(places, self._end if self._used_up else "full")

    @property
    def places(self) -> list[int]:
        """The places of the scenes that were met and claim a pixel, top first."""
        return [*self._met, *self._ahead]

    def foreseen(self, count: int, end: End) -> Seen | None:
        """Returns what a tile that ended so after `count` scenes would see now; None if it changed.

        Takes no more scenes than such a tile did; the rounds use what is taken.
        A tile that ended `outside` is the same where all other scenes lie `beyond` it as before:
        equal scenes leave equal holes.
        """
        self._foreseen = count, end
        self._holes = self._wanted_pixels()
        if end in _BACK:
            if self._back_from is None and not self._goes_back(count):
                return None
            count, end = self._foreseen = count - len(self._back_from or ()), _BACK[end]
        met: list[int] = []
        if count == 0 and end == "full":
            return self._seen(met, end)
        for place, scene in self._all_met():
            if end != "top" and self._before_top is not None and scene.nth >= self._before_top:
                return None  # they came when another tag was compared
            met.append(place)
            if len(met) == count and end == "full":
                return self._seen(met, end)
            if len(met) > count:
                return None
        return self._seen(met, end) if (len(met), self._end) == (count, end) else None

    def _goes_back(self, most: int) -> bool:
        """Takes the scenes that come before their turn, at most so many, and turns back from them.

        False where none come.
        """
        for _ in islice(self._all_met(), most):
            continue
        if self._before_top is None:
            return False
        self._turn_back(self._before_top)
        return True

    def _seen(self, places: Sequence[int], end: End) -> Seen:
        """What a tile saw that ended so after the scenes at these places."""
        last = self._planned(places[-1]).nth if places and end == "full" else self._looked
        left_out = [each for nth, each in self.left_out.items() if nth < last]
        beyond = self._beyond if end == "outside" else ()
        scenes = (*(self._back_from or ()), *map(self.scene, places))
        end = end if self._back_from is None else _AFTER_BACK[end]
        return Seen(scenes, end, tuple(left_out), beyond)

    def scene(self, place: int) -> IndexedScene:
        """The scene at a place that `next_round` gave."""
        return self._planned(place).scene

    def claim(self, place: int) -> Mask:
        """The pixels of the tile that the scene at a place claims."""
        return self._planned(place).claim(self.height, self.width)

    def _planned(self, place: int) -> _PlannedScene:
        return self._met.get(place) or self._ahead[place]

    def record(self, place: int, shown: Mask | None) -> None:
        """Records the pixels that a scene turned out to have; None if it could not be read."""
        none = np.zeros((self.height, self.width), np.bool_)
        self._shown[place] = none if shown is None else shown

    def explained(self) -> list[tuple[IndexedScene, str]]:
        """Returns the scenes met before any is read, top first, each with its outcome in words."""
        words = dict.fromkeys(self.next_round(), "shows")
        if self.truncated.startswith("max_scenes"):
            words[max(self._met)] = f"left out by {self.truncated}"
        met = {
            met.nth: (met.scene, words.get(place, "hidden by scenes above it"))
            for place, met in self._met.items()
        }
        return [outcome for _, outcome in sorted((met | self.left_out).items(), key=_by_nth)]

    def _all_met(self) -> Iterator[tuple[int, _PlannedScene]]:
        """Yields places and scenes; scenes that earlier rounds met come first."""
        scenes = self._ordered()
        yield from list(self._met.items())
        while self._looked < self.max_rows:
            if self._before_top is not None:
                self._end = "top"
                return
            given = next(scenes, _NO_MORE)
            if isinstance(given, OnTop):
                before, self._before_top = len(self._met), self._looked
                for scene in given.scenes:
                    self._take(scene)
                yield from list(self._met.items())[before:]
            elif not isinstance(given, IndexedScene):
                self._end = self._end_of(given)
                return
            elif (place := self._take(given)) is not None:
                yield place, self._met[place]
        if self._before_top is not None:
            self._end = "top"
        elif self._end in ("full", "outside"):
            self._end = self._end_of(next(scenes, _NO_MORE))

    def _take(self, scene: IndexedScene) -> int | None:
        """Takes the next scene; returns its place where it claims a pixel."""
        nth, self._looked = self._looked, self._looked + 1
        claim = None if self._is_read(scene) else self.source.claim(scene)
        if isinstance(claim, str):
            self.left_out[nth] = scene, claim
        if claim is None or isinstance(claim, str):
            return None
        place = nth if self._before_top is None else -1 - nth
        for known, met in [*self._ahead.items()]:
            if met.scene.key == scene.key:
                del self._ahead[known]
                place = known if met.scene == scene else place
        self._met[place] = _PlannedScene.of(scene, nth, claim, self.height, self.width)
        return place

    def _turn_back(self, taken: int) -> None:
        """Forgets the scenes after so many, which came before their turn."""
        self._back_from = tuple(met.scene for met in self._met.values())
        for place, met in list(self._met.items()):
            if met.nth >= taken:
                del self._met[place]
                if place in self._shown:
                    self._ahead[place] = met
        self.left_out = {nth: each for nth, each in self.left_out.items() if nth < taken}
        self._looked, self._before_top = taken, None
        self._used, self._used_up, self._end = min(self._used, len(self._met)), False, "full"

    def _end_of(self, given: IndexedScene | OnTop | End | None) -> End:
        """How the search ends before a scene, or None or `_NO_MORE` in its place."""
        if self._cut or isinstance(given, IndexedScene | OnTop):
            return "limited"
        return given or "outside"

    def _wanted_pixels(self) -> Mask:
        every = np.ones((self.height, self.width), np.bool_)
        return every if self.mask is None else self.mask.copy()

    @property
    def only_top(self) -> bool:
        """Whether it takes scenes before their turn; see `Needs`."""
        compared = self._foreseen
        is_top = compared is None or compared[1] == "top" or compared[1] in _BACK
        return is_top and not self.needs_all and self._back_from is None

    def may_show(self, ahead: Ahead) -> bool:
        """Whether scenes that lie there may show in the holes of this round."""
        self._beyond = ahead.parts
        if self._foreseen is not None:
            number, end = self._foreseen
            if end == "top" or end in _BACK:
                return True
            if end == "outside":
                return len(self._met) != number
        claimed = ahead.claim().mask(self.height, self.width)
        return bool((claimed & self._holes).any())

    def _is_read(self, scene: IndexedScene) -> bool:
        """Whether the scene is one more part of a scene that is to be read as a whole already."""
        return self.needs_all and any(met.scene.key == scene.key for met in self._met.values())

    def _ordered(self) -> Iterator[IndexedScene | OnTop | None]:
        """The scenes left to take; all are taken at once if their order needs that."""
        if self._scenes is None:
            # By weak reference: of a cycle the collector would free the pixels, some images later.
            self._scenes = self.source.scenes(proxy(self))
            if not self.source.in_stored_order:
                every = (scene for scene in self._scenes if isinstance(scene, IndexedScene))
                taken = list(islice(every, self.max_rows))
                self._cut = next(every, None) is not None
                self._scenes = iter(self.source.arranged(taken))
        return self._scenes


def _by_nth(entry: tuple[int, Any]) -> int:
    return entry[0]
