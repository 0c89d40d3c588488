"""STAC Items as Python has them, and what became of them."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike, fspath
from typing import Any

from livemosaic.client.target import EntryOutcome
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.sources import Entry
from livemosaic.model.order import Order
from livemosaic.storage.allowlist import AllowList


class ItemsNotAddedError(LivemosaicError):
    """Some Items were not taken; the others were."""

    def __init__(self, outcomes: Sequence[EntryOutcome]) -> None:
        self.outcomes = outcomes
        """Of all Items, in their order."""
        bad = [one for one in outcomes if not one.ok]
        first = bad[0]
        super().__init__(
            f"{len(bad)} of {len(outcomes)} Items were not added; {first.entry.source}: "
            f"{first.reason or first.status}"
        )


class OutdatedItemWarning(UserWarning):
    """An Item changes nothing, as something newer is there."""


def entries_of(items: Any, allow: AllowList) -> Iterator[Entry]:
    """Yields Items as a source of them; raises `InvalidRequestError` for what is none.

    `allow` is what may be read to describe COGs.
    """
    now = datetime.now(UTC)
    number = 0
    for one in _each(items):
        if isinstance(one, str | PathLike):
            yield from _from_source(fspath(one), allow, now)
            continue
        number += 1
        message = Message(str(number), one, now, {}, stated=Order.listed(now, now, number))
        yield Entry(message, f"Item {one.get('id')!r}")


def _each(items: Any) -> Iterator[Any]:
    found = items.to_dict() if hasattr(items, "to_dict") else items
    if isinstance(found, str | PathLike):
        yield found
    elif isinstance(found, Mapping):
        features = found.get("features")
        yield from features if isinstance(features, list) else [found]
    elif isinstance(found, Iterable):
        for one in found:
            yield from _each(one)
    else:
        raise InvalidRequestError(
            f"{type(items).__name__} is no STAC Item: give a dict, an Item of pystac, or a file"
        )


def _from_source(name: str, allow: AllowList, now: datetime) -> Iterator[Entry]:
    from livemosaic.ingest.sources.open import open_names

    for source in open_names([name], allow).sources:
        yield from source.read(now, None)


def raise_for(outcomes: list[EntryOutcome]) -> list[EntryOutcome]:
    """Returns outcomes; raises `ItemsNotAddedError` if an Item was not taken, and warns of the ones
    that change nothing."""
    if not all(one.ok for one in outcomes):
        raise ItemsNotAddedError(outcomes)
    older = [f"{item.id!r} in {item.mosaic!r}" for one in outcomes for item in one.older]
    if older:
        text = f"older than what is there, and changed nothing: {', '.join(older[:10])}"
        warnings.warn(text, OutdatedItemWarning, stacklevel=3)
    return outcomes
