"""Every set of some changes, in every order of arrival, with every duplicate and crash.

A state is the table, how far the world is (what has become of an object), and which changes have
begun and which are done with. Equal states are explored once, and what a change does to a table is
looked up, so that some thousand states stand for all permutations of all sets. One worker applies
one change after the other; `schedules` interleaves several.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgpack

from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.storage.fetch import MissingError
from livemosaic.table import Delete, Key, Put
from proof.memory import MemoryTable, Rows
from proof.scenes import ALLOW, index
from proof.schedules import Tables

Content = Mapping[str, Any] | None


@dataclass(frozen=True)
class Change:
    """A message, and since which moment of the world it can be there."""

    name: str
    message: Message
    since: int = 0


class State(NamedTuple):
    """What is there, and what has come; changes are bits."""

    table: int
    world: int
    begun: int = 0
    done: int = 0


class Writes(MemoryTable):
    """A table that remembers what it was after each write."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self.after: list[Rows] = []

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        super().transact(actions)
        self.after.append(self.rows)


@dataclass
class Sets:
    """The ends of each set of changes: all that are `needed`, and at most so many of the others."""

    before: Rows
    needed: Sequence[Change]
    others: Sequence[Change]
    most: int
    crashes: bool = True
    life: Sequence[Content] = ()
    """What an object holds, from one moment of the world to the next; None where it is removed."""
    shown: Callable[[Rows], Any] = dict
    ends: dict[frozenset[str], dict[Any, list[str]]] = field(default_factory=dict)
    """By the names of the others: what is shown in the end, and a way that leads to it."""

    def __post_init__(self) -> None:
        self._changes = [*self.needed, *self.others]
        self._all = (1 << len(self.needed)) - 1
        self._tables = Tables()
        self._effects: dict[tuple[int, int, int], tuple[list[int], int]] = {}
        self._shown: dict[int, Any] = {}
        start = State(self._tables.number(self.before), 0)
        self._from: dict[State, tuple[State, str] | None] = {start: None}
        todo = [start]
        while todo:
            state = todo.pop()
            self._end(state)
            for after, how in self._steps(state):
                if after not in self._from:
                    self._from[after] = state, how
                    todo.append(after)

    @property
    def states(self) -> int:
        return len(self._from)

    def doubtful(self) -> dict[frozenset[str], dict[Any, list[str]]]:
        """The sets that end in several ways."""
        return {names: ends for names, ends in self.ends.items() if len(ends) > 1}

    def _steps(self, state: State) -> Iterator[tuple[State, str]]:
        if state.world < len(self.life):
            yield state._replace(world=state.world + 1), "the object changes"
        full = (state.begun >> len(self.needed)).bit_count() >= self.most
        for n, change in enumerate(self._changes):
            bit = 1 << n
            more = n >= len(self.needed) and not state.begun & bit
            if change.since > state.world or (more and full):
                continue
            parts, table = self._effect(state, n)
            begun = state.begun | bit
            if self.crashes and not state.done & bit:
                for part in parts:
                    yield state._replace(table=part, begun=begun), f"{change.name} dies"
            yield State(table, state.world, begun, state.done | bit), change.name

    def _effect(self, state: State, n: int) -> tuple[list[int], int]:
        """The tables where a worker may die of a change, and the one where it is done."""
        known = (state.table, n, state.world if n < len(self.needed) else 0)
        if known not in self._effects:
            table = Writes(self._tables[state.table])
            content = self.life[state.world - 1] if state.world else None
            ingest = Ingest(index(table), ALLOW, fetch=lambda _: _fetched(content))
            (outcome,) = ingest.batch([self._changes[n].message])
            assert outcome.ok, outcome
            after = [self._tables.number(_plain(rows)) for rows in table.after]
            self._effects[known] = after[:-1], after[-1] if after else state.table
        return self._effects[known]

    def _end(self, state: State) -> None:
        if state.world < len(self.life) or state.begun != state.done:
            return
        if state.done & self._all != self._all:
            return
        if state.table not in self._shown:
            self._shown[state.table] = self.shown(self._tables[state.table])
        chosen = enumerate(self.others, len(self.needed))
        names = frozenset(change.name for n, change in chosen if state.done >> n & 1)
        ends = self.ends.setdefault(names, {})
        if self._shown[state.table] not in ends:
            ends[self._shown[state.table]] = self._way(state)

    def _way(self, state: State) -> list[str]:
        steps: list[str] = []
        while came := self._from[state]:
            state, how = came
            steps.append(how)
        return steps[::-1]


def _fetched(content: Content) -> bytes:
    if content is None:
        raise MissingError("404")
    return json.dumps(content).encode()


def _plain(rows: Rows) -> Rows:
    """Rows less what decides nothing: the change feed, and how often rows were written."""
    return {k: _less(k, packed) for k, packed in rows.items() if "#feed#" not in k.pk}


def _less(key: Key, packed: bytes) -> bytes:
    if "#scenes#" not in key.pk and not key.pk.startswith("thing#"):
        return packed
    row: dict[str, Any] = msgpack.unpackb(packed)
    row.pop("area", None)
    rest: bytes = msgpack.packb(row | {name: 1 for name in ("revision",) if name in row})
    return rest
