"""A collection is truncated while its scenes come and go: every schedule of that."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from items import message
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.registry.roster import RecentMosaics
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Program
from proof.scenes import ALLOW, CHANGES, FULL, Setting, ghosts, index, setting
from proof.schedules import Explored

TRUNCATED = {"op": "truncate", "collection": "s2"}
BODIES: Mapping[str, Mapping[str, Any]] = {**CHANGES, "truncated": TRUNCATED}
EVENTS = [
    ("put", "truncated"),
    ("truncated", "put"),
    ("put", "truncated", "raised"),
    ("put", "truncated", "put"),
    ("put", "raised", "truncated"),
    ("deleted", "truncated", "put"),
]


@pytest.fixture(scope="module")
def there() -> Setting:
    return setting()


def delivered(sent: Message, known: Sequence[Mosaic] | None = None) -> Program:
    """`known` are the mosaics as they were before all of it, which a worker may still believe."""

    def work(answers: Answers) -> bool:
        (outcome,) = Ingest(index(answers), ALLOW, recent=RecentMosaics(known)).batch([sent])
        assert outcome.status in ("done", "ignored", "failed"), outcome
        return outcome.ok

    return work


@pytest.mark.parametrize("stale", [False, True], ids=["", "mosaics of a moment ago"])
@pytest.mark.parametrize("names", EVENTS, ids=", ".join)
def test_what_is_newer_than_the_truncation_is_there_and_nothing_else(
    there: Setting, names: Sequence[str], stale: bool
) -> None:
    sent = [message(BODIES[name], seconds=n + 1) for n, name in enumerate(names)]
    last = names[-1] if names[-1] in ("put", "raised") else None

    def only_what_is_newer(rows: Rows) -> None:
        table = MemoryTable(rows)
        scenes, _ = index(table).list_scenes(Mosaics(table).get("m"), limit=10)
        shown = [scene.assets["visual"].rpartition("/")[2] for scene in scenes]
        assert shown == ([f"{last}.tif"] if last else [])
        assert cells(rows) == ({"s2#a"} if last else set())
        assert ghosts(rows) == set()

    known = [there.mosaic] if stale else None
    programs = [delivered(one, known) for one in sent]
    crashes = 1 if FULL or len(names) == 2 else 0
    every = Explored(programs, there.rows, only_what_is_newer, deliveries=1, crashes=crashes)
    assert every.schedules > 100


def cells(rows: Rows) -> set[str]:
    """Scenes with rows in cells."""
    return {k.sk.partition("#")[2] for k in rows if "#cell#" in k.pk or "#coarse#" in k.pk}
