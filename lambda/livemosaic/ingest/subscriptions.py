"""The mosaics that subscribe to a collection, and the changes of Items in each of them."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from livemosaic.index.change import Change, Effect, Newer
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import OverviewRows, stale_row
from livemosaic.index.scenes import Index
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.tracked_objects import ItemName
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import updated_of
from livemosaic.model.scene import Scene, scene_key
from livemosaic.storage.allowlist import AllowList

log = logging.getLogger(__name__)

_MAX_AGE_S: Final = 5.0
_NAMED: Final = 5
"""Assets that a warning about an Item names at most."""


class RecentMosaics:
    """All mosaics, as the batch before read them, if that was a moment ago.

    So a batch reads them once, at its end, where it has to look for concurrent changes anyway.
    Safe to share between threads.
    """

    def __init__(
        self,
        known: Sequence[Mosaic] | None = None,
        max_age_s: float = _MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_age_s, self._clock = max_age_s, clock
        self._known = None if known is None else (clock(), known)

    def get(self, mosaics: Mosaics) -> Sequence[Mosaic]:
        """Returns the mosaics of a moment ago, or reads them."""
        if self._known is not None:
            read_at, known = self._known
            if self._clock() - read_at <= self._max_age_s:
                return known
        return self.refresh(mosaics)

    def refresh(self, mosaics: Mosaics) -> Sequence[Mosaic]:
        """Reads all mosaics and keeps them for the next batch."""
        read_at = self._clock()
        known = mosaics.all()
        self._known = (read_at, known)
        return known


@dataclass(frozen=True, slots=True)
class Applied:
    """A change of one Item, or of a whole collection, in one mosaic."""

    mosaic: str
    collection: str
    id: str
    """Empty where the collection was truncated."""
    change: Change
    hrefs: Collection[str] = field(default=(), repr=False)
    """Assets that the mosaic keeps, even where nothing changed: an Item is also sent again because
    a COG was overwritten, or because of a crash before its header was cached."""
    warnings: Sequence[str] = field(default=(), repr=False)
    """Assets that are left out of the scene, each with the reason."""
    newer: Newer | None = None
    """What the mosaic has instead, where the Item that was put does not show, or the one that was
    deleted does."""
    region: str = ""
    """Region of the mosaic in which overviews are outdated now (`index.overviews`); empty where
    none is."""


@dataclass(frozen=True, slots=True)
class Subscribers:
    """The mosaics that a batch may change, as of about its beginning."""

    index: Index
    allow: AllowList
    mosaics: Sequence[Mosaic]
    force: bool = False
    """Whether a change is newer than all that is there, whatever its version is."""

    def of(self, collection: str) -> list[Mosaic]:
        """Returns the mosaics that subscribe to a collection."""
        return [mosaic for mosaic in self.mosaics if mosaic.accepts_collection(collection)]

    def put(self, item: StacItem) -> list[Applied]:
        """Writes an Item to every mosaic whose filter it passes, and removes it from the others."""
        return [self._put(item, mosaic) for mosaic in self.of(item.collection)]

    def _put(self, item: StacItem, mosaic: Mosaic) -> Applied:
        if not passes(item, mosaic):
            # It may have passed before, and an older event that did may still be on the way.
            return self._remove(mosaic, ItemName(item.collection, item.id), item.left)
        scene = item.scene(mosaic, self.allow)
        effect = self.index.apply(mosaic, scene, force=self.force)
        _warn_of_earlier(scene, mosaic, effect)
        applied = Applied(
            mosaic.id,
            item.collection,
            item.id,
            effect.change,
            newer=effect.newer,
            region=effect.region,
        )
        if effect.change == "outdated":
            return applied
        hrefs = tuple(scene.assets.values())
        warnings = left_out_assets(scene, mosaic)
        warnings += other_kinds(scene, effect.other_kinds, mosaic)
        warnings += doubtful_assets(scene, mosaic, self.allow)
        doubts = (*item.notes, *scene.misstated)
        warnings += [f"item {item.id[:80]!r}: {doubt}" for doubt in doubts]
        return replace(applied, hrefs=hrefs, warnings=warnings)

    def remove(self, names: Iterable[ItemName], version: str) -> list[Applied]:
        """Removes Items at a version."""
        return [self._remove(m, name, version) for name in names for m in self.of(name.collection)]

    def _remove(self, mosaic: Mosaic, name: ItemName, version: str) -> Applied:
        effect = self.index.delete(mosaic, scene_key(*name), version, force=self.force)
        shows = effect.newer if effect.newer and effect.newer.kind == "version" else None
        return Applied(mosaic.id, *name, effect.change, newer=shows, region=effect.region)

    def truncate(self, collection: str, version: str) -> list[Applied]:
        """Removes all Items of a collection that are not newer than a version."""
        changes = [
            (mosaic, self.index.truncate(mosaic, collection, version, force=self.force))
            for mosaic in self.of(collection)
        ]
        return [Applied(mosaic.id, collection, "", effect.change) for mosaic, effect in changes]

    def are_outdated(self, now: Iterable[Mosaic]) -> bool:
        """Returns whether a mosaic was created since, or has other settings."""
        before = {mosaic.id: mosaic for mosaic in self.mosaics}
        return not all(_same_settings(before.get(mosaic.id), mosaic) for mosaic in now)

    def reconcile(self, changes: Iterable[Applied], now: Iterable[Mosaic]) -> None:
        """Removes scenes that were written while their mosaic was truncated or deleted.

        Marks all overviews of a mosaic that got them meanwhile.

        A truncation raises the watermark and then looks for scenes; a write puts the scene and then
        looks for watermarks: at least one of the two sees the other.
        """
        changes = list(changes)
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
        self._mark_overviews({change.mosaic for change in changes}, before, after.values())

    def _mark_overviews(
        self, changed: Collection[str], before: Mapping[str, Mosaic], now: Iterable[Mosaic]
    ) -> None:
        """Marks mosaics that had no overviews when their scenes were written, and have some now."""
        for mosaic in now:
            old = before.get(mosaic.id)
            is_new = old is not None and old.overviews is None and mosaic.overviews is not None
            if is_new and mosaic.id in changed:
                row = stale_row(mosaic, [""], self.index.clock())
                OverviewRows(self.index.table).mark(row)


def _warn_of_earlier(scene: Scene, mosaic: Mosaic, effect: Effect) -> None:
    """Logs that an event replaced a version whose `updated` is later: it may have been late."""
    given, before = updated_of(scene.version), updated_of(effect.replaced)
    if given and before and given < before:
        log.warning(
            "an event replaced a version whose updated is later: where that was right, publish it "
            "again, or ingest it with --force",
            extra={
                "mosaic": mosaic.id,
                "collection": scene.collection,
                "item": scene.id,
                "updated": given,
                "replaced": before,
            },
        )


def left_out_assets(scene: Scene, mosaic: Mosaic) -> list[str]:
    """Returns a sentence for assets that are left out of a scene; for many, one for the rest."""
    chosen = "" if mosaic.shown_assets else ", ".join(scene.shown_assets)
    instead = f" (its tiles show {chosen} by default)" if chosen else ""
    needed = [key for key in scene.left_out if key in mosaic.shown_assets]
    keys = [*needed, *(key for key in scene.left_out if key not in needed)]
    start = f"mosaic {mosaic.id!r} shows item {scene.id[:80]!r} without"
    sentences = [
        f"{start} its asset {key[:80]!r}"
        f"{', which its tiles need by default' if key in needed else instead}"
        f": {scene.left_out[key]}"
        for key in keys[:_NAMED]
    ]
    rest = len(keys) - _NAMED
    return sentences + ([f"{start} {rest} more of its assets"] if rest > 0 else [])


def other_kinds(scene: Scene, kinds: Mapping[str, str], mosaic: Mosaic) -> list[str]:
    """Returns a sentence for shown assets of a scene that are not of the mosaic's kind.

    `kinds` says how they differ, as `Scene.other_kinds` does.
    """
    shown = mosaic.shown_assets or scene.shown_assets
    return [
        f"mosaic {mosaic.id!r} leaves item {scene.id[:80]!r} out of its images by default: its "
        f"asset {name[:80]!r} is {kinds[name]}"
        for name in shown
        if name in kinds
    ]


def doubtful_assets(scene: Scene, mosaic: Mosaic, allow: AllowList) -> list[str]:
    """Returns a sentence for assets of a scene that may not be readable, now or later."""
    keys: dict[str, list[str]] = {}
    for key, href in scene.assets.items():
        if doubt := allow.doubt(href):
            keys.setdefault(doubt, []).append(key)
    return [
        f"mosaic {mosaic.id!r} shows item {scene.id[:80]!r}, but its asset {_listed(named)} {doubt}"
        for doubt, named in keys.items()
    ]


def _listed(keys: Sequence[str]) -> str:
    """Returns some keys as a message lists them: `'red', 'green' and 5 others`."""
    named = ", ".join(repr(key[:80]) for key in keys[:_NAMED])
    return f"{named} and {len(keys) - _NAMED} others" if len(keys) > _NAMED else named


def _same_settings(old: Mosaic | None, new: Mosaic) -> bool:
    """Returns whether two states of a mosaic have equal settings."""
    if old is None or old == new:
        return old is not None
    return new == replace(
        old,
        format=new.format,
        revision=new.revision,
        bounds=new.bounds,
        levels=new.levels,
        known_assets=new.known_assets,
        chosen_assets=new.chosen_assets,
        meanings=new.meanings,
        watermarks=new.watermarks,
        overview_sets=new.overview_sets,
    )


def passes(item: StacItem, mosaic: Mosaic) -> bool:
    """Returns whether an Item passes the filter of a mosaic; `InvalidItemError` if unreadable."""
    return mosaic.filter is None or Cql2Filter(mosaic.filter).matches(item.document)
