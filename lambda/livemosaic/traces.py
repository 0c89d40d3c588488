"""Spans: what one request or batch did, and when. Nothing is recorded unless a trace is open.

Names are OpenTelemetry's (specification, "Trace API"); `livemosaic.telemetry.otlp` sends them. A
span is the parent of what its task or thread opens next. Tasks of asyncio and `asyncio.to_thread`
inherit it, as contexts are copied for them; threads of an executor get it by `carried`.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

Attribute = str | int | float | bool
Kind = Literal["internal", "server", "consumer"]

MAX_SPANS: Final = 1000
"""Spans of one trace; further ones are counted, and not kept."""


@dataclass(slots=True)
class Span:
    """A piece of work with a beginning and an end, in epoch nanoseconds."""

    name: str
    start_ns: int
    parent: str = ""
    """Id of the span that it is a part of; empty for none."""
    kind: Kind = "internal"
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """16 hexadecimal digits."""
    end_ns: int = 0
    attributes: dict[str, Attribute] = field(default_factory=dict)
    error: str = ""
    """Why it failed; empty where it did not."""


@dataclass(slots=True)
class Trace:
    """The spans of one request or batch, in the order in which they ended. Thread-safe."""

    id: str
    """32 hexadecimal digits (W3C Trace Context, "trace-id")."""
    outer: str = ""
    """Id of the span outside of this process that its first span is a part of; empty for none."""
    spans: list[Span] = field(default_factory=list)
    dropped: int = 0
    """Spans beyond `MAX_SPANS`."""

    def add(self, span: Span) -> None:
        """Adds a span that has ended."""
        if len(self.spans) < MAX_SPANS or span.parent == self.outer:  # the first one ends last
            self.spans.append(span)
        else:
            self.dropped += 1


_open: ContextVar[tuple[Trace, Span] | None] = ContextVar("open span", default=None)


def trace_id() -> str:
    """Returns the id of the open trace; empty where there is none."""
    found = _open.get()
    return found[0].id if found else ""


@contextmanager
def recording(trace: Trace, name: str, kind: Kind) -> Iterator[Span]:
    """Opens a trace, and yields its first span, which is added last."""
    with _within(trace, Span(name, time.time_ns(), trace.outer, kind)) as root:
        yield root


@contextmanager
def span(name: str, **attributes: Attribute) -> Iterator[Span | None]:
    """Records what is done in the context; yields None where no trace is open.

    An exception that leaves the context is the span's error.
    """
    found = _open.get()
    if found is None:
        yield None
        return
    trace, parent = found
    with _within(trace, Span(name, time.time_ns(), parent.id, attributes=attributes)) as made:
        yield made


class Timings:
    """Seconds by step, counted from construction; a step may occur several times."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def end(self, step: str, *, is_traced: bool = False) -> None:
        """Adds the time since the last step ended to this step, and to the trace if not done."""
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        self._seconds[step] = self._seconds.get(step, 0.0) + seconds
        found = None if is_traced else _open.get()
        if found:
            trace, parent = found
            end_ns = time.time_ns()
            trace.add(Span(step, end_ns - round(seconds * 1e9), parent.id, end_ns=end_ns))

    def seconds(self) -> Mapping[str, float]:
        """Returns the seconds of each step, in the order in which steps first ended."""
        return self._seconds


def carried(function: Callable[P, R]) -> Callable[P, R]:
    """Returns the function with the open span, for other threads; itself where none is open."""
    found = _open.get()
    if found is None:
        return function

    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        token = _open.set(found)
        try:
            return function(*args, **kwargs)
        finally:
            _open.reset(token)

    return inside


@contextmanager
def _within(trace: Trace, made: Span) -> Iterator[Span]:
    token = _open.set((trace, made))
    try:
        yield made
    except BaseException as error:
        made.error = made.error or type(error).__name__
        raise
    finally:
        _open.reset(token)
        made.end_ns = time.time_ns()
        trace.add(made)
