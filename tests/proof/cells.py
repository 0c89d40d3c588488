"""Overview cells beside schedules: builders whose pixels are the names of scenes."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from items import box, deletion, item, message
from livemosaic.index.cells.notes import Notes
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.model.raster import Grid, Pixels
from livemosaic.overviews.base import Bases
from livemosaic.overviews.builder import OverviewBuilder
from livemosaic.overviews.objects import CellObjects
from livemosaic.storage.objects import AbsentError
from livemosaic.table import Table
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Program
from proof.scenes import ALLOW, LATER, index

EDGE = 16
"""Pixels of the edge of a block: the fewest that a TIFF can have."""
REGION = "120"
"""Where everything happens: a cell of zoom 3."""
HERE, THERE, YONDER = box(7, 45.5, 8, 46.5), box(20, 45.5, 21, 46.5), box(30, 50, 31, 51)
"""Places in cells of zoom 6 of their own."""
WEST, EAST, SOUTH = box(1, 42, 15, 64), box(20, 42, 44, 64), box(1, 42, 44, 46)
"""Places large enough to be drawn at zoom 3."""
CHANGES: dict[str, Mapping[str, Any]] = {
    name: item("a", place, href=f"https://example.com/{name}.tif", datetime=f"2026-01-{day:02}")
    for name, place, day in [
        ("put", HERE, 20),
        ("revised", HERE, 21),
        ("hidden", HERE, 1),
        ("moved", THERE, 20),
        ("moved-on", YONDER, 20),
        ("large", WEST, 20),
        ("large-revised", WEST, 21),
        ("large-moved", EAST, 20),
        ("large-moved-on", SOUTH, 20),
    ]
}
OTHER = {"other": {"href": "https://example.com/other.tif", "type": "image/tiff"}}
CHANGES |= {"lacking": item("a", HERE, assets=OTHER, datetime="2026-01-22")}
CHANGES |= {"lacking-moved": item("a", THERE, assets=OTHER, datetime="2026-01-22")}
CHANGES |= {"deleted": deletion("a")}


class Painted:
    """An `AssetReader` of made-up pixels: all of a scene have one value, by its href."""

    async def read(self, assets: Mapping[str, str], grid: Grid, *_: Any, **__: Any) -> Pixels:
        (href,) = assets.values()
        value = hashlib.blake2b(href.encode(), digest_size=1).digest()[0] | 1
        shape = grid.height, grid.width
        return Pixels(np.full((1, *shape), value, np.uint8), np.ones(shape, np.bool_), ("b1",))

    async def frame(self, href: str, *, version: str) -> Any:
        raise NotImplementedError


@dataclass
class Shelf:
    """Objects in memory. Nothing is deleted: other schedules may need it."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def href(self, name: str) -> str:
        return f"memory:///{name}"

    def put(self, name: str, body: bytes) -> None:
        assert self.kept.setdefault(self.href(name), body) == body, f"{name} is written twice"

    def read(self, href: str, stop: int | None = None) -> bytes:
        if href not in self.kept:
            raise AbsentError("is missing")
        return self.kept[href][:stop]

    def delete(self, href: str) -> None:
        """It stays."""

    def names(self, folder: str) -> Iterator[str]:
        hrefs = [href for href in self.kept if href.startswith(self.href(folder))]
        yield from (href.removeprefix(self.href("")) for href in hrefs)


class Emptied(Shelf):
    """A shelf from which objects are taken away."""

    def delete(self, href: str) -> None:
        self.kept.pop(href, None)


SHELF = Shelf()


@contextmanager
def builder(
    table: Table,
    clock: Callable[[], float] = lambda: LATER,
    kind: type[OverviewBuilder] = OverviewBuilder,
    scenes: Callable[[Index], Index] = lambda index: replace(index, consistent=True),
    objects: Any = SHELF,
    reader: Any = None,
    edge: int = EDGE,
) -> Iterator[OverviewBuilder]:
    at = index(table, clock=clock)
    bases = Bases(at, reader or Painted(), None, edge=edge, at_once=1)
    bases._index = scenes(bases._index)
    bases._tiler = replace(bases._tiler, index=bases._index)
    try:
        yield kind(at, bases, CellObjects(objects, edge, 3), clock=clock)
    finally:
        bases.close()


def build(table: Table, regions: Sequence[str] = (REGION,), **how: Any) -> None:
    """Passes until no stale row is left."""
    with builder(table, **how) as one:
        while one.run("m", regions=regions).taken:
            pass


def ingest(table: Table, body: Mapping[str, Any], seconds: float = 0, mosaic: str = "m") -> None:
    only = Mosaics(table).get(mosaic)
    (outcome,) = Ingest(index(table), ALLOW).batch([message(body, seconds)], only=only)
    assert outcome.ok


def beginning(*others: Mapping[str, Any], first: str = "", maxzoom: int = 3) -> Rows:
    """A mosaic with other scenes, and perhaps `a`, whose overviews are up to date."""
    table = MemoryTable()
    policy = OverviewPolicy(assets=("visual",), maxzoom=maxzoom)
    Mosaics(table).create(Mosaic(id="m", quadkey_zoom=6, max_cells=4, overviews=policy))
    for other in others:
        ingest(table, other)
    if first:
        ingest(table, CHANGES[first], -1)
    build(table, REGIONS)
    return table.rows


def building(
    on: Callable[[Table], Table] = lambda table: table,
    regions: Sequence[str] = (REGION,),
    **how: Any,
) -> Program:
    """A worker that makes one pass."""

    def work(answers: Answers) -> bool:
        with builder(on(answers), clock=answers.clock, **how) as one:
            one.run("m", regions=regions)
        return True

    return work


Cells = Mapping[str, tuple[str, Mapping[str, str], Sequence[str], Mapping[str, Notes]]]
"""Digest, sources, kinds and notes by quadkey."""


def cells(rows: Rows) -> Cells:
    table = MemoryTable(rows)
    mosaic = Mosaics(table).get("m")
    (ready,) = mosaic.overview_sets
    found = OverviewRows(table).rows(mosaic, ready)
    return {c.quadkey: (c.digest, c.of, c.kinds, c.notes) for c in found if not c.retired}


def rebuilt(rows: Rows) -> Cells:
    """The cells of a mosaic with the same scenes that are made at once."""
    kept = {k: v for k, v in rows.items() if "#overview." not in k.pk and "#stale#" not in k.pk}
    table = MemoryTable(kept)
    Mosaics(table).put_overview_sets("m", lambda _: [])
    build(table)
    return cells(table.rows)


class UpToDate:
    """Checks that cells equal a full rebuild once no stale row is left."""

    def __init__(self) -> None:
        self._rebuilt: dict[frozenset[Any], Cells] = {}

    def __call__(self, rows: Rows) -> None:
        table = MemoryTable(rows)
        build(table)
        assert not any("#stale#" in key.pk for key in table.rows)
        scenes = frozenset((k, v) for k, v in rows.items() if "#scenes#" in k.pk)
        if scenes not in self._rebuilt:
            self._rebuilt[scenes] = rebuilt(rows)
        assert cells(table.rows) == self._rebuilt[scenes]
