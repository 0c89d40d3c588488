"""Checks the bounds of a mosaic against its scenes, and fits them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from livemosaic.geo.antimeridian import holds
from livemosaic.index.bounds.fit import BoundsFitter, differ
from livemosaic.index.bounds.marks import LooseMarks
from livemosaic.index.bounds.survey import surveyed
from livemosaic.index.scenes import Index
from livemosaic.index.verify import Checked, Difference
from livemosaic.model.mosaic import Mosaic


@dataclass(frozen=True, slots=True)
class BoundsCheck:
    """The bounds of one mosaic, to be checked."""

    index: Index
    mosaic: Mosaic
    repair: bool = False

    def check(self) -> Iterator[Checked]:
        """Yields one difference where bounds lack scenes, or are too large and nobody has noticed.

        Ones that are marked as too large are no difference, and are fitted with `repair`, too.
        """
        before = self.index.mosaics.get(self.mosaic.id)
        found = surveyed(replace(self.index, consistent=True), before)
        now = self.index.mosaics.get(self.mosaic.id)  # after the scenes, as bounds grow before them
        is_marked = LooseMarks(self.index.table).of(now.id) is not None
        if self.repair and (is_marked or differ(now.bounds, found)):
            BoundsFitter(self.index).fit(now.id, at_once=True)
        lacks = found and not (now.bounds and holds(now.bounds, found))
        if lacks or (differ(now.bounds, found) and not is_marked):
            what = "lack scenes" if lacks else "are too large"
            detail = f"bounds {_text(now)} {what}"
            yield Checked(0, [Difference("outdated", self.mosaic.id, detail, self.repair)])


def _text(mosaic: Mosaic) -> str:
    return ",".join(f"{degrees:.7g}" for degrees in mosaic.bounds or ()) or "(none)"
