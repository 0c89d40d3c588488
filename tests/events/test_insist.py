"""A user insists beside the events of S3 objects, and gives such events to `ingest --force`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from events.test_tracked import PLACE, Bucket, create, made
from items import deletion, item, message
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.table import Table


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def ingest(table: Table, bucket: Bucket) -> Iterator[Ingest]:
    with ThreadPoolExecutor(4) as pool:
        yield made(table, bucket, pool)


def link(name: str) -> str:
    return f"https://example.com/{name}.tif"


def insist(ingest: Ingest, *bodies: Any) -> list[str]:
    """Changes that a user asks for now."""
    messages = [
        body if isinstance(body, Message) else Message(str(n), body, datetime.now(UTC), {})
        for n, body in enumerate(bodies)
    ]
    outcomes = ingest.batch(messages, force=True)
    assert all(outcome.ok for outcome in outcomes), outcomes
    return [change.change for outcome in outcomes for change in outcome.changes]


def shown(ingest: Ingest) -> dict[str, str]:
    """What the mosaic shows: the file by id."""
    scenes, _ = ingest.index.list_scenes(ingest.index.mosaics.get("m"), limit=100)
    return {one.id: one.assets["visual"].rpartition("/")[2] for one in scenes}


class TestBesideObjects:
    def test_the_event_of_before_that_comes_again_changes_nothing(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        event = bucket.put(item("a", href=link("object")))
        ingest.batch([event])
        insist(ingest, item("a", href=link("user")))
        for _ in range(2):
            (outcome,) = ingest.batch([event])
            assert (outcome.status, len(outcome.older)) == ("ignored", 1)
        assert shown(ingest) == {"a": "user.tif"}

    def test_the_next_event_of_the_object_wins_and_its_removal_removes(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        bucket.events = 365 * 24 * 3600  # its events are later than now
        insist(ingest, item("a", href=link("user")))
        ingest.batch([bucket.put(item("a", href=link("object")))])
        assert shown(ingest) == {"a": "object.tif"}
        insist(ingest, item("a", href=link("user")))
        assert shown(ingest) == {"a": "user.tif"}
        ingest.batch([bucket.remove()])
        assert shown(ingest) == {}

    def test_what_a_user_deletes_stays_away_until_the_object_changes(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        bucket.events = 365 * 24 * 3600
        event = bucket.put(item("a"))
        ingest.batch([event])
        insist(ingest, deletion("a"))
        ingest.batch([event])
        assert shown(ingest) == {}
        ingest.batch([bucket.put(item("a"))])
        assert shown(ingest) == {"a": "a.tif"}


class TestEventsOfObjects:
    def test_an_older_event_shows_what_the_object_holds_now(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        first = bucket.put(item("a", href=link("1")))
        ingest.batch([first, bucket.put(item("a", href=link("2")))])
        ingest.batch([message(deletion("a"), 3600)])
        assert insist(ingest, first) == ["applied"]
        assert shown(ingest) == {"a": "2.tif"}

    def test_an_older_event_of_an_object_that_is_gone_changes_nothing(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        first = bucket.put(item("a"))
        ingest.batch([first, bucket.remove()])
        assert insist(ingest, first) == []
        assert shown(ingest) == {}

    def test_a_removal_takes_out_what_a_topic_published_later(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        ingest.batch([bucket.put(item("a"))])
        removed = bucket.remove()
        ingest.batch([message(item("a", href=link("topic")), 3600)])
        ingest.batch([removed])
        assert shown(ingest) == {"a": "topic.tif"}
        insist(ingest, removed)
        assert shown(ingest) == {}

    def test_an_item_that_the_object_held_before_is_not_insisted_on(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        """It may have been published by another way since."""
        create(ingest)
        ingest.batch([bucket.put(item("a"))])
        ingest.batch([message(item("a", href=link("topic")), 3600)])
        insist(ingest, bucket.put(item("b"), PLACE))
        assert shown(ingest) == {"a": "topic.tif", "b": "a.tif"}
