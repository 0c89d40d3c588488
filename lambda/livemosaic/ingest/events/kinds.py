"""What a kind of message is: a structure to know it by, and what it says."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body
from livemosaic.ingest.events.changes import ItemChange
from livemosaic.ingest.events.message import Message

MessagePart: TypeAlias = ItemChange | Message | InvalidItemError
"""A delivery, a message that was inside, or why a part of several could not be read."""


@dataclass(frozen=True, slots=True)
class MessageKind:
    """One kind of message. No body may fit two of them."""

    name: str
    """With its article, as a sentence has it."""
    fits: Callable[[Body], bool]
    """Looks at members and their types, and at names of types, nothing else."""
    read: Callable[[Body, Message], Iterable[MessagePart]]
    """Empty where the message asks for nothing. `InvalidItemError` where what must be there is
    not."""
    geojson: bool = False
    """Whether it is a GeoJSON object; other members of those mean nothing to us."""


def read_each(
    parts: Iterable[Any], read: Callable[[Any], Iterable[MessagePart]]
) -> Iterator[MessagePart]:
    """What is read of several parts, of which a bad one must not hide the good."""
    for part in parts:
        try:
            yield from read(part)
        except InvalidItemError as error:
            yield error
