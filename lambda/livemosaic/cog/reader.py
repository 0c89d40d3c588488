"""Asset → pixels: the flow of one read, and the cache of opened files."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from cachetools import LRUCache

from livemosaic.cog.budget import Budget, SceneAllowance, compute
from livemosaic.cog.gdal import GdalRaster
from livemosaic.cog.geotiff import TiffRaster
from livemosaic.cog.headers import Headers
from livemosaic.cog.pixels import (
    Layer,
    ReadPlan,
    choose_bands,
    dtype_of_pixels,
    plan_read,
    resample,
    stack,
)
from livemosaic.cog.raster import COMPLEX, AssetLimits, DecodeError, Profile, Raster, decoding
from livemosaic.cog.tiff.nodata import Nodata
from livemosaic.errors import InvalidRequestError, UnreadableAssetError
from livemosaic.geo.frame import Frame
from livemosaic.model.raster import Encoding, Grid, Pixels, rows_of
from livemosaic.model.render import Read
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.cache import Recent
from livemosaic.storage.hrefs import parse, redact
from livemosaic.storage.objects import ChangedError, LimitError, Object, ObjectError, Pin
from livemosaic.storage.stores import Stores

log = logging.getLogger(__name__)

T = TypeVar("T")

_TRIES: Final = 3
"""Attempts at a file that is being overwritten: by the cached header, by a new one, again."""

Key = tuple[str, str]
"""Href and version of the scene: a new version is opened anew."""

_STRIP_PIXELS: Final = 1024 * 1024
"""The largest strip, in pixels."""


class CogReader:
    """Reads allowed GeoTIFFs onto grids.

    Caches at most `max_open` opened files (headers, not pixels), least recently used dropped first.
    Each is bound to one edition: a file that was overwritten is opened anew. Compressed blocks are
    shared by concurrent reads, and cached as long as `recent` keeps them; by default not at all.
    One reader serves several event loops in turn, but is not thread-safe.
    """

    def __init__(
        self,
        allow: AllowList,
        headers: Headers | None = None,
        *,
        limits: AssetLimits | None = None,
        max_open: int = 512,
        recent: Recent | None = None,
    ) -> None:
        self._headers = headers
        self._limits = limits or AssetLimits()
        self._budget = Budget(self._limits.bytes_at_once)
        self._stores = Stores(allow)
        self._recent = recent or Recent(0)
        self._opened: LRUCache[Key, Raster] = LRUCache(max_open)
        # A task belongs to its event loop: one that stopped takes its openings with it.
        self._opening: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[Key, asyncio.Task[Raster]]
        ] = WeakKeyDictionary()

    async def read(
        self,
        assets: Mapping[str, str],
        grid: Grid,
        read: Read,
        *,
        version: str,
        encodings: Mapping[str, Encoding] = MappingProxyType({}),
        allowance: SceneAllowance | None = None,
    ) -> Pixels:
        """Returns the pixels of a scene's assets (href by key), stacked in their order.

        Takes the bands that `read` names, else all but alpha; `read.expression` is not applied.
        Bands are named by their number in the file: `b1`, or `red_b1` of several assets. The data
        type holds all of them; a pixel is valid where all assets are. `encodings` of assets count
        where their file states nothing. Bytes are deducted from `allowance`, if given: of what is
        decoded, or of the rows of the grid that the scene reaches, where these are more.

        UnreadableAssetError names the unreadable asset and the reason; InvalidRequestError, a band
        that it lacks; ForbiddenHrefError, an href outside the allow-list.
        """
        if not assets:
            raise InvalidRequestError("no asset to read")
        strips = [
            await self._strip(assets, version, _Plans(strip, read, encodings, allowance))
            for strip in split_into_strips(grid)
        ]
        return strips[0] if len(strips) == 1 else join_strips(strips)

    async def frame(self, href: str, *, version: str) -> Frame:
        """Returns where a file's pixels lie; raises as `read`."""
        return (await self.profile(href, version=version)).frame

    async def nodata(self, href: str, *, version: str, encoding: Encoding = ()) -> Nodata | None:
        """Returns the nodata value of all bands of a file; `encoding` counts where it states none.

        None if there is none, or if bands have different ones. Raises as `read`.
        """
        return (await self.profile(href, version=version)).completed(encoding).nodata

    async def profile(self, href: str, *, version: str) -> Profile:
        """Returns a file's header; raises as `read`."""
        try:
            async with asyncio.timeout(self._limits.seconds):
                return (await self._raster((href, version))).profile
        except (ObjectError, TimeoutError) as e:
            raise _unreadable(f"asset ({redact(href)}) {e or 'took too long'}", e, href) from e

    async def _strip(self, assets: Mapping[str, str], version: str, plans: "_Plans") -> Pixels:
        layers = await _all(
            [self._layer(key, href, plans.of_asset(key), version) for key, href in assets.items()]
        )
        return stack(tuple(assets), layers)

    async def _layer(self, key: str, href: str, plans: "_Plans", version: str) -> Layer:
        asset = _NamedAsset(key, href)
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._read((href, version), asset, plans)
        except ObjectError as e:
            raise _unreadable(f"{asset} {e}", e, href) from e
        except TimeoutError as e:
            late = f"{asset} took longer than {self._limits.seconds:g} seconds"
            raise _unreadable(late, e, href) from e

    async def _read(self, key: Key, asset: "_NamedAsset", plans: "_Plans") -> Layer:
        """Reads header and pixels of one edition of the file."""
        for _ in range(_TRIES):
            raster = None
            try:
                raster = await self._raster(key)
                return await self._take_or_let_gdal(key, raster, asset, plans)
            except ChangedError:
                self._forget(key, raster)
        raise ObjectError("is overwritten faster than it can be read")

    def _forget(self, key: Key, raster: Raster | None) -> None:
        """Drops a file that was overwritten, and its stored header.

        Keeps a raster that another read has opened since.
        """
        if self._opened.get(key) is raster:
            self._opened.pop(key, None)
        if self._headers:
            self._headers.forget(key[0])

    async def _take_or_let_gdal(
        self, key: Key, raster: Raster, asset: "_NamedAsset", plans: "_Plans"
    ) -> Layer:
        try:
            with decoding():
                return await self._take(raster, asset, plans)
        except DecodeError:
            if isinstance(raster, GdalRaster):
                raise
        with decoding():
            raster = await GdalRaster.open(self._stores.open(key[0]), self._limits)
            layer = await self._take(raster, asset, plans)
        self._opened[key] = raster  # from now on GDAL at once
        return layer

    async def _raster(self, key: Key) -> Raster:
        """Returns the file, opened once for all concurrent reads.

        A read that is cancelled (a viewer gone) does not cancel the opening.
        """
        if key in self._opened:
            return self._opened[key]
        opening = self._opening.setdefault(asyncio.get_running_loop(), {})
        if key not in opening:
            opening[key] = asyncio.create_task(self._open(key))
            opening[key].add_done_callback(lambda done: _forget(opening, key, done))
        return await asyncio.shield(opening[key])

    async def _open(self, key: Key) -> Raster:
        pin = Pin()
        source = self._stores.open(key[0], pin)
        header = await self._headers.get(key[0]) if self._headers else None
        if header:
            pin.edition = header.edition
        body = header.body if header else None
        raster = await open_raster(source, self._limits, self._recent, body)
        width, height = raster.profile.levels[0].block
        if max(width, height) > self._limits.block_edge:
            raise ObjectError(
                f"has blocks of {width} × {height} pixels; at most {self._limits.block_edge} a side"
            )
        if raster.profile.dtype.kind == "c":
            raise ObjectError(COMPLEX)
        if gcps := raster.profile.frame.gcps:
            log.info("placed by GCPs", extra={"asset": redact(key[0]), "fit": gcps.fit})
        self._opened[key] = raster
        return raster

    async def _take(self, raster: Raster, asset: "_NamedAsset", plans: "_Plans") -> Layer:
        profile, read = raster.profile.completed(plans.encoding), plans.read
        bands = choose_bands(profile, read, asset, self._limits)
        plan = await plans.of(profile)
        self._refuse_too_much(plan.samples)
        if plans.allowance is not None:
            decoded = plan.samples * profile.dtype.itemsize
            drawn = plan.rows * plans.grid.width * len(bands)
            drawn *= dtype_of_pixels(profile, read).itemsize
            plans.allowance.spend(drawn, decoded)
        async with self._budget.take(plan.bytes):
            parts = await _all([raster.fetch(plan.level, window) for window in plan.windows])
            return await compute(
                lambda: resample(plan, [part() for part in parts], profile, bands, plans.grid, read)
            )

    def _refuse_too_much(self, samples: int) -> None:
        if samples > self._limits.samples:
            raise LimitError(
                f"needs {samples:,} samples decoded for this image, and at most "
                f"{self._limits.samples:,} are: it lacks overviews"
            )


@dataclass(frozen=True, slots=True)
class _NamedAsset:
    """An asset as messages name it, without credentials; made into text where one is needed."""

    key: str
    href: str

    def __str__(self) -> str:
        return f"asset {self.key!r} ({redact(self.href)})"


class _Plans:
    """Read plans of one scene's assets: files of the same size and place share one."""

    def __init__(
        self,
        grid: Grid,
        read: Read,
        encodings: Mapping[str, Encoding],
        allowance: SceneAllowance | None,
    ) -> None:
        self.grid = grid
        self.read = read
        self.encoding: Encoding = ()
        self.allowance = allowance
        self._encodings = encodings
        self._made: list[tuple[Profile, asyncio.Task[ReadPlan]]] = []

    def of_asset(self, key: str) -> "_Plans":
        """Returns these plans with the bands and the encoding of one asset."""
        read, encoding = self.read.of(key), self._encodings.get(key, ())
        if read is self.read and not encoding:
            return self
        own = copy(self)  # shares the plans, which do not depend on either
        own.read, own.encoding = read, encoding
        return own

    async def of(self, profile: Profile) -> ReadPlan:
        """Returns the plan of a file; ObjectError as `plan_read`."""
        made = next((made for of, made in self._made if _is_read_alike(of, profile)), None)
        if made is None:
            made = asyncio.create_task(compute(plan_read, profile, self.grid, self.read))
            self._made.append((profile, made))
        return await asyncio.shield(made)


def _is_read_alike(one: Profile, other: Profile) -> bool:
    """Whether one plan serves two files. Compared, as hashes of transforms take longer."""
    return (
        one.levels == other.levels
        and (one.count, one.dtype) == (other.count, other.dtype)
        and (one.palette is None) == (other.palette is None)
    )


async def open_raster(
    source: Object, limits: AssetLimits, recent: Recent, header: bytes | None = None
) -> Raster:
    """Opens a file by its header, read unless given; ObjectError explains why it cannot be."""
    try:
        with decoding():
            return await TiffRaster.open(source, limits, header, recent)
    except DecodeError:
        with decoding():
            return await GdalRaster.open(source, limits)


def _unreadable(message: str, error: ObjectError | TimeoutError, href: str) -> UnreadableAssetError:
    reason = "timeout" if isinstance(error, TimeoutError) else error.reason
    return UnreadableAssetError(message, reason, parse(href).host)


def _forget(opening: dict[Key, asyncio.Task[Raster]], key: Key, done: asyncio.Task[Raster]) -> None:
    opening.pop(key, None)
    if not done.cancelled():
        done.exception()  # retrieved: perhaps nobody is waiting any more


async def _all(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Returns results in order; the first failure cancels the rest and is raised unchanged."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def split_into_strips(grid: Grid) -> list[Grid]:
    """Splits a large grid into strips, from its top; returns most grids as one."""
    if grid.width * grid.height <= _STRIP_PIXELS:
        return [grid]
    rows = max(1, _STRIP_PIXELS // grid.width)
    left, bottom, right, top = grid.bounds
    step = (top - bottom) / grid.height
    strips = []
    for first in range(0, grid.height, rows):
        last = min(first + rows, grid.height)
        edges = (left, top - last * step, right, top - first * step)
        strips.append(replace(grid, bounds=edges, height=last - first))
    return strips


def join_strips(strips: list[Pixels]) -> Pixels:
    """Joins the pixels of strips, from the top, to a grid's.

    It empties the list, so that none of them is kept beside the whole.
    """
    assets = max(len(strip.valid_of) for strip in strips)
    masks = zip(*(strip.valid_of or [strip.valid] * assets for strip in strips), strict=True)
    valid_of = tuple(map(np.concatenate, masks))
    valid = np.concatenate([strip.valid for strip in strips])
    dtype = np.result_type(*(strip.data.dtype for strip in strips))
    data, names = np.zeros((len(strips[0].data), *valid.shape), dtype), strips[0].names
    first = 0
    while strips:
        strip = strips.pop(0)
        own, rows = data[:, first : first + len(strip.valid)], rows_of(strip.valid)
        own[:, rows] = strip.data[:, rows]
        first += len(strip.valid)
    return Pixels(data, valid, names, valid_of)
