"""The least that a tile can cost with our libraries: `python -m bench.floor PORT FOLDER STORE_URL`.

The client names the visible scenes, the headers of all files are read from disk at the start, and
there is no index and no error handling. What remains: reading the blocks of one level of each scene
in one call to obstore, decoding by async-tiff, nearest-neighbour warping with numpy, and encoding
by livemosaic's encoder.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import morecantile
import numpy as np
import obstore
import uvicorn
from affine import Affine
from async_geotiff import GeoTIFF
from async_tiff import TIFF
from numpy.typing import NDArray
from obstore.store import HTTPStore
from pyproj import Transformer
from rasterio.crs import CRS

from livemosaic import process
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Render
from livemosaic.render.encode import encode

_SIZE = 256
_NODES = 17
_MAP = CRS.from_epsg(3857)
_TMS = morecantile.tms.get("WebMercatorQuad")

Pair = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]


class _Source:
    """Bytes of a file from disk while it is opened, from the store afterwards (obspec)."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.remote: HTTPStore | None = None
        self.path = ""

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Any:
        del path
        with self.file.open("rb") as file:
            file.seek(start)
            return file.read(length if end is None else end - start)

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Any:
        del path
        assert self.remote is not None
        return await obstore.get_ranges_async(
            self.remote, self.path, starts=starts, ends=ends, lengths=lengths
        )


@dataclass(frozen=True, slots=True)
class _File:
    tiff: GeoTIFF
    transform: Affine
    epsg: int


@dataclass(frozen=True, slots=True)
class _Floor:
    folder: Path
    store: HTTPStore
    opened: Mapping[str, _File]

    async def tile(self, z: int, x: int, y: int, hrefs: Sequence[str], query: Any) -> bytes:
        """`hrefs` are paths in the store, newest first; several files of one scene are `a|b`."""
        left, bottom, right, top = _TMS.xy_bounds(morecantile.Tile(x, y, z))
        grid = Grid(_MAP, (left, bottom, right, top), _SIZE, _SIZE)
        scenes = await asyncio.gather(*(self._scene(href.split("|"), grid) for href in hrefs))
        return await asyncio.to_thread(_finish, scenes, grid, query)

    async def _scene(self, paths: Sequence[str], grid: Grid) -> Sequence[Any]:
        return await asyncio.gather(*(self._read(path, grid) for path in paths))

    async def _read(self, path: str, grid: Grid) -> Any:
        file = self.opened[path.rpartition("/")[2]]
        cols, rows = _positions(grid, file)
        step = float(np.hypot(cols[0, -1] - cols[0, 0], rows[0, -1] - rows[0, 0])) / (_SIZE - 1)
        level = next(
            (o for o in reversed(file.tiff.overviews) if file.tiff.width / o.width <= step * 1.01),
            file.tiff,
        )
        scale = level.width / file.tiff.width
        col, row = (cols * scale).astype(np.int32), (rows * scale).astype(np.int32)
        inside = (cols >= 0) & (rows >= 0) & (col < level.width) & (row < level.height)
        col, row = col[inside], row[inside]
        wide, high = level.tile_width, level.tile_height
        left, top = int(col.min()) // wide, int(row.min()) // high
        across = int(col.max()) // wide - left + 1
        down = int(row.max()) // high - top + 1
        wanted = [(left + i, top + j) for j in range(down) for i in range(across)]
        ifds = [level.ifd, level.mask_ifd] if level.mask_ifd else [level.ifd]
        got = await asyncio.gather(*(self._fetch(ifd, wanted) for ifd in ifds))
        return inside, col - left * wide, row - top * high, (across, down, wide, high), got, file

    async def _fetch(self, ifd: Any, wanted: list[tuple[int, int]]) -> list[Any]:
        blocks = await ifd.fetch_tiles(wanted)
        decoded = await asyncio.gather(*(block.decode() for block in blocks))
        return [np.asarray(block) for block in decoded]


def _finish(scenes: Sequence[Sequence[Any]], grid: Grid, query: Mapping[str, list[str]]) -> bytes:
    chosen = [int(n) - 1 for n in query.get("bidx", [])]
    out: NDArray[Any] | None = None
    filled = np.zeros((_SIZE, _SIZE), np.bool_)
    for files in scenes:
        read = [_taken(*file) for file in files]
        data = np.concatenate([bands for bands, _, _ in read])
        data = data[chosen] if chosen else data
        valid = np.logical_and.reduce([valid for _, valid, _ in read])
        inside = read[0][2]
        if out is None:
            out = np.zeros((len(data), _SIZE, _SIZE), data.dtype)
        mine = np.zeros_like(filled)
        mine[inside] = valid
        mine &= ~filled
        out[:, mine] = data[:, mine[inside]]
        filled |= mine
        if filled.all():
            break
    assert out is not None
    low_high = [tuple(map(float, text.split(","))) for text in query.get("rescale", [])]
    render = Render(format="png", rescale=tuple(low_high))  # type: ignore[arg-type]
    names = tuple(f"b{n + 1}" for n in range(len(out)))
    return encode(Pixels(out, filled, names), render, grid).body


def _taken(
    inside: NDArray[np.bool_],
    col: NDArray[np.int32],
    row: NDArray[np.int32],
    shape: tuple[int, int, int, int],
    got: Sequence[Sequence[NDArray[Any]]],
    file: _File,
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """Bands (bands, pixels inside) and what is real of them, straight from the blocks."""
    across, _, wide, high = shape
    block = (row // high) * across + col // wide
    at = (row % high) * wide + col % wide
    gathered = []
    for blocks in got:
        stacked = np.stack([b.reshape(wide * high, -1) for b in blocks])
        gathered.append(stacked[block, at].T)
    nodata = file.tiff.nodata
    if len(gathered) > 1:
        return gathered[0], gathered[1][0] != 0, inside
    return gathered[0], (gathered[0] != nodata).all(axis=0), inside


@cache
def _transformer(epsg: int) -> Transformer:
    return Transformer.from_crs(3857, epsg, always_xy=True)


def _positions(grid: Grid, file: _File) -> Pair:
    """Columns and rows of full resolution under each pixel's centre, from a lattice of nodes."""
    nodes = np.linspace(0.5, _SIZE - 0.5, _NODES)
    to_map = grid.transform
    x, y = np.meshgrid(to_map.c + nodes * to_map.a, to_map.f + nodes * to_map.e)
    x, y = _transformer(file.epsg).transform(x, y)
    inverse = ~file.transform
    return (
        _between(inverse.a * x + inverse.b * y + inverse.c),
        _between(inverse.d * x + inverse.e * y + inverse.f),
    )


def _between(values: NDArray[np.float64]) -> NDArray[np.float64]:
    at = np.arange(_SIZE) / (_SIZE - 1) * (_NODES - 1)
    before = np.minimum(at.astype(int), _NODES - 2)
    way = at - before
    lines = values[before] * (1 - way)[:, None] + values[before + 1] * way[:, None]
    found: NDArray[np.float64] = lines[:, before] * (1 - way) + lines[:, before + 1] * way
    return found


async def _open_all(folder: Path, store: HTTPStore) -> dict[str, _File]:
    opened = {}
    for path in sorted(folder.glob("*.tif")):
        source = _Source(path)
        tiff = GeoTIFF(await TIFF.open("", store=source))
        keys = tiff.ifd.geo_key_directory
        assert keys is not None and keys.projected_type is not None
        opened[path.name] = _File(tiff, tiff.transform, keys.projected_type)
        source.remote, source.path = store, f"x/{path.name}"
    return opened


class _App:
    """ASGI with two paths: `/{z}/{x}/{y}?href=…`, and `/_usage` for who waits for the start."""

    def __init__(self, folder: Path, url: str) -> None:
        store = HTTPStore.from_url(url, client_options={"allow_http": True})
        self._floor = _Floor(folder, store, asyncio.run(_open_all(folder, store)))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del receive
        if scope["path"] == "/_usage":
            await _answer(send, b"application/json", b'{"calls": null, "rows": null}')
            return
        query = parse_qs(scope["query_string"].decode())
        z, x, y = map(int, scope["path"].split("/")[1:])
        body = await self._floor.tile(z, x, y, query["href"], query)
        await _answer(send, b"image/png", body)


async def _answer(send: Any, media_type: bytes, body: bytes) -> None:
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    _, port, folder, url = sys.argv
    process.keep_freed()
    uvicorn.run(
        _App(Path(folder), url),
        port=int(port),
        log_level="warning",
        loop="asyncio",
        http="h11",
        timeout_keep_alive=600,
        lifespan="off",
    )
