"""A user insists beside events, truncations and other users: every schedule of that.

The user's request may be sent again, as when its answer was lost, and die after any of its writes.
"""

from collections.abc import Sequence

import pytest

from items import message
from livemosaic.index.mosaics import Mosaics
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Program
from proof.scenes import ALLOW, FULL, LATER, Setting, ghosts, index, setting
from proof.schedules import Explored
from proof.test_every_schedule import an_hour_later
from proof.test_truncations import BODIES, cells

BESIDE = [
    (("put",), "raised"),
    (("raised",), "deleted"),
    (("deleted",), "grown"),
    (("put", "truncated"), "raised"),
    (("put", "raised"), "truncated"),
]
if FULL:
    BESIDE += [(("put", "grown"), "raised"), (("put", "deleted"), "put"), (("put",), "put")]
SECONDS = 7200
"""How far an event may be ahead of the user's clock."""


@pytest.fixture(scope="module")
def there() -> Setting:
    return setting()


def given(sent: Message, mosaic: Mosaic, *, force: bool) -> Program:
    def work(answers: Answers) -> bool:
        ingest = Ingest(index(answers, clock=answers.clock), ALLOW)
        (outcome,) = ingest.batch([sent], only=mosaic, force=force)
        assert outcome.status in ("done", "ignored", "failed"), outcome
        return outcome.ok

    return work


def explored(
    there: Setting, events: Sequence[str], insisted: Sequence[str], ahead: float = 0
) -> list[set[str]]:
    """What is shown at the end of each schedule."""
    ends: list[set[str]] = []

    def look(rows: Rows) -> None:
        table = MemoryTable(rows)
        scenes, _ = index(table).list_scenes(Mosaics(table).get("m"), limit=10)
        shown = {one.assets["visual"].rpartition("/")[2] for one in scenes if one.id == "a"}
        assert len(shown) <= 1
        assert ("s2#a" in cells(rows)) == bool(shown)
        assert ghosts(rows) == set()
        ends.append(shown)

    sent = [message(BODIES[name], n + 1 + ahead) for n, name in enumerate(events)]
    programs = [given(one, there.mosaic, force=False) for one in sent]
    for name in insisted:
        body = message(BODIES[name], LATER - message({}).time.timestamp())
        programs.append(given(body, there.mosaic, force=True))
    twice = FULL or (len(events), len(insisted)) == (1, 1)
    bounds = {"deliveries": 1 + twice, "crashes": int(FULL)}
    every = Explored(programs, there.rows, look, world=an_hour_later, **bounds)
    assert every.schedules > 10
    return ends


def shows(name: str) -> set[str]:
    return set() if name in ("deleted", "truncated") else {f"{name}.tif"}


@pytest.mark.parametrize(("events", "insisted"), BESIDE, ids=str)
def test_what_a_user_insists_on_outlasts_every_event_of_before(
    there: Setting, events: Sequence[str], insisted: str
) -> None:
    for shown in explored(there, events, [insisted]):
        assert shown == shows(insisted)


@pytest.mark.parametrize("event", ["put", "deleted", "truncated"])
def test_an_event_of_a_clock_ahead_is_there_or_what_a_user_insists_on(
    there: Setting, event: str
) -> None:
    """Whichever came last, and nothing of the other."""
    ends = explored(there, [event], ["raised"], SECONDS)
    assert all(shown in (shows(event), shows("raised")) for shown in ends)
    assert shows("raised") in ends


def test_of_two_users_one_wins(there: Setting) -> None:
    ends = explored(there, [], ["raised", "grown"])
    assert all(shown in (shows("raised"), shows("grown")) for shown in ends)
    assert shows("raised") in ends
    assert shows("grown") in ends
