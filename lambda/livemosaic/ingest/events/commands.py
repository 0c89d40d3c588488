"""Commands that delete one Item, or all Items of a collection.

Commands of livemosaic have an `op` and optionally a `time` (docs/events.md); commands of
stac-server have the type `action` (its documentation, "Ingest actions").
"""

from collections.abc import Iterator
from typing import Final

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_text, time_member
from livemosaic.ingest.events.changes import Deletion, ItemChange, Truncation
from livemosaic.ingest.events.kinds import DELETED, MessageKind
from livemosaic.ingest.events.message import Message
from livemosaic.model.scene import check_collection, check_id

_TRUNCATE: Final = "truncate"


def _ours(body: Body, message: Message) -> Iterator[ItemChange]:
    time = time_member(body, "time", message.time)
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
