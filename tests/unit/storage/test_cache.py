"""Bytes that several reads want come from one request, and stay for seconds."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from livemosaic.storage.cache import Recent, SharedObject, Span
from livemosaic.storage.coalesce import COALESCE_GAP
from livemosaic.storage.objects import ObjectError

BODY = bytes(range(256)) * 8


@dataclass
class Store:
    """An object that counts what it is asked for."""

    asked: list[Span] = field(default_factory=list)
    failure: ObjectError | None = None
    seconds: float = 0.0

    async def read(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        await asyncio.sleep(self.seconds)
        if self.failure:
            raise self.failure
        return BODY[start:stop]

    def read_blocking(self, start: int, stop: int) -> bytes:
        raise NotImplementedError

    def size_blocking(self) -> int:
        raise NotImplementedError


async def read(shared: SharedObject, *spans: Span) -> list[bytes]:
    async with shared.holding(spans):
        return [bytes(await shared.read(*span)) for span in spans]


def test_reads_at_the_same_time_share_a_request() -> None:
    store = Store()
    shared = SharedObject(store, Recent(0))

    async def scenario() -> list[list[bytes]]:
        return await asyncio.gather(*(read(shared, (10, 20), (30, 40)) for _ in range(3)))

    assert asyncio.run(scenario()) == [[BODY[10:20], BODY[30:40]]] * 3
    assert store.asked == [(10, 40)]


def test_a_range_within_what_is_on_its_way_is_not_asked_for() -> None:
    store = Store()
    shared = SharedObject(store, Recent(0))

    async def scenario() -> list[list[bytes]]:
        return await asyncio.gather(read(shared, (0, 100), (200, 300)), read(shared, (120, 180)))

    assert asyncio.run(scenario())[1] == [BODY[120:180]]
    assert store.asked == [(0, 300)]


def test_what_is_held_comes_at_once_though_it_is_read_part_by_part() -> None:
    store = Store()
    shared = SharedObject(store, Recent(0))

    async def scenario() -> list[bytes]:
        async with shared.holding([(0, 10), (20, 30)]):
            return [*await read(shared, (20, 30)), *await read(shared, (0, 10))]

    assert asyncio.run(scenario()) == [BODY[20:30], BODY[:10]]
    assert store.asked == [(0, 30)]


def test_nothing_stays_behind_where_nothing_is_kept() -> None:
    store = Store()
    shared = SharedObject(store, Recent(0))
    for _ in range(2):
        asyncio.run(read(shared, (0, 10)))
    assert store.asked == [(0, 10), (0, 10)]


def test_what_was_read_is_kept_for_its_time_whoever_used_it_meanwhile() -> None:
    now = 0.0
    store = Store()
    shared = SharedObject(store, Recent(age_s=5, clock=lambda: now))
    counts = []
    for at in (0.0, 3.0, 4.9, 5.1):
        now = at
        assert asyncio.run(read(shared, (0, 10))) == [BODY[:10]]
        counts.append(len(store.asked))
    assert counts == [1, 1, 1, 2]


def test_the_least_used_makes_room() -> None:
    store = Store()
    shared = SharedObject(store, Recent(250))
    for start in (0, 100, 0, 200, 0, 100):
        asyncio.run(read(shared, (start, start + 100)))
    assert store.asked == [(0, 100), (100, 200), (200, 300), (100, 200)]


def test_what_lies_between_counts_against_what_is_kept() -> None:
    store = Store()
    shared = SharedObject(store, Recent(150))
    for _ in range(2):
        asyncio.run(read(shared, (0, 50), (150, 200)))
    assert store.asked == [(0, 200), (0, 200)]


def test_only_what_is_missing_is_asked_for() -> None:
    store = Store()
    shared = SharedObject(store, Recent())
    asyncio.run(read(shared, (0, 100)))
    assert asyncio.run(read(shared, (50, 60), (90, 120))) == [BODY[50:60], BODY[90:120]]
    assert store.asked == [(0, 100), (90, 120)]


def test_two_objects_share_nothing() -> None:
    recent, first, second = Recent(), Store(), Store()
    for store in (first, second):
        asyncio.run(read(SharedObject(store, recent), (0, 10)))
    assert first.asked == second.asked == [(0, 10)]


def test_ranges_far_apart_are_requests_of_their_own() -> None:
    store = Store()
    far = 10 + COALESCE_GAP + 1
    asyncio.run(read(SharedObject(store, Recent(0)), (0, 10), (far, far + 10)))
    assert store.asked == [(0, 10), (far, far + 10)]


def test_all_who_wait_learn_of_a_failure_and_the_next_one_tries_again() -> None:
    store = Store(failure=ObjectError("is missing"))
    shared = SharedObject(store, Recent())

    async def scenario() -> list[Any]:
        reads = (read(shared, (0, 10)) for _ in range(2))
        return await asyncio.gather(*reads, return_exceptions=True)

    assert [str(error) for error in asyncio.run(scenario())] == ["is missing"] * 2
    store.failure = None
    assert asyncio.run(read(shared, (0, 10))) == [BODY[:10]]
    assert len(store.asked) == 2


def test_one_that_stops_waiting_leaves_the_bytes_to_the_others() -> None:
    store = Store(seconds=0.05)
    shared = SharedObject(store, Recent(0))

    async def scenario() -> list[bytes]:
        first, second = (asyncio.create_task(read(shared, (0, 10))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(scenario()) == [BODY[:10]]
    assert store.asked == [(0, 10)]


def test_what_a_stopped_loop_was_waiting_for_is_asked_for_again() -> None:
    store = Store(seconds=60)
    shared = SharedObject(store, Recent())
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(read(shared, (0, 10)))
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    store.seconds = 0
    assert asyncio.run(read(shared, (0, 10))) == [BODY[:10]]
    waiting.cancel()
    loop.run_until_complete(asyncio.gather(waiting, return_exceptions=True))
    for task in asyncio.all_tasks(loop):
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
