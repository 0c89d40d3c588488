"""An object of S3 that holds an Item is written, overwritten and removed: every schedule of that.

What is fetched is what is there at that moment, which may be later than the event. The events are
all of one moment, and only their sequencers tell in which order they were. A topic may publish the
same Item, or delete it, before or after that moment.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from items import NOW, box, deletion, item, message
from livemosaic.index.mosaics import Mosaics
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.fetch import MissingError
from proof.memory import MemoryTable, Rows
from proof.programs import Answers, Call, Program
from proof.scenes import ALLOW, FULL, ghosts, index
from proof.schedules import Explored

OBJECT = "s3://items/a.json"
A = item("a", box(7, 45, 8, 46), href="https://example.com/a.tif")
CHANGED = item("a", box(7.5, 45, 9, 46), href="https://example.com/changed.tif")
B = item("b", box(7, 45, 8, 46), href="https://example.com/b.tif")
GONE = None

LIVES = {
    "overwritten by itself": ([A, CHANGED], 2, 1),
    "overwritten by another": ([A, B], 1, 1),
    "removed": ([A, GONE], 2, 1),
    "removed and back": ([A, GONE, A], 1, 1),
    "removed twice": ([A, GONE, GONE], 1, 1),
    "overwritten by another and back": ([A, B, A], 1, 0),
    "another after it was removed": ([A, GONE, B], 1, 0),
    "overwritten and removed": ([A, B, GONE], 1, 0),
}
"""What becomes of the object, how often each event comes, and the crashes on its way."""
if FULL:
    LIVES = {name: (life, 2 if len(life) == 2 else 1, 1) for name, (life, *_) in LIVES.items()}

Content = Mapping[str, Any] | None
Shown = set[tuple[str, str]]
"""Ids and images of the scenes."""


def event(content: Content, n: int) -> dict[str, Any]:
    """S3 User Guide, "Event message structure"."""
    thing = {"key": "a.json", "sequencer": f"0055AED6DCD902810{n:X}"}
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": "ObjectRemoved:Delete" if content is GONE else "ObjectCreated:Put",
                "eventTime": NOW.isoformat(),
                "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "items"}, "object": thing},
            }
        ]
    }


def delivered(sent: Message, mosaic: Mosaic) -> Program:
    def work(answers: Answers) -> bool:
        ingest = Ingest(index(answers), ALLOW, fetch=answers.fetch)
        (outcome,) = ingest.batch([sent], only=mosaic)
        assert outcome.status in ("done", "ignored", "failed"), outcome
        return outcome.ok

    return work


def explored(
    life: Sequence[Content],
    check: Callable[[Shown], None],
    published: Sequence[Message] = (),
    **bounds: Any,
) -> Explored:
    table = MemoryTable()
    Mosaics(table).create(Mosaic(id="m", quadkey_zoom=2, max_cells=4, minzoom=2))
    ingest = Ingest(index(table), ALLOW)
    ingest.batch([message(item("z", box(-10, 40, 20, 50)))])  # the mosaic has grown already
    mosaic = Mosaics(table).get("m")

    def bucket(moment: int, call: Call) -> Any:
        content = life[moment - 1]
        return MissingError("404") if content is GONE else json.dumps(content).encode()

    def check_rows(rows: Rows) -> None:
        scenes, _ = index(MemoryTable(rows)).list_scenes(mosaic, limit=10)
        check({(scene.id, scene.assets["visual"]) for scene in scenes if scene.id != "z"})
        assert ghosts(rows) == set()

    events = [message(event(content, n)) for n, content in enumerate(life)]
    return Explored(
        [delivered(sent, mosaic) for sent in (*events, *published)],
        table.rows,
        check_rows,
        happens=tuple(range(len(life))),
        world=bucket,
        still=frozenset({"mosaics"}),
        **bounds,
    )


@pytest.mark.parametrize(("life", "deliveries", "crashes"), LIVES.values(), ids=LIVES)
def test_the_mosaic_shows_what_the_object_holds_at_last(
    life: Sequence[Content], deliveries: int, crashes: int
) -> None:
    every = explored(life, shows(life[-1]), deliveries=deliveries, crashes=crashes)
    assert every.schedules > 100_000


def of(*documents: Content) -> Shown:
    return {(each["id"], each["assets"]["visual"]["href"]) for each in documents if each}


def shows(*documents: Content) -> Callable[[Shown], None]:
    def check(shown: Shown) -> None:
        assert shown == of(*documents)

    return check


PUBLISHED = item("a", box(7, 45, 8, 46), href="https://example.com/published.tif")
BESIDE: Mapping[str, tuple[Sequence[Content], Message, Sequence[Content]]] = {
    "overwritten, published later": ([A, CHANGED], message(PUBLISHED, 9), [PUBLISHED]),
    "overwritten, published before": ([A, CHANGED], message(PUBLISHED, -9), [CHANGED]),
    "removed, published later": ([A, GONE], message(PUBLISHED, 9), [PUBLISHED]),
    "overwritten by another, published later": ([A, B], message(PUBLISHED, 9), [B, PUBLISHED]),
    "overwritten, deleted later": ([A, CHANGED], message(deletion("a"), 9), []),
    "overwritten, deleted before": ([A, CHANGED], message(deletion("a"), -9), [CHANGED]),
    "removed, deleted before": ([A, GONE], message(deletion("a"), -9), []),
    "overwritten by another, deleted later": ([A, B], message(deletion("a"), 9), [B]),
}
"""What becomes of the object, what a topic says of its first Item, and what is shown at last."""


@pytest.mark.parametrize(("life", "published", "last"), BESIDE.values(), ids=BESIDE)
def test_an_item_of_an_object_and_of_a_topic_is_shown_as_the_later_of_them_says(
    life: Sequence[Content], published: Message, last: Sequence[Content]
) -> None:
    crashes = 1 if FULL else 0
    every = explored(life, shows(*last), [published], deliveries=1, crashes=crashes)
    assert every.schedules > 1_000


@pytest.mark.parametrize(
    ("life", "rest"), [([A, GONE], []), ([A, B], [B])], ids=["removed", "overwritten by another"]
)
def test_what_was_published_before_an_object_lost_its_item_goes_with_it_if_that_was_known(
    life: Sequence[Content], rest: Sequence[Content]
) -> None:
    """The one set of changes whose end depends on their order (docs/order.md, what is given up).

    Where the event of the loss came first, the Item that was in the object can never be known.
    """
    ends: list[Shown] = []
    explored(life, ends.append, [message(PUBLISHED, -9)], deliveries=1, crashes=0)
    assert all(end in (of(*rest), of(*rest, PUBLISHED)) for end in ends)
    assert of(*rest) in ends
    assert of(*rest, PUBLISHED) in ends
