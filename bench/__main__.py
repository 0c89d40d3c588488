"""`python -m bench COMMAND`; see `python -m bench --help`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.report import Sheet, save, step

_EXAMPLES = """\
examples:
  python -m bench race
  python -m bench race --quick
  python -m bench race --makers sqlite,titiler,floor --zooms 12,13 --no-kinds
  python -m bench race --archive build/archive --json race.json
  python -m bench ingest
  python -m bench ingest --quick
  python -m bench ingest --tables sqlite --sizes 1000,10000 --no-peer --json ingest.json
  python -m bench tiles
  python -m bench tiles --tables sqlite --zooms 12,13 --tiles 30 --delay-ms 50
  python -m bench tiles --archive /data/bench --deep --json tiles.json
  python -m bench cells
  python -m bench low --across 20
  python -m bench whole --across 20
  python -m bench derived --across 16
  python -m bench vector --scenes 10000
  python -m bench edges --depths 10,300
  python -m bench build --kinds rgb,float32 --across 20
  python -m bench pmtiles --across 20
  python -m bench views
  python -m bench views --makers sqlite,titiler-pgstac --zooms 3,6,9 --archive build/boreal
  python -m bench imports

Tables of results go to stdout, progress to stderr. A run compares its contenders with each other on
one machine; do not compare times of different runs.
"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=sys.modules["bench"].__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--tables",
        type=_names,
        default=("sqlite", "dynamodb"),
        metavar="NAMES",
        help="sqlite, dynamodb (an emulator, started automatically); default: both",
    )
    shared.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    shared.add_argument(
        "--no-peer", dest="peer", action="store_false", help="skip the comparison with the peer"
    )
    ingest = commands.add_parser("ingest", parents=[shared], help="cost of an event")
    ingest.add_argument(
        "--shapes",
        type=_names,
        default=("sentinel-2", "landsat", "drone"),
        metavar="NAMES",
        help="kinds of archives: %(default)s",
    )
    ingest.add_argument(
        "--sizes",
        type=_numbers,
        default=(1000, 10_000, 50_000, 100_000),
        help="numbers of scenes at which the growing mosaic is measured: %(default)s",
    )
    ingest.add_argument("--events", type=int, default=40, help="events per kind: %(default)s")
    ingest.add_argument("--workers", type=int, default=20, help="concurrent workers: %(default)s")
    ingest.add_argument(
        "--quick", action="store_true", help="up to 2,000 scenes, about three minutes"
    )
    tiles = commands.add_parser("tiles", parents=[shared], help="cost of a tile")
    _add_archive(tiles, tiles=12)
    tiles.add_argument("--archive", type=Path, metavar="DIR", help="keep the archive (1 GB) there")
    tiles.add_argument("--deep", action="store_true", help="stacks of up to 1,000 scenes, not 200")
    low = commands.add_parser("low", help="tiles of low zooms, of overviews and of scenes alone")
    low.add_argument(
        "--across", type=int, default=45, help="scenes in a row and in a column: %(default)s"
    )
    low.add_argument("--tiles", type=int, default=5, help="tiles per zoom: %(default)s")
    low.add_argument("--times", type=int, default=9, help="times a tile is made: %(default)s")
    low.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    whole = commands.add_parser("whole", help="statistics of a whole mosaic")
    whole.add_argument(
        "--across", type=int, default=100, help="scenes in a row and in a column: %(default)s"
    )
    whole.add_argument("--times", type=int, default=9, help="times each: %(default)s")
    whole.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    vector = commands.add_parser("vector", help="vector tiles of the index, and archives of them")
    vector.add_argument("--scenes", type=int, default=10_000, help="how many: %(default)s")
    vector.add_argument("--times", type=int, default=9, help="times each: %(default)s")
    vector.add_argument(
        "--maxzoom", type=int, default=10, help="last zoom of archives: %(default)s"
    )
    vector.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    derived = commands.add_parser("derived", help="tiles of a derived mosaic")
    derived.add_argument(
        "--across", type=int, default=24, help="scenes in a row and in a column: %(default)s"
    )
    derived.add_argument("--times", type=int, default=15, help="times each: %(default)s")
    derived.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    edges = commands.add_parser("edges", help="tiles at the edge of deep stacks of scenes")
    edges.add_argument(
        "--depths", type=_numbers, default=(10, 100, 1500), help="scenes: %(default)s"
    )
    edges.add_argument("--times", type=int, default=5, help="times a tile is made: %(default)s")
    edges.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    build = commands.add_parser("build", help="cost of building overviews, by kinds of files")
    build.add_argument(
        "--kinds",
        type=_names,
        default=(),
        metavar="NAMES",
        help="some of rgb, uint16x4, float32, files; default: all",
    )
    build.add_argument(
        "--across", type=int, default=45, help="scenes in a row and in a column: %(default)s"
    )
    build.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    pmtiles = commands.add_parser("pmtiles", help="archives of tiles, and after some changes")
    pmtiles.add_argument(
        "--across", type=int, default=45, help="scenes in a row and in a column: %(default)s"
    )
    pmtiles.add_argument(
        "--maxzoom", type=int, default=10, help="deepest zoom that is baked, too: %(default)s"
    )
    pmtiles.add_argument(
        "--deepest", type=int, default=14, help="deepest zoom of exports: %(default)s"
    )
    pmtiles.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    _add_race(commands)
    _add_views(commands)
    cells = commands.add_parser("cells", help="cost of writing an overview cell")
    cells.add_argument("--times", type=int, default=5, help="times each: %(default)s")
    cells.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    imports = commands.add_parser("imports", help="cold start of a handler")
    imports.add_argument("--starts", type=int, default=9, help="starts per handler: %(default)s")
    imports.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    imports.add_argument(
        "--no-peer", dest="peer", action="store_false", help="skip the comparison with the peer"
    )
    commands.add_parser("peers", help="install the environments of the peers in the race")
    return parser


def _add_archive(command: argparse.ArgumentParser, *, tiles: int) -> None:
    command.add_argument(
        "--zooms", type=_numbers, default=(10, 12, 13, 14), help="zooms of tiles: %(default)s"
    )
    command.add_argument("--tiles", type=int, default=tiles, help="tiles per zoom: %(default)s")
    command.add_argument(
        "--scenes", type=int, default=30, help="scenes in the archive: %(default)s"
    )
    command.add_argument(
        "--delay-ms",
        type=float,
        default=20,
        metavar="MS",
        help="latency of each request for bytes: %(default)s",
    )


def _add_race(commands: Any) -> None:
    race = commands.add_parser("race", help="tiles from servers, next to the peers")
    race.add_argument(
        "--quick", action="store_true", help="fewer tiles, scenes and processes, about two minutes"
    )
    race.add_argument(
        "--makers",
        type=_names,
        default=(),
        metavar="NAMES",
        help="some of sqlite, dynamodb, sqlite-gap8mb, titiler, titiler-pngraw, titiler-dynamodb, "
        "titiler-pgstac, floor; default: all",
    )
    _add_archive(race, tiles=10)
    race.add_argument("--cold", type=int, default=5, help="fresh processes per maker: %(default)s")
    race.add_argument(
        "--depths",
        type=_numbers,
        default=(10, 100, 1000),
        help="scenes in stacks over one place: %(default)s",
    )
    race.add_argument(
        "--no-kinds",
        dest="kinds",
        action="store_false",
        help="only RGB, 8 bits, deflate; no other kinds of files",
    )
    race.add_argument("--archive", type=Path, metavar="DIR", help="keep the archive (1.5 GB) there")
    race.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")


def _add_views(commands: Any) -> None:
    views = commands.add_parser(
        "views", help="maps at low zooms over 4,900 COGs, next to the peers"
    )
    views.add_argument(
        "--makers",
        type=_names,
        default=(),
        metavar="NAMES",
        help="some of sqlite, dynamodb, titiler-dynamodb, titiler-pgstac; default: all",
    )
    views.add_argument(
        "--zooms", type=_numbers, default=tuple(range(3, 11)), help="zooms: %(default)s"
    )
    views.add_argument(
        "--across", type=int, default=70, help="scenes in a row and in a column: %(default)s"
    )
    views.add_argument(
        "--delay-ms",
        type=float,
        default=20,
        metavar="MS",
        help="latency of each request for bytes: %(default)s",
    )
    views.add_argument(
        "--patience-s", type=float, default=60, metavar="S", help="time of a tile: %(default)s"
    )
    views.add_argument("--archive", type=Path, metavar="DIR", help="keep the archive (2 GB) there")
    views.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one benchmark."""
    given = _parser().parse_args(arguments)
    sheets = _COMMANDS[given.command](given)
    if sheets and given.json:
        save(sheets, given.json)


# Imported late: `--help` needs none of the measured libraries.


def _ingest(given: argparse.Namespace) -> list[Sheet]:
    # Its workers are threads here; elsewhere each is a process, with a cache of its own.
    os.environ["COGEO_MOSAIC_CACHE_DISABLE"] = "true"
    from bench import ingest

    options = ingest.Options(
        tables=given.tables,
        shapes=given.shapes,
        sizes=given.sizes,
        events=given.events,
        workers=given.workers,
        peer=given.peer,
    )
    return ingest.run(options.quick() if given.quick else options)


def _tiles(given: argparse.Namespace) -> list[Sheet]:
    from bench import tiles

    return tiles.run(
        tiles.Options(
            tables=given.tables,
            zooms=given.zooms,
            tiles=given.tiles,
            scenes=given.scenes,
            delay_ms=given.delay_ms,
            archive=given.archive,
            depths=(10, 100, 200, 1000) if given.deep else (10, 100, 200),
            peer=given.peer,
        )
    )


def _low(given: argparse.Namespace) -> list[Sheet]:
    from bench import low

    return low.run(low.Options(across=given.across, tiles=given.tiles, times=given.times))


def _pmtiles(given: argparse.Namespace) -> list[Sheet]:
    from bench import pmtiles

    return pmtiles.run(pmtiles.Options(given.across, given.maxzoom, given.deepest))


def _edges(given: argparse.Namespace) -> list[Sheet]:
    from bench import edges

    return edges.run(given.depths, given.times)


def _build(given: argparse.Namespace) -> list[Sheet]:
    from bench import build

    _check_known(given.kinds, tuple(build.KINDS))
    return build.run(build.Options(given.kinds or tuple(build.KINDS), given.across))


def _views(given: argparse.Namespace) -> list[Sheet]:
    from bench import views

    _check_known(given.makers, views.NAMES)
    return views.run(
        views.Options(
            names=given.makers or views.NAMES,
            zooms=given.zooms,
            across=given.across,
            delay_ms=given.delay_ms,
            patience_s=given.patience_s,
            archive=given.archive,
        )
    )


def _check_known(given: Sequence[str], known: Sequence[str]) -> None:
    if unknown := set(given) - set(known):
        raise SystemExit(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")


def _race(given: argparse.Namespace) -> list[Sheet]:
    from bench import contenders, race

    _check_known(given.makers, contenders.NAMES)
    options = race.Options(
        names=given.makers or contenders.NAMES,
        zooms=given.zooms,
        tiles=given.tiles,
        cold=given.cold,
        scenes=given.scenes,
        kinds=given.kinds,
        depths=given.depths,
        delay_ms=given.delay_ms,
        archive=given.archive,
    )
    return race.run(options.quick() if given.quick else options)


def _whole(given: argparse.Namespace) -> list[Sheet]:
    from bench import whole

    return whole.run(given.across, given.times)


def _vector(given: argparse.Namespace) -> list[Sheet]:
    from bench import vector

    return vector.run(given.scenes, given.times, given.maxzoom)


def _derived(given: argparse.Namespace) -> list[Sheet]:
    from bench import derived

    return derived.run(given.across, given.times)


def _cells(given: argparse.Namespace) -> list[Sheet]:
    from bench import cells

    return cells.run(given.times)


def _imports(given: argparse.Namespace) -> list[Sheet]:
    from bench import imports

    return imports.run(given.starts, given.peer)


def _peers(_: argparse.Namespace) -> list[Sheet]:
    from bench import environments

    for name in environments.NAMES:
        with step(f"packages of {name}"):
            environments.interpreter(name)
    return []


_COMMANDS: Final = {
    "ingest": _ingest,
    "tiles": _tiles,
    "low": _low,
    "whole": _whole,
    "derived": _derived,
    "vector": _vector,
    "pmtiles": _pmtiles,
    "edges": _edges,
    "build": _build,
    "race": _race,
    "views": _views,
    "cells": _cells,
    "imports": _imports,
    "peers": _peers,
}


if __name__ == "__main__":
    main()
