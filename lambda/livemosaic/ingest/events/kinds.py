"""The interface of an event module: each exports its `MessageKind`s as `KINDS`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body
from livemosaic.ingest.events.changes import ItemChange
from livemosaic.ingest.events.message import Message

DELETED: Final = frozenset({"delete", "deleted", "remove", "removed"})
"""Words for a deletion: in `op`, in attributes `operation` and `status`, at the end of a type."""

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


def read_each(
    parts: Iterable[Any], read: Callable[[Any], Iterable[MessagePart]]
) -> Iterator[MessagePart]:
    """Reads several parts; yields the error of a malformed part in its place."""
    for part in parts:
        try:
            yield from read(part)
        except InvalidItemError as error:
            yield error
