"""Bounds are fitted while scenes come, move and go: every schedule of that.

Whatever happens, bounds hold every scene once all messages are done, and after one more fit no
more than that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import pytest

from items import box, deletion, item, message
from livemosaic.geo.antimeridian import extent, united
from livemosaic.index.bounds.fit import BoundsFitter
from livemosaic.index.bounds.marks import LooseMarks
from livemosaic.index.bounds.survey import surveyed
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.registry.roster import RecentMosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.table import Table
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Program
from proof.scenes import ALLOW, FULL, LATER, Setting, index
from proof.schedules import Explored

HERE, FAR = box(7, 45, 8, 46), box(50, 45.2, 51, 45.8)
AROUND: BBox = (7, 45, 8, 46)
BODIES: Mapping[str, Mapping[str, Any]] = {
    "far": item("b", box(50.2, 45.3, 50.8, 45.7), href="https://example.com/far.tif"),
    "far-again": item("b", box(50.2, 45.3, 50.8, 45.7), href="https://example.com/far.tif"),
    "moved-far": item("a", box(50.2, 45.3, 50.8, 45.7)),
    "farther": item("c", box(60, 43, 61, 44)),
    "back": item("a", HERE, href="https://example.com/back.tif"),
    "deleted": deletion("a"),
}
EVENTS = [
    ("far",),
    ("moved-far",),
    ("farther",),
    ("far", "far-again"),
    ("far", "deleted"),
    ("moved-far", "back"),
]


@pytest.fixture(scope="module")
def loose() -> Setting:
    return loosened(MemoryTable())


def loosened(table: MemoryTable) -> Setting:
    """A mosaic of scene `a`, whose bounds still reach to a scene that was deleted."""
    Mosaics(table).create(Mosaic(id="m", quadkey_zoom=4, max_cells=4))
    first = [message(item("a", HERE)), message(item("gone", FAR)), message(deletion("gone"), 1)]
    ingest = Ingest(index(table, clock=lambda: LATER - 100), ALLOW)
    for one in first:
        assert ingest.batch([one])[0].ok
    mosaic = Mosaics(table).get("m")
    assert mosaic.bounds == (7, 45, 51, 46)
    assert LooseMarks(table).of("m")
    return Setting(mosaic, table.rows)


@dataclass(frozen=True, slots=True)
class Guessing(BoundsFitter):
    """Its guess, which may be anything, reads nothing, so that there are fewer schedules."""

    def guess(self, mosaic: Mosaic) -> BBox | None:
        return None


def fitting(kind: Callable[[Index], BoundsFitter] = Guessing) -> Program:
    def work(answers: Answers) -> bool:
        kind(index(answers)).fit("m")
        return True

    return work


def delivered(
    body: Mapping[str, Any], seconds: float, known: Mosaic, kind: type[Index] = Index
) -> Program:
    """A worker that ingests a message, and believes the mosaic to be as it was before all of it."""

    def work(answers: Answers) -> bool:
        plain = index(answers)
        own = kind(plain.table, plain.mosaics, plain.pool, plain.clock)
        ingest = Ingest(own, ALLOW, recent=RecentMosaics([known], clock=lambda: 0.0))
        (outcome,) = ingest.batch([message(body, seconds)])
        assert outcome.status in ("done", "ignored", "failed"), outcome
        return outcome.ok

    return work


def exact(table: Table) -> BBox | None:
    """The bounds of all scenes that are there, by reading each of them."""
    mosaic = Mosaics(table).get("m")
    boxes = [extent(scene.footprint) for scene in index(table).every_scene(mosaic)]
    return reduce(united, boxes) if boxes else None


def hold_every_scene(rows: Rows) -> None:
    table = MemoryTable(rows)
    mosaic, scenes = Mosaics(table).get("m"), exact(table)
    assert mosaic.reach is not None
    assert united(mosaic.reach, mosaic.bounds or mosaic.reach) == mosaic.reach
    if scenes is not None:
        assert mosaic.bounds is not None
        assert united(mosaic.bounds, scenes) == mosaic.bounds, f"lacks a scene: {mosaic.bounds}"
    BoundsFitter(index(table, clock=lambda: LATER + 4000)).fit("m")
    assert Mosaics(table).get("m").bounds == scenes, "is too large, and stays so"


def explored(loose: Setting, programs: Sequence[Program], **bounds: Any) -> Explored:
    return Explored(programs, loose.rows, hold_every_scene, **bounds)


class TestEverySchedule:
    @pytest.mark.parametrize("names", EVENTS, ids=", ".join)
    def test_bounds_hold_every_scene(self, loose: Setting, names: Sequence[str]) -> None:
        programs = [delivered(BODIES[name], n + 2, loose.mosaic) for n, name in enumerate(names)]
        crashes = 1 if FULL or len(names) == 1 or "deleted" in names else 0
        every = explored(loose, [fitting(), *programs], deliveries=1, crashes=crashes)
        assert every.schedules > 1000
        assert len(every.ends) > 1

    def test_two_fits_at_once(self, loose: Setting) -> None:
        programs = [fitting(), fitting(), delivered(BODIES["far"], 2, loose.mosaic)]
        assert explored(loose, programs, workers=3, deliveries=1, crashes=0).schedules > 10_000

    def test_without_any_event_they_shrink(self, loose: Setting) -> None:
        every = explored(loose, [fitting(BoundsFitter)])
        bounds = {Mosaics(MemoryTable(every.tables[end])).get("m").bounds for end in every.ends}
        assert bounds == {AROUND}


class TestTheProofItself:
    """Each of these is a protocol that seems to do: every one is found out."""

    def found_out(self, loose: Setting, programs: Sequence[Program], **bounds: Any) -> None:
        with pytest.raises(AssertionError, match="lacks a scene"):
            explored(loose, programs, **bounds)

    def test_a_fit_on_condition_that_the_row_is_unchanged(self, loose: Setting) -> None:
        """The shortcut: read all, write if no growth came in between."""
        far = delivered(BODIES["far"], 2, loose.mosaic)
        self.found_out(loose, [fitting(Unannounced), far], crashes=0, deliveries=1)

    def test_a_writer_that_does_not_look_after_it_wrote(self, loose: Setting) -> None:
        far = delivered(BODIES["far"], 2, loose.mosaic, Heedless)
        self.found_out(loose, [fitting(), far], crashes=0, deliveries=1)

    def test_a_message_that_comes_again_and_looks_at_nothing(self, loose: Setting) -> None:
        """Its first worker died after it wrote the scene; the second one knows the new bounds."""

        def work(answers: Answers) -> bool:
            ingest = Ingest(Careless(answers, Mosaics(answers), index(answers).pool), ALLOW)
            (outcome,) = ingest.batch([message(BODIES["far"], 2)])
            return outcome.ok

        self.found_out(loose, [fitting(), work], deliveries=1)

    def test_a_fit_that_forgets_what_came_meanwhile(self, loose: Setting) -> None:
        far = delivered(BODIES["far"], 2, loose.mosaic)
        self.found_out(loose, [fitting(Forgetful), far], crashes=0, deliveries=1)


@dataclass(frozen=True, slots=True)
class Unannounced(BoundsFitter):
    def _fit(self, mosaic_id: str) -> tuple[bool, bool]:
        before = self.reader.mosaics.get(mosaic_id)
        found = surveyed(replace(self.reader, consistent=True), before)

        def change(now: Mosaic) -> Mosaic:
            return replace(now, bounds=found) if now.revision == before.revision else now

        self.reader.mosaics._write(mosaic_id, change, announce=True)
        return True, True


@dataclass(frozen=True, slots=True)
class Forgetful(BoundsFitter):
    def _fit(self, mosaic_id: str) -> tuple[bool, bool]:
        mosaics = self.reader.mosaics
        announced = mosaics.announce_fit(mosaic_id, None)
        found = surveyed(replace(self.reader, consistent=True), announced)
        mosaics._write(
            mosaic_id,
            lambda now: replace(now, bounds=found, fit=now.fit and replace(now.fit, done=True)),
            announce=True,
        )
        return True, True


class Heedless(Index):
    def meet_fit(self, mosaic_id: str, key: str) -> None:
        """Looks at nothing."""


class Careless(Index):
    def _hold(self, mosaic: Mosaic, head: Any) -> None:
        """Looks at nothing."""

    def meet_fit(self, mosaic_id: str, key: str) -> None:
        mosaic = self.mosaics.get(mosaic_id)
        Index._hold(self, mosaic, self.head(mosaic, key))
