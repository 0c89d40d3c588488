"""Messages in turns, where the later of two changes of one Item must be applied last. Pure."""

from collections.abc import Iterator, Sequence

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events import read_changes
from livemosaic.ingest.events.changes import Deletion, Upsert
from livemosaic.ingest.events.message import Message

_Names = frozenset[tuple[str, str]]


def turns(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Yields the messages in groups of adjacent ones that change different Items.

    A message that does not name its Items, as a truncation or a reference does not, is a group of
    its own.
    """
    group: list[Message] = []
    seen: set[tuple[str, str]] = set()
    for message in messages:
        names = _names(message)
        if group and (names is None or names & seen):
            yield group
            group, seen = [], set()
        group.append(message)
        if names is None:
            yield group
            group = []
        else:
            seen |= names
    if group:
        yield group


def overlap(one: Message, other: Message) -> bool:
    """Returns whether two messages may change the same Item."""
    names, others = _names(one), _names(other)
    return names is None or others is None or bool(names & others)


def _names(message: Message) -> _Names | None:
    """Returns the collections and ids of the Items that a message changes; None if not known."""
    try:
        changes = list(read_changes(message))
    except InvalidItemError:
        return None
    named = [change for change in changes if isinstance(change, Upsert | Deletion)]
    if len(named) < len(changes):
        return None
    return frozenset((change.collection, change.id) for change in named)
