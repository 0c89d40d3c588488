"""Reads together never hold more than the budget; those that wait are served in their order."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from livemosaic.cog.budget import (
    Allowance,
    Budget,
    ClientGoneError,
    LargeTurns,
    TurnNeededError,
    apart,
    most_in,
    take_turn,
)
from livemosaic.process import memory
from livemosaic.storage.objects import LimitError, ObjectError


class Reads:
    """What takes from a budget, and how much of it is held."""

    def __init__(self, size: int) -> None:
        self.budget = Budget(size)
        self.held = self.most = 0
        self.order: list[int] = []

    async def read(self, amount: int) -> None:
        async with self.budget.take(amount):
            self.order.append(amount)
            self.held += amount
            self.most = max(self.most, self.held)
            try:
                await asyncio.sleep(0.001)
            finally:
                self.held -= amount

    async def together(self, amounts: Sequence[int]) -> None:
        await asyncio.gather(*map(self.read, amounts))


def test_no_more_is_held_than_there_is() -> None:
    reads = Reads(10)
    asyncio.run(reads.together([3, 4, 5] * 20))
    assert len(reads.order) == 60
    assert 5 < reads.most <= 10


def test_a_large_one_is_not_overtaken_for_ever() -> None:
    reads = Reads(10)
    asyncio.run(reads.together([2, 2, 10, 1, 1, 1]))
    assert reads.order == [2, 2, 10, 1, 1, 1]


def test_what_is_more_than_all_of_it_is_refused_with_the_numbers() -> None:
    with pytest.raises(ObjectError, match=r"needs 1,001 bytes.*at most 1,000"):
        asyncio.run(Reads(1000).read(1001))


@pytest.mark.parametrize("settle", [0, 1], ids=["before its turn", "as its turn comes"])
def test_one_that_is_cancelled_while_it_waits_takes_nothing(settle: int) -> None:
    reads = Reads(10)

    async def scenario() -> None:
        holder = asyncio.create_task(reads.read(10))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(reads.read(10))
        behind = asyncio.create_task(reads.read(10))
        await asyncio.sleep(0)
        if settle:
            await holder
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await asyncio.gather(holder, behind)

    asyncio.run(asyncio.wait_for(scenario(), 5))
    assert reads.held == 0


class Requests:
    """Requests with turns, of which as many as there are go on at once."""

    def __init__(self, at_once: int) -> None:
        self.turns = LargeTurns(at_once)
        self.at_once = self.most = 0

    async def request(self, images: int) -> None:
        async with self.turns.request():
            await asyncio.gather(*(take_turn() for _ in range(images)))
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            await asyncio.sleep(0.001)
            self.at_once -= 1

    async def together(self, count: int, images: int) -> None:
        await asyncio.gather(*(self.request(images) for _ in range(count)))


@pytest.mark.parametrize(("gib", "most"), [(0, 1), (1.7, 1), (4, 2), (8, 5), (1000, 8)])
def test_as_many_large_images_are_made_at_once_as_memory_and_cores_allow(
    monkeypatch: pytest.MonkeyPatch, gib: float, most: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert most_in(int(gib * 2**30)) == most


def test_the_memory_of_this_process_is_known() -> None:
    assert 2**28 < memory() < 2**46


class TestTurns:
    def test_as_many_large_images_are_made_at_once(self) -> None:
        requests = Requests(2)
        asyncio.run(asyncio.wait_for(requests.together(20, images=1), 5))
        assert requests.most == 2

    def test_a_request_has_one_turn_for_all_of_its_images(self) -> None:
        requests = Requests(1)
        asyncio.run(asyncio.wait_for(requests.together(5, images=4), 5))
        assert requests.most == 1

    def test_requests_without_large_images_wait_for_none(self) -> None:
        requests = Requests(1)
        asyncio.run(asyncio.wait_for(requests.together(20, images=0), 5))
        assert requests.most == 20

    def test_a_small_image_of_many_bytes_waits(self) -> None:
        async def scenario() -> list[str]:
            turns, order = LargeTurns(1), []

            async def request(name: str, size: int) -> None:
                async with turns.request():
                    allowance = Allowance(2**30)
                    while True:
                        try:
                            allowance.spend(size)
                            break
                        except TurnNeededError:
                            await take_turn()
                    order.append(name)
                    await asyncio.sleep(0.01)
                    order.append(f"end of {name}")

            sizes = {"one": 2**26, "two": 2**26, "small": 2**20}
            await asyncio.gather(*(request(name, size) for name, size in sizes.items()))
            return order

        order = asyncio.run(asyncio.wait_for(scenario(), 5))
        assert order.index("small") < order.index("end of one") < order.index("two")

    def test_who_has_gone_when_its_turn_comes_takes_none(self) -> None:
        async def scenario() -> list[str]:
            turns, done = LargeTurns(1), []

            async def is_gone() -> bool:
                return True

            async def gone() -> None:
                async with turns.request(is_gone):
                    for _ in range(2):
                        with pytest.raises(ClientGoneError):
                            await take_turn()

            async def other() -> None:
                async with turns.request():
                    await take_turn()
                    await asyncio.sleep(0.01)
                    done.append("other")

            await asyncio.gather(other(), gone(), other())
            return done

        assert asyncio.run(asyncio.wait_for(scenario(), 5)) == ["other", "other"]

    def test_what_goes_on_without_its_request_keeps_no_turn(self) -> None:
        async def scenario() -> None:
            requests = Requests(1)
            holder = asyncio.create_task(requests.request(images=1))
            await asyncio.sleep(0)
            async with requests.turns.request():
                waiting = asyncio.create_task(take_turn())
                await asyncio.sleep(0)
            await asyncio.gather(holder, waiting)
            await requests.request(images=1)

        asyncio.run(asyncio.wait_for(scenario(), 5))

    def test_what_other_requests_wait_for_waits_for_none(self) -> None:
        async def scenario() -> None:
            turns = LargeTurns(1)
            async with turns.request():
                await take_turn()
                async with turns.request():
                    with apart():
                        shared = asyncio.create_task(take_turn())
                    await shared

        asyncio.run(asyncio.wait_for(scenario(), 5))

    def test_a_scene_that_waits_gives_back_what_its_assets_took(self) -> None:
        async def scenario() -> None:
            async with LargeTurns(1).request():
                allowance = Allowance(2**27)
                for _ in range(2):  # the second time it has its turn
                    scene = allowance.of_scene()
                    with suppress(TurnNeededError):
                        for _ in range(4):
                            scene.spend(0, 2**25)
                        with pytest.raises(LimitError, match=" 0 are left"):
                            scene.spend(0, 1)
                    await take_turn()

        asyncio.run(asyncio.wait_for(scenario(), 5))
