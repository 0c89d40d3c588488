"""Scenes: from a count and a seed to files and Items."""

import json
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from os import cpu_count
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.cli.demo.scenery.cogs import write_band, write_visual
from livemosaic.cli.demo.scenery.items import BANDS, COLLECTION_FILE, collection, item
from livemosaic.cli.demo.scenery.noise import Array, GroundView, Mask
from livemosaic.cli.demo.scenery.passes import Pass
from livemosaic.cli.demo.scenery.shots import Shot, nth_shot
from livemosaic.cli.demo.scenery.sky import seen
from livemosaic.cli.demo.scenery.world import World, make_world

STRIP: Final = 128
"""Rows made at a time: temporary arrays that stay in the processor's cache are much faster."""
MARGIN: Final = 16
"""Pixels made beyond the swath, so that JPEG blocks across its edge do not darken it."""


def make_scenes(
    folder: Path, *, count: int = 24, seed: int = 7, size: int = 1536
) -> Generator[dict[str, Any]]:
    """Write `count` scenes of `size` × `size` pixels below `folder`; STAC Items as they arrive.

    Passes follow each other, three scenes each; now and then a scene comes weeks late. Later
    scenes are made while the caller works with earlier ones, until it closes the generator. The
    same arguments give the same pixels. Every fourth scene has `red`, `green`, `blue` and `nir`
    reflectance beside `visual`.
    """
    folder = folder.resolve()
    claim(folder)
    world = make_world(seed)
    shots = sorted((nth_shot(number, seed) for number in range(count)), key=lambda s: s.arrival)
    workers = min(cpu_count() or 1, 8)
    with ThreadPoolExecutor(workers) as pool:
        todo = (pool.submit(_make, folder, world, shot, size) for shot in shots)
        ahead: deque[Future[dict[str, Any]]] = deque(islice(todo, workers + 1))
        try:
            while ahead:
                made = ahead.popleft().result()
                ahead.extend(islice(todo, 1))
                yield made
        finally:
            pool.shutdown(cancel_futures=True)


def claim(folder: Path) -> None:
    """Makes a folder of scenes, or keeps it, and writes into it that it is of the demo."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / COLLECTION_FILE).write_text(_collection(), "utf-8")


def is_of_demo(folder: Path) -> bool:
    """Returns whether a folder of scenes is one that the demo made, with or without scenes."""
    stated = folder / COLLECTION_FILE
    return stated.is_file() and stated.read_text("utf-8") == _collection()


def _collection() -> str:
    return json.dumps(collection(), indent=2)


def _make(folder: Path, world: World, shot: Shot, size: int) -> dict[str, Any]:
    view = shot.view(size)
    valid = shot.inside(view)
    image, cloud = developed(world, view, valid, shot.over)
    written = {"visual": write_visual(folder / f"{shot.id}_visual.tif", view, image, valid)}
    if shot.number % 4 == 0:
        for name, band in zip(BANDS, image, strict=True):
            written[name] = write_band(folder / f"{shot.id}_{name}.tif", view, band, valid)
    cover = 100 * float((cloud[valid] > 0.5).mean())
    return item(folder, shot, view, written, cover)


def developed(world: World, view: GroundView, valid: Mask, over: Pass) -> tuple[Array, Array]:
    """Reflectance (4, rows, columns) and cloud opacity; zero or rough outside the swath."""
    image, cloud = np.zeros((4, *valid.shape), np.float32), np.zeros(valid.shape, np.float32)
    for top in range(0, valid.shape[0], STRIP):
        columns = np.flatnonzero(valid[top : top + STRIP].any(axis=0))
        if not columns.size:
            continue
        left, right = max(columns[0] - MARGIN, 0), columns[-1] + 1 + MARGIN
        part = np.s_[top : top + STRIP, left:right]
        x, y = _grown(view.x[part[1]], view.gsd), _grown(view.y[part[0]], -view.gsd)
        ground, above = seen(world, GroundView(x, y, view.gsd), over)
        image[:, *part], cloud[part] = ground[:, 1:-1, 1:-1], above[1:-1, 1:-1]
    return image, cloud


def _grown(centers: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """One more at each end: slopes need neighbours."""
    return np.concatenate([centers[:1] - step, centers, centers[-1:] + step])
