"""Every reading beside every schedule."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from livemosaic.table import Item, Key, Page, Row
from proof.memory import unpacked
from proof.programs import Call, Done, Histories, Program
from proof.schedules import Explored, answer


class Reading(NamedTuple):
    """Where a reader is."""

    window: tuple[int, ...]
    """The last tables, the present one last: a query may meet each row as in any of them."""
    history: int
    seen: frozenset[Any]
    """What a reader would have found at each of the moments of this reading."""


def as_at_one_moment(found: Any, seen: frozenset[Any]) -> bool:
    return found in seen


@dataclass
class Readings:
    """All readings of a program that queries, beside all schedules that were explored.

    A query is not atomic beside a transaction, and its answers may be old. Here it meets each row
    as it is, or as it was before the last `lag` writes, whichever way the others are met and the
    next query will meet it; and it reads pages of one row, so that any write may fall between any
    two rows. A batch of rows may be as old, and rows that are read as of now are. Beside the writes
    that a schedule can make, in its order, as if they were all that there is to it: more schedules
    than there are, so none is left out.
    """

    explored: Explored
    program: Program
    """Its result is hashable."""
    right: Callable[[Any, frozenset[Any]], bool] = as_at_one_moment
    """Whether a result is right, by those that were to be had at one moment of the reading."""
    lag: int = 1
    plain: Program | None = None
    """The program that finds what was to be had, if that is another one."""

    def __post_init__(self) -> None:
        self._histories = Histories([self.program])
        self._reference = Histories([self.plain]) if self.plain else self._histories
        self._quiet: dict[int, Any] = {}
        self._came_from: dict[Reading, tuple[Reading, str] | None] = {}
        self._writes: dict[int, list[int]] = {}
        for table, after in sorted(self.explored.moves):
            self._writes.setdefault(table, []).append(after)
        self.found: set[Any] = set()
        """What readings came to."""
        try:
            self._read()
        finally:
            self._histories.close()
            self._reference.close()

    @property
    def states(self) -> int:
        return len(self._came_from)

    def _read(self) -> None:
        todo = [Reading(w, 0, frozenset(map(self._at_once, w))) for w in self._windows()]
        self._came_from = dict.fromkeys(todo)
        while todo:
            reading = todo.pop()
            for label, after in self._steps(reading):
                if after not in self._came_from:
                    self._came_from[after] = reading, label
                    todo.append(after)

    def _windows(self) -> set[tuple[int, ...]]:
        windows = {(self.explored.start,)}
        todo = [*windows]
        while todo:
            new = set(self._later(todo.pop())) - windows
            windows |= new
            todo += new
        return windows

    def _later(self, window: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for table in self._writes.get(window[-1], ()):
            yield (*window, table)[-self.lag - 1 :]

    def _steps(self, reading: Reading) -> Iterator[tuple[str, Reading]]:
        if reading.history != 0:  # before its first query, it may as well begin later
            for window in self._later(reading.window):
                seen = reading.seen | {self._at_once(window[-1])}
                yield f"write {window[-1]}", Reading(window, reading.history, seen)
        asked = self._histories.next(reading.history)
        assert isinstance(asked, Call)
        for said in self._answers(reading.window, asked):
            history = self._histories.then(reading.history, said)
            after = reading._replace(history=history)
            label = self._histories.told(history)
            if isinstance(end := self._histories.next(history), Done):
                self._check(reading, label, end.result)
            else:
                yield label, after

    def _check(self, reading: Reading, label: str, result: Any) -> None:
        self.found.add(result)
        if self.right(result, reading.seen):
            return
        steps = [label]
        at: Reading | None = reading
        while at is not None and (came := self._came_from[at]) is not None:
            at, step = came
            steps.append(step)
        told = "\n".join(reversed(steps))
        raise AssertionError(f"found {result} where there was {set(reading.seen)}\n{told}")

    def _at_once(self, table: int) -> Any:
        """What a reader finds whose queries are all at one moment."""
        if table not in self._quiet:
            rows, history = self.explored.tables[table], 0
            while isinstance(asked := self._reference.next(history), Call):
                history = self._reference.then(history, answer(rows, asked)[0])
            self._quiet[table] = asked.result
        return self._quiet[table]

    def _answers(self, window: tuple[int, ...], asked: Call) -> Iterator[Any]:
        if asked.method == "get":
            yield self._as_of(window[-1], *asked.given)
        elif asked.method == "batch_get":
            (keys,) = asked.given
            met = [{repr(row): row for row in self._met(window, key)}.values() for key in keys]
            for rows in product(*met):
                yield {key: row for key, row in zip(keys, rows, strict=True) if row is not None}
        else:
            assert asked.method == "query"
            is_consistent = asked.named.get("consistent")
            yield from self._pages(window[-1:] if is_consistent else window, asked)

    def _met(self, window: tuple[int, ...], key: Key) -> Iterator[Item | None]:
        return (self._as_of(table, key) for table in window)

    def _as_of(self, table: int, key: Key) -> Item | None:
        packed = self.explored.tables[table].get(key)
        return None if packed is None else unpacked(packed)

    def _pages(self, window: tuple[int, ...], asked: Call) -> Iterator[Page]:
        pk, after = asked.given[0], asked.named.get("after") or ""
        tables = [self.explored.tables[table] for table in window]
        keys = {key for rows in tables for key in rows if key.pk == pk and key.sk > after}
        for key in sorted(keys):
            met = {rows.get(key) for rows in tables}
            for packed in met - {None}:
                yield _page(key, packed)
            if None not in met:
                return
        yield Page([], None)


def _page(key: Key, packed: bytes | None) -> Page:
    assert packed is not None
    return Page([Row(key, unpacked(packed))], key.sk)
