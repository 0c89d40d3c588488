"""Use case: a vector tile of a mosaic, of the scenes that a rule selects."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.cells import Cell
from livemosaic.index.extents.tallies import Counts, TallyRows
from livemosaic.index.partitions import Area, is_reached, partitions
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import LayerName, Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene
from livemosaic.tiler.candidates import Candidates, Listing
from livemosaic.tiler.picture import Picture, Tiler
from livemosaic.tiler.views import TileAddress, View
from livemosaic.vector.coverage import MARGIN, SIZE, coverage
from livemosaic.vector.density import counted, density
from livemosaic.vector.footprints import Listed, footprints, meeting
from livemosaic.vector.frame import TileFrame
from livemosaic.vector.mvt import TileLayer, encode

MOST_FOOTPRINTS: Final = 2_000
"""Of a tile; density stands for more."""
_ROWS: Final = 10
"""How many times more rows of the index than for an image may be looked at: no asset is read."""


@dataclass(frozen=True, slots=True)
class VectorTile:
    """A tile, and what it does not show."""

    body: bytes
    truncated: str
    """Which limits left scenes out; empty if none did."""
    image: Picture | None
    """What the coverage was drawn from."""


@dataclass(frozen=True, slots=True)
class VectorRequest:
    """A tile that is asked for."""

    mosaic: Mosaic
    address: TileAddress
    layers: Collection[LayerName]
    read: Read
    rule: Rule

    @property
    def has_coverage(self) -> bool:
        """Whether it shows valid pixels: below the mosaic's minzoom only if nothing else does."""
        view = self.address.view(self.mosaic, SIZE)
        is_drawn = view.area.zoom >= self.mosaic.minzoom
        return "coverage" in self.layers and (is_drawn or len(self.layers) == 1)


@dataclass(frozen=True, slots=True)
class FoundScenes:
    """What the index has for a tile."""

    scenes: Sequence[Listed] = ()
    """Top first."""
    truncated: str = ""
    """Which limit left some out; empty if none did."""
    counts: Counts | None = None
    """Of all scenes, where they are too many to be listed."""


async def vector_tile(tiler: Tiler, request: VectorRequest) -> VectorTile:
    """Returns a tile of some layers.

    It has footprints, or density where they would be more than `MOST_FOOTPRINTS`, at any zoom, by
    tallies where there are some; coverage from the mosaic's minzoom on. Raises `NotFoundError`
    outside the TileMatrixSet, and below the minzoom where coverage alone is asked for.
    """
    found = await asyncio.to_thread(find_scenes, tiler, request, by_tallies=True)
    return await draw_scenes(tiler, request, found)


def find_scenes(tiler: Tiler, request: VectorRequest, *, by_tallies: bool = False) -> FoundScenes:
    """Returns the scenes of a tile's footprints and density, by the index alone.

    With `by_tallies`, of many scenes the counts that the builder of overviews knew last. Raises as
    `vector_tile`.
    """
    if "footprints" not in request.layers and "density" not in request.layers:
        return FoundScenes()
    view = request.address.view(request.mosaic, SIZE)
    listing = tiler.listing(request.mosaic, view, request.read, request.rule)
    if by_tallies and (counts := _tallied(tiler, request, listing.candidates)):
        return FoundScenes(counts=counts)
    return FoundScenes(*_scenes(tiler, listing))


def _tallied(tiler: Tiler, request: VectorRequest, candidates: Candidates) -> Counts | None:
    """Returns the counts of a tile of many scenes, as the builder of overviews knows them.

    None where it knows none, or a rule selects some of the scenes.
    """
    mosaic, tile = request.mosaic, request.address
    is_of_all = candidates.takes_all and candidates.in_stored_order
    if "density" not in request.layers or tile.tms != mosaic.tms or not is_of_all:
        return None
    quadkey = Cell(tile.z, tile.x, tile.y).quadkey
    tally = TallyRows(tiler.index.table).glance(mosaic, quadkey)
    return tally.counts if tally and tally.total > MOST_FOOTPRINTS else None


async def draw_scenes(tiler: Tiler, request: VectorRequest, found: FoundScenes) -> VectorTile:
    """Returns the tile of what `find_scenes` has found for the same request."""
    layers, truncated = await asyncio.to_thread(_of_index, tiler, request, found)
    image = await _image(tiler, request) if request.has_coverage else None
    if image is not None:
        layers.append(await asyncio.to_thread(coverage, image.pixels.valid))
        truncated = ", ".join(filter(None, [truncated, image.truncated]))
    body = await asyncio.to_thread(encode, layers)
    return VectorTile(body, truncated, image)


async def _image(tiler: Tiler, request: VectorRequest) -> Picture:
    view = request.address.view(request.mosaic, SIZE, MARGIN)
    draft = await tiler.prepare(request.mosaic, view, request.read, request.rule)
    return await tiler.make(draft)


def _of_index(
    tiler: Tiler, request: VectorRequest, found: FoundScenes
) -> tuple[list[TileLayer], str]:
    """Returns the layers that the index has, and which limit left scenes out of them."""
    mosaic, index, layers = request.mosaic, tiler.index, request.layers
    if "footprints" not in layers and "density" not in layers:
        return [], ""
    if found.counts is not None:
        return [density(found.counts)], ""
    frame, area = TileFrame.of(request.address), area_of_tile(request)
    scenes, truncated = found.scenes, found.truncated
    shown = meeting(scenes, area) if len(scenes) > MOST_FOOTPRINTS else scenes
    are_many = len(shown) > MOST_FOOTPRINTS
    if "density" in layers and (are_many or "footprints" not in layers):
        return [density(counted(index, mosaic, frame, scenes))], truncated
    if are_many:
        truncated = f"max_footprints={MOST_FOOTPRINTS}"
    drawn = footprints(index, mosaic, frame, area.grid, shown[:MOST_FOOTPRINTS])
    return [drawn], truncated


def _scenes(tiler: Tiler, listing: Listing) -> tuple[Sequence[Listed], str]:
    """Returns the scenes that take part, top first, and which limit left some out.

    Where an area takes too many index cells, far below the mosaic's minzoom, all scenes of the
    mosaic are looked at; none if it has none in the area.
    """
    candidates, most = listing.candidates, _ROWS * tiler.limits.max_rows
    mosaic, view = candidates.mosaic, candidates.view
    if candidates.rule.method == "lock" or _is_indexed(mosaic, view):
        listing.max_rows = most
        return list(listing), listing.truncated
    if not is_reached(mosaic, view.area):
        return [], ""
    return _of_all(tiler, mosaic, candidates)


def _of_all(tiler: Tiler, mosaic: Mosaic, candidates: Candidates) -> tuple[Sequence[Listed], str]:
    """Returns the scenes that take part, wherever they lie, ordered as a listing orders them."""
    most = _ROWS * tiler.limits.max_rows
    every = tiler.index.every_scene(mosaic)
    taken = [scene for scene in islice(every, most) if candidates.takes(scene)]
    if not taken and candidates.selection is not None:
        candidates.selection.check_kinds()
    truncated = f"max_rows={most}" if next(every, None) is not None else ""
    return _arranged(candidates, taken), truncated


def in_order(tiler: Tiler, request: VectorRequest, scenes: Sequence[Scene]) -> Sequence[Scene]:
    """Returns the scenes that take part in a tile of some scenes of it, top first."""
    view = request.address.view(request.mosaic, SIZE)
    candidates = tiler.listing(request.mosaic, view, request.read, request.rule).candidates
    return _arranged(candidates, [scene for scene in scenes if candidates.takes(scene)])


def _arranged(candidates: Candidates, scenes: Sequence[Scene]) -> Sequence[Scene]:
    stored = sorted(scenes, key=lambda scene: (scene.layer, scene.rank, scene.key))
    if candidates.in_stored_order:
        return stored
    by_key = {scene.key: scene for scene in stored}
    met = [found for scene in stored if (found := candidates.met(scene))]
    return [by_key[scene.key] for scene in candidates.arranged(met)]


def area_of_tile(request: VectorRequest) -> Area:
    """Returns a tile on the grid of the mosaic's index."""
    return request.address.view(request.mosaic, SIZE).area


def _is_indexed(mosaic: Mosaic, view: View) -> bool:
    try:
        for stored in mosaic.stored:
            partitions(stored, view.area)
    except InvalidRequestError:
        return False
    return True
