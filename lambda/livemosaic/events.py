"""Envelopes of events become deliveries. Told apart by structure, never by searching text; pure.

Read here: a STAC Item, an ItemCollection (FeatureCollection), a deletion
(`{"op": "delete", "collection": …, "id": …}`, with an RFC 3339 `time` if it has one), each of them
bare, in the body of an SQS message, or as the `Message` of an SNS notification inside one. A
message attribute `status` (as cirrus and Earth Search set it) or `operation` that says deleted
makes a deletion of an Item.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from livemosaic.errors import InvalidItemError
from livemosaic.stac import check_collection, check_id, parse_time

_DELETED: Final = frozenset({"delete", "deleted", "remove", "removed"})


@dataclass(frozen=True, slots=True)
class Message:
    """What came from a queue, a file or a request, not yet understood."""

    id: str
    body: str | bytes | Mapping[str, Any]
    time: datetime
    """When it was sent, aware."""
    attributes: Mapping[str, str]
    base: str | None = None
    """Where it was found; relative hrefs are resolved against it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing that a message says of one Item."""

    op: Literal["upsert", "delete"]
    collection: str
    id: str
    time: datetime
    document: Mapping[str, Any] | None
    """The STAC Item of an upsert, unchecked."""


def sqs_messages(event: Mapping[str, Any]) -> list[Message]:
    """The messages of an SQS event as Lambda hands it over (`Records`, `messageId`, `body`)."""
    return [_sqs_message(record) for record in event["Records"]]


def _sqs_message(record: Mapping[str, Any]) -> Message:
    sent_ms = int(record.get("attributes", {}).get("SentTimestamp", 0))
    time = datetime.fromtimestamp(sent_ms / 1000, UTC) if sent_ms else datetime.now(UTC)
    attributes = {
        name: str(attribute.get("stringValue", ""))
        for name, attribute in record.get("messageAttributes", {}).items()
    }
    return Message(record["messageId"], record.get("body", ""), time, attributes)


def deliveries(message: Message) -> list[Delivery]:
    """What a message says; `InvalidItemError` where it is none of the known kinds."""
    body = message.body if isinstance(message.body, Mapping) else _json(message.body)
    if _is_sns(body):
        return deliveries(_from_sns(body, message))
    return list(_deliveries(body, message))


def _deliveries(body: Mapping[str, Any], message: Message) -> Iterator[Delivery]:
    kind = body.get("type")
    if kind == "Feature":
        yield _of_item(body, message)
    elif kind == "FeatureCollection" and isinstance(body.get("features"), list):
        for feature in body["features"]:
            if not isinstance(feature, Mapping):
                raise InvalidItemError(f"a feature is {type(feature).__name__}, not an object")
            yield _of_item(feature, message)
    elif body.get("op") in _DELETED:
        yield _deletion(body, _time(body, message))
    else:
        raise InvalidItemError(
            f"neither a STAC Item, an ItemCollection, nor a deletion: type is {str(kind)[:40]!r}, "
            f"keys are {', '.join(sorted(map(str, body)))[:200]}"
        )


def _of_item(item: Mapping[str, Any], message: Message) -> Delivery:
    status = message.attributes.get("operation") or message.attributes.get("status") or ""
    if status.lower() in _DELETED:
        return _deletion(item, message.time)
    collection, item_id = check_collection(item.get("collection")), check_id(item.get("id"))
    return Delivery("upsert", collection, item_id, message.time, item)


def _deletion(body: Mapping[str, Any], time: datetime) -> Delivery:
    collection, item_id = check_collection(body.get("collection")), check_id(body.get("id"))
    return Delivery("delete", collection, item_id, time, None)


def _time(body: Mapping[str, Any], message: Message) -> datetime:
    if "time" not in body:
        return message.time
    time = _parsed("time", body["time"])
    if time > message.time:
        raise InvalidItemError(f"time {body['time']!r} is after the message was sent")
    return time


def _is_sns(body: Mapping[str, Any]) -> bool:
    return body.get("Type") == "Notification" and isinstance(body.get("Message"), str)


def _from_sns(body: Mapping[str, Any], message: Message) -> Message:
    """The notification inside, with its own attributes and the time it was published."""
    given = body.get("MessageAttributes") or {}
    if not isinstance(given, Mapping):
        raise InvalidItemError(f"MessageAttributes is {type(given).__name__}, not an object")
    attributes = {
        name: str(attribute.get("Value", ""))
        for name, attribute in given.items()
        if isinstance(attribute, Mapping)
    }
    published = body.get("Timestamp")
    time = message.time if published is None else _parsed("Timestamp", published)
    return replace(message, body=body["Message"], time=time, attributes=attributes)


def _parsed(name: str, value: Any) -> datetime:
    try:
        return parse_time(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidItemError(f"{name} {str(value)[:80]!r} is not an RFC 3339 time") from error


def _json(text: str | bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidItemError(f"not JSON: {str(error)[:200]}") from error
    if not isinstance(body, Mapping):
        raise InvalidItemError(f"a JSON {type(body).__name__}, not an object")
    return body


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
