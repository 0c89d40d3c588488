"""Counts of whole mosaics that are kept as long as their overview cells stay the same."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from cachetools import LRUCache

from livemosaic.tiler.picture import Draft
from livemosaic.tiler.whole.count import WholeCount

_MOST_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeptCounts:
    """The counts made last, by `key_of` their images, 32 MB in all. Thread-safe.

    None is stale: a key has the cells of now, whose objects are never overwritten.
    """

    _kept: LRUCache[str, WholeCount] = field(
        default_factory=lambda: LRUCache(_MOST_BYTES, getsizeof=lambda counted: counted.tally.bytes)
    )
    _lock: Lock = field(default_factory=Lock)

    def get(self, key: str) -> WholeCount | None:
        """Returns the counts of an image, if they are kept; they must not be changed."""
        with self._lock:
            return self._kept.get(key)

    def keep(self, key: str, counted: WholeCount) -> None:
        """Keeps the counts of an image, unless they alone are too large."""
        if counted.tally.bytes <= _MOST_BYTES:
            with self._lock:
                self._kept[key] = counted


def key_of(draft: Draft) -> str:
    """Returns all that determines an image of overview cells; empty where scenes may show in it."""
    mosaic, shown, grid = draft.mosaic, draft.shown, draft.grid
    if shown is None or shown.rest is not None or mosaic.sources:
        return ""
    view = grid.bounds, grid.width, grid.height, draft.view.detail
    cells = [(cell.quadkey, cell.digest, cell.images) for cell in shown.cells]
    about = cells, sorted(shown.cut.items()), shown.remarks
    return repr((mosaic.identity, mosaic.revision, view, draft.read, *about))
