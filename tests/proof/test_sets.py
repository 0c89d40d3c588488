"""Sets of changes of every kind and source end in one way, in whatever order they arrive.

Every set up to a size, with every duplicate, and with crashes after every write. The one exception
of docs/order.md is found again: which sets it covers, and that there is no other.
LIVEMOSAIC_TEST_DEPTH=full takes larger sets, and more lives of an object.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from items import deletion, item
from livemosaic.index.mosaics import Mosaics
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order
from livemosaic.model.time import utc_text
from proof.memory import MemoryTable, Rows
from proof.scenes import ALLOW, FULL, ghosts, index
from proof.sets import Change, Content, Sets
from proof.test_order import LAST_READ, at, event, line

CLEAR = Cql2Filter.parse("eo:cloud_cover < 50").document
PUTS = "putting "
"""Begins the names of changes by which another source shows scene `a`."""


def scene(item_id: str, name: str, updated: float | None = None, cloud: int = 0) -> dict[str, Any]:
    stated = None if updated is None else utc_text(at(updated))
    href, properties = f"https://example.com/{name}.tif", {"eo:cloud_cover": cloud}
    return item(item_id, href=href, updated=stated, properties=properties)


def put(name: str, seconds: float, updated: float | None = None) -> Change:
    return Change(f"{PUTS}{name}", event(scene("a", name, updated), seconds))


def listed(name: str, answered: float, updated: float | None = None) -> Change:
    order = Order.listed(at(answered), at(answered), snapshot=True)
    message = Message("page", scene("a", name, updated), LAST_READ, {}, stated=order)
    return Change(f"{PUTS}{name}", message)


def at_moment(seconds: float) -> list[Change]:
    """What a topic may say at any moment: the scene is here, leaves by the filter, or is gone."""
    leaves = event(scene("a", "cloudy", cloud=90), seconds)
    truncated = event({"op": "truncate", "collection": "s2"}, seconds)
    return [
        put(f"at-{seconds}", seconds),
        Change(f"cloudy at {seconds}", leaves),
        Change(f"gone at {seconds}", event(deletion("a"), seconds)),
        Change(f"truncated at {seconds}", truncated),
    ]


ONCE = [
    put("ahead", 5, 9999),
    put("behind", 25, -9999),
    put("equal-1", 15, 0),
    put("equal-2", 15, 0),
    Change(f"{PUTS}the same again", event(scene("a", "at-5"), 26)),
    listed("catalogue", 99, 15),
    listed("undated", 15),
    listed("stac-geoparquet", 14, 0),
    Change(f"{PUTS}API", line(scene("a", "API"), 15, 1, 15)),
    Change(f"{PUTS}file", line(scene("a", "file"), 15, 2, 60)),
    Change("gone by a file", line(deletion("a"), 15, 3, 60)),
]
TOPIC = [change for seconds in (5, 15, 25) for change in at_moment(seconds)]

A, A2, B, C = scene("a", "A"), scene("a", "A2"), scene("b", "B"), scene("c", "C")
CLOUDY = scene("a", "cloudy", cloud=90)
LIVES: Mapping[str, Sequence[Content]] = {
    "overwritten by itself": [A, A2],
    "leaves by the filter": [A, CLOUDY],
    "overwritten by another": [A, B],
    "removed": [A, None],
    "removed and back": [A, None, A],
    "removed twice": [A, None, None],
    "overwritten by another and removed": [A, B, None],
    "overwritten by another and back": [A, B, A2],
    "overwritten by others": [A, B, C],
    "removed, then another": [A, None, B],
}
"""What becomes of an object, ten seconds after each other."""


def objects_event(content: Content, n: int) -> Message:
    """S3 User Guide, "Event message structure"."""
    thing = {"key": "a.json", "sequencer": f"0055AED6DCD902810{n:X}"}
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectRemoved:Delete" if content is None else "ObjectCreated:Put",
        "eventTime": at(10 * n).isoformat(),
        "s3": {"bucket": {"name": "items"}, "object": thing},
    }
    return Message(f"s3:{n}", {"Records": [record]}, LAST_READ, {})


def backfilled(content: Content, n: int) -> Message:
    """As `livemosaic ingest s3://items/` lists it between two events."""
    assert content is not None
    order = Order.listed(at(10 * n), LAST_READ, 1)
    return Message(f"list:{n}", content, LAST_READ, {}, "s3://items/a.json", stated=order)


def before() -> Rows:
    table = MemoryTable()
    mosaic = Mosaic(id="m", quadkey_zoom=2, max_cells=4, minzoom=2, filter=CLEAR)
    Mosaics(table).create(mosaic)
    (outcome,) = Ingest(index(table), ALLOW).batch([event(scene("z", "z"), -1000)])
    assert outcome.ok  # the mosaic has grown already
    return table.rows


def shown(rows: Rows) -> frozenset[tuple[str, str]]:
    """Ids and images of the scenes; they alone have rows in cells."""
    table = MemoryTable(rows)
    scenes, _ = index(table).list_scenes(Mosaics(table).get("m"), limit=10)
    in_cells = {k.sk.partition("#")[2] for k in rows if "#cell#" in k.pk or "#coarse#" in k.pk}
    assert in_cells == {scene.key for scene in scenes}
    assert ghosts(rows) == set()
    return frozenset((s.id, s.assets["visual"]) for s in scenes if s.id != "z")


def of(*documents: Content) -> frozenset[tuple[str, str]]:
    passing = (one for one in documents if one and one["properties"]["eo:cloud_cover"] < 50)
    return frozenset((one["id"], one["assets"]["visual"]["href"]) for one in passing)


def explored(
    life: Sequence[Content], others: Sequence[Change], most: int, *, crashes: bool = True
) -> Sets:
    numbered = [*enumerate(life, 1)]
    events = [Change(f"event {n}", objects_event(content, n), n) for n, content in numbered]
    lists = [
        Change(f"backfill {n}", backfilled(content, n), n) for n, content in numbered if content
    ]
    return Sets(before(), events, [*lists, *others], most, crashes, life, shown)


def test_sets_of_changes_of_a_scene_end_in_one_way() -> None:
    every = explored([], [*TOPIC, *ONCE], most=3 if FULL else 2)
    assert every.doubtful() == {}
    assert len(every.ends) == (2048 if FULL else 277)


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_an_object_and_lists_of_it_end_as_the_object(life: Sequence[Content]) -> None:
    """Backfills between any two events, all of which may be late."""
    every = explored(life, [], most=3, crashes=FULL or len(life) == 2)
    assert every.doubtful() == {}
    assert {end for ends in every.ends.values() for end in ends} == {of(life[-1])}


BESIDE = [*LIVES] if FULL else ["overwritten by itself", "removed"]


@pytest.mark.parametrize("name", BESIDE)
def test_an_object_beside_another_source_has_one_exception(name: str) -> None:
    """Another source put the Item before an event by which, or after which, it was not in the
    object (docs/order.md, "Items of two sources"): then it is shown, or is not.
    """
    life = LIVES[name]
    every = explored(life, [*TOPIC, *ONCE], most=1, crashes=FULL)
    for names, ends in every.doubtful().items():
        (put_elsewhere,) = names
        assert put_elsewhere.startswith(PUTS), (names, ends)
        assert len(ends) == 2
        without, with_it = sorted(ends, key=len)
        assert without == of(life[-1])
        assert {item_id for item_id, _ in with_it - without} == {"a"}
    last = life[-1]
    holds = last is not None and last["id"] == "a"
    assert bool(every.doubtful()) is not holds


class TestTheProofItself:
    def test_an_order_of_arrival_is_found_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("livemosaic.index.scenes.unmarked", lambda _: "")
        assert explored([], [put("at-5", 5), put("at-6", 6)], most=2).doubtful() != {}

    def test_an_object_that_forgets_what_a_list_named_is_found_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forgets = "livemosaic.ingest.tracked_objects.TrackedObjects._see"
        monkeypatch.setattr(forgets, lambda tracked, listed, _: tracked.get(listed.object_name))
        life = LIVES["overwritten by another and removed"]
        doubtful = explored(life, [], most=1, crashes=False).doubtful()
        assert {*doubtful} == {frozenset({"backfill 2"})}
