"""A server in this process, and scenes with known pixels on one map tile. For any test to use.

Rasters are made of pixels of the tile `Z`/`X`/`Y` of WebMercatorQuad, one to one, so that what is
written is what a tile must show: no resampling lies between them.
"""

import io
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rio_tiler.io import Reader
from rio_tiler.models import ImageData
from starlette.testclient import TestClient

from cogs import write_cog
from items import box, item
from livemosaic.api.app import App
from livemosaic.cli.serve.server import listening
from livemosaic.cli.serve.server import server as asgi_server
from livemosaic.services import Services, running
from livemosaic.settings import Settings
from livemosaic.table import Table

TOKEN = "a token for tests"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
JSON = {**AUTHORIZED, "Content-Type": "application/json"}

WEB = morecantile.tms.get("WebMercatorQuad")
Z, X, Y = 10, 534, 365
SIZE = 256
EDGE = WEB.xy_bounds(morecantile.Tile(X, Y, Z))
STEP = (EDGE.right - EDGE.left) / SIZE

Part = tuple[int, int, int, int]
"""First column, first row, one past the last column, one past the last row; pixels of the tile."""
WHOLE: Part = (0, 0, SIZE, SIZE)
LEFT: Part = (0, 0, SIZE // 2, SIZE)
RIGHT: Part = (SIZE // 2, 0, SIZE, SIZE)


def tile_url(suffix: str = "", mosaic: str = "m", tile: tuple[int, int, int] = (Z, X, Y)) -> str:
    z, x, y = tile
    return f"/mosaics/{mosaic}/tiles/WebMercatorQuad/{z}/{x}/{y}{suffix}"


def transform(part: Part = WHOLE, step: float = STEP) -> Affine:
    return Affine(step, 0, EDGE.left + part[0] * STEP, 0, -step, EDGE.top - part[1] * STEP)


def footprint(part: Part = WHOLE) -> dict[str, Any]:
    """A GeoJSON rectangle of some pixels of the tile."""
    west, north = WEB.lnglat(EDGE.left + part[0] * STEP, EDGE.top - part[1] * STEP)
    east, south = WEB.lnglat(EDGE.left + part[2] * STEP, EDGE.top - part[3] * STEP)
    return box(west, south, east, north)


def raster(path: Path, values: ArrayLike, part: Part = WHOLE, **creation: Any) -> Path:
    """A COG of some pixels of the tile.

    `values` is one number for a single band, one per band, or an array (bands, height, width).
    """
    values = np.asarray(values)
    if values.ndim < 3:
        dtype = creation.pop("dtype", "uint8")
        shape = (values.size, part[3] - part[1], part[2] - part[0])
        values = np.broadcast_to(values.reshape(-1, 1, 1), shape).astype(dtype)
    given = {"crs": "EPSG:3857", "transform": transform(part), **creation}
    return write_cog(path, values, **given)


@dataclass(frozen=True)
class Picture:
    """A tile as npy."""

    data: NDArray[Any]
    """Shape (bands, height, width)."""
    valid: NDArray[np.bool_]
    headers: Mapping[str, str]

    @property
    def scenes(self) -> list[str]:
        return [name for name in self.headers["X-Scenes"].split(",") if name]

    def at(self, column: int, row: int = SIZE // 2) -> list[Any] | None:
        """Values of all bands; None where the pixel is not valid."""
        return self.data[:, row, column].tolist() if self.valid[row, column] else None


@dataclass
class Server:
    """What tests ask, and shortcuts to say what they are about."""

    client: TestClient
    services: Services
    folder: Path
    href: str
    """What asset hrefs start with: the folder, or a URL at which it is served."""
    _made: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def create(self, mosaic: str = "m", **settings: Any) -> dict[str, Any]:
        answer = self.client.post("/mosaics", json={"id": mosaic, **settings}, headers=AUTHORIZED)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def post(self, document: Any, mosaic: str = "m") -> Any:
        return self.client.post(f"/mosaics/{mosaic}/items", json=document, headers=AUTHORIZED)

    def add(self, *documents: Mapping[str, Any], mosaic: str = "m") -> None:
        """Put items in, all of which must be taken."""
        collection = {"type": "FeatureCollection", "features": list(documents)}
        answer = self.post(collection, mosaic)
        assert answer.status_code == 200, answer.text

    def publish(
        self,
        name: str,
        values: ArrayLike,
        part: Part = WHOLE,
        *,
        claims: Part | None = None,
        day: int = 1,
        mosaic: str = "m",
        **creation: Any,
    ) -> Path:
        """Write a COG of one asset and put its item in; `claims` is what the footprint says."""
        path = raster(self.folder / f"{name}-{next(self._made)}.tif", values, part, **creation)
        self.add(scene(name, self.url(path), claims or part, day=day), mosaic=mosaic)
        return path

    def url(self, path: Path | str) -> str:
        return f"{self.href}/{Path(path).name}"

    def get(self, url: str, **query: Any) -> Any:
        return self.client.get(url, params=query or None)

    def tile(self, suffix: str = "", mosaic: str = "m", **query: Any) -> Any:
        """The tile that all rasters are made on."""
        return self.get(tile_url(suffix, mosaic), **query)

    def picture(self, url: str | None = None, **query: Any) -> Picture:
        """The same as pixels, or those of another tile."""
        answer = self.get(f"{url or tile_url()}.npy", **query)
        assert answer.status_code == 200, answer.text
        bands = np.load(io.BytesIO(answer.content))
        return Picture(bands[:-1], bands[-1] != 0, answer.headers)


def scene(
    name: str,
    assets: str | Mapping[str, str],
    part: Part = WHOLE,
    *,
    day: int = 1,
    **rest: Any,
) -> dict[str, Any]:
    """An item over some pixels of the tile; the larger the day, the newer."""
    hrefs = {"visual": assets} if isinstance(assets, str) else assets
    return item(
        name,
        footprint(part),
        datetime=f"2026-01-{day:02}T00:00:00Z",
        assets={key: {"href": href, "type": "image/tiff"} for key, href in hrefs.items()},
        **rest,
    )


@contextmanager
def serving(
    table: Table,
    folder: Path,
    *,
    href: str | None = None,
    pixel_version: str = "of the tests",
    **settings: Any,
) -> Iterator[Server]:
    """A server on a table that may read a folder. Settings of a mosaic are never stale."""
    given = {
        "token": TOKEN,
        "allowed_prefixes": (href or str(folder),),
        "mosaic_max_age_s": 0,
        "signing_keys": str(folder / "signing.keys"),
        **settings,
    }
    with running(Settings(**given), table) as built:
        services = replace(built, pixel_version=lambda: pixel_version)
        with TestClient(App(services), raise_server_exceptions=False) as client:
            yield Server(client, services, folder, href or str(folder))


def on_socket(server: Server) -> AbstractContextManager[str]:
    """The URL of the same application on a socket, for clients that are other programs."""
    return app_on_socket(server.client.app)


@contextmanager
def app_on_socket(app: Any) -> Iterator[str]:
    """The URL of an ASGI application on a free port of this machine."""
    with listening("127.0.0.1", 0) as listener:
        running = asgi_server(app)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        while not running.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()


@contextmanager
def quiet() -> Iterator[None]:
    """rasterio multiplies affines with `*`, which affine 3 would rather see as `@`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def rio_tile(
    path: Path,
    tile: Sequence[int],
    tms: str = "WebMercatorQuad",
    *,
    overview: int | None = None,
    **how: Any,
) -> ImageData:
    """The oracle: a tile z, x, y of one file, by rio-tiler.

    `overview` is read if it is named, or the coarsest where the file has less of them.
    """
    z, x, y = tile
    with (
        quiet(),
        rasterio.open(path, **_level(path, overview)) as dataset,
        Reader(None, dataset=dataset, tms=morecantile.tms.get(tms)) as source,
    ):
        return source.tile(x, y, z, **how)


def _level(path: Path, overview: int | None) -> dict[str, str]:
    if overview is None:
        return {}
    with rasterio.open(path) as dataset:
        return {"OVERVIEW_LEVEL": f"{min(overview, len(dataset.overviews(1)) - 1)}only"}
