"""Events of objects in S3 and in stores with its format (MinIO, Ceph).

Sources: S3 User Guide, "Event message structure", "EventBridge event message structure",
"Deleting object versions"; MinIO `event.Event`.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_object, text, time_member
from livemosaic.ingest.events.changes import ItemChange, TrackedChange
from livemosaic.ingest.events.envelopes import is_eventbridge
from livemosaic.ingest.events.kinds import MessageKind, MessagePart, read_each
from livemosaic.ingest.events.message import Message

ITEM_SUFFIXES: Final = (".json", ".geojson")
NOT_ITEMS: Final = frozenset({"catalog.json", "collection.json"})
"""Names of the other documents of a static catalogue (STAC best practices)."""
_CREATED: Final = frozenset({"objectcreated", "objectcreate"})
_REMOVED: Final = frozenset(
    {"objectremoved", "objectdeleted", "objectdelete", "lifecycleexpiration"}
)
_LIFECYCLE: Final = "objectlifecycle"
"""Of Ceph: `ObjectLifecycle:Expiration:Current` and others; transitions change nothing."""
_MARKED: Final = frozenset({"DeleteMarkerCreated", "Delete Marker Created"})


def _records(body: Body, message: Message) -> Iterator[MessagePart]:
    return read_each(body["Records"], lambda record: _record(record, message))


def _record(record: Body, message: Message) -> Iterator[ItemChange]:
    name, _, kind = text(record, "eventName").removeprefix("s3:").partition(":")
    group = _group(name, kind)
    if group is None:
        return
    bucket, described = _parts(record["s3"])
    key = unquote_plus(text(described, "key"), errors="surrogateescape")
    time = time_member(record, "eventTime", message.order.moment)
    version = described.get("versionId")
    yield from _object_change(group, kind, bucket, {**described, "key": key}, version, time)


def _event(body: Body, message: Message) -> Iterator[ItemChange]:
    group, detail = _group(body["detail-type"], ""), body["detail"]
    if group is None:
        return
    bucket, described = _parts(detail)
    time = time_member(body, "time", message.order.moment)
    kind, version = str(detail.get("deletion-type")), described.get("version-id")
    yield from _object_change(group, kind, bucket, described, version, time)


def _group(name: str, kind: str) -> str | None:
    """Returns the letters of an event's name, by which stores agree; None for other events."""
    letters = re.sub("[^a-z]", "", name.lower())
    expired = letters == _LIFECYCLE and kind.startswith("Expiration")
    return letters if expired or letters in _CREATED | _REMOVED else None


def _object_change(
    group: str, kind: str, bucket: str, described: Body, version: Any, time: datetime
) -> Iterator[ItemChange]:
    """Yields the change of one object; nothing where its key is not that of an Item."""
    key = text(described, "key")
    if not _may_be_item(key):
        return
    href = f"s3://{bucket}/{key}"
    sequence = _sequence(described, time)
    if group in _CREATED:
        yield TrackedChange(href, sequence, time, href)
    elif group in _REMOVED and (kind in _MARKED or not version):
        yield TrackedChange(href, sequence, time, None)
    else:
        # One version or delete marker was deleted for good, or expired, and the object is now an
        # older version, or as before, or absent. The event has the sequencer of the deleted
        # version, but the object is fetched as it is now, which is later.
        yield TrackedChange(href, max(sequence, _clocked(time)), time, href)


def _may_be_item(key: str) -> bool:
    return key.lower().endswith(ITEM_SUFFIXES) and key.rpartition("/")[2] not in NOT_ITEMS


def _sequence(described: Body, time: datetime) -> str:
    """Returns the sequencer without zeros on its right.

    S3 compares sequencers as text after padding the shorter one on the right with zeros.
    """
    if described.get("sequencer") is None:
        return _clocked(time)
    sequencer = text(described, "sequencer").upper()
    if not re.fullmatch("[0-9A-F]{1,64}", sequencer):
        raise InvalidItemError(f"sequencer {sequencer[:80]!r} is not a hexadecimal number")
    return sequencer.rstrip("0") or "0"


def _clocked(time: datetime) -> str:
    """Returns a sequence by the clock, for stores without sequencers.

    In S3's, as observed, the first ten digits are seconds since 1970, the others the fraction.
    """
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
        "an event of S3", lambda body: is_eventbridge(body) and body["source"] == "aws.s3", _event
    ),
    MessageKind(
        "a test event of S3", lambda body: body.get("Event") == "s3:TestEvent", lambda _, __: ()
    ),
)
