"""The mosaics that events change, and what becomes of an Item in each of them."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cql2 import Expr

from livemosaic.errors import InvalidItemError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Change, Index
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.tracked_objects import ItemName
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import scene_key
from livemosaic.storage.allowlist import AllowList

_MAX_AGE_S: Final = 5.0


class RecentMosaics:
    """All mosaics, as a batch begins with them: what the one before it ended with, if that was a
    moment ago. So a batch reads them once, at its end, where it has to look for what came
    meanwhile anyway. Safe to share between threads.
    """

    def __init__(
        self,
        known: Sequence[Mosaic] | None = None,
        max_age_s: float = _MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_age_s, self._clock = max_age_s, clock
        self._known = None if known is None else (clock(), known)

    def recent(self, mosaics: Mosaics) -> Sequence[Mosaic]:
        """Those of a moment ago."""
        if self._known is not None:
            read_at, known = self._known
            if self._clock() - read_at <= self._max_age_s:
                return known
        return self.now(mosaics)

    def now(self, mosaics: Mosaics) -> Sequence[Mosaic]:
        """Those of now."""
        read_at = self._clock()
        known = mosaics.all()
        self._known = (read_at, known)
        return known


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one Item, or of a whole collection, in one mosaic."""

    mosaic: str
    collection: str
    id: str
    """Empty where the collection was truncated."""
    change: Change
    hrefs: Collection[str] = field(default=(), repr=False)
    """Of its assets that the mosaic shows, even where nothing changed: an Item is also said again
    because a COG was overwritten, or because of a crash before the header of one was kept."""


@dataclass(frozen=True, slots=True)
class Subscribers:
    """Mosaics as they were about when a batch began, less those that it is not for."""

    index: Index
    allow: AllowList
    mosaics: Sequence[Mosaic]

    def want(self, collection: str) -> list[Mosaic]:
        """Those that subscribe to a collection."""
        return [mosaic for mosaic in self.mosaics if mosaic.accepts_collection(collection)]

    def put(self, item: StacItem) -> list[Applied]:
        """Show an Item as it is, where it passes the filter."""
        return [self._put(item, mosaic) for mosaic in self.want(item.collection)]

    def _put(self, item: StacItem, mosaic: Mosaic) -> Applied:
        if not passes(item, mosaic):
            # It may have passed before, and an older event that did may still be on the way.
            return self._remove(mosaic, ItemName(item.collection, item.id), item.left)
        scene = item.scene(mosaic, self.allow)
        change = self.index.apply(mosaic, scene)
        hrefs = () if change == "outdated" else tuple(scene.assets.values())
        return Applied(mosaic.id, item.collection, item.id, change, hrefs)

    def remove(self, names: Iterable[ItemName], version: str) -> list[Applied]:
        """Show some Items no more."""
        return [
            self._remove(m, name, version) for name in names for m in self.want(name.collection)
        ]

    def _remove(self, mosaic: Mosaic, name: ItemName, version: str) -> Applied:
        change = self.index.delete(mosaic, scene_key(*name), version)
        return Applied(mosaic.id, *name, change)

    def truncate(self, collection: str, version: str) -> list[Applied]:
        """Show nothing of a collection any more that is not newer than a version."""
        changes = [(m, self.index.truncate(m, collection, version)) for m in self.want(collection)]
        return [Applied(mosaic.id, collection, "", change) for mosaic, change in changes]

    def missed(self, now: Iterable[Mosaic]) -> bool:
        """Whether there are mosaics now that are not among these, or are set up otherwise."""
        before = {mosaic.id: mosaic for mosaic in self.mosaics}
        return not all(_set_up_alike(before.get(mosaic.id), mosaic) for mosaic in now)

    def settle(self, changes: Iterable[Applied], now: Iterable[Mosaic]) -> None:
        """Mend what was put where a mosaic was truncated meanwhile, or deleted.

        Who truncates raises the watermark and then looks for scenes; who puts one does so and then
        looks for watermarks: at least one of them sees the other.
        """
        before = {mosaic.id: mosaic for mosaic in self.mosaics}
        after = {(mosaic.id, mosaic.generation): mosaic for mosaic in now}
        for change in changes:
            if change.change not in ("applied", "unchanged", "contested"):
                continue
            old, key = before[change.mosaic], scene_key(change.collection, change.id)
            new = after.get((old.id, old.generation))
            if new is None:
                self.index.forget(old, key)
            elif new.watermark(change.collection) > old.watermark(change.collection):
                self.index.apply_watermark(new, key)


def _set_up_alike(old: Mosaic | None, new: Mosaic) -> bool:
    """Whether they are the same but for what events make of them."""
    if old is None or old == new:
        return old is not None
    return new == replace(
        old,
        revision=new.revision,
        bounds=new.bounds,
        levels=new.levels,
        known_assets=new.known_assets,
        watermarks=new.watermarks,
    )


def passes(item: StacItem, mosaic: Mosaic) -> bool:
    """Whether an Item passes the filter of a mosaic."""
    if mosaic.filter is None:
        return True
    try:
        # Not `parse_filter`: it was valid when it was stored, and checking it again takes 13 ms.
        return Expr(dict(mosaic.filter)).matches(dict(item.document))
    except (ValueError, OverflowError) as error:  # half a surrogate pair, a long number
        raise InvalidItemError(f"holds what no filter can read: {error}") from error
    except Exception:  # noqa: BLE001 (cql2 raises bare Exception where a property is missing)
        return False  # CQL2: a comparison with null is not true
