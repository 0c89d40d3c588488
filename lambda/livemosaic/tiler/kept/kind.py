"""The kind of values that images of a mosaic have, whatever scenes are in them."""

import asyncio
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Final

import numpy as np
from cachetools import TTLCache

from livemosaic.errors import LivemosaicError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Read
from livemosaic.model.rule import Operation, Rule
from livemosaic.model.scene import Scene
from livemosaic.tiler.assets import chosen_assets, encodings_of
from livemosaic.tiler.picture import Draft, Tiler
from livemosaic.tiler.views import Point, lonlat_on

_LISTED: Final = 20
"""Scenes among which one is looked for that takes part."""
_KEPT_S: Final = 60.0
_COMPUTED: Final[tuple[Operation, ...]] = ("count", "stdev")
"""Operations whose results are no values of scenes."""


@dataclass(frozen=True, slots=True)
class ValueKind:
    """Bands, data type and nodata value of images of values."""

    names: tuple[str, ...]
    dtype: str
    """A numpy data type."""
    nodata: float | int | None
    """The number in place of pixels without data; None where no number stands for them."""

    def blank(self, grid: Grid) -> Pixels:
        """Returns pixels of which none is valid."""
        shape = grid.height, grid.width
        data: np.ndarray[Any, Any] = np.zeros((len(self.names), *shape), self.dtype)
        return Pixels(data, np.zeros(shape, np.bool_), self.names)


@dataclass(frozen=True, slots=True)
class ValueKinds:
    """Finds the kinds of values of mosaics, and keeps them for a minute. Thread-safe.

    Later scenes are of the kind of the first ones: an asset of another kind takes no part.
    """

    _known: TTLCache[Any, ValueKind] = field(default_factory=lambda: TTLCache(512, _KEPT_S))
    _lock: Lock = field(default_factory=Lock)

    async def find(self, tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule) -> ValueKind | None:
        """Returns the kind that a read gives; None without a scene that takes part and is read."""
        # As texts: a filter is a dict.
        key = mosaic.id, mosaic.generation, mosaic.shown_assets, repr(read), repr(rule)
        with self._lock:
            known = self._known.get(key)
        if known is None and (known := await _found(tiler, mosaic, read, rule)) is not None:
            with self._lock:
                self._known[key] = known
        return known


async def _found(tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule) -> ValueKind | None:
    """Reads one pixel amid a scene."""
    try:
        scene = await asyncio.to_thread(_first, tiler, mosaic, read, rule)
        if scene is None:
            return None
        at = scene.footprint.representative_point()
        view = Point(lonlat_on(mosaic), at.x, at.y).view(mosaic)
        draft = tiler.draft(mosaic, view, read, replace(rule, min_pixels=0))
        done = await tiler.read(draft)
        if not done.layers:
            return None
        pixels = (await tiler.compose(draft, done)).pixels
        nodata = await _nodata(tiler, draft, min(done.layers))
    except LivemosaicError:
        return None
    return ValueKind(pixels.names, pixels.data.dtype.str, nodata)


def _first(tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule) -> Scene | None:
    view = Point(lonlat_on(mosaic), 0, 0).view(mosaic)
    takes = tiler.listing(mosaic, view, read, rule).candidates.takes
    scenes, _ = tiler.index.list_scenes(mosaic, limit=_LISTED)
    return next(filter(takes, scenes), None)


async def _nodata(tiler: Tiler, draft: Draft, place: int) -> float | int | None:
    """Returns the nodata value that was requested, else the one that all assets of a scene have."""
    read, scene = draft.read, draft.plan.scene(place)
    if read.nodata is not None:
        return read.nodata
    if read.expression or read.style or draft.rule.operation in _COMPUTED:
        return None
    assets = chosen_assets(draft.mosaic, scene, read)
    encodings = encodings_of(scene, assets)
    stated = {
        await tiler.reader.nodata(href, version=scene.version, encoding=encodings.get(name, ()))
        for name, href in assets.items()
    }
    return stated.pop() if len(stated) == 1 else None
