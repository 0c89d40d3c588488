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
from livemosaic.tiler.overviews import WORLD, serving
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

    def has_more_bands(self, pixels: Pixels) -> bool:
        """Returns whether a single band is there, of files that have one, in place of several."""
        return len(pixels.names) == 1 < len(self.names)

    def in_gray(self, pixels: Pixels) -> Pixels:
        """Returns pixels of a single band, which stands for each of several."""
        return replace(pixels, data=pixels.data.repeat(len(self.names), axis=0), names=self.names)

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
        key = mosaic.identity, mosaic.shown_assets, repr(read), repr(rule)
        with self._lock:
            known = self._known.get(key)
        if known is None and (known := await _found(tiler, mosaic, read, rule)) is not None:
            with self._lock:
                self._known[key] = known
        return known


async def _found(tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule) -> ValueKind | None:
    """Reads one pixel amid a scene."""
    try:
        scenes = await asyncio.to_thread(taking_part, tiler, mosaic, read, rule, _LISTED)
        if not scenes:
            return None
        scene = scenes[0]
        at = scene.footprint.representative_point()
        view = Point(lonlat_on(mosaic), at.x, at.y).view(mosaic)
        draft = tiler.draft(mosaic.unclipped, view, read, replace(rule, min_pixels=0))
        done = await tiler.read(draft)
        if not done.layers:
            return None
        pixels = (await tiler.compose(draft, done)).pixels
        nodata = await _nodata(tiler, draft, next(iter(done.layers)))
    except LivemosaicError:
        return None
    names = await asyncio.to_thread(_names_of_world, tiler, mosaic, draft.read, rule)
    return ValueKind(names or pixels.names, pixels.data.dtype.str, nodata)


def _names_of_world(tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule) -> tuple[str, ...]:
    """Returns the names of the bands of all scenes together, as the cell of the world has them.

    Empty where no overview tells, and where a request says itself which bands it wants.
    """
    cells = serving(mosaic, replace(read, overviews=True), rule)
    assets = read.assets or mosaic.shown_assets
    says_which = read.bidx or read.bidx_of or read.expression or len(assets) > 1
    if tiler.overviews is None or cells is None or says_which:
        return ()
    world = tiler.overviews.rows.standing(mosaic, cells, [WORLD]).get(WORLD)
    image = world and world.image_of(assets)
    if not image or not image.counts or image.colors:
        return ()
    (asset,) = assets
    count = image.counts[image.names.index(asset)]
    return tuple(f"b{number}" for number in image.numbers.get(asset, range(1, count + 1)))


def taking_part(tiler: Tiler, mosaic: Mosaic, read: Read, rule: Rule, listed: int) -> list[Scene]:
    """Returns the scenes that take part in images, wherever they lie, among the first listed ones.

    Raises `InvalidRequestError` as `Tiler.draft` does.
    """
    anywhere = Point(lonlat_on(mosaic), 0, 0).view(mosaic)
    takes = tiler.listing(mosaic, anywhere, read, rule).candidates.takes
    scenes, _ = tiler.index.list_scenes(mosaic, limit=listed)
    return [scene for scene in scenes if takes(scene)]


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
