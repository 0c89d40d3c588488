"""Tiles from servers: livemosaic, its peers and the floor, side by side in one run."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import morecantile
import numpy as np

from bench.asking import Asker, BadAnswerError, Burst, Running, Sample, rotated, run_all
from bench.contenders import (
    CELL_ZOOM,
    NAMES,
    OURS,
    Contenders,
    Stack,
    open_contenders,
)
from bench.need import needed, stacked, tiles_over
from bench.rasters import KINDS, RGB, Scene, make_scenes
from bench.report import Sheet, show, step
from bench.servers import object_store
from bench.standings import Results, burst_sheet, deep_sheet, tile_sheet, view_sheet
from bench.targets import Facts, Unchanged, target_sheet

_SEED: Final = 11
_FINEST: Final = 14
_KIND_ZOOM: Final = 13
_AT_ONCE: Final = 8
_VIEW: Final = (4, 3)
"""Columns and rows of tiles of a map of 1,024 × 768 pixels."""
_CONNECTIONS: Final = 6
"""Of a browser to one host (HTTP/1.1)."""
_UNCHANGED: Final = 40
"""Conditional requests; one is too short for its processor time to mean something."""
_QUERY_16: Final = (("rescale", "0,4000"),)
_QUERY_BANDS: Final = (("bidx", "1"), ("bidx", "2"), ("bidx", "3"), *_QUERY_16)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    names: Sequence[str] = NAMES
    zooms: Sequence[int] = (10, 12, 13, 14)
    tiles: int = 10
    """Of each zoom."""
    cold: int = 5
    """Fresh processes of each contender."""
    burst: int = 24
    """Tiles of a round at several at a time."""
    rounds: int = 3
    views: int = 6
    scenes: int = 30
    kinds: bool = True
    depths: Sequence[int] = (10, 100, 1000)
    delay_ms: float = 20
    archive: Path | None = None
    """Where the archive is kept; None makes one that is thrown away."""

    def quick(self) -> "Options":
        """Less of everything, for a look."""
        return replace(
            self,
            zooms=(10, 13),
            tiles=min(self.tiles, 6),
            cold=2,
            burst=16,
            rounds=1,
            views=3,
            kinds=False,
            depths=(10, 1000),
        )


def run(options: Options) -> list[Sheet]:
    """Measure, and print each table as soon as it is known."""
    with ExitStack() as stack:
        folder = options.archive or Path(
            stack.enter_context(TemporaryDirectory(prefix="livemosaic-bench-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        stacks = _Stacks.of(options, folder)
        store = stack.enter_context(object_store(folder, options.delay_ms))
        contenders = stack.enter_context(open_contenders(options.names, stacks.all, store, folder))
        return _Race(options, stacks, contenders, Asker(store)).run()


@dataclass(frozen=True, slots=True)
class _Stacks:
    main: Stack
    kinds: Sequence[Stack]
    deep: Sequence[Stack]
    place: Scene
    """Where each of the deep stacks would fill a tile with any of its scenes."""

    @classmethod
    def of(cls, options: Options, folder: Path) -> "_Stacks":
        with step(f"archive of {options.scenes} scenes"):
            scenes = make_scenes(folder, options.scenes, RGB)
        files, place = stacked(scenes)
        if place.footprint.is_empty:
            raise SystemExit(f"no place lies under {len(files)} of {options.scenes} scenes")
        kinds = []
        for kind in KINDS if options.kinds else ():
            with step(f"archive of {options.scenes} scenes, {kind.name}"):
                made = make_scenes(folder, options.scenes, kind)
            query = () if kind.dtype == "uint8" else _QUERY_BANDS if kind.bands > 3 else _QUERY_16
            kinds.append(Stack(kind.name, made, query))
        deep = []
        for depth in options.depths:
            copies = [files[n % len(files)] for n in range(depth)]
            aliased = [
                replace(scene, name=f"{n:04}/{scene.name}", day=n) for n, scene in enumerate(copies)
            ]
            deep.append(Stack(f"deep-{depth}", aliased))
        return cls(Stack(RGB.name, scenes), kinds, deep, place)

    @property
    def all(self) -> list[Stack]:
        return [self.main, *self.kinds, *self.deep]


@dataclass(frozen=True, slots=True)
class _Race:
    options: Options
    stacks: _Stacks
    contenders: Contenders
    asker: Asker

    def run(self) -> list[Sheet]:
        sheets = []
        before = os.getloadavg()[1]

        def tell(sheet: Sheet) -> None:
            sheets.append(sheet)
            show(sheet)

        cold, cold_views = self._cold()
        tell(
            tile_sheet(
                f"cold: the first tile of a fresh process (z{_KIND_ZOOM})", {"": cold}, _COLD
            )
        )
        tell(
            view_sheet(
                f"A view of {_VIEW[0]} × {_VIEW[1]} tiles, {_CONNECTIONS} at a time "
                f"(z{_KIND_ZOOM}, asked of a process that made one tile before)",
                cold_views,
            )
        )
        with run_all(self.contenders.there) as running:
            by_zoom = self._warm(running)
            tell(tile_sheet("warm, one at a time", by_zoom, self._notes()))
            bursts = self._together(running)
            tell(
                burst_sheet(
                    f"{_AT_ONCE} at a time, one process each (z{_KIND_ZOOM}, warm)",
                    bursts,
                    {one.name: one.peak_mb() for one in running},
                )
            )
            views = self._viewed(running)
            tell(
                view_sheet(
                    f"A view of {_VIEW[0]} × {_VIEW[1]} tiles, {_CONNECTIONS} at a time "
                    f"(z{_KIND_ZOOM}, asked for the first time)",
                    views,
                )
            )
            unchanged = self._unchanged(running)
            if self.stacks.kinds:
                tell(
                    tile_sheet(f"other files, warm (z{_KIND_ZOOM})", self._kinds(running), _OTHERS)
                )
            deep = self._deep(running)
            tell(
                deep_sheet(
                    f"In a stack of scenes of which each would fill the tile (z{_FINEST}, warm)",
                    deep,
                )
            )
        finest = max(self.contenders.levels)
        chosen = {zoom: by for zoom, by in by_zoom.items() if int(zoom[1:]) >= finest}
        warm = {
            name: list(chain.from_iterable(by[name] for by in chosen.values() if name in by))
            for name in self._names
        }
        facts = Facts(warm, cold, bursts, views, cold_views, unchanged, deep, list(chosen))
        made = target_sheet(facts, self._names)
        tell(replace(made, notes=(*made.notes, *_load(before))))
        return sheets

    @property
    def _names(self) -> list[str]:
        return [contender.name for contender in self.contenders.there]

    def _tiles(self, zoom: int, count: int, stack: Stack, seed: int = 0) -> list[morecantile.Tile]:
        return tiles_over(stack.scenes, zoom, count, np.random.default_rng([_SEED, zoom, seed]))

    def _cold(self) -> tuple[Results, dict[str, list[Burst]]]:
        """First tiles of fresh processes, and then a view of the map by each."""
        main, views = self.stacks.main, self._views()
        samples: dict[str, list[Sample]] = {}
        viewed: dict[str, list[Burst]] = {name: [] for name in self._names}
        for turn, tile in enumerate(self._tiles(_KIND_ZOOM, self.options.cold, main, 1)):
            with (
                step(f"cold: fresh processes, {turn + 1} of {self.options.cold}"),
                run_all(self.contenders.there) as running,
            ):
                self._turn(rotated(running, turn), main, tile, samples)
                for view in views[turn : turn + 1]:
                    for one in rotated(running, turn):
                        viewed[one.name].append(self.asker.together(one, main, view, _CONNECTIONS))
        return _complete(samples, self.options.cold), viewed

    def _warm(self, running: Sequence[Running]) -> dict[str, Results]:
        main = self.stacks.main
        by_zoom = {zoom: self._tiles(zoom, self.options.tiles, main) for zoom in self.options.zooms}
        self._warm_up(running, main, list(chain.from_iterable(by_zoom.values())))
        made = {}
        for zoom, tiles in by_zoom.items():
            with step(f"warm: z{zoom}, {len(tiles)} tiles"):
                made[f"z{zoom}"] = self._all(running, [(main, tile) for tile in tiles])
        return made

    def _warm_up(
        self, running: Sequence[Running], stack: Stack, tiles: Sequence[morecantile.Tile]
    ) -> None:
        """Few other tiles, on which all scenes show that show on these."""
        missing = set().union(*(needed(stack.scenes, tile, 64) for tile in tiles))
        others = {
            tile: needed(stack.scenes, tile, 64)
            for zoom in (11, 12)
            for tile in self._tiles(zoom, 60, stack, 2)
            if tile not in tiles
        }
        chosen = []
        while missing and (best := max(others, key=lambda tile: len(others[tile] & missing))):
            if not others[best] & missing:
                break
            chosen.append(best)
            missing -= others[best]
        with step(f"{stack.name}: warming up with {len(chosen)} other tiles"):
            self._warm_with(running, stack, chosen)

    def _warm_with(
        self, running: Sequence[Running], stack: Stack, tiles: Sequence[morecantile.Tile]
    ) -> None:
        for one in running:
            try:
                self.asker.warm(one, stack, tiles)
            except BadAnswerError as error:
                print(f"\n{error}", file=sys.stderr)

    def _all(
        self, running: Sequence[Running], wanted: Sequence[tuple[Stack, morecantile.Tile]]
    ) -> Results:
        """Each tile by one after the other: what else the machine does hits them alike."""
        samples: dict[str, list[Sample]] = {}
        for turn, (stack, tile) in enumerate(wanted):
            self._turn(rotated(running, turn), stack, tile, samples)
        return _complete(samples, len(wanted))

    def _turn(
        self,
        running: Sequence[Running],
        stack: Stack,
        tile: morecantile.Tile,
        samples: dict[str, list[Sample]],
    ) -> None:
        """One tile by all contenders. A failure of a peer is printed, and its tile is not timed."""
        for one in running:
            try:
                sample = self.asker.sample(one, stack, tile)
            except BadAnswerError as error:
                if one.name in OURS:
                    raise
                print(f"\n{error}", file=sys.stderr)
            else:
                samples.setdefault(one.name, []).append(sample)

    def _together(self, running: Sequence[Running]) -> dict[str, list[Burst]]:
        main, options = self.stacks.main, self.options
        bursts: dict[str, list[Burst]] = {one.name: [] for one in running}
        tiles = self._tiles(_KIND_ZOOM, options.burst * options.rounds, main, 3)
        for turn in range(options.rounds):
            mine = tiles[turn * options.burst : (turn + 1) * options.burst]
            with step(f"{_AT_ONCE} at a time: {turn + 1} of {options.rounds}"):
                for one in rotated(running, turn):
                    bursts[one.name].append(self.asker.together(one, main, mine, _AT_ONCE))
        return bursts

    def _viewed(self, running: Sequence[Running]) -> dict[str, list[Burst]]:
        """Whole views of a map, of tiles that nobody has asked for before."""
        main, options = self.stacks.main, self.options
        views: dict[str, list[Burst]] = {one.name: [] for one in running}
        for turn, tiles in enumerate(self._views()):
            with step(f"views: {turn + 1} of {options.views}"):
                for one in rotated(running, turn):
                    views[one.name].append(self.asker.together(one, main, tiles, _CONNECTIONS))
        return views

    def _views(self) -> list[list[morecantile.Tile]]:
        main, options = self.stacks.main, self.options
        asked = self._tiles(_KIND_ZOOM, options.tiles, main)
        asked += self._tiles(_KIND_ZOOM, options.cold, main, 1)
        asked += self._tiles(_KIND_ZOOM, options.burst * options.rounds, main, 3)
        corners = self._tiles(_KIND_ZOOM, sys.maxsize, main, 5)
        free = set(corners) - set(asked)
        views: list[list[morecantile.Tile]] = []
        for corner in corners:
            view = [
                morecantile.Tile(corner.x + x, corner.y + y, corner.z)
                for y in range(_VIEW[1])
                for x in range(_VIEW[0])
            ]
            if len(views) < options.views and free.issuperset(view):
                views.append(view)
                free -= set(view)
        return views

    def _unchanged(self, running: Sequence[Running]) -> dict[str, Unchanged]:
        """The same tile again, by the ETag of the first answer; nothing where there is none."""
        [tile, *_] = self._tiles(_KIND_ZOOM, 1, self.stacks.main, 4)
        found = {}
        for one in running:
            path = self.asker.path(one, self.stacks.main, tile)
            etag = one.ask(path).etag
            if etag is None:
                continue
            self.asker.store.take()
            cpu = one.cpu_ms()
            answers = [one.ask(path, {"If-None-Match": etag}) for _ in range(_UNCHANGED)]
            spent = (one.cpu_ms() - cpu) / _UNCHANGED
            if all(answer.status == 304 for answer in answers):
                requests = self.asker.store.take().requests
                wall = median(answer.wall_ms for answer in answers)
                found[one.name] = Unchanged(wall, spent, requests)
        return found

    def _kinds(self, running: Sequence[Running]) -> dict[str, Results]:
        made = {}
        for stack in self.stacks.kinds:
            tiles = self._tiles(_KIND_ZOOM, max(4, self.options.tiles // 2), stack)
            self._warm_up(running, stack, tiles)
            with step(f"{stack.name}: {len(tiles)} tiles"):
                made[stack.name] = self._all(running, [(stack, tile) for tile in tiles])
        return made

    def _deep(self, running: Sequence[Running]) -> dict[int, Results]:
        rng = np.random.default_rng(_SEED)
        tiles = tiles_over([self.stacks.place], _FINEST, self.options.tiles + 1, rng)
        first, rest = tiles[:1], tiles[1:]
        by_depth: dict[int, dict[str, list[Sample]]] = {d: {} for d in self.options.depths}
        with step(f"stacks of {', '.join(map(str, self.options.depths))} scenes"):
            for stack in self.stacks.deep:
                self._warm_with(running, stack, first)
            for turn, tile in enumerate(rest):
                pairs = list(zip(self.options.depths, self.stacks.deep, strict=True))
                at = turn % len(pairs)  # what else the machine does hits all depths alike
                for depth, stack in [*pairs[at:], *pairs[:at]]:
                    self._turn(rotated(running, turn), stack, tile, by_depth[depth])
        return {depth: _complete(by, len(rest)) for depth, by in by_depth.items()}

    def _notes(self) -> Sequence[str]:
        left_out = [f"Left out: {name} ({why})" for name, why in self.contenders.left_out.items()]
        levels = ", ".join(f"z{level}" for level in self.contenders.levels)
        return (
            f"{self.options.scenes} scenes, {self.options.delay_ms:g} ms per request for bytes. "
            f"livemosaic has cells at {levels}, mosaic.json at z{CELL_ZOOM}.",
            *_HOW,
            *left_out,
        )


def _load(before: float) -> Sequence[str]:
    return (
        f"Load of the machine before: {before:.1f}, at the end: {os.getloadavg()[1]:.1f}, on "
        f"{os.cpu_count()} processors. Other processes slow CPU-bound contenders most:",
        "with a load before that is not near 0, ratios of time may flatter livemosaic.",
    )


def _complete(samples: Mapping[str, Sequence[Sample]], count: int) -> Results:
    return {name: made for name, made in samples.items() if len(made) == count}


_COLD: Final = (
    "The start of the process and its imports are not counted; connections and later imports are.",
)
_OTHERS: Final = (
    "same: JPEG is decoded by different libraries, whose values mostly differ by 1 or 2. For three "
    "of the four bands of uint16x4,",
    "rio-tiler 9.4 returns other pixels than for all four; the floor's pixels equal the file's.",
)
_HOW: Final = (
    "Each contender is one process of uvicorn (asyncio, h11), used over HTTP; the order rotates "
    "with each tile.",
    "CPU: of that process; behind: of PostgreSQL. The CPU of the object store and of the emulated "
    "DynamoDB is not counted.",
    "per file: requests for each file that holds visible pixels. same: pixels equal to "
    "the floor's, whose decoder and encoder are livemosaic's.",
    "All: nearest neighbour, 256 × 256, newest on top. livemosaic and the floor write PNG at "
    "zlevel 1, the peers at rio-tiler's",
    "6, but titiler-pngraw at 1. titiler: FileBackend, which reads mosaic.json once and keeps it; "
    "titiler-dynamodb: one boto3 resource for all requests.",
    "The peers' GDAL is configured as in TiTiler's guide, and caches blocks; livemosaic caches "
    "them for seconds, the floor never.",
)
