"""A busy service is called again after pauses that grow, until a deadline or a count ends it."""

import math
from dataclasses import dataclass, field

import pytest

from livemosaic.errors import ConditionFailedError, TableBusyError
from livemosaic.table.retry import Backoff, contended


@dataclass
class Clock:
    """A clock that only pauses move."""

    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def now(self) -> float:
        return sum(self.pauses)


@pytest.mark.parametrize("least", [0, 0.5])
def test_each_pause_lies_below_a_bound_that_doubles(least: float) -> None:
    clock = Clock()
    backoff = Backoff(math.inf, 1, math.inf, clock.sleep, clock.now, max_attempts=5, least=least)
    assert len(list(backoff.attempts())) == 5
    assert len(clock.pauses) == 4
    for n, pause in enumerate(clock.pauses):
        assert least * 2**n <= pause <= 2**n


def test_no_attempt_begins_after_the_deadline() -> None:
    clock = Clock()
    backoff = Backoff(10, 1, 2, clock.sleep, clock.now)
    assert len(list(backoff.attempts())) > 5
    assert clock.now() == pytest.approx(10)
    assert max(clock.pauses) <= 2


def test_a_writer_whom_others_always_precede_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def attempt() -> None:
        attempts.append(1)
        raise ConditionFailedError("another was first")

    monkeypatch.setattr("livemosaic.table.retry.random.uniform", lambda *_: 0)
    with pytest.raises(TableBusyError, match="30 times in a row"):
        contended(attempt)
    assert len(attempts) == 30
