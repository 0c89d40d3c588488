"""Use case: a tile of a mosaic. Find, plan, read, compose."""

import asyncio
import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

import morecantile
import numpy as np
from rasterio.crs import CRS

from livemosaic.areas import Area
from livemosaic.cells import Ring, cell_grid, decode, lonlat_bounds, tile_matrix_set
from livemosaic.claims import burn, meets
from livemosaic.compose import compose, empty
from livemosaic.errors import (
    ForbiddenHrefError,
    InvalidRequestError,
    NotFoundError,
    UnreadableAssetError,
)
from livemosaic.expression import Expression
from livemosaic.index import Index
from livemosaic.merge import Found
from livemosaic.model import MAX_KNOWN_ASSETS, BBox, Grid, Mosaic, Pixels, Read
from livemosaic.plan import Candidate, Mask, Plan, Seen

log = logging.getLogger(__name__)

_VISUAL: Final = ("visual",)
_RGB: Final = ("red", "green", "blue")


class AssetReader(Protocol):
    """Turns assets into pixels; see `cog.CogReader`."""

    async def read(
        self, assets: Mapping[str, str], grid: Grid, read: Read, *, version: str
    ) -> Pixels:
        """The bands of all assets (href by key, in order) on a grid."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one tile may cost."""

    max_scenes: int = 20
    """Scenes read, as in ArcGIS Image Server (maxMosaicImageCount)."""
    max_rows: int = 2000
    """Index rows looked at."""
    scene_timeout_s: float = 15.0
    """For all reads of one scene; then it is skipped."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Composed pixels, and what they are made of."""

    pixels: Pixels
    grid: Grid
    scenes: Sequence[str]
    """Ids of the scenes that show, top first."""
    skipped: Sequence[tuple[str, str]]
    """Ids of the scenes that should show and could not be read, and why."""
    truncated: str
    """Which limit left scenes out; empty if none did."""
    seen: Seen
    """What it follows from, unless scenes were skipped."""


@dataclass(frozen=True, slots=True)
class TileAddress:
    """A tile of a TileMatrixSet (OGC 17-083r4): z is the tile matrix, x the column, y the row."""

    tms: str
    z: int
    x: int
    y: int

    def grid(self, size: int) -> Grid:
        """Its pixels; `NotFoundError` outside the TileMatrixSet."""
        tms = tile_matrix_set(self.tms)
        if not tms.minzoom <= self.z <= tms.maxzoom:
            raise NotFoundError(
                f"zoom {self.z} is outside {self.tms}, which has {tms.minzoom} to {tms.maxzoom}"
            )
        matrix = tms.matrix(self.z)
        if not (0 <= self.x < matrix.matrixWidth and 0 <= self.y < matrix.matrixHeight):
            raise NotFoundError(
                f"tile {self.z}/{self.x}/{self.y} is outside {self.tms}, which has "
                f"{matrix.matrixWidth} × {matrix.matrixHeight} tiles at zoom {self.z}"
            )
        left, bottom, right, top = tms.xy_bounds(morecantile.Tile(self.x, self.y, self.z))
        return Grid(tms.rasterio_crs, (left, bottom, right, top), size, size)

    def area(self, mosaic: Mosaic) -> Area:
        """Where it lies in a mosaic's own grid; `NotFoundError` below the mosaic's minzoom."""
        area = self._area(mosaic)
        if area.zoom < mosaic.minzoom:
            raise NotFoundError(
                f"zoom {self.z} is below the minzoom {mosaic.minzoom} of mosaic {mosaic.id!r}"
                + ("" if self.tms == mosaic.tms else f" (it is like {area.zoom} in {mosaic.tms})")
            )
        return area

    def _area(self, mosaic: Mosaic) -> Area:
        grid = self.grid(256)
        if self.tms == mosaic.tms:
            return Area((grid.bounds,), self.z)
        return area_of(mosaic, lonlat_bounds(grid))


def area_of(mosaic: Mosaic, bbox_lonlat: BBox) -> Area:
    """A box in longitude and latitude (west > east crosses the antimeridian) in a mosaic's grid."""
    grid = cell_grid(mosaic.tms)
    boxes = tuple(grid.from_lonlat(bbox_lonlat))
    zooms = [grid.zoom_of(bounds) for bounds in boxes]
    return Area(boxes, max(0, math.floor(min(24.0, *zooms) + 0.2)) if zooms else 24)


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A tile that was asked for and exists, before anything is read for it."""

    mosaic: Mosaic
    grid: Grid
    read: Read
    """With the assets that its expression names."""
    expression: Expression | None
    plan: Plan


@dataclass(slots=True)
class _Reads:
    """What has been read for one tile so far, by place in its plan."""

    layers: dict[int, Pixels] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tiler:
    """Makes tiles of mosaics."""

    index: Index
    reader: AssetReader
    limits: Limits = field(default_factory=Limits)

    async def tile(self, mosaic: Mosaic, address: TileAddress, size: int, read: Read) -> Tile:
        """The newest pixels of a tile: `draft` and `make` in one."""
        return await self.make(self.draft(mosaic, address, size, read))

    def draft(self, mosaic: Mosaic, address: TileAddress, size: int, read: Read) -> Draft:
        """What is asked for, `size` × `size` pixels.

        Raises `NotFoundError` for a tile that does not exist, and `InvalidRequestError` for an
        asset that no scene of the mosaic ever had.
        """
        expression = Expression.parse(read.expression) if read.expression else None
        read = replace(read, assets=asked_for(mosaic, read, expression))
        grid = address.grid(size)
        plan = self._plan(mosaic, address.area(mosaic), grid, read.assets)
        return Draft(mosaic, grid, read, expression, plan)

    async def make(self, draft: Draft) -> Tile:
        """The newest pixels; scenes that cannot be read are skipped.

        Scenes without an asset that is asked for take no part. Raises `InvalidRequestError` where
        what is asked for fits none of the scenes.
        """
        done = _Reads()
        while places := await asyncio.to_thread(draft.plan.next_round):
            await self._read_round(draft, places, done)
        return await asyncio.to_thread(_finished, draft.plan, draft.grid, done)

    async def explain(
        self, mosaic: Mosaic, address: TileAddress, size: int
    ) -> list[tuple[Found, str]]:
        """By footprints alone, top first: the scenes that a tile meets, and what becomes of each.

        See `Plan.explained`.
        """
        plan = self._plan(mosaic, address.area(mosaic), address.grid(size), ())
        return await asyncio.to_thread(plan.explained)

    def _plan(self, mosaic: Mosaic, area: Area, grid: Grid, assets: Sequence[str]) -> Plan:
        candidates = _candidates(mosaic, self.index.find(mosaic, area), grid, assets)
        limits = self.limits
        return Plan(candidates, grid.height, grid.width, limits.max_scenes, limits.max_rows)

    async def _read_round(self, draft: Draft, places: Sequence[int], done: _Reads) -> None:
        plan = draft.plan
        reads = [self._scene(draft, plan.scene(place)) for place in places]
        for place, result in zip(places, await asyncio.gather(*reads), strict=True):
            if isinstance(result, Pixels):
                done.layers[place] = result
                plan.record(place, result.valid)
            else:
                done.errors[place] = result
                plan.record(place, None)

    async def _scene(self, draft: Draft, scene: Found) -> Pixels | Exception:
        """One scene's pixels, or why there are none."""
        grid, read = draft.grid, draft.read
        try:
            assets = chosen_assets(draft.mosaic, scene.assets, read)
            async with asyncio.timeout(self.limits.scene_timeout_s):
                pixels = await self.reader.read(assets, grid, read, version=scene.version)
            if draft.expression is None:
                return pixels
            alone = next(iter(assets)) if len(assets) == 1 else None
            return await asyncio.to_thread(draft.expression.apply, pixels, alone)
        except TimeoutError:
            return UnreadableAssetError(f"took longer than {self.limits.scene_timeout_s:g} s")
        except (UnreadableAssetError, ForbiddenHrefError, InvalidRequestError) as error:
            return error
        except Exception:
            log.exception("scene failed", extra={"mosaic": draft.mosaic.id, "scene": scene.key})
            return UnreadableAssetError("an unexpected error; it was logged")


def asked_for(mosaic: Mosaic, read: Read, expression: Expression | None) -> tuple[str, ...]:
    """The assets that a request names, itself or in its expression; empty for the usual ones.

    `InvalidRequestError` for one that the mosaic does not know, as far as it knows any.
    """
    known = tuple(dict.fromkeys((*mosaic.assets, *mosaic.known_assets)))
    named = read.assets or (expression.assets(known) if expression else ())
    strangers = [name for name in named if name not in known]
    strangers += expression.strangers(known) if expression else ()
    if strangers and 0 < len(known) < MAX_KNOWN_ASSETS:
        raise InvalidRequestError(
            f"there is no asset {strangers[0][:80]!r} in mosaic {mosaic.id!r}; there are: "
            f"{', '.join(known)[:300]}"
        )
    return named


def _candidates(
    mosaic: Mosaic, found: Iterator[Found], grid: Grid, assets: Sequence[str]
) -> Iterator[Candidate]:
    cells = cell_grid(mosaic.tms)
    for scene in found:
        parts: list[list[Ring]] = []
        if all(name in scene.assets for name in assets):
            parts = [decode(cells, quadkey, stored) for quadkey, stored in scene.parts]
            parts = [rings for rings in parts if meets(rings, cells.crs, grid)]
        yield Candidate(scene, partial(_claim, parts, cells.crs, grid) if parts else None)


def _claim(parts: Sequence[Sequence[Ring]], crs: CRS, grid: Grid) -> Mask:
    claims = [burn(rings, crs, grid) for rings in parts]
    return claims[0] if len(claims) == 1 else np.logical_or.reduce(claims)


def chosen_assets(mosaic: Mosaic, assets: Mapping[str, str], read: Read) -> dict[str, str]:
    """The assets of a scene that a request reads, in order.

    Those asked for; else the mosaic's default; else `visual`; else red, green and blue; else the
    first. `UnreadableAssetError` names one that is not there.
    """
    wanted = read.assets or mosaic.default_assets or _usual(assets)
    for name in wanted:
        if name not in assets:
            raise UnreadableAssetError(f"has no asset {name[:80]!r}")
    return {name: assets[name] for name in wanted}


def _usual(assets: Collection[str]) -> tuple[str, ...]:
    for usual in (_VISUAL, _RGB):
        if all(name in assets for name in usual):
            return usual
    return tuple(assets)[:1]


def _finished(plan: Plan, grid: Grid, done: _Reads) -> Tile:
    invalid = [e for e in done.errors.values() if isinstance(e, InvalidRequestError)]
    if invalid and not done.layers:
        raise invalid[0]
    places = sorted(done.layers)
    layers = [done.layers[place] for place in places]
    return Tile(
        pixels=compose(layers) if layers else empty(grid),
        grid=grid,
        scenes=[plan.scene(p).id for p in places if done.layers[p].valid.any()],
        skipped=[(plan.scene(p).id, str(done.errors[p])) for p in sorted(done.errors)],
        truncated=plan.truncated,
        seen=plan.seen,
    )
