"""Envelopes become deliveries, told apart by their structure."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from items import NOW, deletion, item, message, sqs_event
from livemosaic.errors import InvalidItemError
from livemosaic.events import deliveries, sqs_messages

PUBLISHED = "2026-03-01T11:59:00.123Z"


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


class TestBare:
    def test_an_item_is_an_upsert(self) -> None:
        (found,) = deliveries(message(item("a")))
        assert (found.op, found.collection, found.id) == ("upsert", "s2", "a")
        assert found.document == item("a")
        assert found.time == NOW

    def test_an_item_collection_is_one_upsert_each(self) -> None:
        body = {"type": "FeatureCollection", "features": [item("a"), item("b")]}
        assert [d.id for d in deliveries(message(json.dumps(body)))] == ["a", "b"]

    def test_an_item_without_a_collection_has_none(self) -> None:
        assert deliveries(message(item(collection=None)))[0].collection == ""

    def test_a_deletion_may_say_when(self) -> None:
        (found,) = deliveries(message(deletion("a", time="2026-01-01T00:00:00Z")))
        assert (found.op, found.id, found.document) == ("delete", "a", None)
        assert found.time == datetime(2026, 1, 1, tzinfo=UTC)

    def test_a_deletion_without_a_time_is_of_when_it_was_sent(self) -> None:
        assert deliveries(message(deletion("a")))[0].time == NOW

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            ("", "not JSON"),
            ("{", "not JSON"),
            (b"\xff\xfe{", "not JSON"),
            ("[1, 2]", "a JSON list"),
            ("null", "a JSON NoneType"),
            ("5", "a JSON int"),
            ('{"type": "Feature", "id": NaN}', "NaN is not a JSON number"),
            ("[" * 100_000, "not JSON"),
            ({"type": "Collection", "id": "x"}, "neither a STAC Item.*type is 'Collection'"),
            ({}, "neither a STAC Item"),
            ({"type": "FeatureCollection", "features": [5]}, "a feature is int"),
            ({"type": "Feature"}, "id 'None'"),
            ({"op": "delete", "collection": "s2"}, "id 'None'"),
            (deletion("a", time="soon"), "time 'soon'"),
            (deletion("a", time="2027-01-01T00:00:00Z"), "after the message was sent"),
        ],
        ids=str,
    )
    def test_anything_else_is_refused_and_says_why(self, body: Any, says: str) -> None:
        with pytest.raises(InvalidItemError, match=says):
            deliveries(message(body))


class TestSqs:
    def test_a_plain_message_has_the_time_it_was_sent(self) -> None:
        (found,) = sqs_messages(sqs_event(json.dumps(item("a"))))
        assert found.id == "059f36b4-87a3-44ab-83d2-661970000000"
        assert found.time == NOW
        assert deliveries(found)[0].id == "a"

    def test_a_notification_has_the_time_it_was_published(self) -> None:
        (found,) = sqs_messages(sqs_event(json.dumps(notification(item("a")))))
        (delivery,) = deliveries(found)
        assert delivery.id == "a"
        assert delivery.time == datetime(2026, 3, 1, 11, 59, 0, 123000, tzinfo=UTC)

    @pytest.mark.parametrize("name", ["status", "operation"])
    @pytest.mark.parametrize(
        ("value", "op"), [("created", "upsert"), ("updated", "upsert"), ("deleted", "delete")]
    )
    def test_an_attribute_tells_deletions(self, name: str, value: str, op: str) -> None:
        by_sns = sqs_event(json.dumps(notification(item("a"), **{name: value})))
        by_sqs = sqs_event(json.dumps(item("a")), attributes=[{name: value}])
        for event in (by_sns, by_sqs):
            assert [d.op for m in sqs_messages(event) for d in deliveries(m)] == [op]

    def test_words_in_an_item_do_not_make_it_a_notification_or_a_deletion(self) -> None:
        document = item("a", properties={"op": "delete", "Type": "Notification", "Message": "{}"})
        assert deliveries(message(document))[0].op == "upsert"

    def test_a_notification_of_rubbish_is_refused(self) -> None:
        (found,) = sqs_messages(sqs_event(json.dumps(notification("hello"))))
        with pytest.raises(InvalidItemError, match="not JSON"):
            deliveries(found)
