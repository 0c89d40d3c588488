"""Statistics of a whole mosaic, next to the exact ones of all of its pixels."""

import asyncio
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray

from bench.lap import timed
from bench.low import fill
from bench.patchwork import APART, SIDE, Box, patchwork
from bench.report import Sheet, Value, show, step
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Render
from livemosaic.model.rule import DEFAULT
from livemosaic.services import Services, running
from livemosaic.tiler.statistics import Wanted
from livemosaic.tiler.whole.image import SIDE as SIDE_BY_DEFAULT
from livemosaic.tiler.whole.kept import KeptCounts
from livemosaic.tiler.whole.statistics import count_whole
from livemosaic.tiler.whole.stretch import Stretches

_SIZES: Final = (SIDE_BY_DEFAULT, 1024, 2048)


def run(across: int, times: int) -> list[Sheet]:
    """Makes the scenes and their overviews, then statistics of several sizes."""
    with (
        patchwork(across) as made,
        running(made.settings) as services,
        asyncio.Runner() as runner,
    ):
        built = fill(services, made.scenes, made.boxes)
        with step("every pixel of every scene"):
            exact, lap = timed(lambda: _exact(made.scenes, made.boxes, across))
        rows: list[list[Value]] = [["every pixel", lap.wall_ms, *[None] * 6]]
        mosaic = services.mosaics.get("m")
        rows += [_row(services, mosaic, runner, side, exact, times) for side in _SIZES]
        rows.append(_stretch(services, mosaic, runner, times))
    columns = (
        *("image", "first ms", "ms", "CPU ms", "unchanged ms", "mean off %", "std off %"),
        "cells of zoom",
    )
    notes = (
        f"Scenes of {SIDE} × {SIDE} px of zoom 14, 3 bands. off: the largest difference of a band.",
        "ms, CPU ms: counted anew, from objects read before. unchanged ms: asked again, while the "
        "cells are the same.",
        built,
    )
    sheet = Sheet(f"Statistics of all of {across**2:,} scenes", columns, rows, notes)
    show(sheet)
    return [sheet]


def _row(
    services: Services,
    mosaic: Mosaic,
    runner: asyncio.Runner,
    side: int,
    exact: NDArray[np.float64],
    times: int,
) -> list[Value]:
    found: list[Any] = []

    async def count(kept: KeptCounts) -> None:
        # Not returned: a runner in a main thread prints a task of its own, and the result with it.
        all_ = await count_whole(services.tiler, mosaic, Read(palette=False), DEFAULT, kept, side)
        assert all_ is not None
        found[:] = [all_.rungs, all_.tally.statistics(Wanted())]

    laps = [timed(lambda: runner.run(count(KeptCounts())))[1] for _ in range(1 + times)]
    kept = KeptCounts()
    again = [timed(lambda: runner.run(count(kept)))[1] for _ in range(1 + times)][1:]
    rungs, bands = found
    ours = np.array([[band["mean"], band["std"]] for _, band in bands])
    off = 100 * np.abs(ours / exact - 1).max(axis=0)
    zooms = ", ".join(map(str, sorted(rungs)))
    return [
        f"{side} px",
        laps[0].wall_ms,
        median(lap.wall_ms for lap in laps[1:]),
        median(lap.cpu_ms for lap in laps[1:]),
        median(lap.wall_ms for lap in again),
        float(off[0]),
        float(off[1]),
        zooms,
    ]


def _stretch(services: Services, mosaic: Mosaic, runner: asyncio.Runner, times: int) -> list[Value]:
    auto = Render(auto_rescale=True)

    async def find(stretches: Stretches) -> None:
        await stretches.applied(services.tiler, mosaic, Read(), auto, DEFAULT)

    laps = [timed(lambda: runner.run(find(Stretches())))[1] for _ in range(1 + times)]
    warm, cpu = median(lap.wall_ms for lap in laps[1:]), median(lap.cpu_ms for lap in laps[1:])
    name = "rescale=auto, once a minute"
    return [name, laps[0].wall_ms, warm, cpu, None, None, None, None]


def _exact(folder: Path, boxes: dict[str, Box], across: int) -> NDArray[np.float64]:
    """Mean and deviation of each band, shape (3, 2), of pixels weighted by their true area."""
    days = np.random.default_rng(2).permutation(len(boxes)).reshape(across, across)
    names, sums = list(boxes), np.zeros((3, 3))
    for number, name in enumerate(names):
        shown = _shown(days, *divmod(number, across))
        with rasterio.open(folder / name) as file:
            values = file.read().astype(np.float64)
        weights = shown * _weights(boxes[name])
        sums += [
            [weights.sum(), (band * weights).sum(), (band**2 * weights).sum()] for band in values
        ]
    mean = sums[:, 1] / sums[:, 0]
    return np.stack([mean, np.sqrt(sums[:, 2] / sums[:, 0] - mean**2)], axis=1)


def _shown(days: NDArray[np.int64], column: int, row: int) -> NDArray[np.bool_]:
    """The pixels of a scene that no newer one hides."""
    shown = np.ones((SIDE, SIDE), np.bool_)
    for across, down in ((a, d) for a in (-1, 0, 1) for d in (-1, 0, 1)):
        beside = column + across, row + down
        if not all(0 <= n < len(days) for n in beside) or days[beside] <= days[column, row]:
            continue
        shown[_part(down), _part(across)] = False
    return shown


def _part(offset: int) -> slice:
    return slice(max(0, offset * APART), min(SIDE, SIDE + offset * APART))


def _weights(box: Box) -> NDArray[np.float64]:
    """The true area of pixels by row, as a part of that at the equator."""
    _, bottom, _, top = box
    y = np.linspace(top, bottom, SIDE, endpoint=False) + (bottom - top) / SIDE / 2
    return np.cosh(y / 6378137.0).reshape(-1, 1) ** -2
