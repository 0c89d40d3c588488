"""A whole mosaic as one image of few pixels, of overview cells where it has any."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np
import shapely
from rasterio.crs import CRS

from livemosaic.errors import AreaTooLargeError, InvalidRequestError, UnreadableAssetError
from livemosaic.geo.antimeridian import extent, lonlat_boxes
from livemosaic.geo.box import Box, Size
from livemosaic.geo.polygons.inside import clip_area
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene
from livemosaic.tiler.picture import Draft, Picture, Tiler
from livemosaic.tiler.views import View, box_view, lonlat_on

SIDE: Final = 512
"""Pixels of the longer side of an image of a whole mosaic, by default."""
MAX_SIDE: Final = 4096
_DETAIL: Final = 1.4
"""How many times finer overviews are read, of which nearest pixels are taken: the coarser they are
the farther they reach beyond the scenes, as pixels are valid where any pixel below is; the finer,
the more of them are decoded."""
_ENOUGH: Final = 10_000
"""Valid pixels of an image that are no matter of chance."""
_SAME: Final = 1e-6
"""Degrees."""
_FEW_SCENES: Final = 40


def whole_view(mosaic: Mosaic, side: int, crs: CRS) -> View | None:
    """Returns what a mosaic may show as a view with a longer side of `side` pixels.

    None of a mosaic without scenes. In a CRS, or in degrees where that cannot show all of it.
    """
    bounds = shown_bounds(mosaic)
    if bounds is None:
        return None
    box = Box.of(lonlat_on(mosaic), bounds)
    with suppress(InvalidRequestError):  # the extent crosses the edge of that map
        on_map = box.to(crs)
        box = box if _is_cut(on_map, box) else on_map
    return box_view(box, mosaic, *Size(max_size=side).of(box, None))


def shown_bounds(mosaic: Mosaic) -> BBox | None:
    """Returns a mosaic's bounds, of a clipped one the part within its boundary, in degrees.

    All of them where no part is within; None of a mosaic without scenes.
    """
    if mosaic.bounds is None or not mosaic.clip_to_boundary:
        return mosaic.bounds
    whole = shapely.union_all(lonlat_boxes(mosaic.bounds))
    inside = whole.intersection(clip_area(mosaic.clip_to_boundary).polygons)
    return extent(inside) if inside.area else mosaic.bounds


def _is_cut(on_map: Box, box: Box) -> bool:
    """Whether a map lacks the poles of a box in degrees, as a Mercator map does."""
    _, south, _, north = on_map.to(box.crs).bounds
    return south > box.bounds[1] + _SAME or north < box.bounds[3] - _SAME


async def image_of(
    tiler: Tiler, mosaic: Mosaic, view: View, read: Read, rule: Rule
) -> Picture | None:
    """Returns the image of a view; None and errors as of `draft_of` and `made_of`."""
    draft = await draft_of(tiler, mosaic, view, read, rule)
    return None if draft is None else await made_of(tiler, draft)


async def draft_of(
    tiler: Tiler, mosaic: Mosaic, view: View, read: Read, rule: Rule
) -> Draft | None:
    """Prepares the image of a view; None where it would leave out scenes that no cell shows."""
    try:
        draft = await tiler.prepare(mosaic, replace(view, detail=_DETAIL), read, rule)
        is_whole = draft.shown is not None or await tiler.is_whole(draft)
    except AreaTooLargeError:
        return None
    return draft if is_whole else None


async def made_of(tiler: Tiler, draft: Draft) -> Picture | None:
    """Makes a prepared image; None where it leaves out scenes that no cell shows.

    Raises `UnreadableAssetError` where cells would show them, and cannot be read.
    """
    try:
        made = await tiler.make(draft)
    except AreaTooLargeError:
        return None
    if made.truncated and made.lost:
        (name, why), mosaic = made.lost[0], draft.mosaic
        raise UnreadableAssetError(f"{name} of mosaic {mosaic.id!r} cannot be read now: {why}")
    return None if made.truncated and made.shown is None else made


def is_enough(made: Picture, claimed: float = 0) -> bool:
    """Returns whether an image has more than a few pixels of scenes, as fine as it is.

    `claimed`: pixels that footprints have in it, whether they are valid or not.
    """
    is_coarse = made.shown is not None and made.shown.is_coarse
    return not is_coarse and max(int(np.count_nonzero(made.pixels.valid)), claimed) >= _ENOUGH


def few_scenes(tiler: Tiler, mosaic: Mosaic) -> Sequence[Scene]:
    """Returns all scenes of a mosaic; none where it has many."""
    scenes, more = tiler.index.list_scenes(mosaic, limit=_FEW_SCENES)
    return () if more else scenes


def too_many(mosaic: Mosaic) -> InvalidRequestError:
    """Returns the error of a mosaic that no image shows as a whole, nor few reads do."""
    way_out = (
        "ask its sources"
        if mosaic.sources
        else f"turn overviews on (livemosaic mosaics update {mosaic.id} --overviews), ask for what "
        "they show"
    )
    return InvalidRequestError(
        f"mosaic {mosaic.id!r} has more scenes than can be read at once, and no overviews that "
        f"show what is asked for: {way_out}, or POST single areas"
    )
