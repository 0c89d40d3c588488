"""Use case: a picture of a mosaic. Find, plan, read, compose."""

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

import numpy as np
from rasterio.crs import CRS

from livemosaic.cells import Ring, cell_grid, decode
from livemosaic.claims import burn, meets
from livemosaic.compose import compose, empty
from livemosaic.errors import (
    ForbiddenHrefError,
    InvalidRequestError,
    UnreadableAssetError,
)
from livemosaic.expression import Expression
from livemosaic.index import Index
from livemosaic.merge import Found
from livemosaic.model import MAX_KNOWN_ASSETS, Grid, Mosaic, Pixels, Read
from livemosaic.plan import Candidate, Mask, Plan, Seen
from livemosaic.rule import DEFAULT, Rule
from livemosaic.views import View

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
    """What one picture may cost."""

    max_scenes: int = 20
    """Scenes read, as in ArcGIS Image Server (maxMosaicImageCount)."""
    max_rows: int = 2000
    """Index rows looked at."""
    scene_timeout_s: float = 15.0
    """For all reads of one scene; then it is skipped."""


@dataclass(frozen=True, slots=True)
class Picture:
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


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A picture that was asked for, before anything is read for it."""

    mosaic: Mosaic
    grid: Grid
    read: Read
    """With the assets that its expression names."""
    expression: Expression | None
    rule: Rule
    plan: Plan


@dataclass(slots=True)
class Reads:
    """What was read for one picture, by place in its plan: the smaller, the higher up."""

    layers: dict[int, Pixels] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tiler:
    """Makes pictures of mosaics: tiles, and whatever else has a grid."""

    index: Index
    reader: AssetReader
    limits: Limits = field(default_factory=Limits)

    def draft(self, mosaic: Mosaic, view: View, read: Read, rule: Rule = DEFAULT) -> Draft:
        """What is asked for; nothing is read for it yet.

        Raises `NotFoundError` below the mosaic's minzoom, and `InvalidRequestError` for an asset
        that no scene of the mosaic ever had.
        """
        expression = Expression.parse(read.expression) if read.expression else None
        read = replace(read, assets=asked_for(mosaic, read, expression))
        plan = self._plan(mosaic, view, read.assets)
        return Draft(mosaic, view.grid, read, expression, rule, plan)

    async def make(self, draft: Draft) -> Picture:
        """The pixels that the rule wants; scenes that cannot be read are skipped.

        Scenes without an asset that is asked for take no part. Raises `InvalidRequestError` where
        what is asked for fits none of the scenes.
        """
        done = await self.read(draft)
        return await asyncio.to_thread(_finished, draft, done)

    async def read(self, draft: Draft) -> Reads:
        """The scenes that a picture needs, before they are one; raises as `make`."""
        done = Reads()
        while places := await asyncio.to_thread(draft.plan.next_round):
            await self._read_round(draft, places, done)
        invalid = [e for e in done.errors.values() if isinstance(e, InvalidRequestError)]
        if invalid and not done.layers:
            raise invalid[0]
        return done

    async def explain(self, mosaic: Mosaic, view: View) -> list[tuple[Found, str]]:
        """By footprints alone, top first: the scenes that a picture meets, and what becomes of
        each. See `Plan.explained`.
        """
        plan = self._plan(mosaic, view, ())
        return await asyncio.to_thread(plan.explained)

    def _plan(self, mosaic: Mosaic, view: View, assets: Sequence[str]) -> Plan:
        view.check_scale(mosaic)
        grid, limits = view.grid, self.limits
        candidates = _candidates(mosaic, self.index.find(mosaic, view.area), grid, assets)
        return Plan(candidates, grid.height, grid.width, limits.max_scenes, limits.max_rows)

    async def _read_round(self, draft: Draft, places: Sequence[int], done: Reads) -> None:
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


def _finished(draft: Draft, done: Reads) -> Picture:
    plan = draft.plan
    places = sorted(done.layers)
    layers = [done.layers[place] for place in places]
    return Picture(
        pixels=compose(layers) if layers else empty(draft.grid),
        grid=draft.grid,
        scenes=[plan.scene(p).id for p in places if done.layers[p].valid.any()],
        skipped=[(plan.scene(p).id, str(done.errors[p])) for p in sorted(done.errors)],
        truncated=plan.truncated,
        seen=plan.seen,
    )
