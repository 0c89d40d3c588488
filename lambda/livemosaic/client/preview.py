"""A target that changes nothing: it says what Items would change in which mosaics."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from livemosaic.client.target import EntryOutcome, Target, mosaic_of
from livemosaic.errors import InvalidItemError, InvalidRequestError
from livemosaic.ingest.events import read_changes
from livemosaic.ingest.events.changes import Deletion, Truncation, Upsert
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.sources import Entry
from livemosaic.ingest.subscriptions import left_out_assets, passes
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.allowlist import AllowList


@dataclass(frozen=True, slots=True)
class Preview:
    """The mosaics of a target, as they are when entries are read.

    What is there already is not looked at: an Item that would be put in may be there, or be older
    than what is. An API's own allow-list is not known here.
    """

    target: Target
    allow: AllowList

    def ingest(
        self, entries: Iterable[Entry], mosaic: str | None, *, force: bool = False
    ) -> Iterator[EntryOutcome]:
        """Yields what each entry would do, as `Target.ingest` yields what it did."""
        del force
        found = [self.target.get(mosaic)] if mosaic else self.target.all(private=True)
        mosaics = [mosaic_of(each) for each in found]
        return (_outcome(entry, mosaics, self.allow) for entry in entries)


def _outcome(entry: Entry, mosaics: Sequence[Mosaic], allow: AllowList) -> EntryOutcome:
    if entry.problem:
        return EntryOutcome(entry, "rejected", (), entry.problem)
    labels: dict[str, None] = {}
    warnings: list[str] = []
    try:
        for change in read_changes(entry.message):
            labels |= dict.fromkeys(_labels(change, mosaics, allow, warnings))
    except (InvalidItemError, InvalidRequestError) as error:
        return EntryOutcome(entry, "rejected", (), str(error))
    return EntryOutcome(entry, "done" if labels else "ignored", tuple(labels), "", warnings)


def _labels(
    change: Any, mosaics: Sequence[Mosaic], allow: AllowList, warnings: list[str]
) -> Iterator[str]:
    if not isinstance(change, Upsert | Deletion | Truncation):
        yield "to be fetched"
        return
    wanting = [one for one in mosaics if one.accepts_collection(change.collection)]
    if isinstance(change, Deletion):
        yield from (f"to be deleted from {one.id}" for one in wanting)
    elif isinstance(change, Truncation):
        yield from (f"to truncate in {one.id}" for one in wanting)
    elif wanting:
        item = StacItem.parse(change.document, order=change.order, base=change.base)
        for mosaic in wanting:
            if not passes(item, mosaic):
                yield f"filtered out of {mosaic.id}"
                continue
            warnings += left_out_assets(item.scene(mosaic, allow), mosaic)
            yield f"to be put into {mosaic.id}"
