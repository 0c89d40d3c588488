"""Vector tiles of the index: what a request takes, and an archive of them after some changes."""

import asyncio
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import morecantile
import numpy as np
from shapely.geometry import box, mapping

from bench.lap import Lap, timed
from bench.meter import Metered
from bench.report import Sheet, Value, show, step
from livemosaic.export.tiles.publishing import ArchivePlace
from livemosaic.export.vectors.publishing import VectorArchive
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read
from livemosaic.model.rule import DEFAULT
from livemosaic.services import Services, running
from livemosaic.settings import Settings
from livemosaic.table.open import open_table
from livemosaic.tiler.views import TileAddress
from livemosaic.vector.layers import USUAL
from livemosaic.vector.tiles import VectorRequest, find_scenes, vector_tile

_WEB: Final = morecantile.tms.get("WebMercatorQuad")
_FIRST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_CORNER: Final = (6.0, 40.0)
_SIDE: Final = 0.1
"""Degrees of a scene's edge; scenes lie half of it apart."""
_MOSAICS: Final = {"m": 0, "deep": 12}
"""First zoom of each mosaic."""
_TODAY: Final = date(2026, 11, 30)
_SHARE: Final = 100
"""One of so many scenes is changed."""
Lonlat = tuple[float, float]


def run(scenes: int, times: int, maxzoom: int) -> list[Sheet]:
    """Makes the scenes, then tiles of each zoom, then archives."""
    with TemporaryDirectory(prefix="bench-vector-") as folder:
        where = Path(folder)
        settings = Settings(
            index=f"sqlite:///{where / 'index.db'}",
            allowed_prefixes=("https://example.com/",),
            mosaic_max_age_s=3600,
            overviews="",
        )
        meter = Metered(open_table(settings.index))
        with running(settings, meter) as services, asyncio.Runner() as runner:
            bench = _Bench(services, meter, runner, scenes, times)
            with step(f"{scenes:,} scenes"):
                for name, minzoom in _MOSAICS.items():
                    services.mosaics.create(Mosaic(id=name, minzoom=minzoom))
                    bench.publish(name, range(scenes), 0)
            sheets = [_tiles(bench), _archives(bench, where, maxzoom)]
    return sheets


@dataclass(frozen=True, slots=True)
class _Bench:
    services: Services
    meter: Metered
    runner: asyncio.Runner
    scenes: int
    times: int

    def publish(self, mosaic: str, numbers: Sequence[int], hours: int) -> None:
        """Sends scenes, by their numbers, with a time of so many hours after their first one."""
        found = self.services.mosaics.get(mosaic)
        now = datetime.now(UTC)
        messages = [Message(f"s{n}", json.dumps(self._item(n, hours)), now, {}) for n in numbers]
        for outcome in self.services.ingest.batch(messages, only=found):
            if not outcome.ok:
                raise RuntimeError(outcome.reason)

    def _item(self, number: int, hours: int) -> dict[str, Any]:
        west, south = self.corner(number)
        shape = box(west, south, west + _SIDE, south + _SIDE)
        time = _FIRST + timedelta(days=number % 997, hours=hours)
        return {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": f"s{number}",
            "collection": "c",
            "geometry": mapping(shape),
            "properties": {
                "datetime": time.isoformat(),
                "updated": (_FIRST + timedelta(hours=hours)).isoformat(),
            },
            "links": [],
            "assets": {"visual": {"href": f"https://example.com/{number}.tif", "type": _COG}},
        }

    def corner(self, number: int) -> Lonlat:
        """West and south of a scene; they lie in a square, row by row."""
        along = int(np.ceil(np.sqrt(self.scenes)))
        return (
            _CORNER[0] + number % along * _SIDE / 2,
            _CORNER[1] + number // along * _SIDE / 2,
        )

    @property
    def middle(self) -> Lonlat:
        """Of the square of scenes."""
        half = np.sqrt(self.scenes) / 2 * _SIDE / 2
        return _CORNER[0] + half, _CORNER[1] + half

    def request(self, mosaic: str, zoom: int) -> VectorRequest:
        """Returns the request for the tile in the middle of the scenes."""
        at = _WEB.tile(*self.middle, zoom)
        address = TileAddress("WebMercatorQuad", zoom, at.x, at.y)
        return VectorRequest(self.services.mosaics.get(mosaic), address, USUAL, Read(), DEFAULT)


_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"


def _tiles(bench: _Bench) -> Sheet:
    rows: list[list[Value]] = []
    for zoom in (12, 10, 8, 6, 4, 2, 0):
        with step(f"zoom {zoom}"):
            made = {name: _row(bench, name, zoom) for name in _MOSAICS}
        indexed = made["m"]
        rows += [
            [zoom, name, *found.values, found.cpu_ms / indexed.cpu_ms]
            for name, found in made.items()
        ]
    columns = (
        *("zoom", "mosaic", "listed", "rows", "queries", "read units", "ms", "CPU ms"),
        *("of it listing", "bytes", "gzip", "CPU / m"),
    )
    notes = (
        f"{bench.scenes:,} footprints of {_SIDE}°, half of that apart; the tile in their middle: "
        f"footprints, or density for more than 2,000. Medians of {bench.times}, on SQLite.",
        "m is drawn from zoom 0 on; deep from zoom 12 on, far below which a tile reads all scenes. "
        "read units: of DynamoDB, eventually consistent. of it listing: part of the CPU.",
    )
    sheet = Sheet(f"Vector tiles of {bench.scenes:,} scenes", columns, rows, notes)
    show(sheet)
    return sheet


@dataclass(frozen=True, slots=True)
class _Measured:
    values: list[Value]
    cpu_ms: float


def _row(bench: _Bench, mosaic: str, zoom: int) -> _Measured:
    tiler, request = bench.services.tiler, bench.request(mosaic, zoom)
    bench.meter.take()
    found = find_scenes(tiler, request)
    usage = bench.meter.take()
    laps: list[Lap] = []
    listing: list[Lap] = []
    for _ in range(1 + bench.times):
        tile, lap = timed(lambda: bench.runner.run(vector_tile(tiler, request)))
        laps.append(lap)
        listing.append(timed(lambda: find_scenes(tiler, request))[1])
    cpu = median(lap.cpu_ms for lap in laps[1:])
    alone = median(lap.cpu_ms for lap in listing[1:])
    values: list[Value] = [
        *(len(found.scenes), int(usage.rows_read), int(usage.queries + usage.batches)),
        *(usage.read_units, median(lap.wall_ms for lap in laps[1:]), cpu, alone / cpu),
        *(len(tile.body), len(gzip.compress(tile.body, mtime=0))),
    ]
    return _Measured(values, cpu)


def _archives(bench: _Bench, where: Path, maxzoom: int) -> Sheet:
    rows: list[list[Value]] = []
    whole: float | None = None
    changed = range(0, bench.scenes, _SHARE)
    strip = range(bench.scenes // 2, bench.scenes // 2 + len(changed))
    sent = {"whole": (), "unchanged": (), "1 %, scattered": changed, "1 %, side by side": strip}
    for hours, (name, numbers) in enumerate(sent.items()):
        bench.publish("m", list(numbers), hours)
        with step(name):
            lap, values = _export(bench, where / "m.pmtiles", maxzoom)
        whole = whole or lap.cpu_ms
        rows.append([name, *values, lap.cpu_ms / 1000, lap.cpu_ms / whole])
    columns = ("archive", "tiles", "made", "MB made", "MB", "CPU s", "/ whole")
    notes = (f"Of zooms 0 to {maxzoom}, footprints and density, gzip; made: not taken over.",)
    sheet = Sheet(f"PMTiles of {bench.scenes:,} footprints", columns, rows, notes)
    show(sheet)
    return sheet


def _export(bench: _Bench, path: Path, maxzoom: int) -> tuple[Lap, list[Value]]:
    services = bench.services
    publisher = services.publisher()
    asked = VectorArchive(place=ArchivePlace(str(path)), maxzoom=maxzoom)
    found = services.mosaics.get("m")
    tally, lap = timed(lambda: publisher.publish(found, asked, _TODAY))
    size = path.stat().st_size / 1e6
    return lap, [tally.drawn + tally.copied, tally.drawn, tally.drawn_bytes / 1e6, size]
