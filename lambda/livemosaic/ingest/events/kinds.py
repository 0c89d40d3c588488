"""The interface of an event module: each exports its `MessageKind`s as `KINDS`."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body
from livemosaic.ingest.events.changes import ItemChange
from livemosaic.ingest.events.message import Message

DELETED: Final = frozenset({"delete", "deleted", "remove", "removed"})
"""Words for a deletion: in `op`, in attributes `operation` and `status`, at the end of a type."""

ARCHIVED: Final = frozenset({"archive", "archived"})
"""Words for a deletion in the attribute `action`; Open Data Cube has `ADDED` and `UPDATED` too."""
_ENDS: Final = ARCHIVED | {
    "deletion", "removal", "drop", "dropped", "expire", "expired", "hidden", "hide", "invalidated",
    "obsolete", "purge", "purged", "retract", "retracted", "revoked", "unpublish", "unpublished",
    "withdraw", "withdrawn",
}  # fmt: skip
"""Words that other producers may have for a deletion, or for something else."""
_FILLERS: Final = frozenset({"event", "item", "items", "message", "notification", "v"})
_WORD: Final = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""A word of a text such as `ItemDeleted`, `item.deleted.v1` or `ITEM_DELETED`."""

MessagePart: TypeAlias = ItemChange | Message | InvalidItemError
"""A change, a message out of an envelope, or the error of one part among several."""


@dataclass(frozen=True, slots=True)
class MessageKind:
    """One kind of message. No body may fit two kinds."""

    name: str
    """Name with its article, for error messages."""
    fits: Callable[[Body], bool]
    """Recognizes a body by its members and their types, and by names of types; nothing else."""
    read: Callable[[Body, Message], Iterable[MessagePart]]
    """Yields nothing where no Item changes. `InvalidItemError` where a required member is missing
    or malformed."""
    geojson: bool = False
    """Whether it is a GeoJSON object, whose other members do not make it another kind."""


def is_deletion(text: str, where: str, deleted: Collection[str] = DELETED) -> bool:
    """Returns whether the last word of a text, of a type or an attribute, is one for a deletion.

    Raises `InvalidItemError` where it may be one: what is gone must not be shown as new.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    last = next((word for word in reversed(words) if word not in _FILLERS), "")
    if last in _ENDS - set(deleted):
        raise InvalidItemError(
            f"{where} {text[:80]!r} may announce that an Item is gone: only "
            f"{', '.join(map(repr, sorted(deleted)))} do"
        )
    return last in deleted


def has_deletion(message: Message) -> bool:
    """Returns whether attributes mark the Item of a message as deleted; their case is ignored."""
    if not message.attributes:
        return False
    attributes = {name.lower(): value for name, value in message.attributes.items()}
    found = [
        is_deletion(attributes.get(name, ""), f"attribute {name}", words)
        for name, words in _ATTRIBUTES.items()
    ]
    return any(found)


_ATTRIBUTES: Final = {"operation": DELETED, "status": DELETED, "action": DELETED | ARCHIVED}


def read_each(
    parts: Iterable[Any], read: Callable[[Any], Iterable[MessagePart]]
) -> Iterator[MessagePart]:
    """Reads several parts; yields the error of a malformed part in its place."""
    for part in parts:
        try:
            yield from read(part)
        except InvalidItemError as error:
            yield error
