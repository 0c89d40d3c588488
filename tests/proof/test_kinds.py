"""The first Items of a mosaic come at once, and contradict each other: every schedule of that."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pytest

from items import item, message
from livemosaic.index.learning.meanings import differences
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.registry.roster import RecentMosaics
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Program
from proof.scenes import ALLOW, FULL, HERE, index
from proof.schedules import Explored

STATED: Mapping[str, Mapping[str, Any]] = {
    "ndvi": {"title": "NDVI"},
    "lst": {"title": "LST"},
    "kelvin": {"bands": [{"unit": "K"}]},
    "celsius": {"bands": [{"unit": "°C"}]},
    "nothing": {},
}
EVENTS = [
    ("ndvi", "lst"),
    ("nothing", "lst"),
    ("ndvi", "ndvi"),
    ("ndvi", "lst", "nothing"),
    ("kelvin", "nothing", "celsius"),
    ("ndvi", "kelvin", "celsius"),
]


def delivered(sent: Message, known: Sequence[Mosaic]) -> Program:
    """`known` are the mosaics as they were before all of it, which every worker still believes."""

    def work(answers: Answers) -> bool:
        (outcome,) = Ingest(index(answers), ALLOW, recent=RecentMosaics(known)).batch([sent])
        assert outcome.status in ("done", "failed"), outcome
        return outcome.ok

    return work


def document(kind: str, number: int) -> dict[str, Any]:
    href = f"https://example.com/{kind}.tif"
    asset = {"href": href, "type": "image/tiff", **STATED[kind]}
    return item(f"{kind}-{number}", HERE, assets={"data": asset})


@pytest.mark.parametrize("kinds", EVENTS, ids=", ".join)
def test_of_first_items_that_contradict_each_other_one_kind_is_shown(kinds: Sequence[str]) -> None:
    table = MemoryTable()
    mosaics = Mosaics(table)
    mosaics.create(Mosaic(id="m", quadkey_zoom=4, max_cells=4))
    known = [mosaics.get("m")]
    sent = [message(document(kind, n), seconds=n + 1) for n, kind in enumerate(kinds)]
    meant = _meanings(kinds)

    def one_kind(rows: Rows) -> None:
        after = MemoryTable(rows)
        mosaic = Mosaics(after).get("m")
        scenes, _ = index(after).list_scenes(mosaic, limit=10)
        assert len(scenes) == len(kinds)
        shown = [scene.id.partition("-")[0] for scene in scenes if not scene.other_kinds]
        assert shown
        for one, other in combinations(shown, 2):
            assert not differences(meant[one], meant[other]), (one, other)
        for scene in scenes:  # and none is left out for nothing
            against = differences(mosaic.meanings, meant[scene.id.partition("-")[0]])
            assert scene.other_kinds == against

    programs = [delivered(one, known) for one in sent]
    crashes = 1 if FULL or len(kinds) == 2 else 0
    every = Explored(programs, table.rows, one_kind, deliveries=1, crashes=crashes)
    assert every.schedules > 50


def _meanings(kinds: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """What each Item states, as a mosaic knows it that has no other."""
    found: dict[str, Mapping[str, str]] = {}
    for kind in kinds:
        table = MemoryTable()
        Mosaics(table).create(Mosaic(id="m"))
        Ingest(index(table), ALLOW).batch([message(document(kind, 0))])
        found[kind] = Mosaics(table).get("m").meanings
    return found
