"""Server-Timing on pictures (W3C Server Timing): where the time of an answer went."""

import re
import time

from api.served import LEFT, RIGHT, Server

METRIC = re.compile(r"(\w+);dur=(\d+\.\d)")


def test_a_picture_says_how_long_each_step_took(server: Server) -> None:
    server.publish("left", 1, LEFT)
    server.publish("right", 2, RIGHT)
    begun = time.perf_counter()
    told = server.tile().headers["Server-Timing"]
    elapsed_ms = 1000 * (time.perf_counter() - begun)
    steps = dict(METRIC.fullmatch(one).groups() for one in told.split(", "))  # type: ignore[union-attr]
    assert list(steps) == ["index", "read", "compose", "encode"]
    assert float(steps["read"]) > 0
    assert sum(map(float, steps.values())) <= elapsed_ms + 0.2


def test_an_empty_one_was_not_read(server: Server) -> None:
    told = server.tile().headers["Server-Timing"]
    assert [name for name, _ in METRIC.findall(told)] == ["index", "compose", "encode"]


def test_pages_of_other_origins_may_read_it(server: Server) -> None:
    answer = server.client.get("/health", headers={"Origin": "https://maps.example.com"})
    assert "Server-Timing" in answer.headers["Access-Control-Expose-Headers"]
