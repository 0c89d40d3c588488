"""`rescale=auto`: ranges of values for a whole mosaic, from its percentiles 2 and 98.

All images of a mosaic share the ranges of its default rule, so that tiles fit together, and so that
times and filters can be compared. The ranges are rounded outwards, so that a new scene rarely
changes them, and kept for a minute.
"""

import asyncio
import math
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Final

from cachetools import TTLCache

from livemosaic.cog.budget import apart
from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Render
from livemosaic.model.rule import Rule, are_alike
from livemosaic.tiler.picture import Tiler
from livemosaic.tiler.rules.parameters import rule_of
from livemosaic.tiler.statistics import Wanted
from livemosaic.tiler.whole.kept import KeptCounts
from livemosaic.tiler.whole.statistics import count_whole

Ranges = tuple[tuple[float, float], ...]

_KEPT_S: Final = 60.0
_STEPS: Final = 20
"""Least number of steps between the ends of a range: it is rounded to whole ones."""
_SHORTEST: Final = 1e-300
_LARGEST: Final = 1e300
"""With these, a range and its steps are finite and not 0."""


@dataclass(frozen=True, slots=True)
class Stretches:
    """Finds the ranges of mosaics. Of a process; thread-safe.

    A failure is kept as long as ranges are, so that tiles do not each try again.
    """

    counts: KeptCounts = field(default_factory=KeptCounts)
    """What is counted of mosaics, for ranges and for statistics."""
    _known: TTLCache[Any, Ranges | str] = field(default_factory=lambda: TTLCache(512, _KEPT_S))
    _lock: Lock = field(default_factory=Lock)
    _running: dict[Any, asyncio.Task[Ranges | str]] = field(default_factory=dict)

    async def applied(
        self, tiler: Tiler, mosaic: Mosaic, read: Read, render: Render, rule: Rule
    ) -> Render:
        """Returns a render with the ranges in place of `rescale=auto`; others as they are.

        It stays as it is, too, where the mosaic has no pixels: nothing but a blank image can be
        made of it. Raises `InvalidRequestError` where the ranges would not be of the values that
        are stretched, and as `count_whole`.
        """
        if not render.auto_rescale:
            return render
        default = rule_of({}, mosaic)
        _check(render, rule, default)
        read = replace(read, resampling="nearest", overviews=True)
        ranges = await self._find(tiler, mosaic, read, default)
        return replace(render, auto_rescale=False, rescale=ranges) if ranges else render

    async def _find(self, tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule) -> Ranges:
        # As texts: a filter is a dict. The revision changes with settings, and with bounds.
        revisions = mosaic.revision, *(each.revision for each in mosaic.stored)
        key = mosaic.identity, revisions, repr(read), repr(rule)
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = await self._together(key, tiler, mosaic, read, rule)
        if isinstance(known, str):
            raise InvalidRequestError(known)
        return known

    async def _together(self, key: Any, *of: Any) -> Ranges | str:
        """Computes ranges once for all requests of this moment in one event loop."""
        key = key, id(asyncio.get_running_loop())
        task = self._running.get(key)
        if task is None:
            with apart():
                task = self._running[key] = asyncio.ensure_future(self._computed(key[0], *of))
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _computed(
        self, key: Any, tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule
    ) -> Ranges | str:
        found: Ranges | str
        try:
            found = await _ranges(tiler, mosaic, read, rule, self.counts)
        except InvalidRequestError as error:
            found = f"rescale=auto: {error}"
        if found:  # the first pixel of a mosaic may come at any time
            with self._lock:
                self._known[key] = found
        return found


def _check(render: Render, rule: Rule, default: Rule) -> None:
    if render.algorithm is not None:
        raise InvalidRequestError(
            f"rescale=auto is of the values of scenes, not of what algorithm "
            f"{render.algorithm.name} makes of them; give rescale=min,max"
        )
    if rule.item_render or default.item_render:
        raise InvalidRequestError(
            "rescale=auto is of the values of scenes, not of the colors of item_render"
        )
    if not are_alike(rule.operation, default.operation):
        raise InvalidRequestError(
            f"rescale=auto is of the operation {default.operation!r} of the mosaic, not of "
            f"{rule.operation!r}; give rescale=min,max"
        )


async def _ranges(
    tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule, counts: KeptCounts
) -> Ranges:
    counted = await count_whole(tiler, mosaic, read, rule, counts)
    if counted is None:
        return ()
    bands = await asyncio.to_thread(counted.tally.statistics, Wanted(percentiles=(2, 98), bins=1))
    ends = [(band["percentile_2"], band["percentile_98"]) for _, band in bands]
    known = [(low, high) for low, high in ends if low is not None and high is not None]
    return tuple(rounded(*each) for each in known) if len(known) == len(ends) else ()


def rounded(low: float, high: float) -> tuple[float, float]:
    """Returns a range around another, at multiples of 1, 2 or 5 times a power of ten.

    The step is the largest of at most a twentieth of the range; of a single value, of itself.
    Ends beyond ±1e300 are cut, and a range shorter than 1e-300 counts as a single 0.
    """
    low, high = (min(max(end, -_LARGEST), _LARGEST) for end in (low, high))
    span = (high - low) or abs(low)
    if span < _SHORTEST:
        low, high, span = 0.0, 0.0, 1.0
    power = 10.0 ** math.floor(math.log10(span / _STEPS))
    step = max(n for n in (1, 2, 5) if n * power <= span / _STEPS * (1 + 1e-9)) * power
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    digits = max(0, -math.floor(math.log10(step)))
    return round(first * step, digits), round(last * step, digits)
