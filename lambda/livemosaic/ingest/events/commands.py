"""Commands that delete one Item, or all Items of a collection.

Commands of livemosaic have an `op` and optionally a `time` (docs/events.md): `livemosaic ingest`
sends an API what it reads as `relay`, with the order of its source. Commands of stac-server have
the type `action` (its documentation, "Ingest actions").
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_text, order_member
from livemosaic.ingest.events.changes import Deletion, ItemChange, Truncation
from livemosaic.ingest.events.kinds import DELETED, MessageKind
from livemosaic.ingest.events.message import Message
from livemosaic.model.order import Order
from livemosaic.model.scene import check_collection, check_id
from livemosaic.model.time import utc_text

_TRUNCATE: Final = "truncate"
_RELAY: Final = "relay"
_SECOND: Final = re.compile(r"[-0-9A-Za-z:.~]{0,120}")


def relayed(message: Message, body: object) -> Body:
    """Returns a message with this body as a command that states the order of its changes."""
    order = message.order
    return {
        "op": _RELAY,
        "time": utc_text(order.moment),
        "second": order.second,
        "snapshot": order.snapshot,
        "message": body,
    }


def _ours(body: Body, message: Message) -> Iterator[ItemChange | Message]:
    order = order_member(body, "time", message.order)
    if body["op"] == _RELAY:
        yield _inner(body, order, message)
    elif body["op"] == _TRUNCATE:
        yield Truncation(_all_of(body), order)
    elif body["op"] in DELETED:
        collection, item_id = check_collection(body.get("collection")), check_id(body.get("id"))
        yield Deletion(collection, item_id, order)
    else:
        raise InvalidItemError(f"op {body['op'][:80]!r} is neither 'delete' nor {_TRUNCATE!r}")


def _inner(body: Body, order: Order, message: Message) -> Message:
    """Returns the message of a relay; a clock ahead of ours counts as ours."""
    second, inner = body.get("second", ""), body.get("message")
    if not isinstance(second, str) or not _SECOND.fullmatch(second):
        raise InvalidItemError(f"second {str(second)[:80]!r} has characters that no order has")
    if not isinstance(inner, Mapping | list):
        raise InvalidItemError(f"message {str(inner)[:80]!r} is not an object")
    moment = min(order.moment, message.time)
    stated = Order(moment, second, snapshot=body.get("snapshot") is True)
    whole = inner if isinstance(inner, Mapping) else json.dumps(inner)
    return replace(message, body=whole, stated=stated)


def _action(body: Body, message: Message) -> Iterator[ItemChange]:
    if body["command"] != _TRUNCATE:
        raise InvalidItemError(f"command {body['command'][:80]!r} is not {_TRUNCATE!r}")
    yield Truncation(_all_of(body), message.order)


def _all_of(body: Body) -> str:
    """Returns the collection, which is required: its absence must not mean Items without one."""
    collection = check_collection(body.get("collection"))
    if not collection or "*" in collection:
        raise InvalidItemError(f"collection {collection[:80]!r} is not the id of one to truncate")
    return collection


KINDS: Final = (
    MessageKind("a command", lambda body: is_text(body, "op"), _ours),
    MessageKind(
        "an action of stac-server",
        lambda body: body.get("type") == "action" and is_text(body, "command"),
        _action,
    ),
)
