"""Code under test as programs: each waits for the answers of its table, which others give.

It is deterministic: what it asks next follows from the answers it had. So programs of equal
histories are in equal states, and what they do next is looked up. A program waits for each answer
in a greenlet, and goes on with the first that is tried; for another one it is run again from its
start, with the answers before.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from greenlet import getcurrent, greenlet

from livemosaic.table import Delete, Item, Key, Page, Put

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """What a program asks for: of the table, or (`fetch`, `clock`) of the world outside."""

    method: str
    given: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """A program has come to its end."""

    result: Any


class EndedError(BaseException):
    """Ends a program that waits for an answer which nobody will give."""


@dataclass(slots=True)
class Answers:
    """A `Table`, a `Fetch` and a clock whose answers are given from outside of a `Run`."""

    is_over: bool = False

    def get(self, key: Key) -> Item | None:
        found: Item | None = self._ask("get", key)
        return found

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        found: dict[Key, Item] = self._ask("batch_get", keys)
        return found

    def query(self, pk: str, **kwargs: Any) -> Page:
        page: Page = self._ask("query", pk, **kwargs)
        return page

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self._ask("transact", actions)

    def fetch(self, href: str) -> bytes:
        body: bytes = self._ask("fetch", href)
        return body

    def clock(self) -> float:
        now: float = self._ask("clock")
        return now

    def close(self) -> None:
        """Nothing is open."""

    def _ask(self, method: str, *given: Any, **named: Any) -> Any:
        if self.is_over:
            raise EndedError
        asking = getcurrent().parent
        assert asking is not None, "a program asks outside of its run"
        answer = asking.switch(Call(method, given, named))
        if isinstance(answer, Exception):
            raise answer.with_traceback(None)
        return answer


Program = Callable[[Answers], Any]


class Run:
    """A program that has had some answers, and waits for the next one."""

    at: Call | Done
    """What it asks for, or its end."""

    def __init__(self, program: Program, answers: Iterable[Any] = ()) -> None:
        self._answers = Answers()
        self._greenlet = greenlet(partial(program, self._answers))
        self._go_on()
        for answer in answers:
            self.then(answer)

    def then(self, answer: Any) -> Call | Done:
        """Gives it an answer."""
        assert isinstance(self.at, Call)
        return self._go_on(answer)

    def _go_on(self, *answer: Any) -> Call | Done:
        came = self._greenlet.switch(*answer)
        self.at = Done(came) if self._greenlet.dead else came
        return self.at

    def close(self) -> None:
        """Ends it where it is; what it asks for on its way out is not answered."""
        self._answers.is_over = True
        with suppress(EndedError):
            self._greenlet.throw(EndedError)


MOST_WAITING: Final = 1000
"""Programs that wait at once, each of which takes some 30 KB."""


class Histories:
    """What programs do next, by their histories."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._answers: list[tuple[Any, ...]] = [() for _ in programs]
        self._program: list[int] = list(range(len(programs)))
        self._waiting = {n: Run(program) for n, program in enumerate(programs)}
        self._next: list[Call | Done] = [run.at for run in self._waiting.values()]
        self._before: list[int] = list(range(len(programs)))
        self._known: dict[tuple[int, str], int] = {}

    def program(self, history: int) -> int:
        """Whose history it is; that of program n without any answer is n."""
        return self._program[history]

    def next(self, history: int) -> Call | Done:
        return self._next[history]

    def then(self, history: int, answer: Any) -> int:
        """The history with one more answer."""
        known = (history, repr(answer))
        if known not in self._known:
            after = self._known[known] = len(self._next)
            program = self._program[history]
            run = self._waiting.pop(history, None)
            if run is None:
                run = Run(self._programs[program], self._answers[history])
            self._next.append(run.then(answer))
            self._answers.append((*self._answers[history], answer))
            self._program.append(program)
            self._before.append(history)
            self._wait(after, run)
        return self._known[known]

    def _wait(self, history: int, run: Run) -> None:
        if isinstance(run.at, Done):
            return
        self._waiting[history] = run
        if len(self._waiting) > MOST_WAITING:
            self._waiting.pop(next(iter(self._waiting))).close()

    def told(self, history: int) -> str:
        """The last call and its answer, for people."""
        if not self._answers[history]:
            return "begins"
        asked = self._next[self._before[history]]
        assert isinstance(asked, Call)
        answer = self._answers[history][-1]
        if isinstance(answer, Mapping):
            answer = answer.get("version", "a row")
        keys = asked.given
        if asked.method == "transact":
            keys = tuple(f"{type(a).__name__} {a.key.pk} {a.key.sk}" for a in asked.given[0])
        return f"{asked.method} {', '.join(map(str, keys))} → {str(answer)[:120]}"

    def close(self) -> None:
        """Ends all that wait."""
        while self._waiting:
            self._waiting.popitem()[1].close()


class InTurn(Executor):
    """An executor that does everything at once, in the order given or the other way round."""

    def __init__(self, *, backwards: bool = False) -> None:
        self._backwards = backwards

    def map(self, fn: Callable[..., T], *iterables: Iterable[Any], **_: Any) -> Iterator[T]:
        calls = list(zip(*iterables, strict=True))
        if not self._backwards:
            return iter([fn(*call) for call in calls])
        return reversed([fn(*call) for call in reversed(calls)])
