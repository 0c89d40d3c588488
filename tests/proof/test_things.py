"""An object of S3 that holds an Item is written, overwritten and removed: every schedule of that.

What is fetched is what is there at that moment, which may be later than the event. The events are
all of one moment, and only their sequencers tell in which order they were.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from items import NOW, box, item, message
from livemosaic.index.mosaics import Mosaics
from livemosaic.ingest.batch import Ingest
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.fetch import MissingError
from proof.memory import MemoryTable, Rows
from proof.scenes import ALLOW, FULL, ghosts, index
from proof.schedules import Answers, Call, Explored, Program

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


def delivered(body: Mapping[str, Any], mosaic: Mosaic) -> Program:
    def work(answers: Answers) -> bool:
        ingest = Ingest(index(answers), ALLOW, fetch=answers.fetch)
        (outcome,) = ingest.batch([message(body)], only=mosaic)
        assert outcome.status in ("done", "ignored", "failed"), outcome
        return outcome.ok

    return work


def explored(life: Sequence[Content], **bounds: Any) -> Explored:
    table = MemoryTable()
    Mosaics(table).create(Mosaic(id="m", quadkey_zoom=2, max_cells=4, minzoom=2))
    ingest = Ingest(index(table), ALLOW)
    ingest.batch([message(item("z", box(-10, 40, 20, 50)))])  # the mosaic has grown already
    mosaic = Mosaics(table).get("m")

    def bucket(moment: int, call: Call) -> Any:
        content = life[moment - 1]
        return MissingError("404") if content is GONE else json.dumps(content).encode()

    def shows_what_is_there(rows: Rows) -> None:
        scenes, _ = index(MemoryTable(rows)).list_scenes(mosaic, limit=10)
        there = [] if life[-1] is GONE else [life[-1]]
        expected = [(i["id"], i["assets"]["visual"]["href"]) for i in there]
        assert [(s.id, s.assets["visual"]) for s in scenes if s.id != "z"] == expected
        assert ghosts(rows) == set()

    return Explored(
        [delivered(event(content, n), mosaic) for n, content in enumerate(life)],
        table.rows,
        shows_what_is_there,
        happens=tuple(range(len(life))),
        world=bucket,
        still=frozenset({"mosaics"}),
        **bounds,
    )


@pytest.mark.parametrize(("life", "deliveries", "crashes"), LIVES.values(), ids=LIVES)
def test_the_mosaic_shows_what_the_object_holds_at_last(
    life: Sequence[Content], deliveries: int, crashes: int
) -> None:
    every = explored(life, deliveries=deliveries, crashes=crashes)
    assert every.schedules > 100_000
