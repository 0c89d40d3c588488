"""Use case: statistics of an area of a mosaic, read in blocks that stay small."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import shapely
from affine import Affine
from rasterio.crs import CRS
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import AreaTooLargeError, InvalidRequestError
from livemosaic.geo.box import Box, Size, warped
from livemosaic.geo.feature import Shape
from livemosaic.geo.frame import Frame
from livemosaic.geo.polygons.even_odd import even_odd
from livemosaic.geo.rasterize import coverage
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Pixels
from livemosaic.model.render import Read, Style
from livemosaic.model.rule import Rule
from livemosaic.render.stack.bands import check_drawn
from livemosaic.render.style import run_algorithm_in_place
from livemosaic.tiler.picture import Picture, Tiler
from livemosaic.tiler.statistics import Coverage, Tally
from livemosaic.tiler.views import box_view, check_zoom

_BLOCK: Final = 1024
"""Pixels of a block's edge."""
_DETAILED: Final = 2048
"""Pixels of overviews across an area, of which nearest ones are taken where fewer are asked for."""
_MAX_BLOCKS: Final = 10_000
"""Of the box of an area, which may be far larger than the area."""
_ROUGH: Final = 256
"""Pixels of an edge, where only footprints are looked at."""
_MAX_LOOKS: Final = 1 + 4 + 16 + 64
_ON_EDGE: Final = 1e-6
"""Pixels by which an edge may miss one of the scene's pixels and still be on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """How the pixels of an area are counted."""

    size: Size
    """Pixels of the box of an area; by default as many as its topmost scene has."""
    cover_scale: int
    """Parts into which pixels along the edge of an area are divided, in each direction."""
    style: Style
    """Only its algorithm is used."""
    max_pixels: int
    """Limit on the pixels of the blocks that an area meets."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of an area that is read at once."""

    box: Box
    width: int
    height: int


Look = tuple[Coverage, Picture]
"""How much of each pixel of a block is in an area, and the block's image."""


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """The pixels of an area."""

    shape: BaseGeometry
    """Valid, in the CRS of the box."""
    box: Box
    width: int
    height: int

    @property
    def detail(self) -> int:
        """How many times finer overviews are read: by nearest pixels, so that none counts more."""
        return max(1, _DETAILED // max(self.width, self.height))

    def blocks(self, max_pixels: int) -> list[Block]:
        """Returns the blocks that the area meets; `InvalidRequestError` for too many pixels."""
        across, down = -(-self.width // _BLOCK), -(-self.height // _BLOCK)
        blocks = list(self._all_blocks()) if across * down <= _MAX_BLOCKS else []
        shapely.prepare(self.shape)
        met = [block for block in blocks if self.shape.intersects(shapely.box(*block.box.bounds))]
        if not blocks or sum(block.width * block.height for block in met) > max_pixels:
            raise InvalidRequestError(
                f"{self.box} makes {self.width:,} × {self.height:,} pixels, statistics are made of "
                f"at most {max_pixels:,}; give a smaller width and height, or "
                f"max_size={math.isqrt(max_pixels)}"
            )
        return met

    def _all_blocks(self) -> Iterator[Block]:
        left, bottom, right, top = self.box.bounds
        to_map = Affine((right - left) / self.width, 0, left, 0, (bottom - top) / self.height, top)
        for row in range(0, self.height, _BLOCK):
            for column in range(0, self.width, _BLOCK):
                width, height = min(_BLOCK, self.width - column), min(_BLOCK, self.height - row)
                west, north = to_map @ (column, row)
                east, south = to_map @ (column + width, row + height)
                yield Block(Box(self.box.crs, (west, south, east, north)), width, height)


@dataclass(slots=True)
class Counted:
    """Statistics of an area, and the scenes that they come from."""

    tally: Tally
    scenes: dict[str, None] = field(default_factory=dict)
    """Ids of the scenes that show, in the order in which blocks met them."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Ids of the scenes that could not be read, and why."""
    rungs: set[int] = field(default_factory=set)
    """Zooms of the overview cells that show in place of scenes."""
    truncated: str = ""
    """Which limit left scenes out of a block; empty if none did."""


async def count(
    tiler: Tiler, mosaic: Mosaic, shape: Shape, crs: CRS, read: Read, rule: Rule, how: Counting
) -> Counted:
    """Counts the pixels of an image in `crs`, weighted by how much of them is in a shape.

    Each block is an image of its own. Raises `InvalidRequestError` where an area has too many
    pixels, or too few for the mosaic's minzoom.
    """
    zone = await _zone(tiler, mosaic, shape, crs, read, rule, how.size)
    counted = Counted(Tally(pixels=zone.width * zone.height))
    detail = zone.detail if read.resampling == "nearest" else 1

    async def look(block: Block) -> Look:
        view = box_view(block.box, mosaic, block.width, block.height)
        covered = await asyncio.to_thread(coverage, zone.shape, view.grid, how.cover_scale)
        view = replace(view, mask=covered > 0, detail=detail)
        return covered, await tiler.make(await tiler.prepare(mosaic, view, read, rule))

    blocks = await asyncio.to_thread(zone.blocks, how.max_pixels)
    async with aclosing(_one_ahead(look, blocks)) as looks:
        async for covered, made in looks:
            if how.style.algorithm:
                check_drawn(read, made.pixels.names, how.style)
            await asyncio.to_thread(_add, counted, covered, made, how.style)
    return counted


async def _one_ahead(
    look: Callable[[Block], Coroutine[Any, Any, Look]], blocks: Sequence[Block]
) -> AsyncGenerator[Look]:
    """Yields blocks in order; while one is counted, the next is read."""
    ahead: asyncio.Task[Look] | None = None
    try:
        for block in blocks:
            read = await ahead if ahead else None
            ahead = asyncio.create_task(look(block))
            if read:
                yield read
        if ahead:
            yield await ahead
    finally:
        if ahead:
            ahead.cancel()


async def _zone(
    tiler: Tiler, mosaic: Mosaic, shape: Shape, crs: CRS, read: Read, rule: Rule, size: Size
) -> Zone:
    box = shape.box.to(crs)
    frame = await _frame(tiler, mosaic, box, read, rule)
    to_map = warped(frame, crs) if frame else None
    box = _aligned(box, to_map) if to_map else box
    width, height = size.of(box, (to_map.a, -to_map.e) if to_map else None)
    view = box_view(box, mosaic, width, height)
    check_zoom(mosaic, view)
    placed = await asyncio.to_thread(shape.on, view.grid)
    # By the even-odd rule, as GDAL fills rings.
    valid = await asyncio.to_thread(even_odd, placed)
    return Zone(valid, box, width, height)


async def _frame(tiler: Tiler, mosaic: Mosaic, box: Box, read: Read, rule: Rule) -> Frame | None:
    """Returns the topmost scene's frame; of a quarter where the box is too large for one look."""
    boxes = deque([box])
    for _ in range(_MAX_LOOKS):
        if not boxes:
            break
        look = boxes.popleft()
        draft = tiler.draft(mosaic, box_view(look, mosaic, _ROUGH, _ROUGH), read, rule)
        try:
            if frame := await tiler.native(draft):
                return frame
        except AreaTooLargeError:
            boxes.extend(_quarters(look))
    return None


def _quarters(box: Box) -> list[Box]:
    left, bottom, right, top = box.bounds
    x, y = (left + right) / 2, (bottom + top) / 2
    parts = (left, y, x, top), (x, y, right, top), (left, bottom, x, y), (x, bottom, right, y)
    return [Box(box.crs, part) for part in parts]


def _aligned(box: Box, to_map: Affine) -> Box:
    """Grows a box to whole pixels of a raster, as rio-tiler does for statistics."""
    left, bottom, right, top = box.bounds
    corners = np.array([~to_map @ (left, top), ~to_map @ (right, bottom)])
    (first, above), (last, below) = (
        np.floor(corners.min(axis=0) + _ON_EDGE),
        np.ceil(corners.max(axis=0) - _ON_EDGE),
    )
    (x1, y1), (x2, y2) = to_map @ (first, above), to_map @ (last, below)
    try:
        return Box(box.crs, (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
    except InvalidRequestError:
        return box  # pixels that reach beyond a pole


def _add(counted: Counted, covered: Coverage, made: Picture, style: Style) -> None:
    pixels: Pixels | None = None
    if len(made.seen.scenes) > len(made.skipped):
        pixels = run_algorithm_in_place(made.pixels, made.grid, style, "for statistics")
    counted.tally.add(covered, pixels)
    counted.scenes |= dict.fromkeys(made.scenes)
    counted.skipped |= dict(made.skipped) | dict(made.left_out) | dict(made.lost)
    if made.shown is not None:
        counted.rungs.add(made.shown.zoom)
    counted.truncated = counted.truncated or made.truncated
