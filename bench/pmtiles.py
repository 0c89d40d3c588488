"""PMTiles of many scenes: by overviews, by baking tile for tile, and again after some changes."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from bench.lap import Lap, timed
from bench.patchwork import SIDE, Box, ingest, patchwork
from bench.report import Sheet, Value, show, step
from livemosaic.export.pmtiles.reader import Archive
from livemosaic.export.tiles.archive import ExportTally
from livemosaic.export.tiles.drawing import Before, TileArtist
from livemosaic.export.tiles.look import TileLook
from livemosaic.export.tiles.publishing import ArchivePlace, ArchivePublisher, ArchiveRequest
from livemosaic.geo.cells import Cell, cell_grid
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.services import Services, building, running
from livemosaic.tiler.picture import PictureLimits

_LATER: Final = datetime(2030, 1, 1, tzinfo=UTC)
_TODAY: Final = date(2026, 11, 30)
_SHARE: Final = 100
"""One of so many scenes is changed."""
_NO_LIMITS: Final = PictureLimits(
    max_scenes=1_000_000, max_rows=1_000_000, scene_timeout_s=1e4, seconds=1e4, bytes=1 << 42
)
_NOTES: Final = (
    f"Scenes of {SIDE} × {SIDE} px of zoom 14, side by side with 7 % overlap, of random days; "
    "tiles of 256 px as WebP. CPU of this process, all threads; overviews are built before.",
    "baked: the same tiles one by one, of scenes alone, as tilers without overviews do; whole: "
    "without limits, so that each shows all its scenes; else with ours, 20 scenes a tile.",
)
_AGAIN: Final = (
    "1 % of the scenes are sent again with a new time. scattered: random ones; a strip: ones side "
    "by side, as of one flight or pass. What building overviews took is in a column of its own.",
    "/ whole: next to an export of everything of the same moment.",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    across: int
    """Scenes in a row and in a column."""
    maxzoom: int
    deepest: int
    """Last zoom of the archives that are exported again."""


@dataclass(frozen=True, slots=True)
class _Bench:
    services: Services
    folder: Path
    boxes: Mapping[str, Box]

    @property
    def mosaic(self) -> Mosaic:
        return self.services.mosaics.get("m")

    def export(self, name: str, maxzoom: int) -> tuple[ExportTally, Lap]:
        publisher = ArchivePublisher(
            self.services.tiler,
            self.services.stretches,
            self.services.pixel_version,
            self.services.settings.allowed_prefixes,
        )
        place = ArchivePlace(str(self.folder / name))
        request = ArchiveRequest(place=place, maxzoom=maxzoom)
        return timed(lambda: publisher.publish(self.mosaic, request, _TODAY))

    def bake(self, tiles: Sequence[Cell], limits: PictureLimits) -> Lap:
        look = TileLook.of(self.mosaic, "", "webp")
        look = replace(look, read=replace(look.read, overviews=False))
        tiler = replace(self.services.tiler, limits=limits)
        artist = TileArtist.of(tiler, self.mosaic, look, Before())

        async def all_of_them() -> None:
            for tile in tiles:
                await artist.tile(tile)

        _, lap = timed(lambda: asyncio.run(all_of_them()))
        return lap

    def tiles(self, name: str, zooms: range) -> Iterator[Cell]:
        """The tiles of an archive."""
        body = (self.folder / name).read_bytes()
        archive = Archive.open(lambda start, stop: body[start:stop])
        grid = cell_grid(self.mosaic.tms)
        met = {
            tile
            for box in self.boxes.values()
            for zoom in zooms
            for tile in grid.cells_of(box, zoom)
        }
        yield from (tile for tile in met if archive.tile(tile.zoom, tile.x, tile.y))

    def change(self, names: Sequence[str], year: int) -> Lap:
        """Sends scenes again, on top; returns what making their overviews anew took."""
        some = {name: self.boxes[name] for name in names}
        first = _LATER.replace(year=year)
        ingest(self.services, self.mosaic, self.folder / "scenes", some, first=first)
        with building(self.services) as builder:
            _, lap = timed(lambda: builder.run("m"))
        return lap


def run(options: Options) -> list[Sheet]:
    """Makes scenes and their overviews, then archives."""
    with _filled(options.across) as bench:
        sheets = [_whole(bench, options.maxzoom), _again(bench, options)]
    for sheet in sheets:
        show(sheet)
    return sheets


@contextmanager
def _filled(across: int) -> Iterator[_Bench]:
    with patchwork(across) as made, running(made.settings) as services:
        mosaic = services.mosaics.create(Mosaic(id="m", overviews=OverviewPolicy()))
        with step("ingest"):
            ingest(services, mosaic, made.scenes, made.boxes)
        with step("overviews"), building(services) as builder:
            builder.run("m")
        yield _Bench(services, made.scenes.parent, made.boxes)


def _whole(bench: _Bench, maxzoom: int) -> Sheet:
    with step("late imports"):
        bench.export("first.pmtiles", 3)
    with step(f"export, zooms 0 to {maxzoom}"):
        tally, lap = bench.export("whole.pmtiles", maxzoom)
    tiles = sorted(bench.tiles("whole.pmtiles", range(maxzoom + 1)), key=lambda t: t.quadkey)
    with step(f"{len(tiles):,} tiles baked with limits"):
        cut = bench.bake(tiles, PictureLimits())
    with step(f"{len(tiles):,} tiles baked whole"):
        baked = bench.bake(tiles, _NO_LIMITS)
    made = {"of overviews": lap, "baked whole": baked, "baked, cut": cut}
    rows: list[list[Value]] = [
        [
            name,
            each.cpu_ms / 1000,
            each.wall_ms / 1000,
            each.per(len(tiles)).cpu_ms,
            lap.cpu_ms / each.cpu_ms,
        ]
        for name, each in made.items()
    ]
    title = f"PMTiles of {len(bench.boxes):,} scenes, zooms 0 to {maxzoom}: {tally.drawn} tiles"
    columns = ("archive", "CPU s", "wall s", "CPU ms a tile", "ours / its, CPU")
    return Sheet(title, columns, rows, _NOTES)


def _again(bench: _Bench, options: Options) -> Sheet:
    names = [*bench.boxes]
    count = max(1, len(names) // _SHARE)
    scattered = random.Random(3).sample(names, count)
    start = len(names) // 2
    rows: list[list[Value]] = []
    for year, (what, some) in enumerate(
        (("scattered", scattered), ("a strip", names[start : start + count])), 2030
    ):
        for maxzoom in (options.maxzoom, options.deepest):
            bench.export(f"again{maxzoom}.pmtiles", maxzoom)
        with step(f"{count} scenes again, {what}"):
            built = bench.change(some, year)
        for maxzoom in (options.maxzoom, options.deepest):
            with step(f"zooms 0 to {maxzoom}, again and whole"):
                tally, lap = bench.export(f"again{maxzoom}.pmtiles", maxzoom)
                other, whole = bench.export(f"whole{year}{maxzoom}.pmtiles", maxzoom)
            rows.append(_row(what, maxzoom, (tally, lap), (other, whole), built))
            same = (bench.folder / f"again{maxzoom}.pmtiles").read_bytes()
            if same != (bench.folder / f"whole{year}{maxzoom}.pmtiles").read_bytes():
                raise RuntimeError("an export of changes differs from a whole one")
    columns = (
        *("changed", "zooms", "tiles", "drawn", "CPU s", "/ whole", "MB encoded", "/ whole"),
        "overviews, CPU s",
    )
    return Sheet(f"Exports after {count} of {len(names):,} scenes", columns, rows, _AGAIN)


def _row(
    what: str,
    maxzoom: int,
    again: tuple[ExportTally, Lap],
    whole: tuple[ExportTally, Lap],
    built: Lap,
) -> list[Value]:
    tally, lap = again
    return [
        what,
        f"0–{maxzoom}",
        whole[0].drawn,
        tally.drawn,
        lap.cpu_ms / 1000,
        lap.cpu_ms / whole[1].cpu_ms,
        tally.drawn_bytes / 1e6,
        tally.drawn_bytes / whole[0].drawn_bytes,
        built.cpu_ms / 1000,
    ]
