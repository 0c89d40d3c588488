"""The registry of mosaics: one row each, written when its settings or its extent change."""

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Final

from cachetools import TTLCache

from livemosaic.errors import (
    AlreadyExistsError,
    ConditionFailedError,
    InUseError,
    InvalidRequestError,
    NotFoundError,
)
from livemosaic.geo.antimeridian import holds, is_smaller, union, united
from livemosaic.index.derived.members import check_members, resolved, uses
from livemosaic.index.feed.rows import WORLD, FeedRow, milliseconds, repeat_if_late
from livemosaic.index.learning.traits import grown, kept_choice, widened, with_meanings
from livemosaic.index.overviews import ended
from livemosaic.index.registry.mosaic import (
    MOSAICS,
    REMAINS,
    from_item,
    mosaic_key,
    put_of,
    remains_key,
    to_item,
)
from livemosaic.index.registry.row import GROWN, REGISTRY, Registry, is_growth
from livemosaic.model.mosaic import (
    ANY_COLLECTION,
    FORMAT,
    MOSAIC_ID,
    Fit,
    Mosaic,
    OverviewSet,
    Watermark,
)
from livemosaic.model.raster import BBox
from livemosaic.model.scene import Scene
from livemosaic.table import ABSENT, Delete, Equals, Put, Row, Table
from livemosaic.table.groups import rows_of
from livemosaic.table.retry import contended

_LISTED_AT_ONCE: Final = 100
FIXED: Final = ("tms", "sortby", "minzoom", "quadkey_zoom", "max_cells")
"""Settings that every row of a scene depends on."""
MAX_WATERMARKS: Final = 100
"""The largest number of truncated collections that a mosaic remembers."""


@dataclass(frozen=True, slots=True)
class Mosaics:
    """Mosaics by id, in a `Table`.

    Raises `NewerFormatError` for a mosaic that a later release stored, but in `all` and `some`.
    """

    table: Table
    check: Callable[[Mosaic], None] = lambda _: None
    """Raises `InvalidRequestError` for settings that only other packages can judge."""
    clock: Callable[[], float] = time.time
    """Epoch seconds."""
    note: Callable[[Mosaic], None] = lambda _: None
    """Called with a mosaic that grew, or had grown already."""

    def registry(self) -> Registry:
        """The version of all mosaics as of now."""
        return Registry.from_item(self.table.get(REGISTRY))

    def some(self, mosaic_ids: Iterable[str]) -> dict[str, Mosaic | None]:
        """Some mosaics as of now, by id; None for one that is not there, or is being deleted."""
        return {mosaic_id: self._existing(mosaic_id) for mosaic_id in sorted(mosaic_ids)}

    def _existing(self, mosaic_id: str) -> Mosaic | None:
        with suppress(NotFoundError):
            mosaic = self._find(mosaic_id)
            return None if mosaic.deleting else mosaic
        return None

    def all(self) -> list[Mosaic]:
        """Every mosaic, by id, except mosaics that are being deleted.

        Of a mosaic that a later release stored only what names it is known (`format`).
        """
        return [mosaic for mosaic in self.listed() if not mosaic.deleting]

    def listed(self) -> list[Mosaic]:
        """Every mosaic, by id, and the ones that are being deleted; otherwise as `all`."""
        return [from_item(row.item) for row in self._rows(MOSAICS)]

    def doomed(self, mosaic_id: str) -> Mosaic | None:
        """A mosaic that is being deleted; None where there is none, or it is not."""
        with suppress(NotFoundError):
            mosaic = self._find(mosaic_id)
            if mosaic.deleting:
                mosaic.check_format()
                return mosaic
        return None

    def after(self, mosaic_id: str = "") -> Iterator[Mosaic]:
        """The mosaics after an id, by id; read a page at a time, as far as they are taken.

        Derived ones have their members, as of `get` and of `recent`.
        """
        rows = rows_of(self.table, MOSAICS, after=mosaic_id or None, limit=_LISTED_AT_ONCE)
        mosaics = (from_item(row.item) for row in rows)
        return (resolved(mosaic, self._recently) for mosaic in mosaics if not mosaic.deleting)

    def get(self, mosaic_id: str) -> Mosaic:
        """One mosaic as of now; `NotFoundError` where there is none."""
        mosaic = self._find(mosaic_id)
        if mosaic.deleting:
            raise _missing(mosaic_id)
        mosaic.check_format()
        return resolved(mosaic, self._now)

    def recent(self, mosaic_id: str) -> Mosaic:
        """One mosaic as of about a second ago, at half the price of `get`; raises as that does."""
        key = mosaic_key(mosaic_id)
        items = self.table.batch_get([key]) if MOSAIC_ID.fullmatch(mosaic_id) else {}
        mosaic = from_item(items[key]) if key in items else None
        if mosaic is None or mosaic.deleting:
            return self.get(mosaic_id)
        mosaic.check_format()
        return resolved(mosaic, self._recently)

    def _recently(self, mosaic_ids: Collection[str]) -> dict[str, Mosaic]:
        """Some mosaics as of about a second ago, without their members."""
        found = self.table.batch_get([mosaic_key(mosaic_id) for mosaic_id in mosaic_ids])
        return {key.sk: from_item(item) for key, item in found.items()}

    def _now(self, mosaic_ids: Collection[str]) -> dict[str, Mosaic]:
        """Some mosaics as of now, without their members."""
        items = ((mosaic_id, self.table.get(mosaic_key(mosaic_id))) for mosaic_id in mosaic_ids)
        return {mosaic_id: from_item(item) for mosaic_id, item in items if item is not None}

    def create(self, mosaic: Mosaic) -> Mosaic:
        """Add a mosaic; `AlreadyExistsError` if its id is taken."""
        mosaic = without_collections(mosaic)
        created = replace(mosaic, generation=secrets.token_hex(4), revision=1, format=FORMAT)

        def attempt() -> None:
            registry = self.registry().after(mosaic.id)
            self._check(mosaic)
            if self.table.get(mosaic_key(mosaic.id)) is not None:
                raise AlreadyExistsError(
                    f"mosaic {mosaic.id!r} already exists; choose another id or delete it first"
                )
            self.table.transact([put_of(created, ABSENT), registry])

        contended(attempt)
        return resolved(created, self._now)

    def update(self, mosaic_id: str, settings: Mapping[str, Any]) -> Mosaic:
        """Change settings as `revise` does, whatever they are now."""
        return self.revise(mosaic_id, lambda _: settings)

    def revise(self, mosaic_id: str, settings: Callable[[Mosaic], Mapping[str, Any]]) -> Mosaic:
        """Change settings on which scenes already indexed do not depend.

        `settings` returns the ones to change of the mosaic as of now, and may be called several
        times. A changed filter or asset list applies to later events only, and `chosen_assets`
        change only where they are no longer kept. Raises `InvalidRequestError` for a change of a
        `FIXED` setting.
        """

        def change(mosaic: Mosaic) -> Mosaic:
            given = settings(mosaic)
            _check_kind(mosaic, bool(given.get("sources", mosaic.sources)))
            changed = replace(mosaic, **given)
            if changed.assets != mosaic.assets and mosaic.known_assets:
                changed = replace(changed, chosen_assets=kept_choice(mosaic, changed))
            changed = without_collections(changed)
            for name in FIXED if not mosaic.sources else ("tms",):
                if getattr(changed, name) != getattr(mosaic, name):
                    raise InvalidRequestError(
                        f"{name} is part of every indexed row and cannot change from "
                        f"{getattr(mosaic, name)!r} to {getattr(changed, name)!r}; create another "
                        "mosaic"
                    )
            if changed.overviews is None and mosaic.overviews is not None:
                changed = replace(changed, overview_sets=ended(mosaic, self.clock()))
            self._check(changed)
            if changed.sources != mosaic.sources:
                self._check_users(changed)
            return changed

        return resolved(self._write(mosaic_id, change, depends=True), self._now)

    def _check(self, mosaic: Mosaic) -> None:
        """Checks all settings of a mosaic, of a derived one against its sources as of now."""
        found = resolved(mosaic, self._now)
        check_members(found)
        self.check(found)
        if found.access != mosaic.access:
            raise InvalidRequestError(
                f"a source of mosaic {mosaic.id!r} is private, so that it must be private, too: "
                "set access to 'private'"
            )

    def _check_users(self, mosaic: Mosaic) -> None:
        """Refuses new sources of a mosaic with which one that shows it could not be shown."""
        for user in self._users(mosaic.id):
            check_members(resolved(user, lambda ids: self._now(ids) | {mosaic.id: mosaic}))

    def _users(self, mosaic_id: str) -> list[Mosaic]:
        """The derived mosaics that show a mosaic, also through others."""
        every = {mosaic.id: mosaic for mosaic in self.all()}
        return [mosaic for mosaic in every.values() if uses(mosaic, mosaic_id, every)]

    def grow(self, mosaic: Mosaic, scene: Scene, level: int) -> Mosaic:
        """Extend the mosaic's bounds, levels and known assets to include a scene to be indexed.

        The first scene also chooses the assets to show, and what is first stated about an asset is
        its meaning: of several scenes at once, one decides. The row is written only when something
        grows, so it is not hot; `mosaic` may be seconds old. Returns a mosaic that contradicts the
        scene wherever the stored one does.
        """
        if grown(mosaic, scene, level) == mosaic:
            return mosaic
        return self._write(mosaic.id, lambda current: grown(current, scene, level))

    def widen(self, mosaic: Mosaic, bounds: BBox) -> Mosaic:
        """Extend the mosaic's bounds to include a stored scene's, as `grow` does."""
        if widened(mosaic, bounds) == mosaic:
            return mosaic
        return self._write(mosaic.id, lambda current: widened(current, bounds))

    def announce_fit(self, mosaic_id: str, guess: BBox | None) -> Mosaic:
        """Tell all writers that bounds are being fitted, in place of any earlier fit.

        `guess`: what is likely to be the outcome, so that few writers have to widen it.
        """

        def change(now: Mosaic) -> Mosaic:
            fit = Fit(since=now.revision + 1, reach=now.reach, meanwhile=guess)
            return replace(now, fit=fit)

        return self._write(mosaic_id, change, announce=True)

    def put_fitted(self, mosaic_id: str, since: int, bounds: BBox | None) -> Mosaic:
        """End the fit of a revision: `bounds` of all scenes found, and what came meanwhile.

        Nothing changes where another one was announced since.
        """

        def change(now: Mosaic) -> Mosaic:
            fit = now.fit
            if fit is None or fit.done or fit.since != since:
                return now
            ended = replace(fit, meanwhile=None, done=True)
            held = union((bounds, fit.meanwhile))
            if held is None:
                return replace(now, bounds=None, fit=ended)
            ended = replace(ended, reach=united(fit.reach or held, held))
            if now.bounds and holds(now.bounds, held):
                held = held if is_smaller(held, now.bounds) else now.bounds
            return replace(now, bounds=held, fit=ended)

        return self._write(mosaic_id, change, announce=True)

    def learn(self, mosaic: Mosaic, scene: Scene) -> Mosaic:
        """Add what the Item of a scene that is stored already states of its assets, as `grow`."""
        stated = scene.meanings()
        if with_meanings(mosaic, stated) == mosaic.meanings:
            return mosaic
        return self._write(mosaic.id, lambda now: replace(now, meanings=with_meanings(now, stated)))

    def truncate(self, mosaic_id: str, mark: Watermark, now: float) -> Mosaic:
        """Hide all scenes of a collection up to a version at once, from readers and writers.

        A watermark only rises. Raises `InvalidRequestError` where the mosaic has
        `MAX_WATERMARKS` already, and none has expired.
        """

        def raised(mosaic: Mosaic) -> Mosaic:
            if mosaic.watermark(mark.collection) >= mark.version:
                return mosaic
            others = [w for w in mosaic.watermarks if w.collection != mark.collection]
            if len(others) >= MAX_WATERMARKS:
                others = [w for w in others if w.expires > now]
            if len(others) >= MAX_WATERMARKS:
                raise InvalidRequestError(
                    f"mosaic {mosaic.id!r} remembers truncations of {MAX_WATERMARKS} collections "
                    f"already; delete the scenes of {mark.collection[:80]!r} one by one, or wait "
                    "until one of them has expired"
                )
            return replace(mosaic, watermarks=(*others, mark))

        return self._write(mosaic_id, raised)

    def put_overview_sets(
        self, mosaic_id: str, change: Callable[[Mosaic], Sequence[OverviewSet]]
    ) -> Mosaic:
        """Replace a mosaic's sets of overview cells by what `change` makes of the mosaic as of now.

        `change` may be called several times.
        """
        return self._write(mosaic_id, lambda now: replace(now, overview_sets=tuple(change(now))))

    def migrated(
        self, mosaic_id: str, to: int, watermark: Callable[[Watermark], Watermark]
    ) -> Mosaic:
        """Record that all rows are of a format; `watermark` brings each watermark to it."""

        def change(mosaic: Mosaic) -> Mosaic:
            if mosaic.format >= to:
                return mosaic
            return replace(mosaic, format=to, watermarks=tuple(map(watermark, mosaic.watermarks)))

        return self._write(mosaic_id, change)

    def mark_deleting(self, mosaic_id: str, *, force: bool = False) -> Mosaic:
        """Hide a mosaic from everyone, so that its rows can be removed; idempotent.

        From now on its overviews are among what `remains`. Raises `InUseError` for a mosaic that
        derived ones show; with `force` these show what is left, and name it as missing.
        """

        def deleting(mosaic: Mosaic) -> Mosaic:
            users = [] if force or mosaic.deleting else self._users(mosaic_id)
            if users:
                names = ", ".join(user.id for user in users)
                raise InUseError(
                    f"mosaic {mosaic_id!r} is a source of {names[:300]}: take it out of their "
                    "sources first, or delete it with force, so that they go on without it"
                )
            return replace(mosaic, deleting=True, overviews=None, overview_sets=())

        def remaining(mosaic: Mosaic) -> list[Put]:
            sets = ended(mosaic, self.clock())
            remains = replace(mosaic, deleting=True, overview_sets=sets)
            return [Put(remains_key(mosaic), to_item(remains))] if sets else []

        return self._write(mosaic_id, deleting, remaining, depends=True)

    def forget(self, mosaic: Mosaic) -> None:
        """Remove the row of a mosaic whose scenes are gone, unless another has its id by now."""
        same = Equals("generation", mosaic.generation)
        with suppress(ConditionFailedError):
            self.table.transact([Delete(mosaic_key(mosaic.id), same)])

    def remains(self) -> list[Mosaic]:
        """Deleted mosaics whose overviews are still there, as they were; all sets are replaced.

        Without the ones that a later release deleted, and will clear.
        """
        found = [from_item(row.item) for row in self._rows(REMAINS)]
        return [mosaic for mosaic in found if mosaic.format <= FORMAT]

    def forget_remains(self, mosaic: Mosaic) -> None:
        """Remove a mosaic from what `remains`."""
        self.table.transact([Delete(remains_key(mosaic))])

    def _rows(self, partition: str) -> Iterator[Row]:
        return rows_of(self.table, partition, limit=None)

    def _write(
        self,
        mosaic_id: str,
        change: Callable[[Mosaic], Mosaic],
        beside: Callable[[Mosaic], Sequence[Put]] = lambda _: (),
        *,
        depends: bool = False,
        announce: bool = False,
    ) -> Mosaic:
        """Write what `change` makes of a mosaic, and in the same transaction other rows of it.

        Where the change `depends` on other mosaics, none of their settings changes meanwhile. With
        `announce` the registry has it, whatever changes.
        """

        def attempt() -> Mosaic:
            known = self.registry() if depends else None
            current = self._find(mosaic_id)
            current.check_format()
            changed = change(current)
            if changed == current:
                self.note(current)
                return current
            changed = replace(changed, revision=current.revision + 1)
            expect = Equals("revision", current.revision)
            row = _seen_change(current, changed, milliseconds(self.clock()))
            marks = [] if row is None else [row.put(changed)]
            if announce or not is_growth(current, changed):
                marks.append((known or self.registry()).after(mosaic_id))
            put = put_of(changed, expect)
            self.table.transact([put, *marks, *beside(current)])
            if row is not None:
                repeat_if_late(self.table, changed, row, self.clock)
            self.note(changed)
            return changed

        return contended(attempt)

    def _find(self, mosaic_id: str) -> Mosaic:
        item = self.table.get(mosaic_key(mosaic_id)) if MOSAIC_ID.fullmatch(mosaic_id) else None
        if item is None:
            raise _missing(mosaic_id)
        return from_item(item)


def _seen_change(before: Mosaic, after: Mosaic, stamp_ms: int) -> FeedRow | None:
    """Returns the feed's row of a change that shows in images without a change of a scene."""
    bbox = after.reach or WORLD
    for mark in after.watermarks:
        if mark.version > before.watermark(mark.collection):
            return FeedRow(
                stamp_ms=stamp_ms,
                bbox=bbox,
                kind="collection",
                subject=mark.collection,
                version=mark.version,
                deleted=True,
            )
    same = same_settings(before, after) and before.shown_overviews == after.shown_overviews
    if same or after.deleting:
        return None
    return FeedRow(stamp_ms=stamp_ms, bbox=bbox, kind="mosaic", version=str(after.revision))


def same_settings(old: Mosaic | None, new: Mosaic) -> bool:
    """Whether two states of a mosaic have equal settings; not where there was none before.

    Nor where a later release has migrated it since: whatever it has, it must not be written here.
    """
    if old is None or old == new:
        return old is not None
    if (old.format > FORMAT) != (new.format > FORMAT):
        return False
    ours = (*GROWN, "format", "watermarks", "overview_sets")
    return new == replace(old, **{name: getattr(new, name) for name in ours})


def _check_kind(mosaic: Mosaic, is_derived: bool) -> None:
    if is_derived != bool(mosaic.sources):
        kind = "a derived one" if mosaic.sources else "one with scenes of its own"
        raise InvalidRequestError(
            f"mosaic {mosaic.id!r} is {kind}, and stays so: create another mosaic"
        )


def without_collections(mosaic: Mosaic) -> Mosaic:
    """A derived mosaic that subscribes to no collection, as it has no scenes of its own; others as
    they are. Raises `InvalidRequestError` for settings of mosaics with scenes of their own.
    """
    if not mosaic.sources:
        return mosaic
    for name in ("filter", "assets"):
        if getattr(mosaic, name):
            raise InvalidRequestError(
                f"{name} of mosaic {mosaic.id!r} is for Items that are added to it, and it is "
                f"derived: set {name} of its sources"
            )
    if mosaic.collections not in ((ANY_COLLECTION,), ()):
        raise InvalidRequestError(
            f"mosaic {mosaic.id!r} is derived: it shows the scenes of its sources, and cannot "
            f"subscribe to {', '.join(mosaic.collections)[:200]}"
        )
    return replace(mosaic, collections=())


def _missing(mosaic_id: str) -> NotFoundError:
    return NotFoundError(f"there is no mosaic {mosaic_id[:80]!r}")


class MosaicCache:
    """Mosaics as they were `max_age_s` and about a second ago, for reads; writes never use it.

    Changed settings, and a scene at a level new to the mosaic, may show that much later; scenes of
    a truncated collection, or some of them, may show that much longer. A mosaic that does not
    exist is not cached.
    """

    def __init__(self, mosaics: Mosaics, max_age_s: float, max_mosaics: int = 1000) -> None:
        self._mosaics = mosaics
        self._kept: TTLCache[str, Mosaic] = TTLCache(max_mosaics, max_age_s)
        self._lock = Lock()

    def get(self, mosaic_id: str) -> Mosaic:
        """One mosaic; `NotFoundError` where there is none."""
        with self._lock:
            kept = self._kept.get(mosaic_id)
        if kept is None:
            kept = self._mosaics.recent(mosaic_id)
            with self._lock:
                self._kept[mosaic_id] = kept
        return kept
