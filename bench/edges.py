"""Tiles at the edge of deep stacks: what never fills reads on, unless extents say where it ends."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import morecantile
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import rotate, translate
from shapely.geometry import MultiPolygon, Polygon, box

from bench.meter import Metered, Usage
from bench.report import Sheet, Value, show, step
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.covering import rings_of
from livemosaic.geo.rasterize import Outline
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic, OverviewPolicy, OverviewSet
from livemosaic.model.raster import Encoding, Grid, Pixels
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene
from livemosaic.overviews.extents import ExtentKeeper
from livemosaic.table.open import open_table
from livemosaic.tiler.overviews import Overviews
from livemosaic.tiler.picture import PictureLimits, Tiler
from livemosaic.tiler.rules.parameters import rule_of
from livemosaic.tiler.views import TileAddress

_TMS: Final = "WebMercatorQuad"
_WEB: Final = morecantile.tms.get(_TMS)
_SIZE: Final = 256
_LIMITS: Final = PictureLimits(max_rows=5000)
_MADE = OverviewSet(
    id="0a", policy=OverviewPolicy(), rule={}, format=1, state="ready", marked_since=1
)


@dataclass(frozen=True, slots=True)
class Stack:
    """How scenes over one place lie, and which tiles are looked at."""

    name: str
    scene: Callable[[np.random.Generator], Polygon]
    """A footprint in longitude and latitude."""
    edge: tuple[float, float]
    """A place at the outermost edge of all scenes."""
    zoom: int


_GRANULE: Final = rotate(box(9.0, 46.0, 10.4, 47.0), 1.5)


def _granule(_: np.random.Generator) -> Polygon:
    return _GRANULE


def _slanted(rng: np.random.Generator) -> Polygon:
    """Every second pass is cut by the edge of its swath, which moves by a hundred metres or so."""
    if rng.random() < 0.5:
        return _GRANULE
    west = 9.6 + rng.normal() * 0.001
    return _GRANULE.intersection(Polygon([(west, 45), (12, 45), (12, 48), (west + 0.7, 48)]))


def _path(rng: np.random.Generator) -> Polygon:
    """A scene of Landsat, of which each pass lies some kilometres from the last."""
    corners = Polygon([(9.4, 45.2), (11.7, 44.8), (12.2, 46.5), (9.9, 46.9)])
    return translate(corners, rng.normal() * 0.03, rng.normal() * 0.005)


def _drone(rng: np.random.Generator) -> Polygon:
    """A flight over one field, by hand."""
    field = rotate(box(9.0, 46.0, 9.004, 46.003), rng.normal() * 3)
    return translate(field, *(rng.normal(size=2) * 0.0001))


_STACKS: Final = (
    Stack("granules of one tile (Sentinel-2)", _granule, (9.7, 47.0), 12),
    Stack("half of them cut by a swath", _slanted, (9.7, 47.0), 12),
    Stack("paths that wander by 2 km (Landsat)", _path, (10.5, 45.0), 12),
    Stack("flights by hand (drone)", _drone, (9.002, 46.003), 18),
)


@dataclass(frozen=True, slots=True)
class _Painted:
    """Reads the pixels inside the footprints of scenes, without files."""

    footprints: Mapping[str, Polygon]

    async def read(self, assets: Mapping[str, str], grid: Grid, *_: Any, **__: Any) -> Pixels:
        cells = cell_grid(_TMS)
        (href,) = assets.values()
        shape = cells.project(MultiPolygon([self.footprints[href]]))
        valid = Outline.of(rings_of(shape), cells.crs, grid).burn()
        return Pixels(np.where(valid, 7, 0).astype(np.uint8)[None], valid, ("b1",))

    async def nodata(self, href: str, *, version: str, encoding: Encoding = ()) -> Any:
        raise NotImplementedError

    async def frame(self, href: str, *, version: str) -> Any:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Cost:
    rows: float
    units: float
    cpu_ms: float
    pixels: NDArray[Any]


def run(depths: Sequence[int], times: int) -> list[Sheet]:
    """Measures tiles of each stack, as deep as said."""
    rows = [row for stack in _STACKS for row in _stack(stack, depths, times)]
    sheet = Sheet(
        f"A tile at the edge of a stack of scenes, {max(depths):,} / {min(depths):,} deep",
        ("stack", "extents", "order", *(f"rows {n:,}" for n in depths),
         *(f"units {n:,}" for n in depths), *(f"CPU ms {n:,}" for n in depths),
         "rows, deepest / first", "CPU, deepest / first"),
        rows,
        (
            "Index and plan of a tile of 256 × 256 px at the outermost edge; pixels are those of "
            "the footprints, made up.",
            "units: DynamoDB's read units, of all calls. CPU: of this process, median. Without "
            "extents: as in a mosaic without overviews.",
            "datetime reversed: `sortby=+datetime`, for which every row of the place is arranged.",
        ),
    )  # fmt: skip
    show(sheet)
    return [sheet]


def _stack(stack: Stack, depths: Sequence[int], times: int) -> list[tuple[Value, ...]]:
    costs: dict[tuple[str, str], list[_Cost]] = {}
    for depth in depths:
        with step(f"{stack.name}, {depth:,}"), TemporaryDirectory(prefix="bench-edges-") as folder:
            for key, cost in _costs(stack, depth, times, Path(folder)).items():
                costs.setdefault(key, []).append(cost)
    return [
        (
            stack.name,
            *key,
            *(round(cost.rows) for cost in found),
            *(cost.units for cost in found),
            *(cost.cpu_ms for cost in found),
            found[-1].rows / found[0].rows,
            found[-1].cpu_ms / found[0].cpu_ms,
        )
        for key, found in costs.items()
    ]


def _costs(stack: Stack, depth: int, times: int, folder: Path) -> dict[tuple[str, str], _Cost]:
    rng = np.random.default_rng(3)
    footprints = {f"memory:{n}": stack.scene(rng) for n in range(depth)}
    table = Metered(open_table(f"sqlite:///{folder / 'index.db'}"))
    with ThreadPoolExecutor(4) as pool, asyncio.Runner() as runner:
        index = Index(table, Mosaics(table), pool)
        index.mosaics.create(Mosaic(id="m", overviews=_MADE.policy, overview_sets=(_MADE,)))
        mosaic = _fill(index, footprints)
        reader = _Painted(footprints)
        live = Tiler(index, reader, _LIMITS)
        bounded = Tiler(index, reader, _LIMITS, overviews=Overviews(OverviewRows(table), reader))
        tile = _WEB.tile(*stack.edge, stack.zoom)
        view = TileAddress(_TMS, tile.z, tile.x, tile.y).view(mosaic, _SIZE)
        upwards = rule_of({"sortby": "+datetime"}, mosaic)

        def made(tiler: Tiler, rule: Rule) -> _Cost:
            async def make() -> NDArray[Any]:
                picture = await tiler.make(tiler.draft(mosaic, view, Read(), rule))
                assert not picture.truncated
                return picture.pixels.valid

            loop = runner.get_loop()  # `Runner.run` spells out the result: an array
            table.take()
            pixels = loop.run_until_complete(make())
            usage: Usage = table.take()
            spent = []
            for _ in range(times):
                start = time.process_time()
                loop.run_until_complete(make())
                spent.append(1000 * (time.process_time() - start))
            table.take()
            return _Cost(usage.rows_read, usage.read_units, median(spent), pixels)

        found = {
            ("yes", "default"): made(bounded, Rule()),
            ("no", "default"): made(live, Rule()),
            ("no", "datetime reversed"): made(live, upwards),
        }
        same = [cost.pixels for cost in found.values()]
        assert all((each == same[0]).all() for each in same), "extents hide a scene"
        assert 0 < same[0].mean() < 1, "no tile at an edge"
    table.close()
    return found


def _fill(index: Index, footprints: Mapping[str, Polygon]) -> Mosaic:
    """Writes the scenes, the last on top, and their extents."""
    mosaic, rows = index.mosaics.get("m"), OverviewRows(index.table)
    for n, (href, shape) in enumerate(footprints.items()):
        day = np.datetime64("2015-01-01") + n
        scene = Scene(
            collection="c",
            id=f"{n:05}",
            version=f"{day}T00:00:00.000000Z#{n:016x}",
            footprint=MultiPolygon([shapely.Polygon(shape)]),
            rank=f"{99_999 - n:05}",
            datetime=f"{day}T00:00:00Z",
            assets={"visual": href},
        )
        index.apply(mosaic, scene)
        mosaic = index.mosaics.get("m") if n == 0 else mosaic
    for _ in range(2):  # extents first, then rows on top
        ExtentKeeper(index).include(mosaic, [f"c#{n:05}" for n in range(len(footprints))])
    for region in REGIONS:
        rows.settle(rows.stale(mosaic, region))
    return mosaic
