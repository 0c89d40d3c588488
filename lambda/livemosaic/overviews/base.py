"""Base blocks: tiles of scenes, drawn by the mosaic's default rule, as source values."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final, Literal, Protocol, TypeVar

from cachetools import LRUCache

from livemosaic.cog.raster import Profile
from livemosaic.errors import ForbiddenHrefError, UnreadableAssetError
from livemosaic.geo.cells import Cell
from livemosaic.index.partitions import Area
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic, OverviewSet
from livemosaic.model.raster import Encoding, Pixels
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import IndexedScene
from livemosaic.overviews.begin import Beginning
from livemosaic.overviews.blocks import Block, BlockSource, Kind, digest_of, has_fewer
from livemosaic.tiler.assets import chosen_assets, encodings_of
from livemosaic.tiler.picture import AssetReader, Draft, PictureLimits, Reads, Tiler
from livemosaic.tiler.rules.parse import rule_of
from livemosaic.tiler.views import TileAddress

T = TypeVar("T")

Scaling = tuple[tuple[float, float], ...]
"""Scale and offset of each band."""

LIMITS: Final = PictureLimits(
    max_scenes=1000,
    max_rows=100_000,
    scene_timeout_s=60.0,
    seconds=600.0,
    bytes=16 * 1024 * 1024 * 1024,
)
"""Of one base block: nobody waits for it, and what it leaves out is missing at every low zoom."""
_AT_ONCE: Final = 4
"""Base blocks that are read concurrently."""
_PLAIN: Final = (1.0, 0.0)


class ProfileReader(Protocol):
    """Opens assets; see `cog.reader.CogReader`."""

    async def profile(self, href: str, *, version: str) -> Profile:
        """Returns the header of an asset."""
        ...


@dataclass(frozen=True, slots=True)
class Survey:
    """What the index says of a block, before a pixel is read."""

    finding: Literal["empty", "same", "base", "cell"]
    """No scene; the scenes of its stored source; others; or so many, or so small ones, that it is
    made from a cell below."""
    draft: Draft


@dataclass(frozen=True, slots=True)
class BaseBlock:
    """A base block as drawn."""

    source: BlockSource
    pixels: Block | None
    """The bands of all assets, in order; None where no pixel is valid."""
    unread: Sequence[tuple[str, str]] = ()
    """Ids of the scenes that could not be read, and why."""


class _Scenes:
    """Scenes of an area, found once, as far as somebody asks for them."""

    def __init__(self, source: Iterator[IndexedScene]) -> None:
        self._source = source
        self._met: list[IndexedScene] = []

    def __iter__(self) -> Iterator[IndexedScene]:
        for place in count():
            if place == len(self._met):
                following = next(self._source, None)
                if following is None:
                    return
                self._met.append(following)
            yield self._met[place]


@dataclass(frozen=True, slots=True)
class _IndexOfOneArea(Index):
    """An `Index` that has found the scenes of the one area that it is asked for."""

    met: Iterable[IndexedScene] = ()

    def find(self, mosaic: Mosaic, area: Area) -> Iterator[IndexedScene]:
        """See `Index`."""
        del mosaic, area
        return iter(self.met)


def _of_one_area(index: Index, met: Iterable[IndexedScene]) -> Index:
    of = index.table, index.mosaics, index.pool, index.clock, index.consistent
    return _IndexOfOneArea(*of, met=met)


class Bases:
    """Draws base blocks. Not thread-safe."""

    def __init__(
        self,
        index: Index,
        reader: AssetReader,
        profiles: ProfileReader | None,
        *,
        edge: int,
        limits: PictureLimits = LIMITS,
        at_once: int = _AT_ONCE,
    ) -> None:
        """Draws blocks of `edge` pixels; without `profiles`, as if no file had scale or palette."""
        self._index = replace(index, consistent=True)
        self._tiler = Tiler(self._index, reader, limits)
        self._profiles = profiles
        self._edge = edge
        self._turns = at_once
        self._meanings: LRUCache[tuple[str, str], tuple[Scaling, bool]] = LRUCache(10_000)
        self._runner: asyncio.Runner | None = None

    def close(self) -> None:
        """Ends the event loop of the reads."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def survey(
        self,
        mosaic: Mosaic,
        cells: OverviewSet,
        tile: str,
        before: BlockSource | None,
        *,
        may_deepen: bool,
    ) -> Survey:
        """Returns what scenes are at a tile now, by its quadkey, beside its source so far."""
        at = Cell.of(tile)
        view = TileAddress(mosaic.tms, at.zoom, at.x, at.y).view(mosaic, self._edge)
        met = _Scenes(self._index.find(mosaic, view.area))
        read = Read(assets=cells.policy.assets)
        once = replace(self._tiler, index=_of_one_area(self._index, met))
        draft = once.draft(mosaic, view, read, rule(mosaic, cells))
        beginning = Beginning(self._index, mosaic, at)
        if may_deepen and beginning.holds_small(iter(met)):
            return Survey("cell", draft)
        plan = draft.plan
        if before is not None and before.seen is not None and not before.skipped:
            seen = plan.foreseen(*before.seen)
            if seen is not None and digest_of(seen) == before.digest:
                return Survey("same", draft)
        wanted = plan.next_round()
        if not plan.seen.scenes:
            return Survey("empty", draft)
        return Survey(
            "cell" if may_deepen and beginning.is_crowded(plan, wanted) else "base", draft
        )

    def draw(self, drafts: Sequence[Draft]) -> list[BaseBlock]:
        """Reads and composes blocks that were surveyed."""
        return self._run(self._all(drafts))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(work)

    async def _all(self, drafts: Sequence[Draft]) -> list[BaseBlock]:
        if self._turns == 1:
            return [await self._one(draft) for draft in drafts]
        turns = asyncio.Semaphore(self._turns)

        async def in_turn(draft: Draft) -> BaseBlock:
            async with turns:
                return await self._one(draft)

        return list(await asyncio.gather(*map(in_turn, drafts)))

    async def _one(self, draft: Draft) -> BaseBlock:
        done = await self._tiler.read(draft)
        picture = await self._tiler.compose(draft, done)
        kind = await self._kind(draft, done, picture.pixels)
        source = BlockSource.of_scenes(picture.seen, kind, skipped=bool(picture.skipped))
        block = (picture.pixels.data, picture.pixels.valid) if kind else None
        return BaseBlock(source, block, picture.skipped)

    async def _kind(self, draft: Draft, done: Reads, pixels: Pixels) -> Kind | None:
        if not pixels.valid.any():
            return None
        counts = band_counts(pixels.names, draft.read.assets)
        shown = {place: layer for place, layer in done.layers.items() if layer.valid.any()}
        meanings = [await self._meaning(draft, draft.plan.scene(place)) for place in shown]
        scalings = {scaling for scaling, _ in meanings}
        agreed = scalings.pop() if len(scalings) == 1 else None
        if agreed and len(agreed) != sum(counts):
            agreed = None
        colors = any(is_colored for _, is_colored in meanings)
        names = [layer.names for layer in shown.values()]
        renumbered = any(map(is_renumbered, names)) or any(
            has_fewer(band_counts(each, draft.read.assets), counts) for each in names
        )
        return Kind(_stored(pixels.data.dtype.name), counts, agreed, colors, renumbered)

    async def _meaning(self, draft: Draft, scene: IndexedScene) -> tuple[Scaling | None, bool]:
        """Returns what the numbers of a scene mean, and whether they are colors of a palette."""
        if self._profiles is None:
            return (), False
        assets = chosen_assets(draft.mosaic, scene, draft.read)
        encodings = encodings_of(scene, assets)
        found: list[tuple[float, float]] = []
        colored = False
        for name, href in assets.items():
            try:
                one, is_colored = await self._of_asset(href, scene.version, encodings.get(name, ()))
            except (UnreadableAssetError, ForbiddenHrefError):  # gone since it was read
                return None, colored
            found += one
            colored |= is_colored
        return (() if set(found) <= {_PLAIN} else tuple(found)), colored

    async def _of_asset(self, href: str, version: str, stated: Encoding) -> tuple[Scaling, bool]:
        assert self._profiles is not None  # noqa: S101
        key = href, version
        if key not in self._meanings:
            whole = await self._profiles.profile(href, version=version)
            self._meanings[key] = _meaning_of(whole.completed(stated))
        return self._meanings[key]


def _meaning_of(profile: Profile) -> tuple[Scaling, bool]:
    if profile.palette is not None:
        return (_PLAIN,) * 3, True
    pairs = zip(profile.scales, profile.offsets, strict=True)
    return tuple(pair for band, pair in enumerate(pairs) if band != profile.alpha), False


def _stored(dtype: str) -> str:
    """Returns the type in which values of a type are kept: TIFF has no float of 16 bits."""
    return {"float16": "float32", "bool": "uint8"}.get(dtype, dtype)


def band_counts(names: Sequence[str], assets: Sequence[str]) -> tuple[int, ...]:
    """Returns the bands of each asset by the names of all bands: `red_b1` of several assets."""
    if len(assets) == 1:
        return (len(names),)
    return tuple(sum(name.rpartition("_b")[0] == asset for name in names) for asset in assets)


def is_renumbered(names: Sequence[str]) -> bool:
    """Returns whether bands, by their names, are not the first ones of each asset in order."""
    seen = Counter[str]()
    for name in names:
        asset, _, number = name.rpartition("b")
        seen[asset] += 1
        if number != str(seen[asset]):
            return True
    return False


def rule(mosaic: Mosaic, cells: OverviewSet) -> Rule:
    """Returns the rule that a set of overview cells follows, without a limit on scenes."""
    rules = replace(mosaic.rules, default=cells.rule)
    return replace(rule_of({}, replace(mosaic, rules=rules)), max_scenes=None)
