"""The mosaics that subscribe to a collection, and the changes of Items in each of them."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from livemosaic.index.change import Change, Effect, Newer
from livemosaic.index.mosaics import same_settings
from livemosaic.index.overviews import OverviewRows, stale_row
from livemosaic.index.registry.roster import Roster
from livemosaic.index.scenes import Index
from livemosaic.ingest.assets.opened import opened_hrefs
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.tracked_objects import ItemName
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import FORMAT, Mosaic
from livemosaic.model.order import updated_of
from livemosaic.model.scene import Scene, scene_key
from livemosaic.storage.allowlist import AllowList
from livemosaic.traces import span

log = logging.getLogger(__name__)

_NAMED: Final = 5
"""Assets that a warning about an Item names at most."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A change of one Item, or of a whole collection, in one mosaic."""

    mosaic: str
    collection: str
    id: str
    """Empty where the collection was truncated."""
    change: Change
    hrefs: Collection[str] = field(default=(), repr=False)
    """Assets whose headers are kept (`assets.opened`), even where nothing changed: an Item is also
    sent again because a COG was overwritten, or because of a crash before its header was cached."""
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
    """The mosaics that a batch may change, as of about its beginning.

    What changes Items yields each change as it is made, and raises `NewerFormatError` in the end
    where a later release stored one of the mosaics, in which nothing is changed.
    """

    index: Index
    allow: AllowList
    mosaics: Roster
    force: bool = False
    """Whether a change is newer than all that is there, whatever its version is."""
    again: bool = True
    """Whether a change may have been made before, by a worker that died (`index.feed.rows`)."""

    def of(self, collection: str) -> list[Mosaic]:
        """Returns the mosaics that subscribe to a collection."""
        return self.mosaics.subscribers(collection)

    def put(self, item: StacItem) -> Iterator[Applied]:
        """Writes an Item to every mosaic whose filter it passes, and removes it from the others."""
        return self._in_each(item.collection, lambda mosaic: self._put(item, mosaic))

    def _in_each(self, collection: str, change: Callable[[Mosaic], Applied]) -> Iterator[Applied]:
        subscribed = self.of(collection)
        for mosaic in subscribed:
            if mosaic.format <= FORMAT:
                yield change(mosaic)
        for mosaic in subscribed:
            mosaic.check_format()

    def _put(self, item: StacItem, mosaic: Mosaic) -> Applied:
        if not passes(item, mosaic):
            # It may have passed before, and an older event that did may still be on the way.
            return self._remove(mosaic, ItemName(item.collection, item.id), item.left)
        scene = item.scene(mosaic, self.allow)
        with span("write", mosaic=mosaic.id):
            effect = self.index.apply(mosaic, scene, force=self.force, again=self.again)
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
        hrefs = opened_hrefs(mosaic, scene)
        warnings = left_out_assets(scene, mosaic)
        warnings += other_kinds(scene, effect.other_kinds, mosaic)
        warnings += doubtful_assets(scene, mosaic, self.allow)
        doubts = (*item.notes, *scene.misstated)
        warnings += [f"item {item.id[:80]!r}: {doubt}" for doubt in doubts]
        return replace(applied, hrefs=hrefs, warnings=warnings)

    def remove(self, names: Iterable[ItemName], version: str) -> Iterator[Applied]:
        """Removes Items at a version."""
        for name in names:
            change = partial(self._remove, name=name, version=version)
            yield from self._in_each(name.collection, change)

    def _remove(self, mosaic: Mosaic, name: ItemName, version: str) -> Applied:
        key = scene_key(*name)
        effect = self.index.delete(mosaic, key, version, force=self.force, again=self.again)
        shows = effect.newer if effect.newer and effect.newer.kind == "version" else None
        return Applied(mosaic.id, *name, effect.change, newer=shows, region=effect.region)

    def truncate(self, collection: str, version: str) -> Iterator[Applied]:
        """Removes all Items of a collection that are not newer than a version."""

        def truncated(mosaic: Mosaic) -> Applied:
            effect = self.index.truncate(mosaic, collection, version, force=self.force)
            return Applied(mosaic.id, collection, "", effect.change)

        return self._in_each(collection, truncated)

    def are_outdated(self, now: Roster) -> bool:
        """Returns whether a mosaic was created since, or has other settings."""
        if self.mosaics.version == now.version >= 0:
            return False
        return not all(same_settings(self.mosaics.get(m.id), m) for m in now.by_id.values())

    def reconcile(self, changes: Iterable[Applied], now: Roster) -> None:
        """Removes scenes that were written while their mosaic was truncated or deleted.

        Marks all overviews of a mosaic that got them meanwhile, and extends bounds that were fitted
        meanwhile.

        A truncation raises the watermark and then looks for scenes; a write puts the scene and then
        looks for watermarks: at least one of the two sees the other. So it is with a fit of bounds.
        """
        changes = list(changes)
        for change in changes:
            if change.change not in ("applied", "unchanged", "contested", "deleted"):
                continue
            old, key = self.mosaics.by_id[change.mosaic], scene_key(change.collection, change.id)
            new = now.get(old.id)
            is_there = change.change != "deleted"
            if new is None or new.generation != old.generation:
                if is_there:
                    self.index.forget(old, key)
                continue
            if is_there and new.watermark(change.collection) > old.watermark(change.collection):
                self.index.apply_watermark(new, key)
            if new.fit and (old.fit is None or new.fit.since != old.fit.since):
                self.index.meet_fit(new.id, key)
        for mosaic_id in {change.mosaic for change in changes}:
            self._mark_overviews(self.mosaics.get(mosaic_id), now.get(mosaic_id))

    def _mark_overviews(self, old: Mosaic | None, new: Mosaic | None) -> None:
        """Marks a mosaic that had no overviews when its scenes were written, and has some now."""
        if old and new and old.overviews is None and new.overviews is not None:
            row = stale_row(new, [""], self.index.clock())
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


def passes(item: StacItem, mosaic: Mosaic) -> bool:
    """Returns whether an Item passes the filter of a mosaic; `InvalidItemError` if unreadable."""
    return mosaic.filter is None or Cql2Filter(mosaic.filter).matches(item.document)
