"""Cost of a tile, next to rio-tiler's mosaic reader and to what the tile needs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

import morecantile
import numpy as np

from bench.makers import GDAL, SIZE, Made, Maker, RioTiler, open_livemosaic
from bench.need import needed, stacked, tiles_over
from bench.places import Place, open_places
from bench.rasters import Scene, make_scenes
from bench.report import Sheet, Value, show, step
from bench.servers import ObjectStore, Traffic, object_store

_PEER: Final = "rio-tiler"
_STATES: Final = ("cold", "warm")
_SEED: Final = 11
_DEEP_ZOOM: Final = 14


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    tables: Sequence[str]
    """Among `sqlite` and `dynamodb`."""
    zooms: Sequence[int]
    tiles: int
    """Of each zoom, each made once cold and once warm."""
    scenes: int
    delay_ms: float
    archive: Path | None
    """Where the archive is kept; None makes one that is thrown away."""
    depths: Sequence[int]
    """Of the stacks over one place."""
    peer: bool


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile as one maker made it."""

    made: Made
    traffic: Traffic
    needed: frozenset[str] = frozenset()

    @property
    def wall_ms(self) -> float:
        return self.made.making.wall_ms + self.made.encoding.wall_ms

    @property
    def cpu_ms(self) -> float:
        return self.made.making.cpu_ms + self.made.encoding.cpu_ms

    @property
    def beyond(self) -> int:
        """Files that were read in vain."""
        return len(self.traffic.files - self.needed)

    @property
    def missed(self) -> int:
        """Files that show and were not read."""
        return len(self.needed - self.traffic.files)


Makers = Mapping[str, Maker]
Results = Mapping[tuple[str, int, str], Sequence[Tile]]
"""By `cold` or `warm`, zoom and maker."""


def run(options: Options) -> list[Sheet]:
    """Measure, and print each table as soon as it is known."""
    os.environ.update(GDAL)
    with ExitStack() as stack:
        folder = options.archive or Path(stack.enter_context(TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        with step(f"archive of {options.scenes} scenes"):
            scenes = make_scenes(folder, options.scenes)
        setup = _Setup(
            options,
            scenes,
            stack.enter_context(object_store(folder, options.delay_ms)),
            stack.enter_context(open_places(options.tables)),
        )
        return [*_zooms(setup), _deep(setup)]


@dataclass(frozen=True, slots=True)
class _Setup:
    """What is there before the first tile."""

    options: Options
    scenes: Sequence[Scene]
    store: ObjectStore
    places: Mapping[str, Place]

    @contextmanager
    def makers(self, scenes: Sequence[Scene], names: Sequence[str]) -> Iterator[Makers]:
        """All that are compared, on scenes, oldest first, at these paths in the store."""
        items = [
            scene.item(self.store.href(name), item_id=name, day=n)
            for n, (scene, name) in enumerate(zip(scenes, names, strict=True))
        ]
        with ExitStack() as stack:
            makers: dict[str, Maker] = {}
            for name, place in self.places.items():
                table = stack.enter_context(place.table())
                made = open_livemosaic(table, self.store, "bench", items)
                makers[name] = stack.enter_context(made)
            if self.options.peer:
                makers[_PEER] = RioTiler.of(self.store, scenes[::-1], names[::-1])
            yield makers


def _zooms(setup: _Setup) -> list[Sheet]:
    options, scenes = setup.options, setup.scenes
    results: dict[tuple[str, int, str], list[Tile]] = {}
    rng = np.random.default_rng(_SEED)
    names = [scene.name for scene in scenes]
    with setup.makers(scenes, names) as makers:
        for zoom in options.zooms:
            tiles = tiles_over(scenes, zoom, options.tiles, rng)
            for state in _STATES:
                with step(f"z{zoom}, {state}: {len(tiles)} tiles"):
                    made = _all(makers, tiles, setup.store, cold=state == "cold")
                for (name, tile), one in made.items():
                    need = needed(scenes, tile, SIZE)
                    results.setdefault((state, zoom, name), []).append(replace(one, needed=need))
    sheets = [_latency(results, options), _reads(results)]
    if options.peer:
        sheets.append(_ratios(results))
    for sheet in sheets:
        show(sheet)
    return sheets


def _all(
    makers: Makers,
    tiles: Sequence[morecantile.Tile],
    store: ObjectStore,
    *,
    cold: bool,
) -> dict[tuple[str, morecantile.Tile], Tile]:
    """Each tile by one maker after the other: what else the machine does hits them alike."""
    if not cold:
        for maker in makers.values():
            maker.warm()
    made = {}
    for tile in tiles:
        for name, maker in makers.items():
            store.take()
            one = maker.tile(tile, uuid4().hex if cold else None)
            made[name, tile] = Tile(one, store.take())
    return made


def _latency(results: Results, options: Options) -> Sheet:
    return Sheet(
        f"A tile of {SIZE} × {SIZE} as PNG, {options.scenes} scenes, "
        f"{options.delay_ms:g} ms per request for bytes",
        ("state", "zoom", "maker", "median ms", "p90 ms", "CPU ms", "requests", "KB", "queries",
         "rows"),
        [
            (
                state,
                f"z{zoom}",
                name,
                median(tile.wall_ms for tile in tiles),
                float(np.quantile([tile.wall_ms for tile in tiles], 0.9)),
                mean(tile.cpu_ms for tile in tiles),
                mean(tile.traffic.requests for tile in tiles),
                mean(tile.traffic.bytes for tile in tiles) / 1024,
                *(_index(tiles)),
            )
            for (state, zoom, name), tiles in results.items()
        ],
        (
            "Tiles in turn, one at a time; CPU and the columns after it are means. cold: nothing "
            "opened before. warm: all files",
            "opened before, each tile made once. CPU: of this process, without object store and "
            "emulator.",
            "sqlite and dynamodb: livemosaic on that index, the latter the emulator; rows are of "
            "scenes, and the mosaic's own.",
            f"{_PEER}: its mosaic backend and Reader on a mosaic.json in memory.",
        ),
    )  # fmt: skip


def _index(tiles: Sequence[Tile]) -> tuple[Value, Value]:
    usages = [tile.made.usage for tile in tiles if tile.made.usage]
    if not usages:
        return None, None
    return mean(usage.queries for usage in usages), mean(usage.rows_read for usage in usages)


def _reads(results: Results) -> Sheet:
    cold = {
        (zoom, name): tiles for (state, zoom, name), tiles in results.items() if state == "cold"
    }
    ours = [tile for (_, name), tiles in cold.items() if name != _PEER for tile in tiles]
    return Sheet(
        "Files read, and files needed (cold)",
        ("zoom", "maker", "needed", "read", "reads beyond need", "needed, not read"),
        [
            (
                f"z{zoom}",
                name,
                mean(len(tile.needed) for tile in tiles),
                mean(len(tile.traffic.files) for tile in tiles),
                mean(tile.beyond for tile in tiles),
                mean(tile.missed for tile in tiles),
            )
            for (zoom, name), tiles in cold.items()
        ],
        (
            "Means of a tile. Needed: the newest true footprint at each pixel's centre "
            "(bench/need.py). Read: requested from the store.",
            f"livemosaic: {len(ours)} tiles, reads beyond need: {sum(t.beyond for t in ours)}, "
            f"needed but not read: {sum(t.missed for t in ours)}",
        ),
    )


def _ratios(results: Results) -> Sheet:
    return Sheet(
        f"livemosaic / {_PEER}",
        ("state", "zoom", "index", "latency", "CPU", "requests", "KB", "latency, fast PNG",
         "CPU, fast PNG"),
        [
            (state, f"z{zoom}", name, *_against(tiles, results[state, zoom, _PEER]))
            for (state, zoom, name), tiles in results.items()
            if name != _PEER
        ],
        (
            "Below 1 livemosaic is cheaper. fast PNG: as if the peer also compressed at zlevel 1 "
            "instead of GDAL's default of 6.",
        ),
    )  # fmt: skip


def _against(ours: Sequence[Tile], theirs: Sequence[Tile]) -> list[float]:
    fast = [tile.made.making + (tile.made.fast or tile.made.encoding) for tile in theirs]
    wall, cpu = median(tile.wall_ms for tile in ours), mean(tile.cpu_ms for tile in ours)
    return [
        wall / median(tile.wall_ms for tile in theirs),
        cpu / mean(tile.cpu_ms for tile in theirs),
        *(
            mean(getattr(tile.traffic, what) for tile in ours)
            / mean(getattr(tile.traffic, what) for tile in theirs)
            for what in ("requests", "bytes")
        ),
        wall / median(lap.wall_ms for lap in fast),
        cpu / mean(lap.cpu_ms for lap in fast),
    ]


def _deep(setup: _Setup) -> Sheet:
    """Stacks of scenes over one place, each of which would fill its tiles alone."""
    options = setup.options
    files, place = stacked(setup.scenes)
    tiles = tiles_over([place], _DEEP_ZOOM, options.tiles, np.random.default_rng(_SEED))
    if not tiles:
        raise SystemExit(f"no place lies under {len(files)} of {options.scenes} scenes: take more")
    rows: list[tuple[Value, ...]] = []
    for depth in options.depths:
        stack = [files[n % len(files)] for n in range(depth)]
        names = [f"{n:04}/{scene.name}" for n, scene in enumerate(stack)]
        with step(f"stack of {depth:,}"), setup.makers(stack, names) as makers:
            made = _all(makers, tiles, setup.store, cold=True)
        for name in makers:
            mine = [one for (maker, _), one in made.items() if maker == name]
            rows.append(
                (
                    depth,
                    name,
                    median(tile.wall_ms for tile in mine),
                    mean(tile.cpu_ms for tile in mine),
                    *_index(mine),
                    mean(len(tile.traffic.files) for tile in mine),
                    mean(tile.traffic.requests for tile in mine),
                )
            )
    sheet = Sheet(
        f"A tile in a stack of scenes that would each fill it (z{_DEEP_ZOOM}, cold)",
        ("scenes", "maker", "median ms", "CPU ms", "queries", "rows", "files read", "requests"),
        rows,
        ("One file is needed. Rows must not grow with the stack once it is deeper than a page.",),
    )
    show(sheet)
    return sheet
