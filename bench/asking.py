"""Asking servers for tiles, and what each answer cost."""

import http.client
import json
import threading
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final, TypeVar

import morecantile
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from bench.contenders import Contender, Stack
from bench.need import needed
from bench.processes import cpu_s, family, peak_mb
from bench.servers import ObjectStore, Traffic

T = TypeVar("T")

SIZE: Final = 256
_SETTLE_S: Final = 0.03
"""After an answer, so that what a server still does for it is counted with it."""

_INCOMPLETE: Final = ("X-Skipped-Scenes", "X-Truncated")
"""Headers of livemosaic for skipped scenes: an incomplete tile must not be compared."""


class BadAnswerError(Exception):
    """A server did not return the requested tile."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response and its latency."""

    status: int
    etag: str | None
    body: bytes
    wall_ms: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One tile by one contender, with all that it cost."""

    wall_ms: float
    cpu_ms: float
    behind_ms: float | None
    """CPU of the database, where there is one that we can see."""
    traffic: Traffic
    calls: float | None
    """Calls to the index except for the mosaic's own row; None where nothing is counted."""
    own_calls: float
    """Calls for the mosaic's own row, as far as they are counted."""
    rows: float | None
    shown: int
    """Files that hold visible pixels of the tile."""
    body: bytes


@dataclass(slots=True)
class Running:
    """A started contender."""

    contender: Contender
    pid: int
    port: int
    patience_s: float = 60
    """After which a request has failed."""
    _own: threading.local = field(default_factory=threading.local)

    @property
    def name(self) -> str:
        return self.contender.name

    def ask(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        expected: Collection[int] = (200, 304),
    ) -> Answer:
        """One request, on this thread's own connection."""
        connection = self._connection()
        start = time.perf_counter()
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise BadAnswerError(f"{self.name}: {error!r} at {path[:200]}") from error
        wall = 1000 * (time.perf_counter() - start)
        if answer.status not in expected:
            raise BadAnswerError(f"{self.name}: {answer.status} at {path[:200]}: {body[:300]!r}")
        for name in _INCOMPLETE:
            if name in answer.headers:
                raise BadAnswerError(f"{self.name}: {name}: {answer.headers[name]} at {path[:200]}")
        return Answer(answer.status, answer.headers.get("ETag"), body, wall)

    def usage(self) -> Mapping[str, float | None]:
        """`calls` to the index, `own` for the mosaic's row beside them, `rows`, since last time."""
        used: dict[str, float | None] = json.loads(self.ask("/_usage").body)
        return used

    def cpu_ms(self) -> float:
        """Of the process and its children, so far."""
        return 1000 * sum(map(cpu_s, family(self.pid)))

    def behind_ms(self) -> float | None:
        """Of its database, so far."""
        return 1000 * self.contender.behind_s() if self.contender.behind_s else None

    def peak_mb(self) -> float:
        return peak_mb(self.pid)

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=self.patience_s
            )
        connection: http.client.HTTPConnection = self._own.connection
        return connection


@contextmanager
def run_all(contenders: Sequence[Contender]) -> Iterator[list[Running]]:
    """All of them at once, each in a process of its own."""
    with ExitStack() as stack:
        yield [
            Running(contender, *stack.enter_context(contender.started()))
            for contender in contenders
        ]


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks for the tiles of stacks, and knows which scenes show on them."""

    store: ObjectStore

    def path(self, one: Running, stack: Stack, tile: morecantile.Tile) -> str:
        shown = needed(stack.scenes, tile, SIZE)
        newest_first = [scene.name for scene in reversed(stack.scenes) if scene.name in shown]
        return one.contender.path(stack, tile, newest_first)

    def sample(self, one: Running, stack: Stack, tile: morecantile.Tile) -> Sample:
        """One tile, alone."""
        path = self.path(one, stack, tile)
        self._forget(one)
        cpu, behind = one.cpu_ms(), one.behind_ms()
        answer = one.ask(path)
        time.sleep(_SETTLE_S)
        spent, behind_now = one.cpu_ms() - cpu, one.behind_ms()
        used = one.usage()
        return Sample(
            wall_ms=answer.wall_ms,
            cpu_ms=spent,
            behind_ms=None if behind is None or behind_now is None else behind_now - behind,
            traffic=self.store.take(),
            calls=used["calls"],
            own_calls=used.get("own") or 0,
            rows=used["rows"],
            shown=self._shown(stack, tile),
            body=answer.body,
        )

    def warm(self, one: Running, stack: Stack, tiles: Sequence[morecantile.Tile]) -> None:
        """Requests tiles that are not measured."""
        for tile in tiles:
            one.ask(self.path(one, stack, tile))
        self._forget(one)

    def together(
        self, one: Running, stack: Stack, tiles: Sequence[morecantile.Tile], at_once: int
    ) -> "Burst":
        """So many tiles, so many at a time."""
        paths = [self.path(one, stack, tile) for tile in tiles]
        self._forget(one)
        cpu = one.cpu_ms()
        with ThreadPoolExecutor(at_once) as pool:
            start = time.perf_counter()
            answers = list(pool.map(one.ask, paths))
            wall_s = time.perf_counter() - start
        time.sleep(_SETTLE_S)
        spent = one.cpu_ms() - cpu
        return Burst(
            tiles=len(tiles),
            wall_ms=1000 * wall_s,
            latency_ms=median(answer.wall_ms for answer in answers),
            cpu_ms=spent / len(tiles),
            traffic=self.store.take(),
            shown=sum(self._shown(stack, tile) for tile in tiles),
        )

    def _shown(self, stack: Stack, tile: morecantile.Tile) -> int:
        """Files that hold visible pixels of a tile."""
        return len(stack.scenes[0].kind.assets) * len(needed(stack.scenes, tile, SIZE))

    def _forget(self, one: Running) -> None:
        one.usage()
        self.store.take()


@dataclass(frozen=True, slots=True)
class Burst:
    """Many tiles, several at a time."""

    tiles: int
    wall_ms: float
    """Of all of them together."""
    latency_ms: float
    cpu_ms: float
    """Of one tile."""
    traffic: Traffic
    shown: int
    """Files that hold visible pixels, counted for each tile."""

    @property
    def tiles_per_s(self) -> float:
        return 1000 * self.tiles / self.wall_ms


def agreement(one: bytes, other: bytes) -> float:
    """Share of the pixels of two images that are the same, transparent ones taken as equal."""
    a, b = decoded(one), decoded(other)
    if a.shape != b.shape:
        raise BadAnswerError(f"images of {a.shape} and {b.shape}")
    return float((a == b).all(axis=0).mean())


def decoded(body: bytes) -> NDArray[np.uint8]:
    """Bands of an image, alpha last; zero where that is zero."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.Env(), MemoryFile(body) as file, file.open() as image:
            data: NDArray[np.uint8] = image.read()
    if len(data) in (2, 4):
        data[:, data[-1] == 0] = 0
        return data
    return np.concatenate([data, np.full((1, *data.shape[1:]), 255, np.uint8)])


def rotated(contenders: Sequence[T], turn: int) -> list[T]:
    """Returns the contenders in another order each turn, so that none is always first."""
    start = turn % len(contenders)
    return [*contenders[start:], *contenders[:start]]
