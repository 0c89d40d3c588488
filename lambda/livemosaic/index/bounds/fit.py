"""Fits the bounds of a mosaic to the scenes that it still has; the package says how."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from livemosaic.errors import NotFoundError
from livemosaic.geo.antimeridian import holds, is_smaller
from livemosaic.index.bounds.marks import LooseMarks
from livemosaic.index.bounds.survey import surveyed
from livemosaic.index.search import SceneReader
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox

_AGAIN_S: Final = 3600
"""After bounds were fitted they are compared with all scenes once more: with what a process of an
earlier release wrote meanwhile, or one whose message nobody delivers again."""


@dataclass(frozen=True, slots=True)
class BoundsFitter:
    """Fits bounds where a mark says so.

    It may be at work beside writers and others of its kind, and end at any moment: a fit that was
    cut off is done again, by its mark.
    """

    reader: SceneReader

    def due(self) -> list[str]:
        """Returns the ids of the mosaics whose bounds are to be fitted now."""
        return [*LooseMarks(self.reader.table).due(self.reader.clock())]

    def fit(self, mosaic_id: str, *, at_once: bool = False) -> bool:
        """Fits the bounds of a mosaic, if a mark is due; returns whether they changed.

        With `at_once` whatever marks say. Nothing is written where scenes fill the bounds.
        """
        marks = LooseMarks(self.reader.table)
        mark = marks.of(mosaic_id)
        if not at_once and (mark is None or mark.due > self.reader.clock()):
            return False
        changed, is_over = False, True
        with suppress(NotFoundError):
            changed, is_over = self._fit(mosaic_id)
        if mark and is_over:
            marks.settle(mark, self.reader.clock() + _AGAIN_S if changed else None)
        return changed

    def _fit(self, mosaic_id: str) -> tuple[bool, bool]:
        """Returns whether bounds changed, and whether no fit is under way any more.

        A rival may have begun another one, and never end it. Raises `NotFoundError`.
        """
        mosaics = self.reader.mosaics
        before = mosaics.get(mosaic_id)
        if before.sources:
            return False, True
        guess = self.guess(before)
        is_over = before.fit is None or before.fit.done
        if is_over and not differ(before.bounds, guess):
            return False, True
        announced = mosaics.announce_fit(mosaic_id, guess)
        found = self._survey(announced)
        since = announced.fit.since if announced.fit else 0
        after = mosaics.put_fitted(mosaic_id, since, found)
        return after.bounds != before.bounds, bool(after.fit and after.fit.done)

    def guess(self, mosaic: Mosaic) -> BBox | None:
        """Returns what bounds are likely to become; whatever it is, no scene is lost."""
        return self._survey(mosaic)

    def _survey(self, mosaic: Mosaic) -> BBox | None:
        return surveyed(replace(self.reader, consistent=True), mosaic)


def differ(bounds: BBox | None, found: BBox | None) -> bool:
    """Whether scenes leave a part of bounds free, or lie outside of them."""
    if bounds is None or found is None:
        return bounds != found
    return not holds(bounds, found) or is_smaller(found, bounds)
