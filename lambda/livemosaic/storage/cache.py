"""Bytes of an object that several reads want: fetched once, and kept for seconds.

Tiles of one view lie on the same blocks. Without this each would ask for them again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from cachetools import TTLCache

from livemosaic.storage.objects import COALESCE_GAP, Buffer, Object, coalesce

RECENT_BYTES: Final = 64 * 1024 * 1024
RECENT_S: Final = 5.0
"""A view is drawn in less. An object overwritten without a new Item may be shown for so long."""

Span = tuple[int, int]
"""First byte, and the one behind the last."""


class Recent:
    """Answers of the last seconds, as they came: compressed blocks, and what lay between them.

    At most `size` bytes, the least used dropped first. None is older than `age_s`.
    """

    def __init__(
        self,
        size: int = RECENT_BYTES,
        age_s: float = RECENT_S,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept: TTLCache[tuple[object, Span], Buffer] = TTLCache(
            size, age_s, timer=clock, getsizeof=_size
        )

    def get(self, owner: object, span: Span) -> Buffer | None:
        """An answer to an owner, if it is there."""
        return self._kept.get((owner, span))

    def has(self, owner: object, span: Span) -> bool:
        """Whether it is there, which does not count as a use."""
        return (owner, span) in self._kept

    def put(self, owner: object, span: Span, body: Buffer) -> None:
        """Keep an answer, unless it is larger than all of them may be."""
        if _size(body) <= self._kept.maxsize:
            self._kept[owner, span] = body


def _size(body: Buffer) -> int:
    return memoryview(body).nbytes


@dataclass(slots=True)
class _Answer:
    """One request for bytes, while somebody reads of it."""

    body: "asyncio.Task[Buffer] | Buffer"
    readers: int = 0


class SharedObject:
    """One edition of an object. What was asked for a moment ago is not asked for again.

    A read that first holds all that it wants has it from as few requests as `coalesce` makes of
    them, though libraries ask for one part after the other. Not for several threads.
    """

    def __init__(self, source: Object, recent: Recent, gap: int = COALESCE_GAP) -> None:
        self._source = source
        self._recent = recent
        self._gap = gap
        self._spans: list[Span] = []
        """Of the answers that `recent` had, when it was last looked at."""
        # A task belongs to its loop: what a stopped loop was fetching is forgotten with it.
        self._held: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Span, _Answer]] = (
            WeakKeyDictionary()
        )

    @asynccontextmanager
    async def holding(self, spans: Iterable[Span]) -> AsyncIterator[None]:
        """Fetch ranges, and have them at hand meanwhile. Who reads one learns if it fails."""
        held = self._held.setdefault(asyncio.get_running_loop(), {})
        mine = self._hold(sorted(set(spans)), held)
        for span in mine:
            held[span].readers += 1
        try:
            yield
        finally:
            for span in mine:
                held[span].readers -= 1
                if not held[span].readers:
                    del held[span]

    async def read(self, start: int, stop: int) -> Buffer:
        """Bytes of one range."""
        async with self.holding([(start, stop)]):
            return await _part((start, stop), self._held[asyncio.get_running_loop()])

    def _hold(self, wanted: Sequence[Span], held: dict[Span, _Answer]) -> set[Span]:
        """The answers that the ranges are in, of which some are asked for now."""
        found = {span: self._find(span, held) for span in wanted}
        asked = coalesce([span for span, answer in found.items() if answer is None], self._gap)
        for span in asked:
            fetching = asyncio.create_task(self._fetch(span))
            fetching.add_done_callback(_seen)
            held[span] = _Answer(fetching)
        return {*asked, *(answer for answer in found.values() if answer is not None)}

    def _find(self, span: Span, held: dict[Span, _Answer]) -> Span | None:
        if (answer := _around(span, held)) is not None:
            return answer
        answer = _around(span, self._spans)
        body = None if answer is None else self._recent.get(self, answer)
        if answer is None or body is None:
            return None
        held[answer] = _Answer(body)
        return answer

    async def _fetch(self, span: Span) -> Buffer:
        body = await self._source.read(*span)
        self._recent.put(self, span, body)
        self._spans = [s for s in (*self._spans, span) if self._recent.has(self, s)]
        return body


async def _part(span: Span, held: dict[Span, _Answer]) -> Buffer:
    whole = _around(span, held)
    assert whole is not None  # noqa: S101 (it is held)
    found = held[whole].body
    # One that stops waiting (a viewer gone) must not take the bytes from the others.
    body: Buffer = await asyncio.shield(found) if isinstance(found, asyncio.Task) else found
    return memoryview(body)[span[0] - whole[0] : span[1] - whole[0]]


def _around(span: Span, answers: Iterable[Span]) -> Span | None:
    return next((s for s in answers if s[0] <= span[0] and span[1] <= s[1]), None)


def _seen(done: "asyncio.Task[Buffer]") -> None:
    if not done.cancelled():
        done.exception()  # perhaps nobody is waiting any more
