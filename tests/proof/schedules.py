"""Every schedule of workers and readers on one table, not a sample of them.

Workers are `programs`. A state of all is the table, the history of each worker and the queue; equal
states are explored once, and the schedules that lead through them are counted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from livemosaic.errors import LivemosaicError
from livemosaic.table import Key
from proof.memory import MemoryTable, Rows
from proof.programs import Call, Done, Histories, Program

OUTSIDE = ("fetch", "clock")
"""Methods that ask the world outside, not the table."""


def answer(rows: Rows, call: Call) -> tuple[Any, Rows]:
    """What the table says to a call, and how it is afterwards."""
    table = MemoryTable(rows)
    try:
        return getattr(table, call.method)(*call.given, **call.named), table.rows
    except LivemosaicError as error:
        return error, rows


class Tables:
    """Tables as numbers, the same for equal ones."""

    def __init__(self) -> None:
        self._numbers: dict[frozenset[tuple[Key, bytes]], int] = {}
        self._rows: list[Rows] = []

    def number(self, rows: Rows) -> int:
        number = self._numbers.setdefault(frozenset(rows.items()), len(self._rows))
        if number == len(self._rows):
            self._rows.append(rows)
        return number

    def __getitem__(self, number: int) -> Rows:
        return self._rows[number]


class State(NamedTuple):
    """Where a schedule is."""

    table: int
    world: int
    """How many of the things that happen outside have happened."""
    working: tuple[int, ...]
    """A history for each worker that is at work, sorted: workers are alike."""
    queued: tuple[int, ...]
    """How many deliveries of each message are still to come."""
    crashes: tuple[int, ...]
    """How many workers may still die of each message, after a write of theirs."""


class Step(NamedTuple):
    """One thing that happens in a schedule."""

    history: int
    """That of a worker after its call."""
    what: str = ""
    """What becomes of the worker."""


World = Callable[[int, Call], Any]
"""Answers to what is asked of the world outside, by how far it is."""


@dataclass
class Explored:
    """All schedules of some messages."""

    programs: Sequence[Program]
    """What a worker does with each message; its result says whether the message is done with."""
    before: Rows
    check: Callable[[Rows], None]
    """Called with the table at the end of a schedule, once for each that differs."""
    workers: int = 2
    deliveries: int = 2
    crashes: int = 1
    happens: Sequence[int | None] = ()
    """What happens outside, in this order, at any moments: it brings that message, if one is named;
    the others are there from the start."""
    world: World = field(default=lambda _, call: pytest.fail(f"nobody knows {call}"))
    still: frozenset[str] = frozenset()
    """Partitions that nobody writes: when they are read makes no difference."""
    tables: Tables = field(default_factory=Tables)
    moves: set[tuple[int, int]] = field(default_factory=set)
    """Which table may become which other in one write."""
    ends: set[int] = field(default_factory=set)
    schedules: int = 0

    def __post_init__(self) -> None:
        self._histories = Histories(self.programs)
        self._answers: dict[tuple[int, int, int], tuple[int, int]] = {}
        self._counts: dict[State, int] = {}
        self._path: list[Step] = []
        self.start = self.tables.number(self.before)
        late = set(self.happens)
        queued = tuple(0 if n in late else self.deliveries for n in range(len(self.programs)))
        crashes = tuple(self.crashes for _ in self.programs)
        try:
            self.schedules = self._explore(State(self.start, 0, (), queued, crashes))
        finally:
            self._histories.close()

    @property
    def states(self) -> int:
        return len(self._counts)

    def _explore(self, state: State) -> int:
        """How many schedules lead on from a state."""
        if state not in self._counts:
            count = 0
            for step, after in self._steps(state):
                self._path.append(step)
                count += self._explore(after)
                self._path.pop()
            if count == 0:
                self._end(state)
            self._counts[state] = count or 1
        return self._counts[state]

    def _end(self, state: State) -> None:
        if state.table in self.ends:
            return
        self.ends.add(state.table)
        try:
            self.check(self.tables[state.table])
        except AssertionError as error:
            told = "\n".join(map(self._told, self._path))
            raise AssertionError(f"{error}\nafter the schedule\n{told}") from None

    def _steps(self, state: State) -> Iterator[tuple[Step, State]]:
        for n, history in enumerate(state.working):
            if self._is_alone(history, state):
                yield from self._step(history, _without(state, n))
                return
        if state.world < len(self.happens):
            message, queued = self.happens[state.world], state.queued
            if message is not None:
                queued = _plus(queued, message, self.deliveries)
            yield Step(state.world, "happens"), state._replace(world=state.world + 1, queued=queued)
        if len(state.working) < self.workers:
            for message, left in enumerate(state.queued):
                if left:
                    queued = _plus(state.queued, message, -1)
                    yield from self._step(message, state._replace(queued=queued))
        for n, history in enumerate(state.working):
            if n == 0 or history != state.working[n - 1]:  # workers are alike
                yield from self._step(history, _without(state, n))

    def _is_alone(self, history: int, state: State) -> bool:
        """Whether nothing can change the answer to a worker's next call: it may as well be now."""
        asked = self._histories.next(history)
        if not isinstance(asked, Call):
            return False
        if asked.method in OUTSIDE:
            return state.world == len(self.happens)
        if asked.method == "get":
            return asked.given[0].pk in self.still
        return asked.method == "query" and asked.given[0] in self.still

    def _step(self, history: int, state: State) -> Iterator[tuple[Step, State]]:
        """A worker goes on by a call; `state` is that of all else."""
        message = self._histories.program(history)
        if isinstance(self._histories.next(history), Done):
            yield Step(history, "has nothing to do"), state
            return
        after, table = self._answer(state, history)
        if table != state.table:
            self.moves.add((state.table, table))
            if state.crashes[message]:
                crashes = _plus(state.crashes, message, -1)
                queued = _plus(state.queued, message, 1)
                died = state._replace(table=table, crashes=crashes, queued=queued)
                yield Step(after, "dies"), died
        state = state._replace(table=table)
        asked = self._histories.next(after)
        if not isinstance(asked, Done):
            yield Step(after), state._replace(working=tuple(sorted((*state.working, after))))
        elif asked.result:
            yield Step(after, "is done"), state
        else:
            raise AssertionError(f"message {message} failed for good: {self._told(Step(after))}")

    def _answer(self, state: State, history: int) -> tuple[int, int]:
        """The history with the answer to its call, and the table after it."""
        asked = self._histories.next(history)
        assert isinstance(asked, Call)
        outside = asked.method in OUTSIDE
        known = (-1 if outside else state.table, state.world if outside else -1, history)
        if known not in self._answers:
            if outside:
                said, table = self.world(state.world, asked), -1
            else:
                said, rows = answer(self.tables[state.table], asked)
                table = self.tables.number(rows)
                assert self.still.isdisjoint(k.pk for k, _ in rows.items() ^ self.before.items())
            self._answers[known] = self._histories.then(history, said), table
        after, table = self._answers[known]
        return after, state.table if outside else table

    def _told(self, step: Step) -> str:
        if step.what == "happens":
            return f"outside: {step.history}"
        message, told = self._histories.program(step.history), self._histories.told(step.history)
        return f"message {message}: {told} {step.what}"


def _without(state: State, n: int) -> State:
    """Less one of the workers."""
    return state._replace(working=(*state.working[:n], *state.working[n + 1 :]))


def _plus(counts: tuple[int, ...], n: int, more: int) -> tuple[int, ...]:
    return (*counts[:n], counts[n] + more, *counts[n + 1 :])
