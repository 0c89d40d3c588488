"""Tiles of low zooms: from overviews, and of scenes alone, next to our own tile of zoom 13."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, Final

import morecantile
import numpy as np
from numpy.typing import NDArray

from bench.lap import timed
from bench.meter import Metered
from bench.patchwork import SIDE, WEB, Box, ingest, patchwork
from bench.report import Sheet, Value, show, step
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.model.render import Read, Render
from livemosaic.render.encode import encode
from livemosaic.services import Services, building, running
from livemosaic.storage.stores import StoredObject
from livemosaic.table.open import open_table
from livemosaic.tiler.picture import Picture
from livemosaic.tiler.views import TileAddress

_TMS: Final = "WebMercatorQuad"
_OWN: Final = 13
"""The zoom that others are compared with: half of the scenes' resolution."""
_OWN_TILES: Final = 5
_FINEST: Final = 14
_SIZE: Final = 256
_NOTES: Final = (
    f"Scenes of {SIDE} × {SIDE} px of zoom 14, side by side with 7 % overlap, of random days; a "
    f"tile: {_SIZE} × {_SIZE} px as PNG.",
    "shown: pixels shown, of those whose centres lie in a scene. ms: warm median; / z13: next to "
    f"our own tiles of that zoom, {_OWN_TILES} all over the mosaic, made in turn with it.",
    "index: calls of the table; objects: ranges of objects read, the first time. Files and table "
    "are on this machine.",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    across: int
    """Scenes in a row and in a column."""
    tiles: int
    """Of each zoom, at most."""
    times: int


class _Ranges:
    """Counts the ranges of objects that are read."""

    def __init__(self) -> None:
        self.count = 0
        read = StoredObject.read

        async def counted(source: StoredObject, start: int, stop: int) -> Any:
            self.count += 1
            return await read(source, start, stop)

        StoredObject.read = counted  # type: ignore[method-assign, assignment]


@dataclass(frozen=True, slots=True)
class _Made:
    picture: Picture
    first_ms: float
    warm_ms: float
    own_ms: float
    """Of our own tile of another zoom, made in turn with this one."""
    index: float
    objects: int


@dataclass(frozen=True, slots=True)
class _Maker:
    services: Services
    meter: Metered
    ranges: _Ranges
    runner: asyncio.Runner
    times: int
    own: Iterator[morecantile.Tile]

    def tile(self, tile: morecantile.Tile, *, overviews: bool) -> _Made:
        self.meter.take()
        self.ranges.count = 0
        start = time.perf_counter()
        picture = self._once(tile, overviews=overviews)
        first = time.perf_counter() - start
        usage, objects = self.meter.take(), self.ranges.count
        warm, own = [], []
        for _ in range(self.times):  # in turn: what else the machine does hits both alike
            warm.append(self._timed(tile, overviews=overviews))
            own.append(self._timed(next(self.own), overviews=True))
        calls = usage.gets + usage.batches + usage.queries
        return _Made(picture, 1000 * first, median(warm), median(own), calls, objects)

    def _timed(self, tile: morecantile.Tile, *, overviews: bool) -> float:
        _, lap = timed(lambda: self._once(tile, overviews=overviews))
        return lap.wall_ms

    def _once(self, tile: morecantile.Tile, *, overviews: bool) -> Picture:
        # `Runner.run` spells out the result, arrays and all, where it asks who handles signals.
        loop = self.runner.get_loop()
        return loop.run_until_complete(self._make(tile, overviews=overviews))

    async def _make(self, tile: morecantile.Tile, *, overviews: bool) -> Picture:
        tiler, mosaic = self.services.tiler, self.services.cache.get("m")
        view = TileAddress(_TMS, tile.z, tile.x, tile.y).view(mosaic, _SIZE)
        draft = await tiler.prepare(mosaic, view, Read(overviews=overviews))
        picture = await tiler.make(draft)
        if draft.shown is not None and tiler.overviews is not None:
            await asyncio.to_thread(tiler.overviews.lag, mosaic, view)
        await asyncio.to_thread(encode, picture.pixels, Render(format="png"), picture.grid)
        return picture


def run(options: Options) -> list[Sheet]:
    """Makes the scenes and their overviews, then tiles of each zoom."""
    with patchwork(options.across) as made:
        meter = Metered(open_table(made.settings.index))
        with running(made.settings, meter) as services, asyncio.Runner() as runner:
            built = fill(services, made.scenes, made.boxes)
            own = _tiles_over(np.array(list(made.boxes.values())), _OWN, _OWN_TILES)
            maker = _Maker(services, meter, _Ranges(), runner, options.times, cycle(own))
            sheet = _measure(maker, made.boxes, options.tiles, built)
    show(sheet)
    return [sheet]


def fill(services: Services, folder: Path, boxes: dict[str, Box]) -> str:
    """Ingests the scenes and builds their overviews; returns what that took, in words."""
    mosaic = services.mosaics.create(Mosaic(id="m", overviews=OverviewPolicy()))
    with step("ingest"):
        ingest(services, mosaic, folder, boxes)
    with step("overviews"), building(services) as builder:
        tally, lap = timed(lambda: builder.run("m"))
    return (
        f"Overviews were built in {lap.wall_ms / 1000:.0f} s, {lap.cpu_ms / len(boxes):.0f} ms of "
        f"CPU a scene: {tally.written} cells of {tally.bytes / 1e6:.1f} MB."
    )


def _measure(maker: _Maker, boxes: dict[str, Box], tiles: int, built: str) -> Sheet:
    every = np.array(list(boxes.values()))
    for _ in range(_OWN_TILES):  # late imports are no tile's cost
        maker.tile(next(maker.own), overviews=True)
    rows: list[list[Value]] = []
    for zoom in range(_FINEST + 1):
        chosen = _tiles_over(every, zoom, tiles)
        with step(f"z{zoom}: {len(chosen)} tiles"):
            for overviews in (True, False):
                made = [maker.tile(tile, overviews=overviews) for tile in chosen]
                rows.append(_row(zoom, overviews, made, chosen, every))
    columns = (
        *("zoom", "of", "shown %", "cut", "first ms", "ms", "/ z13", "index", "objects"),
        "scenes",
    )
    title = f"Low zooms of {len(boxes):,} scenes"
    return Sheet(title, columns, rows, (*_NOTES, built))


def _row(
    zoom: int,
    overviews: bool,
    made: Sequence[_Made],
    tiles: Sequence[morecantile.Tile],
    boxes: NDArray[np.float64],
) -> list[Value]:
    wanted = [_covered(boxes, tile) for tile in tiles]
    shown = sum(int((m.picture.pixels.valid & w).sum()) for m, w in zip(made, wanted, strict=True))
    should = sum(int(each.sum()) for each in wanted)
    warm = median(each.warm_ms for each in made)
    from_cells = any(each.picture.shown is not None for each in made)
    return [
        f"z{zoom}",
        ("overviews" if from_cells else "scenes") + ("" if overviews else ", asked for"),
        100 * shown / should if should else None,
        next((m.picture.truncated for m in made if m.picture.truncated), ""),
        median(each.first_ms for each in made),
        warm,
        warm / median(each.own_ms for each in made),
        max(each.index for each in made),
        max(each.objects for each in made),
        max(len(each.picture.seen.scenes) for each in made),
    ]


def _tiles_over(boxes: NDArray[np.float64], zoom: int, most: int) -> list[morecantile.Tile]:
    west, south = WEB.lnglat(boxes[:, 0].min(), boxes[:, 1].min())
    east, north = WEB.lnglat(boxes[:, 2].max(), boxes[:, 3].max())
    found = list(WEB.tiles(west, south, east, north, [zoom]))
    return found[:: max(1, len(found) // most)][:most]


def _covered(boxes: NDArray[np.float64], tile: morecantile.Tile) -> NDArray[np.bool_]:
    """The pixels of a tile whose centres lie in some scene; shape (256, 256)."""
    edge = WEB.xy_bounds(tile)
    step_of_tile = (edge.right - edge.left) / _SIZE
    x = edge.left + (np.arange(_SIZE) + 0.5) * step_of_tile
    y = edge.top - (np.arange(_SIZE) + 0.5) * step_of_tile
    out = np.zeros((_SIZE, _SIZE), np.bool_)
    for left, bottom, right, top in boxes:
        out[np.ix_((y > bottom) & (y < top), (x >= left) & (x < right))] = True
    return out
