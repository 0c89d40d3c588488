"""What reads share: memory in use, bytes of an image, turns of large images, and threads."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from livemosaic.errors import LivemosaicError
from livemosaic.storage.objects import LimitError

P = ParamSpec("P")
T = TypeVar("T")

_AT_ONCE: Final = ContextVar("livemosaic_compute_at_once", default=False)
LARGE_PIXELS: Final = 512 * 1024
"""Pixels of an image beyond which it is large."""
_LARGE_BYTES: Final = 64 * 1024 * 1024
"""Bytes of an image's scenes, as `Allowance` counts them, beyond which it is large."""
_LARGE_IMAGE: Final = 1536 * 1024 * 1024
"""Bytes of memory that a large image may take, and some more."""
_FOR_EACH_CORE: Final = 2


class Budget:
    """Bytes in use at once, granted first come, first served; counted for each event loop."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()

    @asynccontextmanager
    async def take(self, amount: int) -> AsyncIterator[None]:
        """Waits for an amount and holds it; LimitError if it exceeds the whole budget."""
        if amount > self._size:
            raise LimitError(
                f"needs {amount:,} bytes of memory for this image, and at most {self._size:,} "
                "are available: it lacks overviews, or its blocks are too large"
            )
        queue = self._queues.setdefault(asyncio.get_running_loop(), _Queue(self._size))
        await queue.take(amount)
        try:
            yield
        finally:
            queue.give_back(amount)


@dataclass(slots=True, eq=False)
class Allowance:
    """Total bytes that scenes may take for one image, decoded or drawn. Not thread-safe.

    Pixels that are drawn are kept until the image is composed. They count twice, for what is
    computed and encoded beside them.
    """

    size: int
    _spent: int = field(default=0, init=False)

    def of_scene(self) -> "SceneAllowance":
        """Returns what one scene takes of it."""
        return SceneAllowance(self)

    def spend(self, drawn: int, decoded: int = 0) -> int:
        """Deducts bytes, of which the larger counts, and returns them.

        Deducts none and raises LimitError where they exceed what is left, `TurnNeededError` where
        they make the image a large one.
        """
        amount, left = max(decoded, 2 * drawn), self.size - self._spent
        if amount > left:
            raise LimitError(
                f"needs {amount:,} bytes, and {left:,} are left of the "
                f"{self.size:,} that an image may have: request a smaller one, or fewer bands"
            )
        if self._spent + amount > _LARGE_BYTES and (turn := _TURN.get()) and turn.is_needed:
            raise TurnNeededError
        self._spent += amount
        return amount

    def give_back(self, amount: int) -> None:
        """Adds bytes that are not needed."""
        self._spent -= amount


@dataclass(slots=True, eq=False)
class SceneAllowance:
    """What the assets of one scene take of an image's bytes."""

    _whole: Allowance
    _spent: int = field(default=0, init=False)

    def spend(self, drawn: int, decoded: int) -> None:
        """As `Allowance.spend`; gives all back where it raises `TurnNeededError`."""
        try:
            self._spent += self._whole.spend(drawn, decoded)
        except TurnNeededError:
            self._whole.give_back(self._spent)
            self._spent = 0
            raise


class TurnNeededError(LivemosaicError):
    """An image has become a large one: call `take_turn`, and try again."""


class LargeTurns:
    """Turns of requests with large images, of which few are answered at once; the others wait.

    First come, first served. A request has its turn until its answer begins, for all of its images,
    and what is encoded of them: it waits but once, and has nothing then that others wait for.
    """

    def __init__(self, at_once: int) -> None:
        self._budget = Budget(at_once)

    @asynccontextmanager
    async def request(self, is_gone: "IsGone | None" = None) -> AsyncIterator["_Turn"]:
        """A request: reads in it may wait for its turn, which may be ended before it ends.

        They raise `ClientGoneError` where `is_gone` says so when its turn has come.
        """
        turn = _Turn(self._budget, is_gone)
        token = _TURN.set(turn)
        try:
            yield turn
        finally:
            _TURN.reset(token)
            await turn.end()


def most_in(memory: int) -> int:
    """Returns how many requests with large images are answered at once with bytes of memory.

    No more than some for each core: each has its time (`LIVEMOSAIC_MAX_PICTURE_S`), and shares it.
    """
    return max(1, min(memory // _LARGE_IMAGE, _FOR_EACH_CORE * (os.cpu_count() or 1)))


IsGone = Callable[[], Awaitable[bool]]
"""Whether nobody waits for an answer any more."""


class ClientGoneError(BaseException):
    """Nobody waits for the image. It ends the request: no scene is skipped for it."""


class _Turn:
    """The turn of a request, taken once for all of its reads."""

    def __init__(self, budget: Budget, is_gone: IsGone | None) -> None:
        self._budget = budget
        self._is_gone = is_gone
        self._held = AsyncExitStack()
        self._taking = asyncio.Lock()
        self.is_needed = True
        """Whether it was not taken yet."""

    async def take(self) -> None:
        async with self._taking:
            if self.is_needed:
                await self._held.enter_async_context(self._budget.take(1))
                if not self.is_needed:  # the request has ended meanwhile
                    await self._held.aclose()
                elif self._is_gone and await self._is_gone():
                    await self._held.aclose()
                    raise ClientGoneError
                self.is_needed = False

    async def end(self) -> None:
        """Gives it back. Reads that go on without their request take none."""
        self.is_needed = False
        await self._held.aclose()


_TURN: Final = ContextVar[_Turn | None]("livemosaic_turn", default=None)


async def take_turn() -> None:
    """Waits for the turn of the request that is answered here, unless it has it."""
    if turn := _TURN.get():
        await turn.take()


@contextmanager
def apart() -> Iterator[None]:
    """Lets tasks that begin meanwhile wait for no turn: other requests may wait for them."""
    token = _TURN.set(None)
    try:
        yield
    finally:
        _TURN.reset(token)


class _Queue:
    def __init__(self, size: int) -> None:
        self._left = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, amount: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            # Cancelled just as its turn came: nobody else would give it back.
            self.give_back(0 if turn.cancelled() else amount)
            raise

    def give_back(self, amount: int) -> None:
        self._left += amount
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            amount, turn = self._waiting[0]
            if not turn.done():
                if amount > self._left:
                    return
                self._left -= amount
                turn.set_result(None)
            self._waiting.popleft()


async def compute(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns what `work` computes; it may neither wait nor use the event loop."""
    if _AT_ONCE.get():
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


@contextmanager
def on_event_loop() -> Iterator[None]:
    """Lets tasks that begin meanwhile compute on their event loop.

    Many small reads, as of an overview's scenes, spend a third of their CPU on threads that take
    the interpreter's lock from each other. A server needs the threads: its requests would wait.
    """
    token = _AT_ONCE.set(True)
    try:
        yield
    finally:
        _AT_ONCE.reset(token)
