"""Ranges of objects: concurrent reads share one request, and answers are cached for seconds.

Tiles of one view lie on the same blocks, which each would fetch again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from cachetools import TTLCache

from livemosaic.storage.coalesce import COALESCE_GAP, coalesce
from livemosaic.storage.objects import Buffer, Object

RECENT_BYTES: Final = 64 * 1024 * 1024
RECENT_S: Final = 5.0
"""A view takes less to draw. An object overwritten without a new Item stays visible so long."""

Span = tuple[int, int]
"""First byte, and the one after the last."""


class Recent:
    """Cache of the last seconds' ranges, as fetched: compressed blocks, and the gaps between them.

    Holds at most `size` bytes, none older than `age_s`; evicts the least recently used first.
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
        """Returns an owner's range, if cached."""
        return self._kept.get((owner, span))

    def has(self, owner: object, span: Span) -> bool:
        """Whether an owner's range is cached; does not count as a use."""
        return (owner, span) in self._kept

    def put(self, owner: object, span: Span, body: Buffer) -> None:
        """Caches a range, unless it alone exceeds the cache's size."""
        if _size(body) <= self._kept.maxsize:
            self._kept[owner, span] = body


def _size(body: Buffer) -> int:
    return memoryview(body).nbytes


@dataclass(slots=True)
class _Answer:
    """A request for a range, pending or done, and how many reads use it."""

    body: "asyncio.Task[Buffer] | Buffer"
    readers: int = 0


class SharedObject:
    """One edition of an object, whose ranges are shared by concurrent reads and cached briefly.

    A read that holds all its ranges first gets them in as few requests as `coalesce` makes, though
    libraries request one after the other. Not thread-safe.
    """

    def __init__(self, source: Object, recent: Recent, gap: int = COALESCE_GAP) -> None:
        self._source = source
        self._recent = recent
        self._gap = gap
        self._spans: list[Span] = []
        """Ranges that `recent` had when it was last checked."""
        # A task belongs to its event loop: one that stopped takes its requests with it.
        self._held: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Span, _Answer]] = (
            WeakKeyDictionary()
        )

    @asynccontextmanager
    async def holding(self, spans: Iterable[Span]) -> AsyncIterator[None]:
        """Fetches ranges and keeps them for the block; reading one that failed raises."""
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
        """Returns the bytes of one range."""
        async with self.holding([(start, stop)]):
            return await _part((start, stop), self._held[asyncio.get_running_loop()])

    def _hold(self, wanted: Sequence[Span], held: dict[Span, _Answer]) -> set[Span]:
        """Returns the spans that contain the ranges; requests what is missing."""
        found = {span: self._find(span, held) for span in wanted}
        missing = coalesce([span for span, answer in found.items() if answer is None], self._gap)
        for span in missing:
            fetching = asyncio.create_task(self._fetch(span))
            fetching.add_done_callback(_retrieve_exception)
            held[span] = _Answer(fetching)
        return {*missing, *(answer for answer in found.values() if answer is not None)}

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
    # A reader that is cancelled (a viewer gone) must not cancel the request of the others.
    body: Buffer = await asyncio.shield(found) if isinstance(found, asyncio.Task) else found
    return memoryview(body)[span[0] - whole[0] : span[1] - whole[0]]


def _around(span: Span, answers: Iterable[Span]) -> Span | None:
    return next((s for s in answers if s[0] <= span[0] and span[1] <= s[1]), None)


def _retrieve_exception(done: "asyncio.Task[Buffer]") -> None:
    if not done.cancelled():
        done.exception()  # perhaps nobody is waiting any more
