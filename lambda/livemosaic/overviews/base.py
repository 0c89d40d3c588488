"""Base blocks: tiles of scenes, drawn by the mosaic's default rule, as source values."""

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final, Literal, Protocol, TypeVar

from cachetools import LRUCache

from livemosaic.cog.budget import on_event_loop
from livemosaic.cog.raster import Profile
from livemosaic.errors import ForbiddenHrefError, InvalidRequestError, UnreadableAssetError
from livemosaic.geo.cells import Cell
from livemosaic.index.cells.notes import Notes
from livemosaic.index.partitions import Area
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic, OverviewSet
from livemosaic.model.raster import Encoding, Pixels
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import IndexedScene
from livemosaic.overviews.begin import Beginning
from livemosaic.overviews.blocks import BlockSource, Drawn, digest_of
from livemosaic.overviews.notes import Problems, of_drawn
from livemosaic.overviews.together.combinations import (
    MOST,
    Assets,
    Combination,
    Kind,
    agreed_numbers,
    closed,
)
from livemosaic.overviews.together.drawn import Together, kept_of
from livemosaic.tiler.assets import chosen_assets, encodings_of, lacking, unlike
from livemosaic.tiler.picture import AssetReader, Draft, PictureLimits, Reads, Tiler
from livemosaic.tiler.rules.parameters import rule_of
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


Finding = Literal["empty", "same", "base", "cell"]


@dataclass(frozen=True, slots=True)
class Survey:
    """What the index says of a block, before a pixel is read."""

    finding: Finding
    """No scene; the scenes of its stored source; others; or so many, or so small ones, that it is
    made from a cell below."""
    draft: Draft
    """Of all assets together."""
    assets: tuple[str, ...]
    """All assets of the set."""
    tiler: Tiler
    """Finds the same scenes again, whatever the index has by now."""

    def of(self, assets: Assets) -> Draft:
        """Returns the draft of some of the assets, by the same rule."""
        read = Read(assets=tuple(self.assets[place] for place in assets))
        return self.tiler.draft(self.draft.mosaic, self.draft.view, read, self.draft.rule)


@dataclass(frozen=True, slots=True)
class BaseBlock:
    """A base block as drawn."""

    source: BlockSource
    pixels: Drawn
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

    def find(self, mosaic: Mosaic, area: Area, after: str = "") -> Iterator[IndexedScene]:
        """See `Index`."""
        del mosaic, area, after
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
        once = replace(self._tiler, index=_of_one_area(self._index, met))
        # As a request that names no asset, which notes the scenes that lack one.
        showing = replace(mosaic.unclipped, default_assets=cells.policy.assets)
        draft = once.draft(showing, view, Read(), rule(mosaic, cells))

        def found(finding: Finding) -> Survey:
            return Survey(finding, draft, cells.policy.assets, once)

        beginning = Beginning(self._index, mosaic, at)
        if may_deepen and beginning.holds_small(iter(met)):
            return found("cell")
        plan = draft.plan
        if before is not None and before.seen is not None and not before.skipped:
            seen = plan.foreseen(*before.seen)
            if seen is not None and digest_of(seen) == before.digest:
                return found("same")
        wanted = plan.next_round()
        if not (plan.seen.scenes or plan.seen.left_out):
            return found("empty")
        base = found("base")
        if may_deepen and (beginning.is_crowded(plan, wanted) or self._is_crowded(beginning, base)):
            return found("cell")
        return base

    def _is_crowded(self, beginning: Beginning, survey: Survey) -> bool:
        """Returns whether a tile one zoom deeper would be cut for some of the assets."""
        seen = survey.draft.plan.seen
        for assets in closed(_had(survey, scene) for scene, _ in seen.left_out):
            plan = survey.of(assets).plan
            if beginning.is_crowded(plan, plan.next_round()):
                return True
        return False

    def draw(self, surveys: Sequence[Survey]) -> list[BaseBlock]:
        """Reads and composes blocks that were surveyed."""
        return self._run(self._all(surveys))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()
        found: list[T] = []

        async def kept() -> None:
            with on_event_loop():
                found.append(await work)

        # In a main thread the handler of signals is printed, its task with it, and all pixels.
        self._runner.run(kept())
        return found[0]

    async def _all(self, surveys: Sequence[Survey]) -> list[BaseBlock]:
        if self._turns == 1:
            return [await self._one(survey) for survey in surveys]
        turns = asyncio.Semaphore(self._turns)

        async def in_turn(survey: Survey) -> BaseBlock:
            async with turns:
                return await self._one(survey)

        return list(await asyncio.gather(*map(in_turn, surveys)))

    async def _one(self, survey: Survey) -> BaseBlock:
        every = tuple(range(len(survey.assets)))
        whole = await self._drawn(survey.draft, every, survey.assets)
        problems = await self._problems(survey, [whole])
        readable = [tuple(a for a in every if a not in each) for each in problems.values()]
        had = [*_had_of(survey, whole), *readable] if len(every) > 1 else []
        limited = [assets for assets in closed(had) if assets != every]
        others = [
            await self._drawn(survey.of(assets), assets, survey.assets) for assets in limited[:MOST]
        ]
        unsure = {each.assets for each in others if each.unread - whole.unread}
        kept = kept_of([whole, *others], limited, unsure | ({every} & set(had)))
        problems |= await self._problems(survey, others, known=problems)
        return _block([whole, *others], kept, of_drawn([whole, *others], survey.assets, problems))

    async def _drawn(self, draft: Draft, assets: Assets, names: Sequence[str]) -> Together:
        done = await self._tiler.read(draft)
        picture = await self._tiler.compose(draft, done)
        shown = [names[place] for place in assets]
        kind = await self._kind(draft, shown, done, picture.pixels)
        return Together(assets, draft, done, picture, kind)

    async def _problems(
        self, survey: Survey, drawn: Sequence[Together], known: Collection[str] = ()
    ) -> dict[str, Problems]:
        """Returns why each asset of scenes that could not be read cannot be, by their keys."""
        failed = {
            scene.key: (scene, error)
            for each in drawn
            for place, error in each.done.errors.items()
            if (scene := each.draft.plan.scene(place)).key not in known
        }
        if len(survey.assets) == 1:
            return {key: {0: str(error)} for key, (_, error) in failed.items()}
        return {key: await self._problems_of(survey, scene) for key, (scene, _) in failed.items()}

    async def _problems_of(self, survey: Survey, scene: IndexedScene) -> Problems:
        names = survey.assets
        found = await asyncio.gather(*(self._problem(survey, scene, name) for name in names))
        return {place: why for place, why in enumerate(found) if why}

    async def _problem(self, survey: Survey, scene: IndexedScene, name: str) -> str:
        """Returns why an asset of a scene cannot be read; empty where it can be."""
        read = Read(assets=(name,))
        try:
            assets = chosen_assets(survey.draft.mosaic, scene, read)
            async with asyncio.timeout(self._tiler.limits.scene_timeout_s):
                await self._tiler.reader.read(
                    assets,
                    survey.draft.grid,
                    read,
                    version=scene.version,
                    encodings=encodings_of(scene, assets),
                    allowance=None,
                )
        except (UnreadableAssetError, ForbiddenHrefError, InvalidRequestError) as error:
            return str(error)
        except TimeoutError:
            return f"took longer than {self._tiler.limits.scene_timeout_s:g} s"
        return ""

    async def _kind(
        self, draft: Draft, assets: Sequence[str], done: Reads, pixels: Pixels
    ) -> Kind | None:
        if not pixels.valid.any():
            return None
        counts = _of_numbers(dtype := _stored(pixels.data.dtype.name), pixels, assets).counts
        shown = {place: layer for place, layer in done.layers.items() if layer.valid.any()}
        meanings = [await self._meaning(draft, draft.plan.scene(place)) for place in shown]
        scalings = {scaling for scaling, _ in meanings}
        agreed = scalings.pop() if len(scalings) == 1 else None
        if agreed and len(agreed) != sum(counts):
            agreed = None
        colors = any(is_colored for _, is_colored in meanings)
        kinds = [_of_numbers(dtype, layer, assets) for layer in shown.values()]
        numbers, renumbered = agreed_numbers(kinds, counts)
        return Kind(dtype, counts, agreed, colors, renumbered, numbers)

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


def _had_of(survey: Survey, whole: Together) -> list[Assets]:
    """Returns which assets each scene has that does not have all."""
    return [_had(survey, scene) for scene, _ in whole.picture.seen.left_out]


def _had(survey: Survey, scene: IndexedScene) -> Assets:
    """Returns which assets a scene has, of the kind that its mosaic means by them."""
    mosaic = survey.draft.mosaic
    return tuple(
        place
        for place, name in enumerate(survey.assets)
        if not lacking(mosaic, scene, (name,)) and not unlike(scene, (name,))
    )


def _block(
    drawn: Sequence[Together], kept: Mapping[Combination, Together], notes: Notes
) -> BaseBlock:
    unread = dict(pair for each in drawn for pair in each.picture.skipped)
    whole, combinations = drawn[0], tuple(kept)
    if combinations == (Combination(whole.assets),):
        combinations = ()  # nothing shows, whatever is asked for
    source = BlockSource.of_scenes(whole.picture.seen, combinations, notes, skipped=bool(unread))
    pixels = {
        each.assets: (each.picture.pixels.data, each.picture.pixels.valid)
        for each in kept.values()
        if each.kind
    }
    return BaseBlock(source, pixels, [*unread.items()])


def _meaning_of(profile: Profile) -> tuple[Scaling, bool]:
    if profile.palette is not None:
        return (_PLAIN,) * 3, True
    pairs = zip(profile.scales, profile.offsets, strict=True)
    return tuple(pair for band, pair in enumerate(pairs) if band != profile.alpha), False


def _stored(dtype: str) -> str:
    """Returns the type in which values of a type are kept: TIFF has no float of 16 bits."""
    return {"float16": "float32", "bool": "uint8"}.get(dtype, dtype)


def _of_numbers(dtype: str, pixels: Pixels, assets: Sequence[str]) -> Kind:
    """Returns a kind by the names of bands alone."""
    own = band_numbers(pixels.names, assets)
    return Kind(dtype, tuple(map(len, own)), numbers=tuple(number for of in own for number in of))


def band_numbers(names: Sequence[str], assets: Sequence[str]) -> list[tuple[int, ...]]:
    """Returns the numbers of the bands of each asset by the names of all bands.

    `b2`, or `red_b2` where there are several assets.
    """
    found: dict[str, list[int]] = {asset: [] for asset in assets}
    for name in names:
        asset, _, number = name.rpartition("b")
        found[asset[:-1] if len(assets) > 1 else assets[0]].append(int(number))
    return [tuple(numbers) for numbers in found.values()]


def rule(mosaic: Mosaic, cells: OverviewSet) -> Rule:
    """Returns the rule that a set of overview cells follows, without a limit on scenes."""
    rules = replace(mosaic.rules, default=cells.rule)
    return replace(rule_of({}, replace(mosaic, rules=rules)), max_scenes=None)
