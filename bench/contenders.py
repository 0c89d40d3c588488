"""Contenders of the race: tile servers, and their data before they start."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import boto3
import morecantile
from cogeo_mosaic.backends.dynamodb import DynamoDBBackend
from cogeo_mosaic.mosaic import MosaicJSON

from bench import shelf
from bench.dynalite import DynaliteError, copied, dynalite
from bench.environments import PINS, PeerError, interpreter
from bench.lap import timed
from bench.makers import GDAL
from bench.places import NOBODY, REGION, aws_environment
from bench.postgres import PostgresError, postgres
from bench.rasters import Scene
from bench.report import step
from bench.servers import ObjectStore, tile_server
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.services import Services, running
from livemosaic.settings import Settings
from livemosaic.table import Table
from livemosaic.table.dynamodb import make_client
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.tools.emulator import free_port

SQLITE: Final = "sqlite"
DYNAMODB: Final = "dynamodb"
WIDE: Final = "sqlite-gap8mb"
"""With `LIVEMOSAIC_COALESCE_GAP_BYTES` for a store that is near, as the one here is."""
MEMORY: Final = "titiler"
RAW: Final = "titiler-pngraw"
"""The same, asked for TiTiler's `pngraw`: zlevel 1, as livemosaic writes PNG, where `png` has 6."""
BACKEND: Final = "titiler-dynamodb"
PGSTAC: Final = "titiler-pgstac"
FLOOR: Final = "floor"
OURS: Final = (SQLITE, DYNAMODB, WIDE)
NAMES: Final = (SQLITE, DYNAMODB, WIDE, MEMORY, RAW, BACKEND, PGSTAC, FLOOR)
CELL_ZOOM: Final = 11
"""`quadkey_zoom` of livemosaic and of mosaic.json alike, by default. It is finer than the one that
cogeo-mosaic takes, so that its cells list less, and the finest at which each scene has 16 cells of
livemosaic at most.
"""
_ALIAS: Final = "x"


@dataclass(frozen=True, slots=True)
class Stack:
    """Scenes behind one name, a mosaic at each contender."""

    name: str
    scenes: Sequence[Scene]
    """Oldest first; their names are paths in the store."""
    query: Sequence[tuple[str, str]] = ()
    """What a tile is asked for beside its place: bands and their range, as TiTiler names them."""
    cell_zoom: int = CELL_ZOOM
    overviews: bool = False
    """Whether livemosaic keeps overviews."""

    @property
    def in_files(self) -> bool:
        """Whether each band is a file of its own."""
        return self.scenes[0].kind.in_files

    @property
    def mosaic(self) -> Mosaic:
        """livemosaic's, before it has scenes."""
        policy = OverviewPolicy() if self.overviews else None
        return Mosaic(id=self.name, quadkey_zoom=self.cell_zoom, overviews=policy)

    def items(self, store: ObjectStore) -> list[dict[str, Any]]:
        """STAC Items, oldest first."""
        return [s.item(store.href(s.name, _ALIAS)) | {"collection": self.name} for s in self.scenes]

    def files(self, scene: str) -> list[str]:
        """Paths in the store of a scene's assets."""
        kind = self.scenes[0].kind
        return [kind.name_of(scene, asset) for asset in kind.assets]


@dataclass(frozen=True, slots=True)
class Contender:
    """One server, filled, not yet started."""

    name: str
    command: Callable[[int], Sequence[str]]
    path: Callable[[Stack, morecantile.Tile, Sequence[str]], str]
    """Of a tile's URL; names of the scenes that show are for the floor only, newest first."""
    environment: Mapping[str, str] = field(default_factory=dict)
    behind_s: Callable[[], float] | None = None
    """Seconds of processor that its database has taken."""

    @contextmanager
    def started(self) -> Iterator[tuple[int, int]]:
        """A fresh process that has answered nothing; its id and port."""
        port = free_port()
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment = {**own, **self.environment}
        with tile_server(self.name, self.command(port), port, environment) as pid:
            yield pid, port


@dataclass(frozen=True, slots=True)
class Contenders:
    """All that could be had."""

    there: Sequence[Contender]
    left_out: Mapping[str, str]
    """By name, the reason."""
    levels: Sequence[int]
    """Zooms at which livemosaic has cells, of the first stack."""


@contextmanager
def open_contenders(
    names: Sequence[str], stacks: Sequence[Stack], store: ObjectStore, archive: Path
) -> Iterator[Contenders]:
    """Fills the named contenders; unavailable ones are left out, with the reason."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="livemosaic-bench-")))
        filling = _Filling(stack, folder, stacks, store, archive)
        there, left_out = [], {}
        for name in names:
            try:
                with step(f"{name}: fill"):
                    there.append(filling.contender(name))
            except (DynaliteError, PeerError, PostgresError) as reason:
                left_out[name] = str(reason)
                print(f"\n{name} is left out: {reason}", file=sys.stderr)
        yield Contenders(there, left_out, sorted(filling.levels))


@dataclass(slots=True)
class _Filling:
    stack: ExitStack
    folder: Path
    stacks: Sequence[Stack]
    store: ObjectStore
    archive: Path
    levels: set[int] = field(default_factory=set)
    _filled: Path | None = None
    _endpoint: str | None = None
    _mosaics: dict[str, MosaicJSON] = field(default_factory=dict)

    def contender(self, name: str) -> Contender:
        return {
            SQLITE: lambda: self._sqlite(SQLITE),
            DYNAMODB: self._dynamodb,
            WIDE: lambda: self._sqlite(WIDE, "8388608"),
            MEMORY: lambda: self._memory(MEMORY),
            RAW: lambda: self._memory(RAW),
            BACKEND: self._backend,
            PGSTAC: self._pgstac,
            FLOOR: self._floor,
        }[name]()

    def _sqlite(self, name: str, *gap: str) -> Contender:
        return self._ours(name, f"sqlite:///{self._table()}", *gap)

    def _dynamodb(self) -> Contender:
        name, url = f"bench-{uuid4()}", self._dynalite()
        with aws_environment(NOBODY):
            client = make_client(REGION, url)
        source = SqliteTable(self._table())
        copied(source, client, name)
        source.close()
        return self._ours(DYNAMODB, f"dynamodb://{name}?{url}")

    def _ours(self, name: str, table: str, *gap: str) -> Contender:
        def path(stack: Stack, tile: morecantile.Tile, _: Sequence[str]) -> str:
            files = stack.scenes[0].kind.assets if stack.in_files else ()
            query = [*stack.query, *(("assets", asset) for asset in files)]
            text = f"?{urlencode(query)}" if query else ""
            return f"/mosaics/{stack.name}/tiles/{_place(tile)}.png{text}"

        return Contender(
            name,
            lambda port: [
                sys.executable, "-m", "bench.ours", str(port), self.store.url, table, *gap
            ],
            path,
            shelf.environment(self.store) if any(s.overviews for s in self.stacks) else {},
        )  # fmt: skip

    def _table(self) -> Path:
        """livemosaic's, filled by its own ingestion."""
        if self._filled is None:
            self._filled = self.folder / "ours.db"
            self._ingest(SqliteTable(self._filled))
        return self._filled

    def _ingest(self, table: Table) -> None:
        settings = Settings.model_construct(
            allowed_prefixes=(self.store.url,), overview_store=shelf.URL
        )
        with running(settings, table) as services, ThreadPoolExecutor(8) as pool:
            for stack in self.stacks:
                mosaic = services.mosaics.create(stack.mosaic)
                now = datetime.now(UTC)
                items = enumerate(stack.items(self.store))
                messages = [Message(str(n), json.dumps(item), now, {}) for n, item in items]
                for outcome in services.ingest.batch(messages, pool=pool, only=mosaic):
                    if not outcome.ok:
                        raise RuntimeError(outcome.reason)
                if stack.overviews:
                    self._build(services, stack)
            self.levels |= set(services.mosaics.get(self.stacks[0].name).levels)

    def _build(self, services: Services, stack: Stack) -> None:
        with shelf.building_into(self.archive, services) as builder:
            tally, lap = timed(lambda: builder.run(stack.name))
        print(
            f"\noverviews: {tally.drawn} blocks drawn, {tally.written} cells of "
            f"{tally.bytes / 1e6:.0f} MB; {lap.cpu_ms / len(stack.scenes):.1f} ms of CPU a scene",
            file=sys.stderr,
        )

    def _memory(self, name: str) -> Contender:
        for stack in self.stacks:
            text = self._mosaic_json(stack).model_dump_json(exclude_none=True)
            (self.folder / f"{stack.name}.json").write_text(text)
        return self._titiler(name, lambda stack: str(self.folder / f"{stack.name}.json"))

    def _backend(self) -> Contender:
        table = f"peer-{uuid4()}"
        with aws_environment(NOBODY):
            session = boto3.Session()
            client = session.resource("dynamodb", region_name=REGION, endpoint_url=self._dynalite())
        for stack in self.stacks:
            where = f"dynamodb://{REGION}/{table}:{stack.name}"
            backend: Any = DynamoDBBackend(
                where, mosaic_def=self._mosaic_json(stack), client=client
            )
            with redirect_stdout(StringIO()):  # it draws a progress bar
                backend.write()
        return self._titiler(
            BACKEND, lambda stack: f"dynamodb://{REGION}/{table}:{stack.name}", self._dynalite()
        )

    def _titiler(self, name: str, url: Callable[[Stack], str], *endpoint: str) -> Contender:
        python, script = interpreter("titiler"), PINS / "titiler_mosaic.py"

        def path(stack: Stack, tile: morecantile.Tile, _: Sequence[str]) -> str:
            files = [("assets", asset) for asset in stack.scenes[0].kind.assets]
            query = [("url", url(stack)), *stack.query, *(files if stack.in_files else [])]
            kind = "stac" if stack.in_files else "cog"
            image = "pngraw" if name == RAW else "png"
            return f"/{kind}/tiles/{_place(tile)}.{image}?tilesize=256&{urlencode(query)}"

        return Contender(
            name, lambda port: [str(python), str(script), str(port), *endpoint], path, GDAL
        )

    def _pgstac(self) -> Contender:
        python, script = interpreter("pgstac"), PINS / "titiler_pgstac.py"
        base = self.stack.enter_context(postgres())
        searches = self._load(python, base.url)

        def path(stack: Stack, tile: morecantile.Tile, _: Sequence[str]) -> str:
            bands = ",".join(value for name, value in stack.query if name == "bidx")
            query = [pair for pair in stack.query if pair[0] != "bidx"]
            query += [
                ("assets", f"{asset}|bidx={bands}" if bands else asset)
                for asset in stack.scenes[0].kind.assets
            ]
            where = f"/searches/{searches[stack.name]}/tiles/{_place(tile)}.png"
            return f"{where}?tilesize=256&{urlencode(query)}"

        return Contender(
            PGSTAC,
            lambda port: [str(python), str(script), str(port)],
            path,
            {**GDAL, "DATABASE_URL": base.url},
            base.cpu_s,
        )

    def _load(self, python: Path, url: str) -> dict[str, str]:
        folder = self.folder / "pgstac"
        folder.mkdir()
        for stack in self.stacks:
            lines = map(json.dumps, stack.items(self.store))
            (folder / f"{stack.name}.ndjson").write_text("\n".join(lines))
        command = [str(python), str(PINS / "load_pgstac.py"), url, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise PeerError(f"pgSTAC could not be filled: {done.stderr[-600:]}")
        searches: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return searches

    def _floor(self) -> Contender:
        def path(stack: Stack, tile: morecantile.Tile, shown: Sequence[str]) -> str:
            hrefs = ["|".join(stack.files(scene)) for scene in shown]
            query = [*stack.query, *(("href", href) for href in hrefs)]
            return f"/{tile.z}/{tile.x}/{tile.y}?{urlencode(query)}"

        return Contender(FLOOR, lambda port: [
            sys.executable, "-m", "bench.floor", str(port), str(self.archive), self.store.url
        ], path)  # fmt: skip

    def _dynalite(self) -> str:
        if self._endpoint is None:
            self._endpoint = self.stack.enter_context(dynalite())
        return self._endpoint

    def _mosaic_json(self, stack: Stack) -> MosaicJSON:
        if stack.name not in self._mosaics:
            self._mosaics[stack.name] = self._new_mosaic_json(stack)
        return self._mosaics[stack.name]

    def _new_mosaic_json(self, stack: Stack) -> MosaicJSON:
        features = []
        for item in reversed(stack.items(self.store)):
            [asset, *_] = item["assets"].values()
            path = self._kept(item) if stack.in_files else asset["href"]
            features.append(
                {"type": "Feature", "geometry": item["geometry"], "properties": {"path": path}}
            )
        mosaic: MosaicJSON = MosaicJSON.from_features(
            features,
            minzoom=min(8, stack.cell_zoom),
            maxzoom=14,
            quadkey_zoom=stack.cell_zoom,
            quiet=True,
        )
        return mosaic

    def _kept(self, item: Mapping[str, Any]) -> str:
        """An Item in the object store: what titiler.mosaic reads where a scene has many files."""
        name = Path(item["id"]).with_suffix(".json").name
        (self.archive / name).write_text(json.dumps(item))
        return self.store.href(name, _ALIAS)


def _place(tile: morecantile.Tile) -> str:
    return f"WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}"
