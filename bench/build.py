"""Building overviews: CPU of a scene and peak memory, of all scenes at once and of one alone."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.lap import timed
from bench.patchwork import RGB, SIDE, ingest, write_scenes
from bench.rasters import Kind
from bench.report import Sheet, Value, show, step
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.services import building, running
from livemosaic.settings import Settings

KINDS: Final = {
    "rgb": RGB,
    "uint16x4": Kind("4 bands, uint16", dtype="uint16", bands=4),
    "float32": Kind("elevation, float32", dtype="float32", bands=1),
    "files": Kind("3 assets, uint16", dtype="uint16", assets=("red", "green", "blue")),
}
_NOTES: Final = (
    f"Scenes of {SIDE} × {SIDE} px of zoom 14, side by side with 7 % overlap. all: `livemosaic "
    "overviews build`, a process of its own, start included.",
    "one: a scene that is sent again with another date; the builder's pass alone.",
)


_MEASURED: Final = """
import json, os, time
from bench.processes import peak_mb
from livemosaic.cli import main
try:
    main()
finally:
    print(json.dumps([time.process_time(), peak_mb(os.getpid())]))
"""
"""The command, that says afterwards what it took."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    kinds: Sequence[str] = tuple(KINDS)
    across: int = 45
    """Scenes in a row and in a column."""


def run(options: Options) -> list[Sheet]:
    """Builds the overviews of one archive of each kind."""
    rows = [_measured(KINDS[name], options.across) for name in options.kinds]
    sheet = Sheet(
        f"Overviews of {options.across**2:,} scenes",
        ("scenes are", "all: CPU s", "CPU ms a scene", "peak MB", "one: CPU ms", "MB written"),
        rows,
        _NOTES,
    )
    show(sheet)
    return [sheet]


def _measured(kind: Kind, across: int) -> Sequence[Value]:
    with TemporaryDirectory(prefix="bench-build-") as name:
        folder = Path(name)
        scenes = folder / "scenes"
        scenes.mkdir()
        with step(f"{kind.name}: {across**2:,} scenes"):
            boxes = write_scenes(scenes, across, kind)
        settings = Settings(
            index=f"sqlite:///{folder / 'index.db'}", allowed_prefixes=(str(scenes),)
        )
        with running(settings) as services:
            policy = OverviewPolicy(assets=kind.assets)
            mosaic = services.mosaics.create(Mosaic(id="m", overviews=policy))
            with step(f"{kind.name}: ingest"):
                ingest(services, mosaic, scenes, boxes, kind)
            with step(f"{kind.name}: all"):
                cpu_s, peak_mb = _build(settings)
            middle = sorted(boxes)[len(boxes) // 2]
            ingest(services, mosaic, scenes, {middle: boxes[middle]}, kind, datetime.now(UTC))
            with step(f"{kind.name}: one"), building(services) as builder:
                tally, lap = timed(lambda: builder.run("m"))
            if not tally.drawn:
                raise RuntimeError("nothing was made anew")
        written = sum(file.stat().st_size for file in folder.glob("index.db.overviews/**/*.tif"))
    return (kind.name, cpu_s, 1000 * cpu_s / len(boxes), peak_mb, lap.cpu_ms, written / 1e6)


def _build(settings: Settings) -> tuple[float, float]:
    """CPU seconds and peak memory of the command."""
    environment = {
        **os.environ,
        "LIVEMOSAIC_INDEX": settings.index,
        "LIVEMOSAIC_ALLOWED_PREFIXES": ",".join(settings.allowed_prefixes),
    }
    command = [sys.executable, "-c", _MEASURED, "overviews", "build", "m"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the builder ended with status {done.returncode}: {done.stderr[-600:]}")
    cpu_s, peak = json.loads(done.stdout.splitlines()[-1])
    return cpu_s, peak
