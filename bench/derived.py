"""Tiles of a derived mosaic of several sources, next to one mosaic with all of their scenes."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import morecantile
import numpy as np

from bench.lap import Lap, timed
from bench.meter import Metered
from bench.patchwork import SIDE, WEB, Box, item, patchwork
from bench.report import Sheet, Value, show, step
from livemosaic.ingest.events.message import Message
from livemosaic.model.derived.sources import MosaicSource
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Render
from livemosaic.render.encode import encode
from livemosaic.services import Services, running
from livemosaic.table.open import open_table
from livemosaic.tiler.picture import Picture
from livemosaic.tiler.views import TileAddress

_TMS: Final = "WebMercatorQuad"
_SIZE: Final = 256
_SOURCES: Final = 8
_ZOOMS: Final = (11, 12, 13, 14)
_FIRST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_MOSAICS: Final = {"one": "one mosaic", "stack": "8 sources, one stack", "layers": "8 z-orders"}


def run(across: int, times: int) -> list[Sheet]:
    """Makes the scenes, then tiles of each mosaic in turn."""
    with patchwork(across, overviews="") as made:
        meter = Metered(open_table(made.settings.index))
        with running(made.settings, meter) as services, asyncio.Runner() as runner:
            with step("ingest"):
                _fill(services, made.scenes, made.boxes)
            rows = []
            for zoom in _ZOOMS:
                tiles = _tiles_over(list(made.boxes.values()), zoom)
                with step(f"z{zoom}: {len(tiles)} tiles"):
                    rows += _rows(services, meter, runner, zoom, tiles, times)
    columns = ("zoom", "mosaic", "ms", "/ one", "CPU ms", "CPU / one", "index", "scenes")
    notes = (
        f"Scenes of {SIDE} × {SIDE} px of zoom 14, of random days, each in one of {_SOURCES} "
        f"sources; a tile: {_SIZE} × {_SIZE} px as PNG, of scenes alone.",
        "ms: warm median of tiles made in turn with each other; / one: of the medians. "
        "index: calls of the table. Pixels of one stack are compared with the one mosaic's.",
    )
    sheet = Sheet(f"A derived mosaic of {across**2:,} scenes", columns, rows, notes)
    show(sheet)
    return [sheet]


def _fill(services: Services, folder: Path, boxes: dict[str, Box]) -> None:
    names = [f"s{n}" for n in range(_SOURCES)]
    mosaics = {name: services.mosaics.create(Mosaic(id=name)) for name in ("one", *names)}
    stack = tuple(MosaicSource(mosaic=name) for name in names)
    layers = tuple(MosaicSource(mosaic=name, z_order=n) for n, name in enumerate(names))
    services.mosaics.create(Mosaic(id="stack", sources=stack))
    services.mosaics.create(Mosaic(id="layers", sources=layers))
    days = np.random.default_rng(2).permutation(len(boxes)).tolist()
    now = datetime.now(UTC)
    messages = [
        Message(name, json.dumps(item(folder / name, box, _FIRST + timedelta(days=day))), now, {})
        for (name, box), day in zip(boxes.items(), days, strict=True)
    ]
    parts = {"one": messages}
    parts |= {name: messages[n::_SOURCES] for n, name in enumerate(names)}
    for name, part in parts.items():
        for outcome in services.ingest.batch(part, only=mosaics[name]):
            if not outcome.ok:
                raise RuntimeError(outcome.reason)


def _rows(
    services: Services,
    meter: Metered,
    runner: asyncio.Runner,
    zoom: int,
    tiles: Sequence[morecantile.Tile],
    times: int,
) -> list[list[Value]]:
    def made(name: str, tile: morecantile.Tile) -> Picture:
        return runner.get_loop().run_until_complete(_make(services, name, tile))

    laps: dict[str, list[Lap]] = {name: [] for name in _MOSAICS}
    calls: dict[str, list[float]] = {name: [] for name in _MOSAICS}
    seen: dict[str, list[int]] = {name: [] for name in _MOSAICS}
    for tile in tiles:
        first = {}
        for name in _MOSAICS:
            meter.take()
            first[name] = made(name, tile)
            usage = meter.take()
            calls[name].append(usage.gets + usage.batches + usage.queries)
            seen[name].append(len(first[name].seen.scenes))
        assert (first["one"].pixels.data == first["stack"].pixels.data).all(), "other pixels"
        for n in range(times):  # in turn, and in every order
            for name in (*_MOSAICS,) if n % 2 else (*_MOSAICS,)[::-1]:
                laps[name].append(timed(partial(made, name, tile))[1])
    if not first:
        raise RuntimeError("no tiles")
    wall = {name: [lap.wall_ms for lap in own] for name, own in laps.items()}
    cpu = {name: [lap.cpu_ms for lap in own] for name, own in laps.items()}
    return [
        [
            f"z{zoom}",
            words,
            median(wall[name]),
            _quotient(wall[name], wall["one"]),
            median(cpu[name]),
            _quotient(cpu[name], cpu["one"]),
            max(calls[name]),
            max(seen[name]),
        ]
        for name, words in _MOSAICS.items()
    ]


def _quotient(ours: Sequence[float], one: Sequence[float]) -> float:
    return median(ours) / median(one)


async def _make(services: Services, name: str, tile: morecantile.Tile) -> Picture:
    tiler, mosaic = services.tiler, services.cache.get(name)
    view = TileAddress(_TMS, tile.z, tile.x, tile.y).view(mosaic, _SIZE)
    picture = await tiler.make(await tiler.prepare(mosaic, view, Read()))
    await asyncio.to_thread(encode, picture.pixels, Render(format="png"), picture.grid)
    return picture


def _tiles_over(boxes: Sequence[Box], zoom: int, most: int = 5) -> list[morecantile.Tile]:
    edges = np.array(boxes)
    west, south = WEB.lnglat(edges[:, 0].min(), edges[:, 1].min())
    east, north = WEB.lnglat(edges[:, 2].max(), edges[:, 3].max())
    found = list(WEB.tiles(west, south, east, north, [zoom]))
    return found[:: max(1, len(found) // most)][:most]
