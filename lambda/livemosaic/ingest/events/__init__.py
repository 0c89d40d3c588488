"""Messages of all sources, recognized by their structure, become changes of Items. Pure.

`docs/events.md` lists the sources, their formats and how their events are ordered.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events import cloudevents, commands, envelopes, items, s3, unread
from livemosaic.ingest.events.agencies import cmr, landsat
from livemosaic.ingest.events.body import Body, parse, parse_any
from livemosaic.ingest.events.changes import ItemChange, OffloadedMessage
from livemosaic.ingest.events.kinds import MessageKind, MessagePart
from livemosaic.ingest.events.message import Message, sqs_messages

__all__ = ["Message", "deliveries", "parse", "sqs_messages"]

MAX_ENVELOPES: Final = 4
"""Levels of nesting: SNS, EventBridge, a CloudEvent or two."""
_GEOJSON: Final = ("Feature", "FeatureCollection")
_KINDS: Final = (
    *items.KINDS,
    *commands.KINDS,
    *envelopes.KINDS,
    *s3.KINDS,
    *cloudevents.KINDS,
    *landsat.KINDS,
    *cmr.KINDS,
    *unread.KINDS,
)


def read_changes(message: Message) -> Iterator[ItemChange | OffloadedMessage]:
    """Yields the changes of a message; none where it is of no concern to a mosaic.

    A message whose body is elsewhere yields that: fetch the body, and read the message with it.

    Raises `InvalidItemError` where the message is of no known kind, or is malformed. A message with
    several parts yields its valid parts first, and then raises the errors of the others as one.
    """
    errors = []
    for part in _read(message, 0):
        if isinstance(part, InvalidItemError):
            errors.append(part)
        elif not isinstance(part, Message):
            yield part
    if errors:
        raise InvalidItemError("; ".join(map(str, errors))) from errors[0]


def _read(message: Message, level: int) -> Iterator[MessagePart | OffloadedMessage]:
    body = message.body if isinstance(message.body, Mapping) else parse_any(message.body)
    if isinstance(body, list):
        if href := envelopes.pointer(body):
            yield OffloadedMessage(href, message)
            return
        unread.refuse_list(body)
    if not isinstance(body, Mapping):
        raise InvalidItemError(f"a JSON {type(body).__name__}, not an object")
    if level and body.get("type") in ("Collection", "Catalog") and "stac_version" in body:
        return  # topics for Items carry them too; without an envelope it is an error of the sender
    for part in _kind(body).read(body, message):
        if not isinstance(part, Message):
            yield part
        elif level == MAX_ENVELOPES:
            raise InvalidItemError(f"a message in more than {MAX_ENVELOPES} envelopes")
        else:
            yield from _read(part, level + 1)


def _kind(body: Body) -> MessageKind:
    geojson = body.get("type") in _GEOJSON
    fitting = [kind for kind in _KINDS if kind.geojson == geojson and kind.fits(body)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InvalidItemError(f"both {' and '.join(kind.name for kind in fitting)}")
    members = ", ".join(map(repr, sorted(body)[:20]))[:200]
    raise InvalidItemError(
        f"neither a STAC Item nor a message that is known: type is {str(body.get('type'))[:40]!r}, "
        f"members are {members}"
    )
