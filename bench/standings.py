"""Result tables of a race."""

from collections.abc import Mapping, Sequence
from statistics import mean, median

import numpy as np

from bench.asking import Burst, Sample, agreement
from bench.contenders import FLOOR, SQLITE
from bench.report import Sheet, Value

Results = Mapping[str, Sequence[Sample]]
"""By contender, tiles in the same order for all."""


def tile_sheet(title: str, groups: Mapping[str, Results], notes: Sequence[str]) -> Sheet:
    rows: list[Sequence[Value]] = []
    for group, by in groups.items():
        for name, made in by.items():
            rows.append((group, name, *_cost(made), *_against(by, name)))
    return Sheet(
        f"A tile of 256 × 256 as PNG — {title}",
        ("", "maker", "median ms", "p90 ms", "CPU ms", "behind ms", "requests", "per file", "KB",
         "calls", "same", "ours / it", "CPU ours / it"),
        rows,
        ("ours: livemosaic on SQLite. titiler: titiler.mosaic on a mosaic.json.", *notes),
    )  # fmt: skip


def _cost(made: Sequence[Sample]) -> list[Value]:
    behind = [one.behind_ms for one in made if one.behind_ms is not None]
    calls = [one.calls for one in made if one.calls is not None]
    return [
        median(one.wall_ms for one in made),
        float(np.quantile([one.wall_ms for one in made], 0.9)),
        mean(one.cpu_ms for one in made),
        mean(behind) if behind else None,
        mean(one.traffic.requests for one in made),
        sum(one.traffic.requests for one in made) / sum(one.shown for one in made),
        mean(one.traffic.bytes for one in made) / 1024,
        mean(calls) if calls else None,
    ]


def _against(by: Results, name: str) -> list[Value]:
    same = None
    if FLOOR in by and name != FLOOR:
        pairs = zip(by[name], by[FLOOR], strict=True)
        same = f"{mean(agreement(one.body, floor.body) for one, floor in pairs):.1%}"
    if SQLITE not in by or name == SQLITE:
        return [same, None, None]
    ours, theirs = by[SQLITE], by[name]
    return [
        same,
        median(one.wall_ms for one in ours) / median(one.wall_ms for one in theirs),
        mean(one.cpu_ms for one in ours) / mean(one.cpu_ms for one in theirs),
    ]


def burst_sheet(
    title: str, bursts: Mapping[str, Sequence[Burst]], peaks: Mapping[str, float]
) -> Sheet:
    speed = {name: median(burst.tiles_per_s for burst in made) for name, made in bursts.items()}
    return Sheet(
        title,
        ("maker", "tiles per s", "median ms", "CPU ms", "peak MB", "ours / it"),
        [
            (
                name,
                speed[name],
                median(burst.latency_ms for burst in made),
                median(burst.cpu_ms for burst in made),
                peaks[name],
                speed[SQLITE] / speed[name] if SQLITE in speed and name != SQLITE else None,
            )
            for name, made in bursts.items()
        ],
        (
            "peak MB: of the process since its start, including single requests before; without "
            "PostgreSQL.",
            "Client, object store and database run on the same processors.",
        ),
    )


def view_sheet(title: str, views: Mapping[str, Sequence[Burst]]) -> Sheet:
    rows: list[Sequence[Value]] = []
    for name, made in views.items():
        if not made:
            continue
        tiles = sum(view.tiles for view in made)
        requests = sum(view.traffic.requests for view in made)
        rows.append(
            (
                name,
                median(view.wall_ms for view in made),
                median(view.latency_ms for view in made),
                mean(view.cpu_ms for view in made),
                requests / tiles,
                requests / sum(view.shown for view in made),
                sum(view.traffic.bytes for view in made) / tiles / 1024,
            )
        )
    return Sheet(
        title,
        ("maker", "view ms", "median ms", "CPU ms", "requests", "per file", "KB"),
        rows,
        (
            "view ms: until the last tile has arrived. Other columns: per tile. Tiles of a view "
            "share blocks, which livemosaic",
            "caches for seconds, and GDAL until its cache is full.",
        ),
    )


def deep_sheet(title: str, deep: Mapping[int, Results]) -> Sheet:
    rows = []
    for depth, by in deep.items():
        for name, made in by.items():
            read = [one.rows for one in made if one.rows is not None]
            median_ms, p90, cpu, behind, requests, _, _, calls = _cost(made)
            rows.append(
                (depth, name, median_ms, p90, cpu, behind, requests, calls,
                 mean(read) if read else None)
            )  # fmt: skip
    return Sheet(
        title,
        ("scenes", "maker", "median ms", "p90 ms", "CPU ms", "behind ms", "requests", "calls",
         "rows"),
        rows,
        ("One file is needed. calls and rows: of the index.",),
    )  # fmt: skip
