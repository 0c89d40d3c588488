"""Keeps the tallies of tiles, as `index.extents.tallies` promises.

A pass first makes the ones anew that have a changed scene, as they are now, before it deletes the
stale rows that it took; then, as long as there is time, tallies that are not there yet. As of
extents, there are none before everybody knows for long that the mosaic has overviews.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final

import numpy as np
import shapely

from livemosaic.errors import AreaTooLargeError, ConditionFailedError
from livemosaic.geo.cells import Cell, CellGrid, cell_grid
from livemosaic.geo.frame import around
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.index.extents.tallies import Counts, TallyRows, TileTally, summed
from livemosaic.index.merge import distinct
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.index.partitions import Area, is_reached
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import IndexedScene
from livemosaic.overviews.extents import KEPT_AFTER_S, MADE_AFTER_S, marked_for_s
from livemosaic.overviews.places import descendants, place_of, within
from livemosaic.overviews.sets.removal import OutOfTimeError, check_time
from livemosaic.table.retry import contended
from livemosaic.tiler.views import TileAddress
from livemosaic.vector.density import counted
from livemosaic.vector.frame import TileFrame
from livemosaic.vector.parts import outlines

_FEW: Final = 2_000
"""Scenes of a tile that are counted without asking whether tiles below it have fewer."""
_MOST: Final = 20_000
"""Scenes that are counted in a tile: as many as a reader counts without a tally."""
_NOWHERE: Final = (np.inf, np.inf, -np.inf, -np.inf)
_LONG_S: Final = 60.0
"""A pass that made tallies anew for longer, and is not done, has too many of them."""


class _FewerBelowError(Exception):
    """A tile has many scenes, and the tiles below it have far fewer."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """A pass over the tallies of a mosaic, in one epoch."""

    mosaic: Mosaic
    late: Callable[[], bool]
    epoch: int

    def has(self, tally: TileTally) -> bool:
        """Whether a tally is there, and of this epoch."""
        return bool(tally.revision) and tally.epoch == self.epoch


@dataclass(frozen=True, slots=True)
class TallyKeeper:
    """Makes tallies, and keeps them up to date. Any number may be at work at once."""

    index: Index
    clock: Callable[[], float] = time.time
    few: int = _FEW
    most: int = _MOST

    @property
    def rows(self) -> TallyRows:
        """The rows of tallies."""
        return TallyRows(self.index.table)

    def update(
        self, mosaic: Mosaic, changed: Sequence[str], late: Callable[[], bool] = lambda: False
    ) -> None:
        """Makes all tallies anew that have a place in changed index cells, given sorted.

        Makes others that are not there yet, as long as it is not `late`. Raises `OutOfTimeError`
        where it is late before; but if these are too many for a pass, all are made again later on.
        """
        begun = self.clock()
        age = self._age(mosaic, begun)
        if age < KEPT_AFTER_S:
            return
        try:
            world = self._renewed(mosaic, changed, late)
        except OutOfTimeError:
            if self.clock() - begun < _LONG_S:
                raise
            contended(partial(self._begin_anew, mosaic))
            return
        if age >= MADE_AFTER_S:
            with suppress(ConditionFailedError):  # a rival makes the same, or they are closed
                self._complete(_Pass(mosaic, late, world.epoch), "")

    def is_behind(self, mosaic: Mosaic) -> bool:
        """Whether tallies are still to be made, though nothing changes."""
        age = self._age(mosaic, self.clock())
        return age >= MADE_AFTER_S and not self.rows.get(mosaic, "").complete

    def _age(self, mosaic: Mosaic, now: float) -> float:
        """For how many seconds a mosaic has been marked; 0 where it has no tallies."""
        return marked_for_s(mosaic, now) if _has_tallies(mosaic) else 0.0

    def _renewed(
        self, mosaic: Mosaic, changed: Sequence[str], late: Callable[[], bool]
    ) -> TileTally:
        """Makes all tallies of an epoch anew that are touched; returns the one of the world."""
        world = self.rows.get(mosaic, "")
        epoch = 0
        while changed and world.revision and epoch != world.epoch:
            epoch = world.epoch
            self._renew(_Pass(mosaic, late, epoch), "", changed)
            world = self.rows.get(mosaic, "")
        return world

    def is_outdated(self, mosaic: Mosaic, quadkey: str) -> bool:
        """Whether a tally is not as it should be although no change waits there.

        It is right beside changes and builders: stale rows are read after what it is made of, and
        its row again last.
        """
        tally = self.rows.get(mosaic, quadkey)
        if not tally.complete or tally.epoch != self.rows.get(mosaic, "").epoch:
            return False
        try:
            if tally.is_inner:
                counts = _summed(self._below(mosaic, quadkey))
            else:
                counts = self._counts(mosaic, quadkey)
        except AreaTooLargeError:
            return False
        except _FewerBelowError:  # with so many, it would be the sum of tiles below
            counts = None
        if counts == tally.counts:
            return False
        stale = OverviewRows(self.index.table)
        waiting = [row for region in REGIONS for row in stale.stale(mosaic, region)]
        marked = sorted({cell for row in waiting for cell in row.cells})
        return not within(quadkey, marked) and self.rows.get(mosaic, quadkey) == tally

    def _begin_anew(self, mosaic: Mosaic) -> None:
        """Begins another epoch: no tally counts any more."""
        world = self.rows.get(mosaic, "")
        self.rows.put(mosaic, TileTally("", world.epoch + 1, revision=world.revision))

    def _renew(self, run: _Pass, quadkey: str, changed: Sequence[str]) -> None:
        """Makes a tally anew, after the ones below it that have a changed scene, if it is there."""
        tally = contended(partial(self._renew_leaf, run, quadkey))
        if tally is None or not tally.is_inner:
            return
        for below in descendants(quadkey, 1):
            if touched := within(below, changed):
                self._renew(run, below, touched)
        contended(partial(self._sum, run, quadkey))

    def _renew_leaf(self, run: _Pass, quadkey: str) -> TileTally | None:
        """Makes the tally of a tile of few scenes anew; returns it. None where there is none."""
        before = self.rows.get(run.mosaic, quadkey)
        if not run.has(before):
            return None
        check_time(run.late)
        return before if before.is_inner else self._leaf(run, before)

    def _complete(self, run: _Pass, quadkey: str) -> bool:
        """Makes the tallies of a tile and below it that are not there; returns whether all are."""
        before = self.rows.get(run.mosaic, quadkey)
        if run.has(before) and before.complete:
            return True
        if run.late() or before.epoch > run.epoch:
            return False
        if not run.has(before):
            begun = TileTally(quadkey, run.epoch, revision=before.revision)
            before = self.rows.put(run.mosaic, begun)
        if not before.is_inner:
            before = self._leaf(run, before)
        if not before.is_inner:
            return before.complete
        is_whole = [self._complete(run, below) for below in descendants(quadkey, 1)]
        return all(is_whole) and contended(partial(self._sum, run, quadkey))

    def _leaf(self, run: _Pass, before: TileTally) -> TileTally:
        """Writes the tally of a tile by the index; that of an inner one where it has too many."""
        mosaic = self.index.mosaics.get(run.mosaic.id)  # its levels and watermarks, as of now
        try:
            counts = self._counts(mosaic, before.quadkey)
        except (AreaTooLargeError, _FewerBelowError):
            made = replace(before, counts=None, is_inner=True, complete=False)
        else:
            made = replace(before, counts=counts, complete=True)
        return self.rows.put(run.mosaic, made)

    def _sum(self, run: _Pass, quadkey: str) -> bool:
        """Writes the tally of an inner tile, by the ones below; returns whether it is complete."""
        before = self.rows.get(run.mosaic, quadkey)
        if not (run.has(before) and before.is_inner):
            return False
        below = self._below(run.mosaic, quadkey)
        whole = all(run.has(each) and each.complete for each in below)
        counts = _summed(below) if whole else None
        self.rows.put(run.mosaic, replace(before, counts=counts, complete=whole))
        return whole

    def _below(self, mosaic: Mosaic, quadkey: str) -> list[TileTally]:
        """The tallies of the four tiles below one, as of now."""
        return [self.rows.get(mosaic, child) for child in descendants(quadkey, 1)]

    def _counts(self, mosaic: Mosaic, quadkey: str) -> Counts | None:
        """Counts the scenes of a tile as of now; None where they are too many.

        Raises `_FewerBelowError` where tiles below it have far fewer.
        """
        cell, grid = Cell.of(quadkey), cell_grid(mosaic.tms)
        area = Area(grid, (grid.bounds(cell),), cell.zoom)
        if not is_reached(mosaic, area):
            return {}
        now = replace(self.index, consistent=True)
        every = distinct(now.find(mosaic, area))
        scenes = [*islice(every, self.few + 1)]
        if len(scenes) > self.few:
            # Tiles below the deepest index cells would list the same scenes again, each of them.
            deepest = min(mosaic.quadkey_zoom, tile_matrix_set(mosaic.tms).maxzoom)
            if cell.zoom < deepest and _are_small(scenes, grid, area):
                raise _FewerBelowError
            scenes += islice(every, self.most - len(scenes))
            if next(every, None) is not None:
                return None
        frame = TileFrame.of(TileAddress(mosaic.tms, cell.zoom, cell.x, cell.y))
        return counted(now, mosaic, frame, scenes)


def _summed(below: Sequence[TileTally]) -> Counts | None:
    """The counts of an inner tile, by the tallies below it; None where one of them knows none."""
    known = {place_of(each.quadkey[-1]): each.counts for each in below if each.counts is not None}
    return summed(known) if len(known) == len(below) else None


def _are_small(scenes: Sequence[IndexedScene], grid: CellGrid, area: Area) -> bool:
    """Whether most scenes of a tile are smaller than the tiles below it."""
    (left, bottom, right, top), *_ = area.boxes
    west, south, east, north = shapely.bounds(outlines(scenes, grid, _NOWHERE)).T
    is_small = (east - west < (right - left) / 2) & (north - south < (top - bottom) / 2)
    return bool(is_small.mean() > 0.5)


def _has_tallies(mosaic: Mosaic) -> bool:
    """Whether a mosaic's map begins with one tile of the whole world, and shows every place in it.

    On other maps a scene may lie off the map, and count in a tile of one zoom and not of the next.
    """
    grid = cell_grid(mosaic.tms)
    is_whole = grid.edge is not None or around(grid.crs) is not None
    return is_whole and tile_matrix_set(mosaic.tms).minzoom == 0
