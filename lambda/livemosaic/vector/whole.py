"""All scenes of tiles that have more of them than one search lists, by the tiles below.

For archives, which have the tiles below anyway; nobody who waits for a tile waits for this.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from threading import Lock
from typing import Final

from cachetools import LRUCache

from livemosaic.index.extents.tallies import Counts, summed
from livemosaic.tiler.picture import Tiler
from livemosaic.tiler.views import TileAddress
from livemosaic.vector.density import counted
from livemosaic.vector.footprints import meeting
from livemosaic.vector.frame import TileFrame
from livemosaic.vector.tiles import (
    MOST_FOOTPRINTS,
    FoundScenes,
    VectorRequest,
    area_of_tile,
    find_scenes,
    in_order,
)

_SEARCHES: Final = 500
"""For one tile, at most: of some ten million scenes."""
_KEPT: Final = 256
"""Tiles whose scenes are remembered: most are part of several tiles above."""


class _TooManyError(Exception):
    """More searches than one tile may have."""


@dataclass(frozen=True, slots=True)
class _Below:
    """What a tile has, however many scenes that are."""

    counts: Counts
    keys: frozenset[str] | None
    """Of the scenes with a part in it; None for more than a tile draws."""


@dataclass(slots=True)
class WholeTiles:
    """Finds the scenes of tiles, of which a search lists a part. Thread-safe."""

    _known: LRUCache[TileAddress, _Below | None] = field(default_factory=lambda: LRUCache(_KEPT))
    _left: int = 0
    """Searches that the tile of this moment may still have."""
    _lock: Lock = field(default_factory=Lock)

    def completed(self, tiler: Tiler, request: VectorRequest, found: FoundScenes) -> FoundScenes:
        """Returns what was found with all scenes that a limit left out.

        As it is where that takes too many searches, or where too many scenes lie in one index cell.
        """
        if not found.truncated or "density" not in request.layers:
            return found
        with self._lock:
            self._left = _SEARCHES
            try:
                whole = self._summed(tiler, request)
            except _TooManyError:
                return found
        if whole is None:
            return found
        if whole.keys is None or "footprints" not in request.layers:
            return FoundScenes(counts=whole.counts)
        scenes = [*tiler.index.scenes(request.mosaic, sorted(whole.keys))]
        return FoundScenes(in_order(tiler, request, scenes))

    def _below(self, tiler: Tiler, request: VectorRequest) -> _Below | None:
        address = request.address
        if address not in self._known:
            if not self._left:
                raise _TooManyError
            self._left -= 1
            found = find_scenes(tiler, request)
            if not found.truncated:
                self._known[address] = _of_list(tiler, request, found)
                return self._known[address]
            del found  # thousands, on each zoom on the way down
            self._known[address] = self._summed(tiler, request)
        return self._known[address]

    def _summed(self, tiler: Tiler, request: VectorRequest) -> _Below | None:
        """Returns what the four tiles below have; None where index cells are no finer there."""
        if request.address.z >= max(stored.quadkey_zoom for stored in request.mosaic.stored):
            return None
        parts, keys = {}, frozenset[str]()
        is_listed = True
        for (right, down), below in _children(request):
            part = self._below(tiler, below)
            if part is None:
                return None
            parts[right, down] = part.counts
            is_listed &= part.keys is not None
            keys |= part.keys or frozenset()
        is_listed &= len(keys) <= MOST_FOOTPRINTS
        return _Below(summed(parts), keys if is_listed else None)


def _of_list(tiler: Tiler, request: VectorRequest, found: FoundScenes) -> _Below:
    frame = TileFrame.of(request.address)
    here = meeting(found.scenes, area_of_tile(request))
    keys = frozenset(scene.key for scene in here) if len(here) <= MOST_FOOTPRINTS else None
    return _Below(counted(tiler.index, request.mosaic, frame, found.scenes), keys)


def _children(request: VectorRequest) -> Iterator[tuple[tuple[int, int], VectorRequest]]:
    tile = request.address
    for right, down in product(range(2), repeat=2):
        below = TileAddress(tile.tms, tile.z + 1, 2 * tile.x + right, 2 * tile.y + down)
        yield (right, down), replace(request, address=below)
