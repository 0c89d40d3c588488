"""Where pixels are computed: beside an event loop, or on it where a builder asks for that."""

import asyncio
import threading

import pytest

from livemosaic.cog.budget import compute, on_event_loop


async def place(delay: float = 0) -> threading.Thread:
    await asyncio.sleep(delay)
    return await compute(threading.current_thread)


def test_a_server_computes_beside_its_event_loop() -> None:
    assert asyncio.run(place()) is not threading.current_thread()


def test_a_builder_computes_on_its_event_loop_in_tasks_that_begin_meanwhile() -> None:
    async def places() -> list[threading.Thread]:
        with on_event_loop():
            begun = [asyncio.create_task(place(0.01)), asyncio.create_task(place())]
        return [*await asyncio.gather(*begun), await place()]

    *of_builder, after = asyncio.run(places())
    assert of_builder == [threading.current_thread()] * 2
    assert after not in of_builder


@pytest.mark.parametrize("at_once", [True, False])
def test_an_error_is_the_work_s(at_once: bool) -> None:
    async def divide() -> float:
        if not at_once:
            return await compute(divmod, 1, 0)
        with on_event_loop():
            return await compute(divmod, 1, 0)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(divide())
