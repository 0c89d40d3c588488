"""Use case: an image of a mosaic. Find, plan, read, compose."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from livemosaic.cog.budget import (
    LARGE_PIXELS,
    Allowance,
    SceneAllowance,
    TurnNeededError,
    take_turn,
)
from livemosaic.errors import ForbiddenHrefError, InvalidRequestError, UnreadableAssetError
from livemosaic.geo.frame import Frame
from livemosaic.index.cells.notes import Remarks
from livemosaic.index.extents.rows import ExtentRows
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Encoding, Grid, Pixels, rows_of
from livemosaic.model.render import Read
from livemosaic.model.rule import DEFAULT, Rule
from livemosaic.model.scene import IndexedScene
from livemosaic.render.expression import EXPRESSION_DTYPE, Bounds, Expression
from livemosaic.render.named_renders import read_of_scenes
from livemosaic.render.stack.bands import bands_by_asset, check_drawn
from livemosaic.render.stack.compose import (
    Weigh,
    clip_to_mask,
    compose,
    empty,
    hide_below_holes,
)
from livemosaic.render.stack.feather import Feather
from livemosaic.render.style import draw_scene
from livemosaic.storage.hrefs import redact
from livemosaic.storage.objects import LimitError
from livemosaic.tiler.assets import asked_for, chosen_assets, encodings_of
from livemosaic.tiler.candidates import Candidates, Listing, seamline
from livemosaic.tiler.derived.cells import StackedCandidates, StackedCells, stacked_cells
from livemosaic.tiler.overviews import (
    Numbers,
    OverviewCandidates,
    Overviews,
    ShownCells,
    by_number,
    by_position,
    name_of,
    wanted_cells,
)
from livemosaic.tiler.plan import Plan, Seen
from livemosaic.tiler.rules.filter import Selection
from livemosaic.tiler.views import View, clipped
from livemosaic.tiler.watch import Skip, Watch
from livemosaic.traces import Timings, span

log = logging.getLogger(__name__)


class AssetReader(Protocol):
    """Turns assets into pixels; see `cog.reader.CogReader`."""

    async def read(
        self,
        assets: Mapping[str, str],
        grid: Grid,
        read: Read,
        *,
        version: str,
        encodings: Mapping[str, Encoding],
        allowance: SceneAllowance | None,
    ) -> Pixels:
        """Returns the bands of all assets (href by key, in order) on a grid."""
        ...

    async def frame(self, href: str, *, version: str) -> Frame:
        """Returns where the pixels of an asset lie."""
        ...

    async def nodata(
        self, href: str, *, version: str, encoding: Encoding = ()
    ) -> float | int | None:
        """Returns the nodata value of an asset; `encoding` counts where its file states none."""
        ...


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """Limits on the cost of one image."""

    max_scenes: int = 20
    """Scenes read, as in ArcGIS Image Server (maxMosaicImageCount)."""
    max_rows: int = 2000
    """Index rows examined."""
    pixels_at_once: int = 8 * 1024 * 1024
    """Pixels of all scenes that are read concurrently; for a large image, that may be one scene."""
    scene_timeout_s: float = 15.0
    """For all reads of one scene, which is then skipped."""
    seconds: float = 20.0
    """For all reads; scenes that are not read by then are skipped."""
    bytes: int = 1024 * 1024 * 1024
    """Decoded bytes of all reads; scenes that need more than is left are skipped."""
    assets: int = 16
    """Assets read of each scene."""
    bands: int = 16
    """Bands read of each asset."""
    expression: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class Picture:
    """Composed pixels, and the scenes that they come from."""

    pixels: Pixels
    grid: Grid
    scenes: Sequence[str]
    """Ids of the scenes that show, top first."""
    times: str
    """The first and the last time of the scenes that show (RFC 3339, UTC): an interval, one time
    where they are the same, and empty where they have none."""
    skipped: Sequence[tuple[str, str]]
    """Ids of the scenes that could not be read, and why."""
    left_out: Sequence[tuple[str, str]]
    """Ids of the scenes that lack an asset, or have it of another kind, and which; and of the ones
    that its overview cells do not show, as far as these name them."""
    gray: Sequence[str]
    """Ids of the scenes whose only band stands for every band of the others."""
    truncated: str
    """Which limit left scenes out, now or of an overview cell; empty if none did."""
    seen: Seen
    """The scenes that determine the image, unless some were skipped."""
    shown: ShownCells | None = None
    """The overview cells that show in place of scenes."""
    lost: Sequence[tuple[str, str]] = ()
    """Overview cells that could not be read, `overview z/x/y`, and why; scenes show in place of
    them, and of all others of the image."""


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A requested image, before anything is read for it."""

    mosaic: Mosaic
    view: View
    read: Read
    """Includes the assets that its expression names."""
    expression: Expression | None
    rule: Rule
    plan: Plan
    selection: Selection | None = None
    timings: Timings = field(default_factory=Timings)
    """Of the steps `index`, `read` and `compose`."""
    shown: ShownCells | None = None
    """The overview cells that it shows in place of scenes."""
    live: "Draft | None" = None
    """The same image of scenes alone, for overview cells that cannot be read."""
    coarse: ShownCells | None = None
    """Cells that are coarser than an image of scenes, where these turn out to be too many."""

    @property
    def grid(self) -> Grid:
        """The pixels of the image."""
        return self.view.grid


@dataclass(slots=True)
class Reads:
    """Results of reading the scenes of an image, by place in its plan; the first is on top."""

    layers: dict[int, Pixels] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _ReadBudget:
    """Concurrency, bytes and time for the reads of one image."""

    turns: asyncio.Semaphore
    allowance: Allowance
    end: float
    """By the event loop's clock."""
    _waiting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_waiting(self) -> bool:
        """Whether the time stands still."""
        return self._waiting.locked()

    async def wait(self) -> None:
        """Waits for the turn of the request, which takes no time of the image's own."""
        clock = asyncio.get_running_loop().time
        async with self._waiting:
            begin = clock()
            await take_turn()
            self.end += clock() - begin

    async def spend_on(self, expression: Expression, pixels: Pixels) -> None:
        """Deducts what an expression's bands are larger than the pixels that they are made of."""
        bands, rows = len(expression.bands), rows_of(pixels.valid)
        made = bands * pixels.valid[rows].size * EXPRESSION_DTYPE.itemsize
        more = max(0, made - pixels.data[:, rows].nbytes)
        try:
            self.allowance.spend(more)
        except TurnNeededError:
            await self.wait()
            await self.spend_on(expression, pixels)
        except LimitError as e:
            raise UnreadableAssetError(f"its expression {e}", e.reason) from e


@dataclass(frozen=True, slots=True)
class Tiler:
    """Makes images of mosaics: tiles, and any other grid."""

    index: Index
    reader: AssetReader
    limits: PictureLimits = field(default_factory=PictureLimits)
    watch: Watch = field(default_factory=Watch)
    overviews: Overviews | None = None
    """Overview cells; None where no place for them is known."""

    async def prepare(self, mosaic: Mosaic, view: View, read: Read, rule: Rule = DEFAULT) -> Draft:
        """Prepares an image of overview cells where they show it, else as `draft`, which raises."""
        if mosaic.clip_to_boundary:
            live = await asyncio.to_thread(self.draft, mosaic, view, read, rule)
        else:
            live = self.draft(mosaic, view, read, rule)
        view = live.view
        if self.overviews is None or not (mosaic.shown_overviews or mosaic.sources):
            return live
        shown: ShownCells | None
        if mosaic.sources:
            of = mosaic, view, live.read, rule
            shown = await asyncio.to_thread(stacked_cells, self.overviews, self.index, *of)
        elif wanted := wanted_cells(mosaic, view, live.read, rule):
            shown = await asyncio.to_thread(self.overviews.find, mosaic, view, wanted)
        else:
            return live
        live.timings.end("index")
        if shown is None:
            return live
        if shown.is_coarse and await self.is_whole(live):
            return replace(live, coarse=shown)
        draft = self._of_cells(live, shown)
        if shown.otherwise is None or await self.is_whole(draft):
            return draft
        return self._of_cells(live, shown.otherwise)

    def draft(
        self,
        mosaic: Mosaic,
        view: View,
        read: Read,
        rule: Rule = DEFAULT,
        *,
        every: bool = False,
    ) -> Draft:
        """Prepares an image of scenes without reading anything; `every` includes hidden scenes.

        Raises `NotFoundError` below the mosaic's minzoom, and `InvalidRequestError` for an asset
        that no scene of the mosaic ever had.
        """
        read, expression = self.of_scenes(mosaic, read, rule)
        if mosaic.clip_to_boundary:
            view = clipped(mosaic, view)
        rows = ExtentRows(self.index.table, self.index.mosaics)
        extents = None if self.overviews is None else rows
        candidates = self._candidates(mosaic, view, rule, read.assets, extents)
        plan = self._plan(candidates)
        plan.needs_all |= every
        return Draft(mosaic, view, read, expression, rule, plan, candidates.selection)

    def of_scenes(self, mosaic: Mosaic, read: Read, rule: Rule) -> tuple[Read, Expression | None]:
        """Returns how a rule reads each scene, as `understood` does; the rule may name a render."""
        if rule.item_render:
            read = read_of_scenes(mosaic, rule.item_render, read)
        return self.understood(mosaic, read)

    def understood(self, mosaic: Mosaic, read: Read) -> tuple[Read, Expression | None]:
        """Returns a read with the assets that its expression names, and that expression.

        Raises `InvalidRequestError` for an asset that no scene of the mosaic ever had, and for more
        than the limits allow.
        """
        limits, expression = self.limits, None
        if read.expression:
            expression = Expression.parse(read.expression, limits.expression)
        read = replace(read, assets=asked_for(mosaic, read, expression))
        if mosaic.is_thematic:
            read = read.unmixed
        for what, given, most in (
            ("assets", read.assets, limits.assets),
            ("bands", read.bidx, limits.bands),
            *(("bands", bands, limits.bands) for _, bands in read.bidx_of),
        ):
            if len(given) > most:
                raise InvalidRequestError(
                    f"{len(given)} {what} were asked for, at most {most} can be on this server"
                )
        return read, expression

    async def make(self, draft: Draft) -> Picture:
        """Reads and composes an image; scenes that cannot be read are skipped.

        Scenes without a requested asset take no part; scenes without an asset that the mosaic shows
        are left out, and named. Raises `InvalidRequestError` where the
        request fits none of the scenes. Where an overview cell cannot be read, all is read from
        scenes; where scenes turn out to be too many, as holes have more than footprints say,
        coarser cells show their places.
        """
        if draft.live is None:
            done = await self.read(draft)
            if draft.coarse is None or not draft.plan.truncated:
                return await self.compose(draft, done)
            again = replace(draft, plan=draft.plan.anew(), coarse=None)
            return await self.make(self._of_cells(again, draft.coarse))
        try:
            done = await self.read(draft)
        except InvalidRequestError:  # perhaps bands that only scenes have
            return await self.make(draft.live)
        failed = [place for place in done.errors if draft.plan.scene(place).is_overview]
        otherwise = draft.shown and draft.shown.otherwise
        if otherwise and draft.plan.truncated and not failed:
            return await self.make(self._of_cells(draft.live, otherwise))
        if not failed:
            return await self.compose(draft, done)
        made = await self.make(draft.live)
        lost = [_lost(draft, place, done.errors[place]) for place in failed]
        return replace(made, lost=[each for each in lost if each])

    async def compose(self, draft: Draft, done: Reads) -> Picture:
        """Composes the scenes that were read into one image."""
        return await asyncio.to_thread(self._finished, draft, done)

    async def read(self, draft: Draft) -> Reads:
        """Reads the scenes that an image needs, uncomposed; raises as `make`.

        A large image waits for the turn of its request (`cog.budget.LargeTurns`).
        """
        if draft.grid.width * draft.grid.height > LARGE_PIXELS:
            await take_turn()
        done, budget = Reads(), self._read_budget(draft.grid)
        while places := await asyncio.to_thread(draft.plan.next_round):
            draft.timings.end("index")
            with span("read", scenes=len(places)):
                await self._read_round(draft, places, budget, done)
            draft.timings.end("read", is_traced=True)
        draft.timings.end("index")
        places = draft.plan.places  # in their order, and without what showed no more in its turn
        done.layers = {place: done.layers[place] for place in places if place in done.layers}
        done.errors = {place: done.errors[place] for place in places if place in done.errors}
        invalid = [e for e in done.errors.values() if isinstance(e, InvalidRequestError)]
        if invalid and not done.layers:
            raise invalid[0]
        if draft.selection is not None and not (done.layers or done.errors):
            draft.selection.check_kinds()
        self.watch.saw(
            draft.mosaic.id, len(done.layers), _skips(draft.plan, done), draft.plan.truncated
        )
        return done

    async def native(self, draft: Draft) -> Frame | None:
        """Returns where the pixels of the topmost readable scene lie; None if there is none."""
        while places := await asyncio.to_thread(draft.plan.next_round):
            for place in places:
                scene = draft.plan.scene(place)
                try:
                    first, *_ = chosen_assets(draft.mosaic, scene, draft.read).values()
                    return await self.reader.frame(first, version=scene.version)
                except (UnreadableAssetError, ForbiddenHrefError):
                    draft.plan.record(place, None)
        return None

    async def explain(
        self, mosaic: Mosaic, view: View, read: Read, rule: Rule = DEFAULT, *, every: bool = False
    ) -> list[tuple[IndexedScene, str]]:
        """Returns the scenes that an image meets, by footprints alone; see `Plan.explained`."""
        read, _ = self.of_scenes(mosaic, read, rule)
        if mosaic.clip_to_boundary:
            view = clipped(mosaic, view)
        candidates = self._candidates(mosaic, view, rule, read.assets)
        plan = self._plan(candidates)
        plan.needs_all |= every
        explained = await asyncio.to_thread(plan.explained)
        if candidates.selection is not None and not explained:
            candidates.selection.check_kinds()
        return explained

    def listing(self, mosaic: Mosaic, view: View, read: Read, rule: Rule) -> Listing:
        """Returns the scenes that take part in a view, at any scale; raises as `draft`."""
        read, _ = self.of_scenes(mosaic, read, rule)
        candidates = self._candidates(mosaic, view, rule, read.assets)
        return Listing(candidates, self.limits.max_rows)

    async def is_whole(self, draft: Draft) -> bool:
        """Returns whether no limit leaves out a scene of an image, by footprints alone."""
        await asyncio.to_thread(draft.plan.next_round)
        return not draft.plan.truncated

    def _of_cells(self, live: Draft, shown: ShownCells) -> Draft:
        """The same image of overview cells; they are in the mosaic's order already."""
        limits, mosaic, view = self.limits, live.mosaic, live.view
        candidates = Candidates(self.index, mosaic, view, DEFAULT, None, live.read.assets)
        source = (
            StackedCandidates(candidates, shown)
            if isinstance(shown, StackedCells)
            else OverviewCandidates(candidates, shown)
        )
        plan = Plan(
            source,
            view.grid.height,
            view.grid.width,
            limits.max_scenes,
            limits.max_rows,
            mask=view.mask,
            beside=len(shown.scenes),
        )
        return replace(live, rule=DEFAULT, plan=plan, selection=None, shown=shown, live=live)

    def _plan(self, candidates: Candidates) -> Plan:
        limits, rule, view = self.limits, candidates.rule, candidates.view
        if rule.method != "lock":
            view.check_scale(candidates.mosaic)
        return Plan(
            candidates,
            view.grid.height,
            view.grid.width,
            min(limits.max_scenes, rule.max_scenes or limits.max_scenes),
            limits.max_rows,
            rule.needs_all,
            view.mask,
        )

    def _candidates(
        self,
        mosaic: Mosaic,
        view: View,
        rule: Rule,
        assets: Sequence[str],
        extents: ExtentRows | None = None,
    ) -> Candidates:
        selection = Selection.of(rule) if rule.selects else None
        return Candidates(self.index, mosaic, view, rule, selection, assets, extents)

    def _read_budget(self, grid: Grid) -> _ReadBudget:
        limits = self.limits
        return _ReadBudget(
            asyncio.Semaphore(max(1, limits.pixels_at_once // (grid.width * grid.height))),
            Allowance(limits.bytes),
            asyncio.get_running_loop().time() + limits.seconds,
        )

    async def _read_round(
        self, draft: Draft, places: Sequence[int], budget: _ReadBudget, done: Reads
    ) -> None:
        plan = draft.plan
        reads = [self._scene(draft, place, budget) for place in places]
        for place, result in zip(places, await asyncio.gather(*reads), strict=True):
            if isinstance(result, Pixels):
                done.layers[place] = result
                holes_hide = draft.rule.nodata_inside
                plan.record(place, result.valid | plan.claim(place) if holes_hide else result.valid)
            else:
                done.errors[place] = result
                plan.record(place, None)

    async def _scene(self, draft: Draft, place: int, budget: _ReadBudget) -> Pixels | Exception:
        """Returns the pixels of a scene, or the error that kept them from being read."""
        try:
            async with budget.turns:
                if budget.is_waiting:
                    await budget.wait()
                with span("scene", scene=draft.plan.scene(place).key):
                    return await self._pixels(draft, place, budget)
        except TurnNeededError:
            await budget.wait()
            return await self._scene(draft, place, budget)
        except TimeoutError:
            limits, late = self.limits, asyncio.get_running_loop().time() >= budget.end
            return UnreadableAssetError(
                f"was not read within the {limits.seconds:g} s that a picture may take"
                if late
                else f"took longer than {limits.scene_timeout_s:g} s",
                "timeout",
            )
        except (UnreadableAssetError, ForbiddenHrefError, InvalidRequestError) as error:
            return error
        except Exception:
            key = draft.plan.scene(place).key
            log.exception("scene failed", extra={"mosaic": draft.mosaic.id, "scene": key})
            return UnreadableAssetError("an unexpected error; it was logged", "error")

    async def _pixels(self, draft: Draft, place: int, budget: _ReadBudget) -> Pixels:
        grid, read, scene = draft.grid, draft.read, draft.plan.scene(place)
        if scene.source in draft.mosaic.sources_of_classes:
            read = read.unmixed
        assets = chosen_assets(draft.mosaic, scene, read)
        reader = self.reader
        numbers: Numbers = {}
        if self.overviews and draft.shown and scene.is_overview:
            reader, numbers = self.overviews.reader, draft.shown.numbers(scene)
            read = by_position(replace(read, detail=draft.view.detail), assets, numbers)
        own_end = asyncio.get_running_loop().time() + self.limits.scene_timeout_s
        async with asyncio.timeout_at(min(own_end, budget.end)):
            pixels = await reader.read(
                assets,
                grid,
                read,
                version=scene.version,
                encodings=encodings_of(scene, assets),
                allowance=budget.allowance.of_scene(),
            )
        pixels = by_number(pixels, assets, numbers) if numbers else pixels
        if draft.expression is not None:
            alone = next(iter(assets)) if len(assets) == 1 else None
            if not draft.read.names_bands:
                draft.expression.check_positions(pixels)
            await budget.spend_on(draft.expression, pixels)
            pixels = await asyncio.to_thread(draft.expression.apply, pixels, alone)
        if read.style is not None:
            if read.style.algorithm:
                check_drawn(draft.read, pixels.names, read.style)
            pixels = await asyncio.to_thread(draw_scene, pixels, grid, read.style)
        is_cut = draft.rule.clip or (scene.is_overview and draft.shown and draft.shown.cut)
        for keep in (draft.view.mask, draft.plan.claim(place) if is_cut else None):
            if keep is not None:
                pixels = await asyncio.to_thread(clip_to_mask, pixels, keep)
        return pixels

    def _finished(self, draft: Draft, done: Reads) -> Picture:
        plan, rule = draft.plan, draft.rule
        places, layers = [*done.layers], [*done.layers.values()]
        if rule.nodata_inside:
            layers = list(hide_below_holes(layers, map(plan.claim, places)))
        scenes = [plan.scene(place) for place in places]
        blends = rule.operation == "blend" and len(layers) > 1
        weights = self._weights(draft, scenes) if blends else ()
        pixels = compose(layers, rule.operation, weights) if layers else empty(draft.grid)
        draft.timings.end("compose")
        remarks = draft.shown.remarks if draft.shown else Remarks()
        left_out = dict.fromkeys((scene.id, why) for scene, why in plan.left_out.values())
        visible = [s for s, layer in zip(scenes, layers, strict=True) if layer.valid.any()]
        return Picture(
            pixels=pixels,
            grid=draft.grid,
            scenes=[scene.id for scene in visible if not scene.is_overview],
            times=_interval([scene.datetime for scene in visible if scene.datetime]),
            skipped=[(plan.scene(place).id, str(e)) for place, e in done.errors.items()],
            left_out=[*left_out, *remarks.left_out],
            gray=[*_gray(scenes, layers), *remarks.gray],
            truncated=plan.truncated or remarks.truncated,
            seen=plan.seen,
            shown=draft.shown,
        )

    def _weights(self, draft: Draft, scenes: Sequence[IndexedScene]) -> list[Weigh]:
        footprints = self.index.footprints(draft.mosaic, scenes)
        shapes = [seamline(scene, draft.rule) or footprints[scene.key] for scene in scenes]
        return [Feather.of(shape, draft.view.area.grid, draft.grid).depth for shape in shapes]


def _skips(plan: Plan, done: Reads) -> list[Skip]:
    failed = ((plan.scene(place), error) for place, error in done.errors.items())
    return [Skip.of(scene.id or scene.key, error) for scene, error in failed]


def _interval(times: Sequence[str]) -> str:
    return "/".join(dict.fromkeys((min(times), max(times)))) if times else ""


def _gray(scenes: Sequence[IndexedScene], layers: Sequence[Pixels]) -> list[str]:
    """Returns the ids of visible scenes with an asset of a single band, where others have more."""
    if len({layer.names for layer in layers}) < 2:
        return []
    pairs = zip(scenes, layers, strict=True)
    seen = [(s.id, bands_by_asset(p.names)) for s, p in pairs if p.valid.any()]
    several = {asset for _, bands in seen for asset, own in bands.items() if len(own) > 1}
    return [
        name
        for name, bands in seen
        if name and any(len(bands[asset]) == 1 for asset in several & bands.keys())
    ]  # cells have no id


def _lost(draft: Draft, place: int, error: Exception) -> tuple[str, str] | None:
    """Returns the name of an overview cell and why it could not be read, without its hrefs.

    None where it lacks a band that scenes may have.
    """
    if isinstance(error, InvalidRequestError):
        return None
    scene, why = draft.plan.scene(place), str(error)
    log.warning("overview not read", extra={"mosaic": draft.mosaic.id, "reason": why})
    for href in scene.assets.values():
        why = why.replace(f" ({redact(href)})", "")
    return name_of(scene.parts[0][0]), why
