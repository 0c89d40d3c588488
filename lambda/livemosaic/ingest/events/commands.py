"""Commands: delete one Item, or all of a collection.

Ours have an `op` and perhaps a `time`; stac-server's are of type `action` (its documentation,
"Ingest actions").
"""

from collections.abc import Iterator
from typing import Final

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_text, moment
from livemosaic.ingest.events.changes import Deletion, ItemChange, Truncation
from livemosaic.ingest.events.items import DELETED
from livemosaic.ingest.events.kinds import MessageKind
from livemosaic.ingest.events.message import Message
from livemosaic.model.scene import check_collection, check_id

_TRUNCATE: Final = "truncate"


def _ours(body: Body, message: Message) -> Iterator[ItemChange]:
    time = moment(body, "time", message.time)
    if body["op"] == _TRUNCATE:
        yield Truncation(_all_of(body), time)
    elif body["op"] in DELETED:
        collection, item_id = check_collection(body.get("collection")), check_id(body.get("id"))
        yield Deletion(collection, item_id, time)
    else:
        raise InvalidItemError(f"op {body['op'][:80]!r} is neither 'delete' nor {_TRUNCATE!r}")


def _action(body: Body, message: Message) -> Iterator[ItemChange]:
    if body["command"] != _TRUNCATE:
        raise InvalidItemError(f"command {body['command'][:80]!r} is not {_TRUNCATE!r}")
    yield Truncation(_all_of(body), message.time)


def _all_of(body: Body) -> str:
    """A collection that is named: one that is forgotten must not mean all Items without any."""
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
