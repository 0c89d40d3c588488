"""A reader of rio-tiler over a mosaic, for TiTiler's factories."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

import attr
from morecantile import Tile, TileMatrixSet
from rasterio.crs import CRS
from rio_tiler.constants import WEB_MERCATOR_TMS
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io import BaseReader
from rio_tiler.models import BandStatistics, ImageData, Info, PointData

from livemosaic.api.params.crs import name_of
from livemosaic.api.schemas import MosaicOut
from livemosaic.client.connection import Connection, open_mosaics
from livemosaic.client.mosaic import OpenMosaic
from livemosaic.client.values.crs import AnyCrs
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.geo.box import Box
from livemosaic.index_url import SQLITE
from livemosaic.model.raster import BBox

_RENAMED: Final = {
    "indexes": "bidx",
    "resampling_method": "resampling",
    "reproject_method": "reproject",
}
"""Parameters that TiTiler names otherwise than requests do."""
_WITHOUT_EFFECT: Final = frozenset({"padding"})
_PLACE: Final = re.compile(r"(?P<url>https?://[^#?]+)/mosaics/(?P<mosaic>[^/#?]+)/?")
_INDEX: Final = re.compile(r"(?P<url>[^#]+)#(?P<mosaic>[^#]+)")
_PREVIEW: Final = 1024
"""Pixels of the longer side of a preview, as rio-tiler has it."""


class Connections:
    """Connections that readers share: one for each index or API, open until the process ends.

    A tile server makes a reader for each request, and an index takes longer to open than a tile to
    read. Thread-safe.
    """

    def __init__(self) -> None:
        self._opened: dict[str, Connection] = {}
        self._lock = Lock()

    def of(self, url: str) -> Connection:
        """Returns the connection of a URL; an SQLite file must exist."""
        with self._lock:
            if url not in self._opened:
                self._opened[url] = open_mosaics(_existing(url))
            return self._opened[url]

    def close(self) -> None:
        """Closes all of them."""
        with self._lock:
            for connection in self._opened.values():
                connection.close()
            self._opened.clear()


def _existing(url: str) -> str:
    local = SQLITE.fullmatch(url)
    if local and not Path(local["path"]).is_file():
        raise NotFoundError(f"there is no index at {url[:200]!r}")
    return url


CONNECTIONS: Final = Connections()
"""The connections of readers in this process."""


def mosaic_at(place: str) -> OpenMosaic:
    """Returns a mosaic by index and id, `sqlite:///FILE#alps`, or by its URL in an API,
    `https://HOST/mosaics/alps`."""
    found = _PLACE.fullmatch(place) or _INDEX.fullmatch(place)
    if found is None:
        raise InvalidRequestError(
            f"{place[:200]!r} is no mosaic: write sqlite:///FILE#MOSAIC, "
            "dynamodb://REGION/TABLE#MOSAIC or https://HOST/mosaics/MOSAIC"
        )
    return CONNECTIONS.of(found["url"])[found["mosaic"]]


@dataclass(frozen=True, slots=True)
class MosaicPlace:
    """A mosaic as readers of rio-tiler describe it."""

    mosaic: OpenMosaic
    info: MosaicOut
    crs: CRS
    """Longitude and latitude on the mosaic's body."""
    bounds: BBox
    """In `crs`; the east is beyond 180 where the mosaic crosses the antimeridian."""
    zooms: tuple[int, int]
    """The smallest and largest, of the mosaic or of another TileMatrixSet."""

    @classmethod
    def of(cls, place: str | OpenMosaic, tms: TileMatrixSet) -> Self:
        """Finds a mosaic that is open, or the one at a place (`mosaic_at`)."""
        mosaic = place if isinstance(place, OpenMosaic) else mosaic_at(place)
        info = mosaic.info()
        west, south, east, north = mosaic.bounds()
        bounds = west, south, east + 360 * (west > east), north
        return cls(mosaic, info, mosaic.lonlat(), bounds, _zooms(info, tms))


def _zooms(info: MosaicOut, tms: TileMatrixSet) -> tuple[int, int]:
    least, most = int(tms.minzoom), int(tms.maxzoom)
    return (info.minzoom, min(info.deepest_zoom, most)) if tms.id == info.tms else (least, most)


class SharesConnections:
    """The context of a reader that closes nothing: connections are shared (`CONNECTIONS`)."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is closed."""


@attr.s
class Reader(SharesConnections, BaseReader):
    """Reads a mosaic as rio-tiler's readers read a file: `TilerFactory(reader=livemosaic.Reader)`.

    `input` is a mosaic that is open, or its place (`mosaic_at`). Any TileMatrixSet may be read,
    known to the server of an API or not. `parameters` are of every read, such as a rule
    (`{"sortby": "eo:cloud_cover"}`); methods take more of them, by our names or TiTiler's.
    """

    input: str | OpenMosaic = attr.ib()
    tms: TileMatrixSet = attr.ib(default=WEB_MERCATOR_TMS)
    parameters: Mapping[str, Any] = attr.ib(factory=dict)

    def __attrs_post_init__(self) -> None:
        place = MosaicPlace.of(self.input, self.tms)
        self.mosaic, self.crs, self.bounds = place.mosaic, place.crs, place.bounds
        self._info, self._zooms = place.info, place.zooms

    @property
    def minzoom(self) -> int:
        """The mosaic's smallest zoom, or that of another TileMatrixSet."""
        return self._zooms[0]

    @property
    def maxzoom(self) -> int:
        """The mosaic's largest zoom, or that of another TileMatrixSet."""
        return self._zooms[1]

    def info(self) -> Info:
        """Describes the mosaic, with the bands and the data type of its images."""
        west, south, east, north = self.bounds
        kind = self.part((west, south, east, north), max_size=1)
        return Info(
            bounds=self.bounds,
            crs=name_of(self.crs),
            band_metadata=[(name, {}) for name in kind.band_names],
            band_descriptions=[*zip(kind.band_names, kind.band_descriptions, strict=True)],
            dtype=str(kind.array.dtype),
            nodata_type="None" if kind.nodata is None else "Nodata",
            name=self._info.title or self._info.id,
            assets=self._info.shown_assets,
        )

    def statistics(self, **parameters: Any) -> dict[str, BandStatistics]:
        """Returns statistics of a preview of the whole mosaic."""
        size = parameters.pop("max_size", None) or _PREVIEW
        for name in ("hist_options", "categorical", "categories", "percentiles"):
            parameters.pop(name, None)
        return self.mosaic.statistics(self.bounds, max_size=size, **self._ours(parameters))

    def tile_exists(self, tile_x: int, tile_y: int, tile_z: int) -> bool:
        """Whether a tile meets the bounds of the mosaic, on any turn around the world."""
        tile = self.tms.xy_bounds(Tile(tile_x, tile_y, tile_z))
        try:
            west, south, east, north = Box(self.tms.rasterio_crs, tile).to(self.crs).bounds
        except InvalidRequestError:  # it reaches beyond the globe, and may still show some of it
            return True
        left, bottom, right, top = self.bounds
        meets = (west + turn < right and east + turn > left for turn in (-360, 0, 360))
        return south < top and north > bottom and any(meets)

    def tile(
        self,
        tile_x: int,
        tile_y: int,
        tile_z: int,
        *,
        tilesize: int | None = None,
        buffer: float | None = None,
        **parameters: Any,
    ) -> ImageData:
        """Reads a tile; raises `TileOutsideBounds` where the mosaic has none."""
        if not self.tile_exists(tile_x, tile_y, tile_z):
            raise TileOutsideBounds(f"tile {tile_z}/{tile_x}/{tile_y} is outside of the mosaic")
        matrix = self.tms.matrix(tile_z)
        width, height = tilesize or matrix.tileWidth, tilesize or matrix.tileHeight
        left, bottom, right, top = self.tms.xy_bounds(Tile(tile_x, tile_y, tile_z))
        if buffer:
            x, y = buffer * (right - left) / width, buffer * (top - bottom) / height
            left, bottom, right, top = left - x, bottom - y, right + x, top + y
            width, height = width + round(2 * buffer), height + round(2 * buffer)
        return self.mosaic.read(
            (left, bottom, right, top),
            crs=self.tms.rasterio_crs,
            width=width,
            height=height,
            **self._ours(parameters),
        )

    def part(
        self,
        bbox: Sequence[float],
        *,
        dst_crs: AnyCrs | None = None,
        bounds_crs: AnyCrs | None = None,
        max_size: int | None = None,
        height: int | None = None,
        width: int | None = None,
        **parameters: Any,
    ) -> ImageData:
        """Reads a box, by default in longitude and latitude, in which its pixels are then, too."""
        return self.mosaic.read(
            bbox,
            crs=bounds_crs,
            dst_crs=dst_crs,
            max_size=max_size,
            height=height,
            width=width,
            **self._ours(parameters),
        )

    def preview(
        self,
        *,
        max_size: int | None = _PREVIEW,
        height: int | None = None,
        width: int | None = None,
        dst_crs: AnyCrs | None = None,
        **parameters: Any,
    ) -> ImageData:
        """Reads the whole mosaic, at a size."""
        size = None if height or width else max_size or _PREVIEW
        return self.part(
            self.bounds, dst_crs=dst_crs, max_size=size, height=height, width=width, **parameters
        )

    def point(
        self, lon: float, lat: float, *, coord_crs: AnyCrs | None = None, **parameters: Any
    ) -> PointData:
        """Reads the mosaic's values at a point, in longitude and latitude by default."""
        return self.mosaic.point(lon, lat, crs=coord_crs, **self._ours(parameters))

    def feature(
        self,
        shape: Mapping[str, Any],
        *,
        dst_crs: AnyCrs | None = None,
        shape_crs: AnyCrs | None = None,
        max_size: int | None = None,
        height: int | None = None,
        width: int | None = None,
        **parameters: Any,
    ) -> ImageData:
        """Reads the bounds of a GeoJSON geometry or Feature, outside of which nothing is valid."""
        return self.mosaic.read(
            shape,
            crs=shape_crs,
            dst_crs=dst_crs,
            max_size=max_size,
            height=height,
            width=width,
            **self._ours(parameters),
        )

    def _ours(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the parameters of a read by our names; None leaves one out."""
        given = {
            _RENAMED.get(name, name): value
            for name, value in parameters.items()
            if value is not None and name not in _WITHOUT_EFFECT
        }
        if not isinstance(assets := given.get("assets", ""), str):
            given["assets"] = [_asset_text(asset) for asset in assets]
        return {**self.parameters, **given}


def _asset_text(asset: str | Mapping[str, Any]) -> str:
    """Returns an asset as requests name it: `red|bidx=2` of rio-tiler's `AssetWithOptions`."""
    if isinstance(asset, str):
        return asset
    options = {**asset}
    name, indexes = options.pop("name", ""), options.pop("indexes", ())
    if options or not name:
        raise InvalidRequestError(
            f"asset {str(asset)[:80]} may have a name and indexes; an expression over several "
            "assets names their bands: red_b1"
        )
    bands = ",".join(map(str, [indexes] if isinstance(indexes, int) else indexes))
    return f"{name}|bidx={bands}" if bands else str(name)
