"""Tiles made by livemosaic and by its peer, in one process, one at a time."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import morecantile
import shapely
from cogeo_mosaic.backends.memory import MemoryBackend
from cogeo_mosaic.mosaic import MosaicJSON
from rio_tiler.io import Reader

from bench.lap import Lap, timed
from bench.meter import Metered, Usage
from bench.rasters import Scene
from bench.servers import ObjectStore
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Render
from livemosaic.render.encode import encode
from livemosaic.services import Services, build
from livemosaic.settings import Settings
from livemosaic.table import Table
from livemosaic.tiler.views import TileAddress

SIZE: Final = 256
_TMS: Final = "WebMercatorQuad"

GDAL: Final = {
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif",
    "CPL_VSIL_CURL_CACHE_SIZE": "200000000",
    "GDAL_BAND_BLOCK_CACHE": "HASHSET",
    "GDAL_CACHEMAX": "200",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_VERSION": "2",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "VSI_CACHE": "TRUE",
    "VSI_CACHE_SIZE": "5000000",
}
"""TiTiler's "Performance tuning" guide. livemosaic opens these files without GDAL."""


@dataclass(frozen=True, slots=True)
class Made:
    """A tile that was made."""

    making: Lap
    """All of it but the image."""
    encoding: Lap
    usage: Usage | None = None
    """Of the index; None where it is in memory."""
    fast: Lap | None = None
    """Encoding once more, at the level that livemosaic takes."""


class Maker(Protocol):
    """Makes PNG tiles of one archive."""

    def tile(self, tile: morecantile.Tile, alias: str | None) -> Made:
        """Make a tile; with an alias, with nothing opened or remembered before."""
        ...

    def warm(self) -> None:
        """Open every file, so that its header is remembered."""
        ...


class Livemosaic:
    """`livemosaic.tiler.picture` and `livemosaic.render.encode`, without HTTP in front."""

    def __init__(self, table: Table, store: ObjectStore, mosaic: str) -> None:
        self._meter = Metered(table)
        self._mosaic = mosaic
        self._settings = Settings.model_construct(allowed_prefixes=(store.url,))
        self._services = self._new()
        self._runner = asyncio.Runner()

    def tile(self, tile: morecantile.Tile, alias: str | None) -> Made:
        if alias is not None:
            self._close_services()
            self._services = self._new()
        self._meter.take()
        address = TileAddress(_TMS, tile.z, tile.x, tile.y)
        loop = self._runner.get_loop()  # `Runner.run` spells out the result, arrays and all
        made, making = timed(lambda: loop.run_until_complete(self._made(address)))
        _, encoding = timed(lambda: encode(made.pixels, Render(format="png"), made.grid))
        if made.skipped or made.truncated:
            raise RuntimeError(f"{tile}: skipped {made.skipped}, truncated {made.truncated!r}")
        return Made(making, encoding, self._meter.take())

    async def _made(self, address: TileAddress) -> Any:
        services = self._services
        mosaic = services.cache.get(self._mosaic)
        draft = services.tiler.draft(mosaic, address.view(mosaic, SIZE), Read())
        return await services.tiler.make(draft)

    def warm(self) -> None:
        self._runner.run(self._open_all())

    async def _open_all(self) -> None:
        # A few pixels of each file are read with it: the reader remembers headers, no pixels.
        services = self._services
        mosaic = services.mosaics.get(self._mosaic)
        scenes, _ = services.index.list_scenes(mosaic, limit=10_000)
        for scene in scenes:
            west, south, east, north = scene.footprint.bounds
            middle = morecantile.tms.get(_TMS).tile((west + east) / 2, (south + north) / 2, 14)
            grid = TileAddress(_TMS, middle.z, middle.x, middle.y).grid(8)
            await services.tiler.reader.read(
                scene.assets,
                grid,
                Read(),
                version=scene.version,
                encodings={},
                allowance=None,
            )

    def create(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Make the mosaic, of these Items."""
        mosaic = self._services.mosaics.create(Mosaic(id=self._mosaic))
        now = datetime.now(UTC)
        messages = [Message(str(n), json.dumps(item), now, {}) for n, item in enumerate(items)]
        for outcome in self._services.ingest.batch(messages, only=mosaic):
            if not outcome.ok:
                raise RuntimeError(outcome.reason)

    def close(self) -> None:
        self._runner.close()
        self._close_services()

    def _new(self) -> Services:
        return build(self._settings, self._meter)

    def _close_services(self) -> None:
        self._services.index.pool.shutdown()


@contextmanager
def open_livemosaic(
    table: Table, store: ObjectStore, mosaic: str, items: Sequence[Mapping[str, Any]]
) -> Iterator[Livemosaic]:
    """A new mosaic of these Items."""
    maker = Livemosaic(table, store, mosaic)
    try:
        maker.create(items)
        yield maker
    finally:
        maker.close()


@dataclass(frozen=True, slots=True)
class RioTiler:
    """`rio_tiler.mosaic` on a mosaic.json in memory: what titiler.mosaic does, without HTTP."""

    mosaic: MosaicJSON
    store: ObjectStore
    names: Sequence[str]

    @classmethod
    def of(cls, store: ObjectStore, scenes: Sequence[Scene], names: Sequence[str]) -> "RioTiler":
        """A mosaic of scenes, newest first, at paths with the given names."""
        features = [
            {
                "type": "Feature",
                "geometry": json.loads(shapely.to_geojson(scene.lonlat)),
                "properties": {"path": name},
            }
            for scene, name in zip(scenes, names, strict=True)
        ]
        mosaic = MosaicJSON.from_features(
            features, minzoom=8, maxzoom=14, quadkey_zoom=10, quiet=True
        )
        return cls(mosaic, store, names)

    def tile(self, tile: morecantile.Tile, alias: str | None) -> Made:
        mosaic = self.mosaic.model_copy(
            update={"asset_prefix": self.store.href("", alias or "warm")}
        )
        backend = MemoryBackend(mosaic_def=mosaic)
        (image, _), making = timed(lambda: backend.tile(tile.x, tile.y, tile.z, tilesize=SIZE))
        _, encoding = timed(lambda: image.render(img_format="PNG"))
        _, fast = timed(lambda: image.render(img_format="PNG", zlevel=1))
        return Made(making, encoding, fast=fast)

    def warm(self) -> None:
        for name in self.names:
            with Reader(self.store.href(name, "warm")):
                pass
