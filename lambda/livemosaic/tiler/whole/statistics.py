"""Use case: statistics of a whole mosaic, from one image of it, or from samples of few scenes.

The image is of overview cells where the mosaic has any: no scene is read then. Where it would leave
scenes out, or where scenes lie so far apart that it has few pixels of them, and the mosaic has few
scenes, each scene is sampled by itself.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from livemosaic.geo.antimeridian import extent
from livemosaic.geo.box import Box, Size
from livemosaic.geo.cells import cell_grid
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene
from livemosaic.tiler.picture import Picture, Tiler
from livemosaic.tiler.statistics import Tally
from livemosaic.tiler.views import box_view, lonlat_on
from livemosaic.tiler.whole.count import WholeCount
from livemosaic.tiler.whole.image import (
    SIDE,
    draft_of,
    few_scenes,
    is_enough,
    made_of,
    shown_bounds,
    too_many,
    whole_view,
)
from livemosaic.tiler.whole.kept import KeptCounts, key_of

_SAMPLE: Final = 128
"""Pixels of the longer side of a sample of one scene."""
_AT_ONCE: Final = 4


async def count_whole(
    tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule, kept: KeptCounts, side: int = SIDE
) -> WholeCount | None:
    """Counts the pixels of a whole mosaic; None where it has no scenes.

    `kept` gives the counts again, without reading a pixel, while the overview cells are the same.
    Raises `InvalidRequestError` where it has too many scenes to read and no overviews to stand for
    them, and as `Tiler.prepare` does.
    """
    view = whole_view(mosaic, side, cell_grid(mosaic.tms).crs)
    if view is None:
        return None
    draft = await draft_of(tiler, mosaic, view, read, rule)
    key = key_of(draft) if draft else ""
    if known := kept.get(key):
        return known
    made = None if draft is None else await made_of(tiler, draft)
    if made is not None and is_enough(made):
        counted = await asyncio.to_thread(_counted, mosaic, made)
        if key and made.shown is not None:
            kept.keep(key, counted)
        return counted
    few = await asyncio.to_thread(few_scenes, tiler, mosaic)
    if few:
        return await _sampled(tiler, mosaic, few, read, rule)
    if made is not None:
        return await asyncio.to_thread(_counted, mosaic, made)
    raise too_many(mosaic)


def _counted(mosaic: Mosaic, made: Picture) -> WholeCount:
    counted = _empty(mosaic, made.grid.width * made.grid.height)
    counted.size = made.grid.width, made.grid.height
    counted.area_km2 = counted.add(made)
    return counted


def _empty(mosaic: Mosaic, pixels: int) -> WholeCount:
    bounds = shown_bounds(mosaic)
    assert bounds is not None  # noqa: S101 (for the type)
    return WholeCount(Tally(pixels=pixels), bounds)


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
