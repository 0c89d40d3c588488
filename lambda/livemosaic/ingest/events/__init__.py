"""Messages become deliveries, whichever source sent them. Told apart by structure; pure.

`docs/events.md` has the sources, their shapes and their order.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events import cloudevents, cmr, commands, envelopes, items, landsat, s3
from livemosaic.ingest.events.body import Body, parse
from livemosaic.ingest.events.changes import ItemChange
from livemosaic.ingest.events.kinds import MessageKind, MessagePart
from livemosaic.ingest.events.message import Message, sqs_messages

__all__ = ["Message", "deliveries", "parse", "sqs_messages"]

MAX_ENVELOPES: Final = 4
"""One in another: SNS, EventBridge, a CloudEvent or two."""
_GEOJSON: Final = ("Feature", "FeatureCollection")
_KINDS: Final = (
    *items.KINDS,
    *commands.KINDS,
    *envelopes.KINDS,
    *s3.KINDS,
    *cloudevents.KINDS,
    *landsat.KINDS,
    *cmr.KINDS,
)


def read_changes(message: Message) -> Iterator[ItemChange]:
    """What a message says; nothing where it asks for nothing.

    `InvalidItemError` where it is none of the known kinds, or is spoilt. Of one with several parts
    the good ones come first, and then the error that says what is wrong with the others.
    """
    errors = []
    for said in _read(message, 0):
        if isinstance(said, InvalidItemError):
            errors.append(said)
        elif not isinstance(said, Message):
            yield said
    if errors:
        raise InvalidItemError("; ".join(map(str, errors))) from errors[0]


def _read(message: Message, envelopes: int) -> Iterator[MessagePart]:
    body = message.body if isinstance(message.body, Mapping) else parse(message.body)
    if envelopes and body.get("type") in ("Collection", "Catalog") and "stac_version" in body:
        return  # topics for Items have them too; given by hand, it is a mistake to be told
    for said in _kind(body).read(body, message):
        if not isinstance(said, Message):
            yield said
        elif envelopes == MAX_ENVELOPES:
            raise InvalidItemError(f"a message in more than {MAX_ENVELOPES} envelopes")
        else:
            yield from _read(said, envelopes + 1)


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
