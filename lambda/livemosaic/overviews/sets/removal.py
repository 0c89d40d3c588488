"""Deletes the cells, the objects and the extents of sets that nobody reads any more."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic, OverviewSet
from livemosaic.overviews.extents import ExtentKeeper
from livemosaic.overviews.objects import CellObjects
from livemosaic.overviews.sets import can_be_cleared, is_over, without

Late = Callable[[], bool]
"""Whether the time of a pass is over."""


class OutOfTimeError(Exception):
    """The time of a pass is over: what it made stays, and so do its stale rows."""


def check_time(late: Late) -> None:
    """Raises `OutOfTimeError` where it is late."""
    if late():
        raise OutOfTimeError


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class SetRemover:
    """Deletes what is over. Any number may be at work; what was interrupted is done by the next."""

    index: Index
    objects: CellObjects
    clock: Callable[[], float]

    @property
    def _rows(self) -> OverviewRows:
        return OverviewRows(self.index.table)

    def clear(self, mosaic_id: str, *, late: Late = _never) -> None:
        """Deletes what is left of the overviews of deleted mosaics of an id, once it is time.

        A mosaic that was created since keeps its own: all keys and paths have a generation. Raises
        `OutOfTimeError`; what is left then, or after a crash, is deleted when this is called again.
        """
        now = self.clock()
        for mosaic in self.index.mosaics.remains():
            if mosaic.id == mosaic_id and can_be_cleared(mosaic, now):
                self._clear(mosaic, late)

    def _clear(self, mosaic: Mosaic, late: Late) -> None:
        for cells in mosaic.overview_sets:
            self._drop(mosaic, cells, late)
        for region in REGIONS:
            self._rows.settle(self._rows.stale(mosaic, region))
            check_time(late)
        for _, href in self.objects.listed(mosaic):  # of sets that earlier releases forgot
            self.objects.folder.delete(href)
        self.index.mosaics.forget_remains(mosaic)

    def drop_replaced(self, mosaic: Mosaic, now: float, late: Late) -> None:
        """Deletes the sets of a mosaic that are over at a time in epoch seconds.

        Raises `OutOfTimeError`, and goes on when it is called again.
        """
        for cells in mosaic.overview_sets:
            if is_over(cells, now):
                self._drop(mosaic, cells, late)
                self.index.mosaics.put_overview_sets(mosaic.id, partial(without, set_id=cells.id))

    def _drop(self, mosaic: Mosaic, cells: OverviewSet, late: Late) -> None:
        """Deletes the rows and the objects of a set.

        It is closed first. So a builder that was held up since it was replaced finds its row
        refused, and deletes its objects itself; ones that it wrote before are listed. Extents go
        with it that no set in use has.
        """
        self._rows.close(mosaic, cells, self.clock())
        for quadkey in self._rows.made(mosaic, cells):
            self._rows.delete(mosaic, cells, quadkey)
            check_time(late)
        for quadkey, href in self.objects.listed(mosaic, cells):
            self._rows.delete(mosaic, cells, quadkey)  # in case an earlier release made it
            self.objects.folder.delete(href)
            check_time(late)
        if cells.marked_since not in (0, mosaic.marked_since):
            extents = ExtentKeeper(self.index, self.clock)
            extents.drop(mosaic, cells.marked_since, partial(check_time, late))
