"""Views of low zooms over the archive of a published benchmark, next to the peers it measured."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import morecantile
import numpy as np
from numpy.typing import NDArray

from bench import boreal
from bench.asking import SIZE, BadAnswerError, Running, decoded, rotated
from bench.contenders import (
    BACKEND,
    DYNAMODB,
    PGSTAC,
    SQLITE,
    Contender,
    Contenders,
    Stack,
    open_contenders,
)
from bench.report import Sheet, Value, show, step
from bench.servers import ObjectStore, object_store

NAMES: Final = (SQLITE, DYNAMODB, BACKEND, PGSTAC)
_OURS: Final = (SQLITE, DYNAMODB)
_LONG_S: Final = 20
"""A view that takes longer is not asked for again."""
_CONNECTIONS: Final = 6
"""Of a browser to one host (HTTP/1.1)."""
_MOST: Final = 0.1
"""Time of ours by that of a peer."""
_EMPTY: Final = 204
"""Status of a tile of the peers in which no scene is."""
_NOTES: Final = (
    f"A map of 7 × 9 tiles at -102°, 57°, {_CONNECTIONS} at a time, fewer where the world ends; a "
    "fresh process for each view, that made one other",
    "tile before. s: until the last tile has arrived, the first time; again s: the same view once "
    f"more, where that took less than {_LONG_S} s.",
    "CPU s: of the process and of PostgreSQL, the first time. failed: tiles with an error, or not "
    "there in time. shown: pixels shown, of those in a scene.",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    names: Sequence[str] = NAMES
    zooms: Sequence[int] = tuple(range(3, 11))
    across: int = boreal.ACROSS
    delay_ms: float = 20
    patience_s: float = 60
    archive: Path | None = None
    """Where the archive is kept; None makes one that is thrown away."""


@dataclass(frozen=True, slots=True)
class View:
    """All tiles of a map."""

    wall_s: float
    cpu_s: float
    requests: int
    """At the object store."""
    bodies: Sequence[bytes | None]
    """Images by tile; empty where no scene is, None where a tile failed."""

    @property
    def failed(self) -> int:
        return self.bodies.count(None)


@dataclass(frozen=True, slots=True)
class Made:
    """A view by one contender."""

    first: View
    again: View | None
    shown: float
    """Part of the pixels that should be."""


Views = Mapping[int, Mapping[str, Made]]
"""By zoom and contender."""


def run(options: Options) -> list[Sheet]:
    """Makes the archive, fills the contenders, and asks each for each view."""
    with ExitStack() as stack:
        folder = options.archive or Path(
            stack.enter_context(TemporaryDirectory(prefix="livemosaic-bench-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        with step(f"archive of {options.across**2:,} scenes"):
            scenes = boreal.make_scenes(folder, options.across)
        of = Stack("boreal", scenes, boreal.QUERY, cell_zoom=boreal.CELL_ZOOM, overviews=True)
        store = stack.enter_context(object_store(folder, options.delay_ms))
        contenders = stack.enter_context(open_contenders(options.names, [of], store, folder))
        views: dict[int, Mapping[str, Made]] = {}
        sheets = []
        for zoom, made in _Asker(options, of, store).views(contenders):
            views[zoom] = made
            sheets.append(_sheet(zoom, made, len(scenes)))
            show(sheets[-1])
    sheets.append(_summary(views, _notes(options, contenders)))
    show(sheets[-1])
    return sheets


@dataclass(frozen=True, slots=True)
class _Asker:
    options: Options
    stack: Stack
    store: ObjectStore

    def views(self, contenders: Contenders) -> Iterator[tuple[int, Mapping[str, Made]]]:
        """Each view by one contender after the other."""
        for turn, zoom in enumerate(self.options.zooms):
            tiles = boreal.view(zoom)
            wanted = [boreal.covered(self.stack.scenes, tile, SIZE) for tile in tiles]
            made = {}
            for contender in rotated(contenders.there, turn):
                with step(f"z{zoom}: {contender.name}"):
                    made[contender.name] = self._made(contender, zoom, wanted)
            yield zoom, made

    def _made(self, contender: Contender, zoom: int, wanted: Sequence[NDArray[np.bool_]]) -> Made:
        with contender.started() as (pid, port):
            one = Running(contender, pid, port, self.options.patience_s)
            self._tile(one, boreal.beside(max(self.options.zooms)))
            first = self._view(one, zoom)
            again = self._view(one, zoom) if first.wall_s < _LONG_S else None
        shown = sum(map(_shown, first.bodies, wanted)) / sum(int(w.sum()) for w in wanted)
        return Made(first, again, shown)

    def _view(self, one: Running, zoom: int) -> View:
        tiles = boreal.view(zoom)
        self.store.take()
        before = _cpu_s(one)
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            start = time.perf_counter()
            bodies = list(pool.map(lambda tile: self._tile(one, tile), tiles))
            wall = time.perf_counter() - start
        return View(wall, _cpu_s(one) - before, self.store.take().requests, bodies)

    def _tile(self, one: Running, tile: morecantile.Tile) -> bytes | None:
        path = one.contender.path(self.stack, tile, ())
        try:
            return one.ask(path, expected=(200, _EMPTY)).body
        except BadAnswerError as error:
            print(f"\n{error}", file=sys.stderr)
            return None


def _cpu_s(one: Running) -> float:
    return (one.cpu_ms() + (one.behind_ms() or 0)) / 1000


def _shown(body: bytes | None, wanted: NDArray[np.bool_]) -> int:
    return int((wanted & (decoded(body)[-1] > 0)).sum()) if body else 0


def _sheet(zoom: int, made: Mapping[str, Made], scenes: int) -> Sheet:
    [tiles, *_] = {len(one.first.bodies) for one in made.values()}
    return Sheet(
        f"z{zoom}: a map of {tiles} tiles over {scenes:,} COGs of 90 km, one band of float32",
        ("maker", "s", "again s", "CPU s", "requests", "failed", "shown %", "sqlite / it",
         "dynamodb / it", "CPU sqlite / it", "CPU dynamodb / it"),
        list(_rows(made)),
    )  # fmt: skip


def _notes(options: Options, contenders: Contenders) -> Sequence[str]:
    return (
        *_NOTES,
        f"{options.delay_ms:g} ms per request for bytes, of overviews as of scenes. A tile fails "
        f"after {options.patience_s:g} s.",
        *(f"Left out: {name} ({why})" for name, why in contenders.left_out.items()),
    )


def _rows(made: Mapping[str, Made]) -> Iterator[Sequence[Value]]:
    for name in NAMES:
        if (one := made.get(name)) is not None:
            yield (
                name,
                one.first.wall_s,
                one.again.wall_s if one.again else None,
                one.first.cpu_s,
                one.first.requests,
                one.first.failed,
                100 * one.shown,
                *(_ratio([made], ours, name, _seconds) for ours in _OURS),
                *(_ratio([made], ours, name, _cpu_seconds) for ours in _OURS),
            )


def _seconds(made: Made) -> float:
    return made.first.wall_s


def _cpu_seconds(made: Made) -> float:
    return made.first.cpu_s


def _ratio(
    views: Sequence[Mapping[str, Made]], ours: str, name: str, cost: Callable[[Made], float]
) -> float | None:
    """Cost of all the views by ours, by that of another."""
    if name in _OURS or any(not {ours, name} <= made.keys() for made in views):
        return None
    mine, its = (sum(cost(made[one]) for made in views) for one in (ours, name))
    return mine / its


def _summary(views: Views, notes: Sequence[str]) -> Sheet:
    together = [views[zoom] for zoom in sorted(views)]
    zooms = {", ".join(f"z{zoom}" for zoom in sorted(views)): together}
    zooms |= {f"z{zoom}": [made] for zoom, made in sorted(views.items())}
    rows: list[Sequence[Value]] = []
    for ours, peer in product(_OURS, (PGSTAC, BACKEND)):
        for what, chosen in zooms.items():
            ratio = _ratio(chosen, ours, peer, _seconds)
            met = "not measured" if ratio is None else "yes" if ratio <= _MOST else "NO"
            cpu = _ratio(chosen, ours, peer, _cpu_seconds)
            rows.append((f"{ours} / {peer}", what, ratio, f"≤ {_MOST:g}", met, cpu))
    columns = ("", "zooms", "time", "target", "met", "CPU")
    return Sheet("A view, the first time: ours / theirs", columns, rows, notes)
