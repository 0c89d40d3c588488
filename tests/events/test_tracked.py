"""Events that do not carry their Item: what the thing holds that they tell of is what counts."""

import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.meter import Metered
from interruptions import Hook, Hooked
from items import NOW, box, item, message
from livemosaic.errors import SourceUnavailableError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest, Outcome
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.fetch import FetchError, MissingError
from livemosaic.table import Table

PLACE = "s3://bucket/items/a.json"
CMR = {
    "concept-id": "G1200463969-CMR_ONLY",
    "revision-id": "1",
    "location": "https://cmr.earthdata.nasa.gov/search/concepts/G1200463969-CMR_ONLY/1",
}


@dataclass
class Bucket:
    """Objects, and the events of what was done to them."""

    objects: dict[str, Any] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    events: int = 0

    def put(self, document: Any, place: str = PLACE) -> Message:
        """Write an object."""
        self.objects[place] = document
        return self._event("ObjectCreated:Put", place)

    def remove(self, place: str = PLACE) -> Message:
        self.objects.pop(place, None)
        return self._event("ObjectRemoved:Delete", place)

    def get(self, href: str) -> bytes:
        self.fetched.append(href)
        if href not in self.objects:
            raise MissingError(f"{href!r} is not there")
        found = self.objects[href]
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, bytes) else json.dumps(found).encode()

    def _event(self, name: str, place: str) -> Message:
        """As S3 sends it (S3 User Guide, "Event message structure"), a second after the last."""
        self.events += 1
        bucket, _, key = place.removeprefix("s3://").partition("/")
        sent = message({}, self.events).time
        record = {
            "eventSource": "aws:s3",
            "eventTime": sent.isoformat().replace("+00:00", "Z"),
            "eventName": name,
            "s3": {
                "bucket": {"name": bucket},
                "object": {"key": key, "sequencer": f"{0x55AED6DCD90281E4 + self.events:018X}"},
            },
        }
        return Message(f"{name} {self.events}", {"Records": [record]}, sent, {})


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def ingest(table: Table, bucket: Bucket) -> Iterator[Ingest]:
    with ThreadPoolExecutor(4) as pool:
        yield made(table, bucket, pool)


def made(table: Table, bucket: Bucket, pool: ThreadPoolExecutor) -> Ingest:
    index = Index(table, Mosaics(table), pool)
    return Ingest(index, AllowList(("https://", "s3://")), fetch=bucket.get)


def create(ingest: Ingest, mosaic_id: str = "m", **settings: Any) -> Mosaic:
    return ingest.index.mosaics.create(Mosaic(id=mosaic_id, **settings))


def shown(ingest: Ingest, mosaic_id: str = "m") -> list[str]:
    mosaic = ingest.index.mosaics.get(mosaic_id)
    return sorted(scene.id for scene in ingest.index.list_scenes(mosaic, limit=100)[0])


def from_list(document: Any, seconds: float) -> Message:
    """An Item as `livemosaic ingest s3://…` reads it from an object that was written then."""
    modified = message({}, seconds).time
    order = Order.listed(modified, NOW + timedelta(days=1), 1)
    return Message(f"{PLACE}:1", document, datetime.now(UTC), {}, PLACE, stated=order)


def statuses(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


class TestObjects:
    def test_an_object_is_shown_while_it_is_there(self, ingest: Ingest, bucket: Bucket) -> None:
        create(ingest)
        assert statuses(ingest.batch([bucket.put(item("a"))])) == ["done"]
        assert shown(ingest) == ["a"]
        assert statuses(ingest.batch([bucket.remove()])) == ["done"]
        assert shown(ingest) == []

    def test_it_is_in_every_mosaic_that_wants_it_and_leaves_them_all(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest, "m")
        create(ingest, "n", collections=("s2",))
        create(ingest, "other", collections=("landsat",))
        ingest.batch([bucket.put(item("a"))])
        assert [shown(ingest, name) for name in ("m", "n", "other")] == [["a"], ["a"], []]
        ingest.batch([bucket.remove()])
        assert [shown(ingest, name) for name in ("m", "n", "other")] == [[], [], []]

    def test_a_removal_that_comes_first_holds(self, ingest: Ingest, bucket: Bucket) -> None:
        create(ingest)
        created, removed = bucket.put(item("a")), bucket.remove()
        bucket.objects[PLACE] = item("a")  # a store that shows what is gone
        ingest.batch([removed])
        ingest.batch([created])
        assert shown(ingest) == []
        assert bucket.fetched == [], "what is outdated is not even fetched"

    def test_a_removal_of_what_was_never_known_is_logged_once(
        self, ingest: Ingest, bucket: Bucket, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Another source may have brought its Item before: that one stays (docs/order.md)."""
        caplog.set_level("INFO", "livemosaic.ingest.batch")
        create(ingest)
        ingest.batch([message(item("a"))])
        bucket.put(item("a"))
        removed = bucket.remove()
        ingest.batch([removed])
        ingest.batch([removed])
        assert shown(ingest) == ["a"]
        logged = [(r.message, vars(r)["object"]) for r in caplog.records]
        assert logged == [("an object is gone whose Item was never known", PLACE)]

    def test_a_removal_of_what_was_known_is_not_logged(
        self, ingest: Ingest, bucket: Bucket, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "livemosaic.ingest.batch")
        create(ingest)
        ingest.batch([bucket.put(item("a"))])
        ingest.batch([bucket.remove()])
        assert caplog.records == []

    def test_what_comes_back_unchanged_is_shown_again(self, ingest: Ingest, bucket: Bucket) -> None:
        """Whatever `updated` says: it is of the document, and older than the removal."""
        create(ingest)
        document = item("a", updated="2020-01-01T00:00:00Z")
        ingest.batch([bucket.put(document)])
        ingest.batch([bucket.remove()])
        assert shown(ingest) == []
        ingest.batch([bucket.put(document)])
        assert shown(ingest) == ["a"]

    def test_the_former_item_of_an_overwritten_object_is_gone(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        ingest.batch([bucket.put(item("a"))])
        ingest.batch([bucket.put(item("b"))])
        assert shown(ingest) == ["b"]
        ingest.batch([bucket.remove()])
        assert shown(ingest) == []

    def test_an_item_that_moved_to_another_object_stays(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        ingest.batch([bucket.put(item("a"))])
        overwritten = bucket.put(item("b"))
        moved = bucket.put(item("a"), "s3://bucket/items/new.json")
        ingest.batch([moved])
        ingest.batch([overwritten])
        assert shown(ingest) == ["a", "b"]

    def test_of_events_without_an_order_of_their_own_time_decides(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        """An Item that comes by its object and by a topic, which knows when it was updated."""
        create(ingest)
        created = bucket.put(item("a", box(100, 0, 101, 1)))
        earlier = item("a", updated="2026-03-01T11:00:00Z", href="https://example.com/earlier.tif")
        later = item("a", updated="2026-03-01T13:00:00Z", href="https://example.com/later.tif")
        (first,) = ingest.batch([message(later, 7200)])
        (second,) = ingest.batch([created])
        assert [first.changes[0].change, second.changes[0].change] == ["applied", "outdated"]
        ingest.batch([bucket.put(item("a"))])
        (third,) = ingest.batch([message(earlier)])
        assert third.changes[0].change == "outdated"

    def test_an_object_that_is_gone_by_now_is_removed_at_once(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        ingest.batch([bucket.put(item("a"))])
        changed = bucket.put(item("a", box(7, 45, 7.5, 46)))
        removed = bucket.remove()
        ingest.batch([changed])
        assert shown(ingest) == []
        ingest.batch([removed])
        ingest.batch([bucket.put(item("a"))])
        assert shown(ingest) == ["a"]

    def test_what_was_ingested_from_an_object_leaves_with_it(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        """A backfill, or a reference to it, tells what an object holds as its events do."""
        create(ingest)
        bucket.objects[PLACE] = item("a")
        other = "s3://bucket/items/b.json"
        ingest.batch([replace(message(item("b")), base=other), message({"href": PLACE})])
        assert shown(ingest) == ["a", "b"]
        ingest.batch([bucket.remove(), bucket.remove(other)])
        assert shown(ingest) == []

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    @pytest.mark.parametrize("then", ["removed", "replaced"])
    def test_what_was_listed_before_an_event_of_its_object_stays_away_in_any_order(
        self, ingest: Ingest, bucket: Bucket, order: Sequence[int], then: str
    ) -> None:
        """A backfill that read an object is slower than the event of what came of it."""
        create(ingest)
        bucket.put(item("a"))
        listed = from_list(item("a"), bucket.events)
        event = bucket.remove() if then == "removed" else bucket.put(item("b"))
        messages = [listed, event]
        for place in order:
            ingest.batch([messages[place]])
        assert shown(ingest) == ([] if then == "removed" else ["b"])

    @pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
    def test_what_is_listed_after_an_object_was_put_back_is_shown_in_any_order(
        self, ingest: Ingest, bucket: Bucket, order: Sequence[int]
    ) -> None:
        create(ingest)
        bucket.put(item("a"))
        events = [bucket.remove(), bucket.put(item("a"))]
        messages = [*events, from_list(item("a"), bucket.events)]
        for place in order:
            ingest.batch([messages[place]])
        assert shown(ingest) == ["a"]

    @pytest.mark.parametrize("before", [item("a"), None], ids=["another Item", "nothing"])
    @pytest.mark.parametrize("then", [None, item("c")], ids=["removed", "replaced"])
    def test_what_is_listed_before_its_own_event_leaves_with_the_next_one(
        self, ingest: Ingest, bucket: Bucket, before: Any, then: Any
    ) -> None:
        """That event is late, and the one after it overtakes it: it is the first to find it gone.

        The list is later than the event before, which does not know what the object holds now.
        """
        create(ingest)
        ingest.batch([bucket.put(before) if before else bucket.remove()])
        put = bucket.put(item("b"))
        ingest.batch([from_list(item("b"), bucket.events)])
        assert "b" in shown(ingest)
        later = bucket.put(then) if then else bucket.remove()
        for late in (later, put, later):
            ingest.batch([late])
            assert shown(ingest) == (["c"] if then else [])

    def test_the_same_event_twice_costs_no_write_unit(self, table: Table, bucket: Bucket) -> None:
        metered = Metered(table)
        with ThreadPoolExecutor(1) as pool:
            ingest = made(metered, bucket, pool)
            create(ingest)
            created = bucket.put(item("a"))
            ingest.batch([created])
            assert metered.take().write_units > 0
            ingest.batch([created])
            assert metered.take().write_units == 0
            overwritten = bucket.put(item("b"))
            ingest.batch([overwritten])
            assert metered.take().write_units > 0
            ingest.batch([overwritten])
            assert metered.take().write_units == 0
            removed = bucket.remove()
            ingest.batch([removed])
            assert metered.take().write_units > 0
            ingest.batch([removed])
            ingest.batch([created])
            assert metered.take().write_units == 0

    def test_any_order_of_any_duplicates_ends_as_the_object(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        rng = random.Random(6)
        for n in range(10):
            mosaic, place = create(ingest, f"m{n}"), f"s3://bucket/{n}.json"
            events = [
                bucket.put(item("a", updated="2026-02-01T00:00:00Z"), place),
                bucket.put(item("b", updated="2025-02-01T00:00:00Z"), place),
                bucket.remove(place),
                bucket.put(item("a", updated="2024-02-01T00:00:00Z"), place),
                bucket.put(item("c"), place),
            ] * 2
            rng.shuffle(events)
            ingest.batch(events, only=mosaic)
            assert shown(ingest, f"m{n}") == ["c"]

    def test_its_events_side_by_side_end_the_same(self, ingest: Ingest, bucket: Bucket) -> None:
        create(ingest)
        events = [bucket.put(item(f"item-{n}")) for n in range(20)]
        random.Random(7).shuffle(events)
        with ThreadPoolExecutor(20) as pool:
            outcomes = ingest.batch(events * 2, pool=pool)
        assert all(outcome.ok for outcome in outcomes)
        assert shown(ingest) == ["item-19"]


HISTORIES: Mapping[str, Sequence[Any]] = {
    "put, removed": [item("a"), None],
    "put, overwritten": [item("a"), item("b")],
    "removed, put again": [item("a"), None, item("a", updated="2020-01-01T00:00:00Z")],
    "put, overwritten, put back": [item("a"), item("b"), item("a")],
    "overwritten, removed": [item("a"), item("b"), None],
}


@dataclass
class Rig:
    """A history of one object, of which all but the last two events are done."""

    table: Table
    pool: ThreadPoolExecutor
    name: str
    history: Sequence[Any]
    bucket: Bucket = field(init=False)
    before: Message = field(init=False)
    last: Message = field(init=False)
    place: str = field(init=False)

    def __post_init__(self) -> None:
        self.bucket = Bucket()
        self.place = f"s3://bucket/{self.name}.json"
        self.ingest(self.table).index.mosaics.create(Mosaic(id=self.name))
        for document in self.history[:-2]:
            self.run(self.ingest(self.table), self._event(document))
        self.before = self._event(self.history[-2])
        self.after_before = dict(self.bucket.objects)
        self.last = self._event(self.history[-1])

    def _event(self, document: Any) -> Message:
        if document is None:
            return self.bucket.remove(self.place)
        return self.bucket.put(document, self.place)

    def ingest(self, table: Table) -> Ingest:
        return made(table, self.bucket, self.pool)

    def run(self, ingest: Ingest, *events: Message) -> list[Outcome]:
        only = Mosaics(self.table).get(self.name)
        return ingest.batch(events, only=only)

    def check(self) -> None:
        document = self.history[-1]
        expected = [] if document is None else [document["id"]]
        assert shown(self.ingest(self.table), self.name) == expected


@pytest.mark.parametrize("history", HISTORIES.values(), ids=list(HISTORIES))
class TestTwoWorkersOnOneObject:
    """At every call that one makes of the table or the bucket, the other does all of its work."""

    @pytest.mark.parametrize("swapped", [False, True], ids=["last inside", "last outside"])
    @pytest.mark.parametrize("same", [False, True], ids=["two events", "one event twice"])
    def test_the_object_decides_whoever_comes_between(
        self, sqlite_table: Table, history: Sequence[Any], swapped: bool, same: bool
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            for n in itertools.count():
                rig = Rig(sqlite_table, pool, f"m{n}", history)
                outside, inside = (rig.last, rig.before) if swapped else (rig.before, rig.last)
                inside = outside if same else inside
                hook = Hook(n, lambda r=rig, i=inside: r.run(r.ingest(sqlite_table), i))
                slow = replace(
                    rig.ingest(Hooked(sqlite_table, hook)), fetch=hook.around(rig.bucket.get)
                )
                assert all(outcome.ok for outcome in rig.run(slow, outside))
                rig.run(rig.ingest(sqlite_table), rig.last)
                rig.check()
                if not hook.ran:
                    break
        assert n > 2

    def test_a_crash_anywhere_is_mended_by_the_next_delivery(
        self, sqlite_table: Table, history: Sequence[Any]
    ) -> None:
        """Or, where the crashed one is never delivered again, by the event after it."""
        with ThreadPoolExecutor(1) as pool:
            for n, again in itertools.product(range(40), (True, False)):
                rig = Rig(sqlite_table, pool, f"m{n}-{again}", history)
                hook = Hook(n, _crash)
                crashing = replace(
                    rig.ingest(Hooked(sqlite_table, hook)), fetch=hook.around(rig.bucket.get)
                )
                with suppress(RuntimeError):
                    rig.run(crashing, rig.before)
                rig.run(rig.ingest(sqlite_table), rig.last)
                if again:
                    rig.run(rig.ingest(sqlite_table), rig.before)
                rig.check()
                if not hook.ran:
                    break
        assert 2 < n < 39


def _crash() -> None:
    raise RuntimeError("the worker is gone")


class TestFailures:
    def test_what_is_no_item_is_refused_and_the_former_one_stays(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        ingest.batch([bucket.put(item("a"))])
        bad: list[tuple[Any, str]] = [
            (b"{", "not JSON"),
            ({"type": "FeatureCollection", "features": [item("b")]}, "'FeatureCollection'"),
            ({"Type": "Notification", "Message": json.dumps(item("b"))}, "type is 'None'"),
            ({"op": "delete", "collection": "s2", "id": "a"}, "type is 'None'"),
            (item("b", box(0, 88, 1, 91)), "latitude 91"),
            (FetchError("'s3://bucket/items/a.json' is forbidden"), "is forbidden"),
        ]
        for document, reason in bad:
            (outcome,) = ingest.batch([bucket.put(document)])
            assert outcome.status == "rejected"
            assert outcome.reason.startswith("s3://bucket/items/a.json: ")
            assert reason in outcome.reason
        assert shown(ingest) == ["a"]
        ingest.batch([bucket.put(item("b"))])
        assert shown(ingest) == ["b"]

    def test_a_source_that_is_away_fails_the_message_for_another_try(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        event = bucket.put(SourceUnavailableError("503"))
        (outcome,) = ingest.batch([event])
        assert (outcome.status, outcome.reason) == ("failed", "503")
        bucket.objects[PLACE] = item("a")
        assert statuses(ingest.batch([event])) == ["done"]
        assert shown(ingest) == ["a"]

    def test_what_is_not_there_yet_in_a_catalogue_is_asked_for_again(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        """Only S3 shows at once what an event tells of."""
        create(ingest)
        event = message(CMR, mode="New")
        (outcome,) = ingest.batch([event])
        assert outcome.status == "failed"
        assert "is not there; it may be on its way there" in outcome.reason

    def test_without_a_way_to_fetch_a_reference_is_refused(self, ingest: Ingest) -> None:
        create(ingest)
        (outcome,) = replace(ingest, fetch=None).batch([message({"href": PLACE})])
        assert outcome.status == "rejected"
        assert "nothing is fetched here" in outcome.reason

    def test_an_event_of_the_future_is_refused(self, ingest: Ingest, bucket: Bucket) -> None:
        """It would keep every later version of its Item out."""
        create(ingest)
        event = bucket.put(item("a"))
        (outcome,) = ingest.batch([replace(event, time=NOW.replace(year=2025))])
        assert outcome.status == "rejected"
        assert "is more than a day after its message was sent" in outcome.reason
        assert shown(ingest) == []


class TestReferences:
    def test_what_is_there_now_counts(self, ingest: Ingest, bucket: Bucket) -> None:
        create(ingest)
        href = "https://example.com/items/a.json"
        asset = {"visual": {"href": "./a.tif", "type": "image/tiff"}}
        bucket.objects[href] = item("a", assets=asset)
        (outcome,) = ingest.batch([message({"href": href})])
        assert outcome.status == "done"
        scene = ingest.index.scene(ingest.index.mosaics.get("m"), "s2#a")
        assert scene.assets == {"visual": "https://example.com/items/a.tif"}

    def test_what_is_not_there_yet_is_asked_for_again_for_some_minutes(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        """APIs announce Items a little before they show them."""
        create(ingest)
        href = "https://example.com/items/a.json"
        now = datetime.fromtimestamp(ingest.index.clock(), UTC)
        event = replace(message({"href": href}), received=now - timedelta(seconds=1))
        (outcome,) = ingest.batch([event])
        assert (outcome.status, outcome.soon) == ("failed", True)
        assert "is not there; it may be on its way there" in outcome.reason
        (outcome,) = ingest.batch([replace(event, received=now - timedelta(minutes=5))])
        assert (outcome.status, outcome.soon) == ("rejected", False)
        bucket.objects[href] = item("a")
        assert statuses(ingest.batch([event])) == ["done"]

    def test_what_is_not_there_can_never_succeed(self, ingest: Ingest, bucket: Bucket) -> None:
        create(ingest)
        (outcome,) = ingest.batch([message({"href": "https://example.com/gone.json"})])
        assert outcome.status == "rejected"
        assert outcome.reason.startswith("https://example.com/gone.json: ")

    def test_a_collection_that_no_mosaic_wants_is_ignored(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest, collections=("landsat",))
        bucket.objects[PLACE] = item("a")
        assert statuses(ingest.batch([message({"href": PLACE})])) == ["ignored"]


class TestOffloadedMessages:
    """Bodies that the extended clients of SQS and SNS put into S3."""

    CLASSES = (
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        "com.amazon.sqs.javamessaging.MessageS3Pointer",
    )
    HREF = "s3://bucket/payloads/0000"

    def pointer(self, name: str = CLASSES[0]) -> str:
        return json.dumps([name, {"s3BucketName": "bucket", "s3Key": "payloads/0000"}])

    @pytest.mark.parametrize("name", CLASSES)
    def test_the_body_is_fetched_and_read(self, ingest: Ingest, bucket: Bucket, name: str) -> None:
        create(ingest)
        bucket.objects[self.HREF] = {
            "type": "FeatureCollection",
            "features": [item("a"), item("b")],
        }
        assert statuses(ingest.batch([message(self.pointer(name))])) == ["done"]
        assert sorted(shown(ingest)) == ["a", "b"]

    def test_it_has_the_attributes_and_the_time_of_its_envelope(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        create(ingest)
        bucket.objects[self.HREF] = item("a")
        ingest.batch([message(self.pointer())])
        notification = {
            "Type": "Notification",
            "Message": self.pointer(),
            "Timestamp": "2026-03-02T00:00:00Z",
            "MessageAttributes": {"action": {"Type": "String", "Value": "ARCHIVED"}},
        }
        event = message(notification, seconds=86400)
        (outcome,) = ingest.batch([event])
        assert [change.change for change in outcome.changes] == ["deleted"]
        assert shown(ingest) == []

    def test_a_pointer_to_a_pointer_is_refused(self, ingest: Ingest, bucket: Bucket) -> None:
        create(ingest)
        bucket.objects[self.HREF] = self.pointer().encode()
        (outcome,) = ingest.batch([message(self.pointer())])
        assert (outcome.status, bucket.fetched) == ("rejected", [self.HREF])
        assert "is a pointer again" in outcome.reason

    def test_one_that_is_gone_or_malformed_or_not_fetched_is_refused(self, ingest: Ingest) -> None:
        create(ingest)
        for text, says in (
            (self.pointer(), "is not there"),
            (json.dumps([self.CLASSES[0], {"s3BucketName": "bucket"}]), "s3Key 'None'"),
            (json.dumps([self.CLASSES[0], None]), "s3BucketName 'None'"),
        ):
            (outcome,) = ingest.batch([message(text)])
            assert (outcome.status, says in outcome.reason) == ("rejected", True), outcome.reason
        (outcome,) = replace(ingest, fetch=None).batch([message(self.pointer())])
        assert "its body is at s3://bucket/payloads/0000, and nothing is fetched" in outcome.reason

    def test_a_store_that_is_away_fails_it_for_another_try(
        self, ingest: Ingest, bucket: Bucket
    ) -> None:
        bucket.objects[self.HREF] = SourceUnavailableError("HTTP 503")
        assert statuses(ingest.batch([message(self.pointer())])) == ["failed"]
