"""Cold start of a handler before its first request: livemosaic's handlers and TiTiler's.

Fresh processes, in turn, that import what Lambda's runtime would: from our bundle, unpacked, with
the SDK beside it; from TiTiler's own environment, with a handler as its documentation makes one.
"""

import importlib.util
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZipFile

from bench import environments
from bench.places import REGION
from bench.report import Sheet, show, step
from livemosaic_cdk.bundle import Architecture, Target, build

_RUNTIME: Final = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What Lambda's Python has (Lambda Developer Guide, "Runtime dependencies in Python")."""
_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nobody",
    "AWS_REGION": REGION,
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "LIVEMOSAIC_INDEX": f"dynamodb://{REGION}/livemosaic",
    "LIVEMOSAIC_ALLOWED_PREFIXES": "s3://scenes/",
    "PATH": "",
}
_CHILD: Final = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
exec(sys.argv[2])
import time
print(json.dumps([time.process_time() * 1000, len(sys.modules)]), flush=True)
"""
_TITILER: Final = """
from cogeo_mosaic.backends.file import FileBackend
from fastapi import FastAPI
from mangum import Mangum
from titiler.core.errors import DEFAULT_STATUS_CODES, add_exception_handlers
from titiler.mosaic.errors import MOSAIC_STATUS_CODES
from titiler.mosaic.factory import MosaicTilerFactory
app = FastAPI()
app.include_router(MosaicTilerFactory(backend=FileBackend).router)
add_exception_handlers(app, {**DEFAULT_STATUS_CODES, **MOSAIC_STATUS_CODES})
handler = Mangum(app, lifespan="off")
"""


@dataclass(frozen=True, slots=True)
class Handler:
    """A program that is ready for its first request once it has run."""

    name: str
    python: Path
    code: str
    path: Sequence[Path]


@dataclass(frozen=True, slots=True)
class Start:
    """One process: until its handler was ready."""

    wall_ms: float
    cpu_ms: float
    modules: int


def run(starts: int, peer: bool) -> list[Sheet]:
    """Medians of as many starts of each."""
    with TemporaryDirectory(prefix="livemosaic-imports-") as folder:
        handlers = _handlers(Path(folder), peer=peer)
        with step(f"{starts} starts of each"):
            for handler in handlers:
                _start(handler)  # which writes bytecode, and brings files into the page cache
            measured = [[_start(handler) for handler in handlers] for _ in range(starts)]
    names = [handler.name for handler in handlers]
    sheet = _sheet(dict(zip(names, zip(*measured, strict=True), strict=True)), starts)
    show(sheet)
    return [sheet]


def _handlers(folder: Path, *, peer: bool) -> list[Handler]:
    task, runtime, mangum = folder / "task", folder / "runtime", folder / "mangum"
    machine: Architecture = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with ZipFile(build(Target(machine, version))) as bundle:
        bundle.extractall(task)
    _link(runtime, _RUNTIME)
    here = Path(sys.executable)
    ours = [
        Handler(f"livemosaic, {name}", here, f"import {name}", (task, runtime))
        for name in ("tiler", "ingest")
    ]
    if not peer:
        return ours
    with step("TiTiler's environment"):
        python = environments.interpreter("titiler")
    _link(mangum, ("mangum",))  # which that environment lacks
    packages = python.parents[1] / "lib" / f"python{version}" / "site-packages"
    return [*ours, Handler("titiler.mosaic", python, _TITILER, (packages, mangum))]


def _link(folder: Path, names: Sequence[str]) -> None:
    """Packages of this environment, and none of their neighbours."""
    folder.mkdir()
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{name} is not installed for {sys.executable}")
        origin = Path(spec.origin)
        found = origin.parent if origin.name == "__init__.py" else origin
        (folder / found.name).symlink_to(found)


def _start(handler: Handler) -> Start:
    path = json.dumps([str(folder) for folder in handler.path])
    begin = time.perf_counter()
    with subprocess.Popen(
        # -I and -S: no environment of Python's, no user's packages, none of the one at hand.
        [handler.python, "-I", "-S", "-c", _CHILD, path, handler.code],
        env=_ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        wall_ms = (time.perf_counter() - begin) * 1000
    if process.returncode:
        raise RuntimeError(f"{handler.name} did not start; see its output above")
    return Start(wall_ms, *json.loads(line))


def _sheet(measured: Mapping[str, Sequence[Start]], starts: int) -> Sheet:
    wall = {name: statistics.median(one.wall_ms for one in all_) for name, all_ in measured.items()}
    cpu = {name: statistics.median(one.cpu_ms for one in all_) for name, all_ in measured.items()}
    last = list(measured)[-1]
    return Sheet(
        "Start of a process until its handler is ready",
        ("handler", "wall ms", "/ last row", "CPU ms", "/ last row", "modules"),
        [
            (name, wall[name], wall[name] / wall[last], cpu[name], cpu[name] / cpu[last], count)
            for name, count in ((name, all_[0].modules) for name, all_ in measured.items())
        ],
        notes=(f"Median of {starts} fresh processes each, in turn; the files in the page cache.",),
    )
