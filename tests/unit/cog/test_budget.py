"""Reads together never hold more than the budget; those that wait are served in their order."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from livemosaic.cog.budget import Budget
from livemosaic.storage.objects import ObjectError


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
