"""Events of S3 objects, and of stores that speak as S3 does (MinIO, Ceph).

Sources: S3 User Guide, "Event message structure", "EventBridge event message structure",
"Deleting object versions"; MinIO `event.Event`.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_object, moment, text
from livemosaic.ingest.events.changes import ItemChange, TrackedChange
from livemosaic.ingest.events.envelopes import is_eventbridge
from livemosaic.ingest.events.kinds import MessageKind, MessagePart, read_each
from livemosaic.ingest.events.message import Message

ITEM_SUFFIXES: Final = (".json", ".geojson")
NOT_ITEMS: Final = frozenset({"catalog.json", "collection.json"})
"""What STAC's best practices call the other documents of a static catalogue."""
_CREATED: Final = frozenset({"ObjectCreated", "Object Created"})
_REMOVED: Final = frozenset({"ObjectRemoved", "LifecycleExpiration", "Object Deleted"})
_MARKED: Final = frozenset({"DeleteMarkerCreated", "Delete Marker Created"})


def _records(body: Body, message: Message) -> Iterator[MessagePart]:
    return read_each(body["Records"], lambda record: _record(record, message))


def _record(record: Body, message: Message) -> Iterator[ItemChange]:
    group, _, what = text(record, "eventName").removeprefix("s3:").partition(":")
    if group not in _CREATED | _REMOVED:
        return
    bucket, thing = _parts(record["s3"])
    key = unquote_plus(text(thing, "key"), errors="surrogateescape")
    time = moment(record, "eventTime", message.time)
    yield from _delivery(group, what, bucket, {**thing, "key": key}, thing.get("versionId"), time)


def _event(body: Body, message: Message) -> Iterator[ItemChange]:
    group, detail = body["detail-type"], body["detail"]
    if group not in _CREATED | _REMOVED:
        return
    bucket, thing = _parts(detail)
    time = moment(body, "time", message.time)
    what = str(detail.get("deletion-type"))
    yield from _delivery(group, what, bucket, thing, thing.get("version-id"), time)


def _delivery(
    group: str, what: str, bucket: str, thing: Body, version: Any, time: datetime
) -> Iterator[ItemChange]:
    """What the event of one object asks for; nothing where that is no Item."""
    key = text(thing, "key")
    if not _may_be_item(key):
        return
    href = f"s3://{bucket}/{key}"
    sequence = _sequence(thing, time)
    if group in _CREATED:
        yield TrackedChange(href, sequence, time, href)
    elif what in _MARKED or not version:
        yield TrackedChange(href, sequence, time, None)
    else:
        # One of several versions was deleted for good, or a marker, and what shows now is an older
        # version, or the same as before, or nothing. The event has the sequencer of what it
        # deleted; looking at what is there now is later than that.
        yield TrackedChange(href, max(sequence, _clocked(time)), time, href)


def _may_be_item(key: str) -> bool:
    return key.lower().endswith(ITEM_SUFFIXES) and key.rpartition("/")[2] not in NOT_ITEMS


def _sequence(thing: Body, time: datetime) -> str:
    """S3 compares sequencers as text after padding the shorter with zeros on the right, and so they
    compare as they are without those."""
    if thing.get("sequencer") is None:
        return _clocked(time)
    sequencer = text(thing, "sequencer").upper()
    if not re.fullmatch("[0-9A-F]{1,64}", sequencer):
        raise InvalidItemError(f"sequencer {sequencer[:80]!r} is not a hexadecimal number")
    return sequencer.rstrip("0") or "0"


def _clocked(time: datetime) -> str:
    """A sequence for stores that give none. Seen of S3's: the first ten digits are the seconds
    since 1970, the others the fraction."""
    fraction = int(time.timestamp() * 1_000_000) * 2**32 // 1_000_000
    return f"{max(fraction, 0):018X}".rstrip("0") or "0"


def _parts(body: Body) -> tuple[str, Body]:
    if not is_object(body, "bucket", "object"):
        raise InvalidItemError("an S3 event names no bucket or no object")
    return text(body["bucket"], "name"), body["object"]


def _are_records(records: object) -> bool:
    return (
        isinstance(records, list)
        and len(records) > 0
        and all(isinstance(record, Mapping) and is_object(record, "s3") for record in records)
    )


KINDS: Final = (
    MessageKind("a notification of S3", lambda body: _are_records(body.get("Records")), _records),
    MessageKind(
        "an event of S3",
        lambda body: is_eventbridge(body) and body["source"] == "aws.s3",
        _event,
    ),
    MessageKind(
        "a test event of S3",
        lambda body: body.get("Event") == "s3:TestEvent",
        lambda _, __: (),
    ),
)
