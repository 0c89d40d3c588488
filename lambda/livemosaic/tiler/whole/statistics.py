"""Use case: statistics of a whole mosaic, from one image of it, or from samples of few scenes.

The image is of overview cells where the mosaic has any: no scene is read then. Where it would leave
scenes out, or where scenes lie so far apart that it has few pixels of them, and the mosaic has few
scenes, each scene is sampled by itself.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from livemosaic.errors import AreaTooLargeError, InvalidRequestError
from livemosaic.geo.antimeridian import extent
from livemosaic.geo.box import Box, Size
from livemosaic.geo.cells import cell_grid
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene
from livemosaic.tiler.picture import Picture, Tiler
from livemosaic.tiler.statistics import Tally
from livemosaic.tiler.views import View, box_view, lonlat_on
from livemosaic.tiler.whole.area import pixel_areas

SIDE: Final = 512
"""Pixels of the longer side of an image of a whole mosaic, by default."""
MAX_SIDE: Final = 4096
_DETAIL: Final = 2
"""How many times finer overviews are read, of which nearest pixels are taken: the coarser they are
the farther they reach beyond the scenes, as pixels are valid where any pixel below is."""
_ENOUGH: Final = 10_000
"""Valid pixels of an image that are no matter of chance."""
_FEW_SCENES: Final = 40
_SAMPLE: Final = 128
"""Pixels of the longer side of a sample of one scene."""
_AT_ONCE: Final = 4


@dataclass(slots=True)
class WholeCount:
    """The values of a mosaic's pixels, weighted by their true area, and where they come from."""

    tally: Tally
    """Weights are km²."""
    bounds: BBox
    """West, south, east, north of the mosaic, in degrees; west > east across ±180."""
    size: tuple[int, int] | None = None
    """Width and height of the image; None where scenes were sampled one by one."""
    area_km2: float | None = None
    """The true area of valid pixels; None where samples may overlap."""
    scenes: dict[str, None] = field(default_factory=dict)
    """Ids of the scenes that were read, without the ones that cells stand for."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Ids of the scenes that could not be read or take no part, and why."""
    rungs: set[int] = field(default_factory=set)
    """Zooms of the overview cells that were read in place of scenes."""
    truncated: str = ""
    """Which limit left scenes out of overview cells; empty if none did."""

    def add(self, made: Picture) -> float:
        """Adds an image; returns the area of its valid pixels in km²."""
        areas = pixel_areas(made.grid)
        has_pixels = len(made.seen.scenes) > len(made.skipped)
        self.tally.add(areas, made.pixels if has_pixels else None)
        self.scenes |= dict.fromkeys(made.scenes)
        self.skipped |= dict(made.skipped) | dict(made.left_out) | dict(made.lost)
        if made.shown is not None:
            self.rungs.add(made.shown.zoom)
        self.truncated = self.truncated or made.truncated
        return float(areas[made.pixels.valid].sum(dtype=np.float64))


def whole_view(mosaic: Mosaic, side: int) -> View | None:
    """Returns a mosaic's extent as a view with a longer side of `side` pixels.

    None of a mosaic without scenes. In the CRS of its TileMatrixSet, or in degrees where that
    cannot show the whole extent.
    """
    if mosaic.bounds is None:
        return None
    box = Box.of(lonlat_on(mosaic), mosaic.bounds)
    with suppress(InvalidRequestError):  # the extent crosses the edge of that map
        box = box.to(cell_grid(mosaic.tms).crs)
    return box_view(box, mosaic, *Size(max_size=side).of(box, None))


async def count_whole(
    tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule, side: int = SIDE
) -> WholeCount | None:
    """Counts the pixels of a whole mosaic; None where it has no scenes.

    Raises `InvalidRequestError` where it has too many scenes to read and no overviews to stand for
    them, and as `Tiler.prepare` does.
    """
    view = whole_view(mosaic, side)
    if view is None or mosaic.bounds is None:
        return None
    made = await _image(tiler, mosaic, replace(view, detail=_DETAIL), read, rule)
    if made is not None and _is_enough(made):
        return await asyncio.to_thread(_counted, mosaic, made)
    few = await asyncio.to_thread(_few_scenes, tiler, mosaic)
    if few:
        return await _sampled(tiler, mosaic, few, read, rule)
    if made is not None:
        return await asyncio.to_thread(_counted, mosaic, made)
    raise InvalidRequestError(
        f"mosaic {mosaic.id!r} has more scenes than can be read at once, and no overviews that "
        f"show what is asked for: turn overviews on (livemosaic mosaics update {mosaic.id} "
        "--overviews), ask for what they show, or POST single areas"
    )


async def _image(
    tiler: Tiler, mosaic: Mosaic, view: View, read: Read, rule: Rule
) -> Picture | None:
    """The image of a view; None where it would leave scenes out that no overview cell shows."""
    try:
        draft = await tiler.prepare(mosaic, view, read, rule)
        if draft.shown is None and not await tiler.is_whole(draft):
            return None
        made = await tiler.make(draft)
    except AreaTooLargeError:
        return None
    return None if made.truncated and made.shown is None else made


def _is_enough(made: Picture) -> bool:
    is_coarse = made.shown is not None and made.shown.is_coarse
    return not is_coarse and int(np.count_nonzero(made.pixels.valid)) >= _ENOUGH


def _counted(mosaic: Mosaic, made: Picture) -> WholeCount:
    counted = _empty(mosaic, made.grid.width * made.grid.height)
    counted.size = made.grid.width, made.grid.height
    counted.area_km2 = counted.add(made)
    return counted


def _empty(mosaic: Mosaic, pixels: int) -> WholeCount:
    assert mosaic.bounds is not None  # noqa: S101 (for the type)
    return WholeCount(Tally(pixels=pixels), mosaic.bounds)


def _few_scenes(tiler: Tiler, mosaic: Mosaic) -> Sequence[Scene]:
    """All scenes of a mosaic; none where it has many."""
    scenes, more = tiler.index.list_scenes(mosaic, limit=_FEW_SCENES)
    return () if more else scenes


async def _sampled(
    tiler: Tiler, mosaic: Mosaic, scenes: Sequence[Scene], read: Read, rule: Rule
) -> WholeCount:
    """Counts images around each of few scenes, with all that shows there."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def look(scene: Scene) -> Picture:
        box = Box.of(lonlat_on(mosaic), extent(scene.footprint))
        view = box_view(box, mosaic, *Size(max_size=_SAMPLE).of(box, None))
        async with turns:
            return await tiler.make(await tiler.prepare(mosaic, view, read, rule))

    looks = await asyncio.gather(*map(look, scenes))
    counted = _empty(mosaic, sum(made.grid.width * made.grid.height for made in looks))
    for made in looks:
        await asyncio.to_thread(counted.add, made)
    return counted
