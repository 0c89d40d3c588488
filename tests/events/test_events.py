"""Messages become deliveries, told apart by their structure."""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from items import NOW, deletion, item, message, sqs_event
from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events import read_changes
from livemosaic.ingest.events.changes import (
    Deletion,
    ItemChange,
    Reference,
    TrackedChange,
    Truncation,
    Upsert,
)
from livemosaic.ingest.events.message import Message, sqs_messages
from livemosaic.model.order import Order

PUBLISHED = "2026-03-01T11:59:00.123Z"
PAYLOADS = Path(__file__).parent / "payloads"


def notification(body: Any, **attributes: str) -> dict[str, Any]:
    """An SNS notification as SQS carries it without raw delivery (SNS Developer Guide)."""
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:us-west-2:123456789012:items",
        "Subject": "My First Message",
        "Message": body if isinstance(body, str) else json.dumps(body),
        "Timestamp": PUBLISHED,
        "SignatureVersion": "1",
        "Signature": "EXAMPLEw6JRN",
        "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-0.pem",
        "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
        "MessageAttributes": {
            name: {"Type": "String", "Value": value} for name, value in attributes.items()
        },
    }


def bus_event(detail: Any, detail_type: str = "Item Updated") -> dict[str, Any]:
    """A custom event from an EventBridge bus."""
    time = "2026-03-01T11:58:00Z"
    return {"detail-type": detail_type, "source": "a.b", "detail": detail, "time": time}


def object_event(name: str, key: str, **rest: Any) -> dict[str, Any]:
    """A notification of S3 about one object of the bucket `b`."""
    record = {
        "eventSource": "aws:s3",
        "eventName": name,
        "eventTime": PUBLISHED,
        "s3": {"bucket": {"name": "b"}, "object": {"key": key, **rest}},
    }
    return {"Records": [record]}


def cloud_event(operation: str = "create", **rest: Any) -> dict[str, Any]:
    """A CloudEvent of an OGC API about an Item."""
    kind = f"org.ogc.api.collection.item.{operation}"
    return {"specversion": "1.0", "id": "1", "source": "/api", "type": kind, **rest}


def told(body: Any, **attributes: str) -> list[ItemChange]:
    """What a message says that was sent at noon."""
    return list(read_changes(message(body, **attributes)))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def tracked(thing: str, sequence: str, time: str, *, gone: bool = False) -> TrackedChange:
    """What an event of an object says."""
    return TrackedChange(thing, sequence, at(time), None if gone else thing)


class TestOpenDataCube:
    """Digital Earth Australia and Africa mark Items by the attribute `action`."""

    @pytest.mark.parametrize("action", ["ADDED", "UPDATED", "added", ""])
    def test_what_is_added_is_an_upsert(self, action: str) -> None:
        (found,) = told(notification(item("a"), action=action, product="ga_ls8c_ard_3"))
        assert isinstance(found, Upsert)

    @pytest.mark.parametrize("action", ["ARCHIVED", "archived", "DELETED"])
    def test_what_is_archived_is_a_deletion(self, action: str) -> None:
        expected = [Deletion("s2", "a", Order(at(PUBLISHED)))]
        assert told(notification(item("a"), action=action)) == expected
        assert told(item("a"), action=action) == [Deletion("s2", "a", Order(NOW))]


class TestBare:
    def test_an_item_is_an_upsert(self) -> None:
        assert told(item("a")) == [Upsert("s2", "a", Order(NOW), item("a"))]

    def test_an_item_knows_where_it_was_found(self) -> None:
        found = Message("m", item("a"), NOW, {}, "https://example.com/a.json")
        (delivery,) = read_changes(found)
        assert isinstance(delivery, Upsert)
        assert delivery.base == "https://example.com/a.json"

    def test_an_item_collection_is_one_upsert_each(self) -> None:
        body = {"type": "FeatureCollection", "features": [item("a"), item("b")]}
        assert told(json.dumps(body)) == [
            Upsert("s2", "a", Order(NOW), item("a")),
            Upsert("s2", "b", Order(NOW), item("b")),
        ]

    def test_bad_parts_of_a_message_do_not_hide_the_good(self) -> None:
        features = [item(""), item("a"), 5, item("b")]
        found = read_changes(message({"type": "FeatureCollection", "features": features}))
        assert next(found) == Upsert("s2", "a", Order(NOW), item("a"))
        assert next(found) == Upsert("s2", "b", Order(NOW), item("b"))
        with pytest.raises(InvalidItemError, match=r"id '' must .*; a feature is int"):
            next(found)

    def test_an_item_without_a_collection_has_none(self) -> None:
        (found,) = told(item(collection=None))
        assert isinstance(found, Upsert)
        assert found.collection == ""

    def test_a_deletion_may_say_when(self) -> None:
        body = deletion("a", time="2026-01-01T00:00:00Z")
        assert told(body) == [Deletion("s2", "a", Order(datetime(2026, 1, 1, tzinfo=UTC)))]

    def test_a_deletion_without_a_time_is_of_when_it_was_sent(self) -> None:
        assert told(deletion("a")) == [Deletion("s2", "a", Order(NOW))]

    def test_a_truncation_may_say_when(self) -> None:
        body = {"op": "truncate", "collection": "s2"}
        assert told(body) == [Truncation("s2", Order(NOW))]
        assert told(body | {"time": "2026-01-01T00:00:00Z"}) == [
            Truncation("s2", Order(datetime(2026, 1, 1, tzinfo=UTC)))
        ]

    def test_a_reference_is_an_href(self) -> None:
        assert told({"href": "https://a/x.json"}) == [Reference("https://a/x.json", Order(NOW))]

    def test_members_of_an_item_that_are_not_of_stac_mean_nothing(self) -> None:
        document = item("a", op="delete", href="x", record={}, Type="Notification", Message="{}")
        assert told(document) == [Upsert("s2", "a", Order(NOW), document)]

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            pytest.param("", "not JSON", id="empty"),
            pytest.param("{", "not JSON", id="not closed"),
            pytest.param(b"\xff\xfe{", "not JSON", id="not UTF-8"),
            pytest.param("[1, 2]", "a JSON list", id="list"),
            pytest.param("null", "a JSON NoneType", id="null"),
            pytest.param("5", "a JSON int", id="number"),
            pytest.param('{"id": NaN}', "NaN is not a JSON number", id="NaN"),
            pytest.param('{"id": -Infinity}', "-Infinity is not a JSON number", id="infinity"),
            pytest.param('{"a": {"id": 1, "id": 2}}', "the member 'id' twice", id="member twice"),
            pytest.param("[" * 100_000, "more than 100 levels", id="very deep"),
            pytest.param('{"a":' + "[" * 100 + "]" * 100 + "}", "more than 100", id="deep"),
            pytest.param({"type": "Collection", "id": "x"}, "type is 'Collection'", id="other"),
            pytest.param(
                {"type": "Collection", "stac_version": "1.0.0"}, "'Collection'", id="Collection"
            ),
            pytest.param({}, "neither a STAC Item", id="nothing"),
            pytest.param({"type": "FeatureCollection"}, "neither a STAC Item", id="no features"),
            pytest.param({"type": "FeatureCollection", "features": [5]}, "is int", id="feature"),
            pytest.param({"type": "Feature"}, "id 'None'", id="no id"),
            pytest.param({"op": "delete", "collection": "s2"}, "id 'None'", id="no id to delete"),
            pytest.param({"op": "purge", "collection": "s2"}, "op 'purge'", id="no such op"),
            pytest.param({"op": "truncate"}, "collection ''", id="truncate all"),
            pytest.param({"op": "truncate", "collection": "*"}, r"'\*'", id="truncate by pattern"),
            pytest.param({"type": "action", "command": "drop"}, "'drop'", id="no such action"),
            pytest.param(deletion("a", time="soon"), "time 'soon'", id="no time"),
            pytest.param({"href": ""}, "href ''", id="empty href"),
            pytest.param({"href": "\ud800"}, "not a text", id="half of a surrogate pair"),
            pytest.param(
                {"href": "x", "op": "delete"},
                "both a reference to an Item and a command",
                id="two kinds",
            ),
            pytest.param(
                {"Type": "SubscriptionConfirmation", "Token": "t", "TopicArn": "arn:x"},
                "topic 'arn:x' does not send yet",
                id="not confirmed",
            ),
            pytest.param(
                object_event("ObjectCreated:Put", "a.json", sequencer="xyz"),
                "'XYZ'",
                id="sequencer",
            ),
            pytest.param(object_event("ObjectCreated:Put", "%FF.json"), "key", id="key not UTF-8"),
            pytest.param({"Records": [{"s3": {}}]}, "eventName 'None'", id="no event name"),
            pytest.param(
                {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}}}]},
                "names no bucket or no object",
                id="no object",
            ),
            pytest.param(cloud_event("moved"), r"is not org.ogc.*create, delete", id="operation"),
            pytest.param(cloud_event(type="com.example.new"), "'com.example.new'", id="other type"),
            pytest.param(cloud_event(type="delete", data=item()), "'delete'", id="bare type"),
            pytest.param(cloud_event("delete", collection="c"), "id 'None'", id="event without id"),
            pytest.param(
                cloud_event("delete", data="a"), "nothing names the collection", id="no collection"
            ),
            pytest.param(
                cloud_event(subject="a", collection="c", data={"type": "Feature", "id": "a"}),
                "the source, here '/api', must be the URL of an API",
                id="no whole Item",
            ),
            pytest.param(
                {"landsat_product_id": "LC08_L3DS_X", "s3_location": "s3://b/"}, "L3DS", id="level"
            ),
            pytest.param(
                {"concept-id": "G1-P", "location": "https://cmr/concepts/G2-P/1"},
                "is not …/concepts/G1-P/",
                id="two granules",
            ),
        ],
    )
    def test_anything_else_is_refused_and_says_why(self, body: Any, says: str) -> None:
        with pytest.raises(InvalidItemError, match=says):
            told(body)


class TestSqs:
    def test_a_plain_message_has_the_time_it_was_sent(self) -> None:
        (found,) = sqs_messages(sqs_event(json.dumps(item("a"))))
        assert found.id == "059f36b4-87a3-44ab-83d2-661970000000"
        assert found.time == NOW
        assert list(read_changes(found)) == [Upsert("s2", "a", Order(NOW), item("a"))]

    def test_a_notification_has_the_time_it_was_published(self) -> None:
        assert told(json.dumps(notification(item("a")))) == [
            Upsert("s2", "a", Order(at(PUBLISHED)), item("a"))
        ]

    @pytest.mark.parametrize("name", ["status", "operation"])
    @pytest.mark.parametrize(
        ("value", "kind"), [("created", Upsert), ("updated", Upsert), ("deleted", Deletion)]
    )
    def test_an_attribute_tells_deletions(self, name: str, value: str, kind: type) -> None:
        by_sns = sqs_event(json.dumps(notification(item("a"), **{name: value})))
        by_sqs = sqs_event(json.dumps(item("a")), attributes=[{name: value}])
        for event in (by_sns, by_sqs):
            assert [type(d) for m in sqs_messages(event) for d in read_changes(m)] == [kind]

    @pytest.mark.parametrize(
        "attributes",
        [{"Action": "Archived"}, {"STATUS": " deleted "}, {"operation": '["remove"]'}],
    )
    def test_attributes_are_read_as_people_write_them(self, attributes: dict[str, str]) -> None:
        (found,) = told(notification(item("a"), **attributes))
        assert isinstance(found, Deletion)

    @pytest.mark.parametrize("name", ["status", "operation", "action"])
    @pytest.mark.parametrize("word", ["PURGED", "unpublish", "expired", "hidden", "withdrawn"])
    def test_an_attribute_that_may_be_of_a_deletion_is_refused(self, name: str, word: str) -> None:
        with pytest.raises(InvalidItemError, match=f"attribute {name} '{word}' may announce"):
            told(notification(item("a"), **{name: word}))

    @pytest.mark.parametrize("body", [{}, {"operation": "delete"}])
    def test_a_reference_to_what_is_gone_is_refused(self, body: dict[str, str]) -> None:
        attributes = {} if body else {"action": "DELETED"}
        with pytest.raises(InvalidItemError, match="a reference to an Item that is gone"):
            told(notification({"href": "https://a.org/a.json", **body}, **attributes))

    def test_words_in_an_item_do_not_make_it_a_notification_or_a_deletion(self) -> None:
        document = item("a", properties={"op": "delete", "Type": "Notification", "Message": "{}"})
        assert [type(d) for d in told(document)] == [Upsert]

    def test_a_notification_of_rubbish_is_refused(self) -> None:
        with pytest.raises(InvalidItemError, match="not JSON"):
            told(notification("hello"))


class TestStacServer:
    """What stac-server says of its own ingestion."""

    def test_a_record_of_an_item_that_is_gone_is_a_deletion(self) -> None:
        (found,) = told(bus_event({"record": item("a")}, "Item Deleted"))
        assert isinstance(found, Deletion)

    @pytest.mark.parametrize("record", [item("a") | {"type": "feature"}, {"id": "a"}])
    def test_a_record_of_an_unknown_type_is_refused(self, record: dict[str, Any]) -> None:
        with pytest.raises(InvalidItemError, match="a record of type"):
            told({"record": record})

    def test_an_unknown_status_is_refused(self) -> None:
        with pytest.raises(InvalidItemError, match="ingestStatus 'ok' is neither"):
            told(notification({"record": item("a")}, ingestStatus="ok"))


class TestEnvelopes:
    def test_envelopes_may_be_in_envelopes(self) -> None:
        inner = cloud_event(time="2026-03-01T11:57:00Z", data=item("a"))
        (found,) = told(json.dumps(notification(bus_event(inner))))
        assert found == Upsert("s2", "a", Order(at("2026-03-01T11:57:00Z")), item("a"))

    def test_but_not_endlessly(self) -> None:
        body: Any = item("a")
        for _ in range(4):
            body = notification(body)
        assert len(told(body)) == 1
        with pytest.raises(InvalidItemError, match="more than 4 envelopes"):
            told(notification(body))

    @pytest.mark.parametrize(
        ("detail_type", "kind"),
        [
            ("Item Created", Upsert),
            ("deleted", Deletion),
            ("STAC Item Deleted", Deletion),
            ("org.example.item.removed", Deletion),
            ("ItemDeleted", Deletion),
            ("ITEM_DELETED", Deletion),
            ("item.deleted.v1", Deletion),
            ("Item Removed (event)", Deletion),
            ("Delete Item", Deletion),
            ("Item undeleted", Upsert),
            ("Deleted items are listed", Upsert),
        ],
    )
    def test_the_last_word_of_the_type_of_an_event_tells_deletions(
        self, detail_type: str, kind: type
    ) -> None:
        assert [type(d) for d in told(bus_event(item("a"), detail_type))] == [kind]

    @pytest.mark.parametrize("detail_type", ["Item Deletion", "ItemArchived", "item.purged.v2"])
    def test_a_type_that_may_be_of_a_deletion_is_refused(self, detail_type: str) -> None:
        with pytest.raises(InvalidItemError, match="may announce that an Item is gone"):
            told(bus_event(item("a"), detail_type))

    def test_attributes_of_the_outer_message_are_not_those_of_the_inner(self) -> None:
        assert [type(d) for d in told(notification(item("a")), status="deleted")] == [Upsert]


class TestS3:
    @pytest.mark.parametrize(
        "key", ["a.tif", "a.json.tmp", "json", "catalog.json", "x/collection.json", "thumbs/"]
    )
    @pytest.mark.parametrize("name", ["ObjectCreated:Put", "ObjectRemoved:Delete"])
    def test_objects_that_are_no_items_are_passed_over(self, name: str, key: str) -> None:
        assert told(object_event(name, key, sequencer="01")) == []

    @pytest.mark.parametrize("key", ["a.json", "a.JSON", "x/a.geojson", "mycatalog.json"])
    def test_all_others_may_be_items(self, key: str) -> None:
        assert told(object_event("ObjectCreated:Put", key, sequencer="01")) == [
            tracked(f"s3://b/{key}", "01", PUBLISHED)
        ]

    def test_sequences_compare_as_s3_compares_sequencers(self) -> None:
        """As text, after the shorter is padded with zeros on the right (S3 User Guide)."""
        sequencers = ["0055AED6DCD90281E5", "0055AED6DCD90281E50", "0055aed6dcd90281e5", "0"]
        sequencers += ["0055AED6DCD90281E6", "0055AED6DCD9", "617f08299329d189", "00", "1000"]

        def sequence(sequencer: str) -> str:
            (found,) = told(object_event("ObjectCreated:Put", "a.json", sequencer=sequencer))
            assert isinstance(found, TrackedChange)
            return found.sequence

        for one in sequencers:
            for other in sequencers:
                padded = [text.upper().ljust(64, "0") for text in (one, other)]
                found = sequence(one), sequence(other)
                assert (found[0] < found[1]) == (padded[0] < padded[1])
                assert (found[0] == found[1]) == (padded[0] == padded[1])

    def test_stores_without_sequencers_are_ordered_by_time(self) -> None:
        times = ["1969-07-20T20:17:40Z", "1970-01-01T00:00:00Z", "2026-03-01T11:59:00.122999Z"]
        times += ["2026-03-01T11:59:00.123Z", "2026-03-01T11:59:01Z", "2106-01-01T00:00:00Z"]
        sequences = []
        for time in times:
            event = object_event("ObjectCreated:Put", "a.json")
            event["Records"][0]["eventTime"] = time
            (found,) = told(event)
            assert isinstance(found, TrackedChange)
            sequences.append(found.sequence)
        assert sequences == sorted(sequences)
        assert len(set(sequences[1:])) == len(times) - 1

    def test_one_version_of_several_that_is_deleted_is_a_reason_to_look(self) -> None:
        """What is looked at is later than what was deleted, which gives the event its sequencer."""
        old = "005FC14C98DC7CA9E7"
        event = object_event("ObjectRemoved:Delete", "a.json", sequencer=old, versionId="v")
        (found,) = told(event)
        assert isinstance(found, TrackedChange)
        assert found.href == "s3://b/a.json"
        seconds = int(at(PUBLISHED).timestamp())
        assert f"00{seconds:08X}" < found.sequence < f"00{seconds + 1:08X}"

    def test_other_events_of_s3_are_passed_over_whatever_they_hold(self) -> None:
        call = {"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "detail": {}}
        assert told(call) == []
        assert (
            told({"Records": [{"eventName": "s3:Replication:OperationNotTracked", "s3": {}}]}) == []
        )

    @pytest.mark.parametrize("name", ["objectcreated:put", "OBJECT_CREATED", "s3:ObjectCreated"])
    def test_stores_write_names_in_their_ways(self, name: str) -> None:
        assert told(object_event(name, "a.json", sequencer="01")) == [
            tracked("s3://b/a.json", "01", PUBLISHED)
        ]

    @pytest.mark.parametrize("kind", ["Current", "NonCurrent", "DeleteMarker"])
    def test_what_expires_in_ceph_is_a_reason_to_look(self, kind: str) -> None:
        (found,) = told(object_event(f"s3:ObjectLifecycle:Expiration:{kind}", "a.json"))
        assert isinstance(found, TrackedChange)
        assert found.href == "s3://b/a.json"
        assert told(object_event("s3:ObjectLifecycle:Transition:Current", "a.json")) == []

    def test_a_bad_record_does_not_hide_the_others(self) -> None:
        events = [
            object_event("ObjectCreated:Put", "a.json", sequencer="no"),
            object_event("ObjectCreated:Put", "b.json", sequencer="01"),
        ]
        found = read_changes(message({"Records": [e["Records"][0] for e in events]}))
        assert next(found) == tracked("s3://b/b.json", "01", PUBLISHED)
        with pytest.raises(InvalidItemError, match="sequencer 'NO'"):
            next(found)


class TestNotices:
    """CloudEvents and GeoJSON messages of OGC API - Pub/Sub, whoever sends them."""

    @pytest.mark.parametrize(
        "rest",
        [
            {"data": {"id": "a", "collection": "c"}},
            {"data": "a", "collection": "c"},
            {"subject": "a", "collection": "c"},
            {"data": "a", "subject": "collections/c"},
            {"data": "a", "subject": "prefix/collections/c"},
            {"subject": "https://x/collections/c/items/a"},
            {"data": "a", "source": "https://x/collections/c"},
        ],
        ids=str,
    )
    def test_a_deletion_is_of_the_item_that_is_named(self, rest: dict[str, Any]) -> None:
        assert told(cloud_event("delete", **rest)) == [Deletion("c", "a", Order(NOW))]

    @pytest.mark.parametrize("operation", ["create", "insert", "replace", "update"])
    def test_a_whole_item_is_taken_as_it_is(self, operation: str) -> None:
        event = cloud_event(operation, data=item("a"))
        assert told(event) == [Upsert("s2", "a", Order(NOW), item("a"))]

    @pytest.mark.parametrize("name", ["data", "data_base64"])
    def test_an_item_may_be_a_text(self, name: str) -> None:
        text = json.dumps(item("a"))
        data = text if name == "data" else b64encode(text.encode()).decode()
        assert told(cloud_event(**{name: data})) == [Upsert("s2", "a", Order(NOW), item("a"))]

    @pytest.mark.parametrize("data", ["%", "gA=="])
    def test_what_is_no_text_in_base64_is_refused(self, data: str) -> None:
        with pytest.raises(InvalidItemError, match="data_base64 is no text in base64"):
            told(cloud_event(data_base64=data))

    @pytest.mark.parametrize("kind", ["collections.item.create", "features.item.update"])
    def test_a_type_of_items_that_is_not_known_is_refused(self, kind: str) -> None:
        with pytest.raises(InvalidItemError, match=r"is not org\.ogc\.api\.collection\.item\."):
            told(cloud_event(data=item("a")) | {"type": f"org.ogc.api.{kind}"})

    def test_the_collection_may_be_beside_the_item(self) -> None:
        event = cloud_event(data=item("a", collection=None), subject="collections/s2")
        assert told(event) == [Upsert("s2", "a", Order(NOW), item("a"))]

    def test_two_events_with_one_id_are_two_events(self) -> None:
        first, second = cloud_event(data=item("a")), cloud_event("delete", data=item("a"))
        assert first["id"] == second["id"]
        assert [type(d) for event in (first, second) for d in told(event)] == [Upsert, Deletion]

    def test_names_are_encoded_in_the_url_of_an_item(self) -> None:
        event = cloud_event(subject="a b#c", collection="s/2", source="https://x/api/")
        assert told(event) == [
            Reference("https://x/api/collections/s%2F2/items/a%20b%23c", Order(NOW))
        ]

    def test_a_geojson_message_without_a_link_to_the_item_is_refused(self) -> None:
        body = {"type": "Feature", "id": "1", "properties": {"pubtime": PUBLISHED}, "links": []}
        with pytest.raises(InvalidItemError, match="no link of type application/geo"):
            told(body)


LANDSAT = "s3://usgs-landsat/collection02"
CMR = "https://cmr.earthdata.nasa.gov/search/concepts/G1200484365-PROV.stac"
RECORD = "LC80100102015082LGN00"
OGC_ITEM = Reference(
    "https://example.org/api/collections/obs/items/964", Order(at("2025-08-27T12:36:33Z"))
)
PUBLISHED_BY_CIRRUS = "2020-11-11T00:00:03.123Z"
TOLD_BY_CMR = at("2025-02-26T18:25:26.951Z")


def upserted(collection: str, item_id: str, time: str | None = None) -> Upsert:
    """An upsert of whatever document."""
    return Upsert(collection, item_id, Order(at(time) if time else NOW), {})


EXPECTED: dict[str, Sequence[ItemChange]] = {
    "earth-search-created": [
        upserted("sentinel-s2-l2a", "S2B_17HQD_20201103_0_L2A", PUBLISHED_BY_CIRRUS)
    ],
    "earth-search-without-attributes": [
        upserted("sentinel-s2-l2a", "S2B_17HQD_20201103_0_L2A", PUBLISHED_BY_CIRRUS)
    ],
    "earth-search-raw-delivery": [upserted("sentinel-s2-l2a", "S2B_17HQD_20201103_0_L2A")],
    "stac-server-ingested": [upserted("landsat-8-l1", RECORD, PUBLISHED_BY_CIRRUS)],
    "stac-server-failed": [],
    "stac-server-failed-without-a-word": [],
    "stac-server-collection": [],
    "stac-server-ingest-collection": [],
    "stac-server-truncate": [Truncation("my-collection", Order(at(PUBLISHED_BY_CIRRUS)))],
    "stac-server-reference": [
        Reference("s3://source-bucket/path/to/item.json", Order(at(PUBLISHED_BY_CIRRUS)))
    ],
    "s3-created": [
        tracked(
            "s3://amzn-s3-demo-bucket/items/my scene+one/S2B.json",
            "0055AED6DCD90281E5",
            "1970-01-01T00:00:00Z",
        )
    ],
    "s3-created-by-sns": [
        tracked(
            "s3://amzn-s3-demo-bucket/items/a.json", "0055AED6DCD90281E5", "1970-01-01T00:00:00Z"
        )
    ],
    "s3-several": [
        tracked("s3://amzn-s3-demo-bucket/a.json", "0055AED6DCD90281E5", "1970-01-01T00:00:00Z"),
        tracked("s3://amzn-s3-demo-bucket/b.geojson", "0055AED6DCD90281E7", "1970-01-01T00:00:00Z"),
    ],
    "s3-removed": [
        tracked(
            "s3://amzn-s3-demo-bucket/items/a.json",
            "0055AED6DCD90281F",
            "1970-01-01T00:00:00Z",
            gone=True,
        )
    ],
    "s3-delete-marker": [
        tracked(
            "s3://eventsources/Hi.json", "005E1C37948E783A6E", "2020-01-13T09:25:40.621Z", gone=True
        )
    ],
    "s3-lifecycle": [
        tracked(
            "s3://s3lifecyclestack-lifecyclebucket0668f9ae-cktgybg2ysv8/2024-12-07T22:59:12.907Z.json",
            "006754D340F025B776",
            "2024-12-09T15:57:00.927Z",
            gone=True,
        )
    ],
    "s3-old-version-expired": [
        tracked(
            "s3://frever-content/Assets/CameraAnimation/41552/CameraAnimation.json",
            "0062C5B4B9FAE147AE",
            "2022-07-06T16:13:45.980Z",
        )
    ],
    "s3-tagged": [],
    "s3-restored": [],
    "s3-catalogue": [],
    "s3-test-event": [],
    "minio-created": [
        tracked("s3://mybucket/test.json", "18504C4ADA8EBF58", "2025-07-08T14:15:39.443Z")
    ],
    "noobaa-without-sequencer": [
        tracked("s3://bucket1/obj1.json", "0068739D198", "2025-07-13T11:48:41.500Z")
    ],
    "eventbridge-s3-created": [
        tracked("s3://my-bucket/my scene+one.json", "0064141A8022966874", "2023-03-17T07:45:04Z")
    ],
    "eventbridge-s3-delete-marker": [
        tracked(
            "s3://amzn-s3-demo-bucket1/example-key.json",
            "617F0837B476E463",
            "2021-11-12T00:00:00Z",
            gone=True,
        )
    ],
    "eventbridge-s3-removed": [
        tracked(
            "s3://amzn-s3-demo-bucket1/example-key.json",
            "617F0837B476E463",
            "2021-11-12T00:00:00Z",
            gone=True,
        )
    ],
    "eventbridge-s3-old-version-expired": [
        tracked("s3://example-bucket/expired-object.json", "00640A733E", "2023-03-10T00:01:02Z")
    ],
    "eventbridge-s3-restored": [],
    "eventbridge-item": [upserted("landsat-8-l1", RECORD, "2026-02-01T10:00:00Z")],
    "eventbridge-item-deleted": [
        Deletion("landsat-8-l1", RECORD, Order(at("2026-02-01T10:00:00Z")))
    ],
    "ogc-inline": [upserted("obs", "964", "2025-08-27T12:36:33Z")],
    "ogc-inline-without-assets": [OGC_ITEM],
    "ogc-link": [OGC_ITEM],
    "ogc-collection-created": [],
    "eoapi-created": [
        Reference(
            "https://eoapi.example.org/stac/collections/sentinel-2-l2a/items/item-1",
            Order(at("2024-01-01T00:00:00Z")),
        )
    ],
    "eoapi-deleted": [Deletion("sentinel-2-l2a", "item-99", Order(at("2024-01-02T00:00:00Z")))],
    "eoapi-deleted-by-sns-and-eventbridge": [
        Deletion("sentinel-2-l2a", "item-99", Order(at("2024-01-02T00:00:00Z")))
    ],
    "pygeoapi-updated": [upserted("lakes", "lake-1", "2026-01-05T09:00:00Z")],
    "pygeoapi-deleted": [Deletion("lakes", "20260105", Order(at("2026-01-05T09:00:00Z")))],
    "wis2-created": [
        Reference(
            "https://example.org/oapi/collections/my-dataset/items/my-data-granule",
            Order(at("2022-03-20T04:50:18.314854Z")),
        )
    ],
    "wis2-deleted": [
        Deletion("my-dataset", "my-data-granule", Order(at("2022-03-20T04:50:18.314854Z")))
    ],
    "landsat-level-1": [
        Reference(
            f"{LANDSAT}/level-1/standard/oli-tirs/2023/001/005/"
            "LC08_L1TP_001005_20230704_20230717_02_T1/"
            "LC08_L1TP_001005_20230704_20230717_02_T1_stac.json",
            Order(at(PUBLISHED_BY_CIRRUS)),
        )
    ],
    "landsat-level-2": [
        Reference(
            f"{LANDSAT}/level-2/standard/oli-tirs/2024/77/23/"
            "LC09_L2SP_077023_20240124_20240125_02_T1/"
            f"LC09_L2SP_077023_20240124_20240125_02_T1_{kind}_stac.json",
            Order(at(PUBLISHED_BY_CIRRUS)),
        )
        for kind in ("SR", "ST")
    ],
    "landsat-level-1-etm": [
        Reference(
            f"{LANDSAT}/level-1/standard/etm/2021/184/023/"
            "LE07_L1TP_184023_20210302_20210303_02_T1/"
            "LE07_L1TP_184023_20210302_20210303_02_T1_stac.json",
            Order(at(PUBLISHED_BY_CIRRUS)),
        )
    ],
    "cmr-new": [TrackedChange("G1200484365-PROV", "0000000001", TOLD_BY_CMR, CMR)],
    "cmr-update": [TrackedChange("G1200484365-PROV", "0000000039", TOLD_BY_CMR, CMR)],
    "cmr-delete": [TrackedChange("G1200484365-PROV", "0000000040", TOLD_BY_CMR, None)],
}


class TestRecorded:
    """What producers really send, each as it arrives in a queue; the files name their sources."""

    def test_every_payload_is_expected_to_say_something(self) -> None:
        assert {path.stem for path in PAYLOADS.glob("*.json")} == set(EXPECTED)

    @pytest.mark.parametrize("name", EXPECTED)
    def test_is_understood(self, name: str) -> None:
        payload = json.loads((PAYLOADS / f"{name}.json").read_text())
        event = sqs_event(json.dumps(payload["body"]), attributes=[payload.get("attributes", {})])
        (found,) = sqs_messages(event)
        said = list(read_changes(found))
        for delivery in said:
            if isinstance(delivery, Upsert):
                assert delivery.document["id"] == delivery.id
                assert delivery.document["collection"] == delivery.collection
        assert [_without_document(delivery) for delivery in said] == list(EXPECTED[name])


def _without_document(delivery: ItemChange) -> ItemChange:
    if isinstance(delivery, Upsert):
        return Upsert(delivery.collection, delivery.id, delivery.order, {})
    return delivery


NAMES = st.sampled_from(
    [
        *("type", "id", "collection", "features", "links", "href", "rel", "assets", "properties"),
        *("pubtime", "operation", "Type", "Message", "Timestamp", "MessageAttributes", "Value"),
        *("detail-type", "source", "detail", "time", "bucket", "object", "name", "key", "op"),
        *("sequencer", "Records", "s3", "eventName", "eventTime", "specversion", "subject", "data"),
        *("record", "error", "landsat_product_id", "s3_location", "concept-id", "location"),
        *("command", "versionId", "deletion-type", "stac_version"),
    ]
)
TEXTS = st.sampled_from(
    [
        *("Feature", "FeatureCollection", "Notification", "action", "truncate", "delete"),
        *("aws.s3", "Object Created", "Object Deleted", "ObjectCreated:Put", "a.json"),
        *("org.ogc.api.collection.item.create", "org.ogc.api.collection.item.delete"),
        *("LC08_L2SP_1", "https://x/collections/c/items/i", "https://x/concepts/G1-P/2", "G1-P"),
        *("2026-03-01T11:59:00Z", "0001-01-01T00:00:00+14:00", "{}", "[", "\ud800", "https://["),
        *("https://x/collections/\ud800/items/i", "https://\ud800/collections/c/items/i"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=10,
)
SPOILT = (None, True, 5, 1e300, "", "\ud800", "x" * 3000, [], [{}], {}, {"": None})


def spoilt(value: Any) -> Iterator[Any]:
    """A payload with one of its values replaced by another, in each place and by each of several;
    also within the JSON of a message in it."""
    yield from SPOILT
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: other} for other in spoilt(inner))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from ([*value[:n], other, *value[n + 1 :]] for other in spoilt(inner))
    elif isinstance(value, str) and value.startswith("{"):
        yield from map(json.dumps, spoilt(json.loads(value)))


class TestAnything:
    """Whatever the message: deliveries, or the error that says that it is bad, in words that any
    log can take."""

    @given(body=st.dictionaries(NAMES, JSON, max_size=5), word=TEXTS)
    def test_is_told_or_refused(self, body: Any, word: str) -> None:
        self.told_or_refused(body, word)

    @pytest.mark.parametrize("name", EXPECTED)
    def test_what_producers_send_may_be_spoilt_in_any_place(self, name: str) -> None:
        payload = json.loads((PAYLOADS / f"{name}.json").read_text())
        for body in spoilt(payload["body"]):
            self.told_or_refused(body, "")

    @given(st.text() | st.binary())
    def test_no_text_breaks_it(self, body: str | bytes) -> None:
        with pytest.raises(InvalidItemError):
            told(body)

    def told_or_refused(self, body: Any, word: str) -> None:
        try:
            for found in told(json.dumps(body), operation=word, mode=word, ingestStatus=word):
                for name in ("collection", "id", "href", "object_name", "sequence"):
                    (getattr(found, name, None) or "").encode()
        except InvalidItemError as error:
            str(error).encode()
