"""One mosaic, from Python: its pixels, points, statistics and scenes."""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Unpack

from rasterio.crs import CRS

from livemosaic.api.params.crs import crs_of
from livemosaic.api.schemas import MosaicOut
from livemosaic.auth.signing import Authorize
from livemosaic.client.http import Answer
from livemosaic.client.remote import Remote, mosaic_path
from livemosaic.client.target import EntryOutcome
from livemosaic.client.values.crs import AnyCrs, crs_at, crs_text
from livemosaic.client.values.images import (
    bbox_of,
    feature_of,
    image_of,
    point_of,
    statistics_of,
    warn_of,
)
from livemosaic.client.values.items import entries_of, raise_for
from livemosaic.client.values.parameters import (
    ImageParameters,
    PixelParameters,
    RuleParameters,
    StatisticsParameters,
    encoded,
    joined,
    json_text,
    query_of,
)
from livemosaic.errors import InvalidRequestError, LivemosaicError, NotFoundError, UnauthorizedError
from livemosaic.geo.box import Box, Size
from livemosaic.geo.crs import lonlat_of
from livemosaic.geo.feature import Shape
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import path_segment

if TYPE_CHECKING:
    import pystac
    from rio_tiler.models import BandStatistics, ImageData, PointData

BBox: TypeAlias = tuple[float, float, float, float] | Sequence[float]
"""Left, bottom, right, top; x before y. In degrees, left > right crosses the antimeridian."""
Area: TypeAlias = Any
"""A bbox, or a GeoJSON geometry or Feature, or an object with `__geo_interface__`."""
Items: TypeAlias = "str | Mapping[str, Any] | pystac.Item | Iterable[Any]"
"""A STAC Item or several, an ItemCollection, or the name of a file with them or of COGs."""
_WHOLE: Final = "mosaic"
_PAGE: Final = 1000
"""Scenes listed by one request."""


class OpenMosaic:
    """A mosaic of an index or behind an API, which both answer alike. Safe to share by threads.

    Parameters of rules, pixels and colors have their names in the HTTP API; lists and
    objects may be given as such. A wrong one raises `InvalidRequestError`, which names the value.
    """

    def __init__(self, target: Remote, id: str, allow: AllowList) -> None:  # noqa: A002
        self.id = id
        self._target = target
        self._allow = allow
        self._reader = target.client.reader

    def __repr__(self) -> str:
        return f"OpenMosaic({self.id!r} at {self._target.client.url})"

    @property
    def _path(self) -> str:
        return mosaic_path(self.id)

    def info(self) -> MosaicOut:
        """Returns the settings of the mosaic, and its bounds, levels and assets of now."""
        return self._target.get(self.id)

    def change(self, **settings: Any) -> MosaicOut:
        """Changes some settings, by their names in `info()`; the others stay."""
        return self._target.change(self.id, settings)

    def bounds(self, crs: AnyCrs | None = None) -> tuple[float, float, float, float]:
        """Returns left, bottom, right, top; in degrees of longitude and latitude by default."""
        query = encoded({"crs": None if crs is None else crs_text(crs)})
        left, bottom, right, top = self._document(f"/bounds{query}")["bounds"]
        return left, bottom, right, top

    def read(
        self,
        area: Area,
        *,
        crs: AnyCrs | None = None,
        dst_crs: AnyCrs | None = None,
        width: int | None = None,
        height: int | None = None,
        max_size: int | None = None,
        resolution: float | tuple[float, float] | None = None,
        **parameters: Unpack[ImageParameters],
    ) -> "ImageData":
        """Reads the pixels of an area: a bbox, or GeoJSON, outside of which no pixel is valid.

        `crs` is that of the coordinates, by default longitude and latitude on the mosaic's body;
        `dst_crs` that of the pixels, by default the same. The size is that of the topmost scene's
        pixels, unless it is given: in pixels, or as the size of a pixel (`resolution`, in units
        of the image's CRS, one number or x and y).

        Values are in `.array` of the result, a masked array (bands, height, width), and where they
        come from in `.metadata`. Warns (`IncompleteWarning`) if scenes are left out.
        """
        texts = _crs_parameters(crs, dst_crs)
        query = query_of(parameters, ImageParameters)
        if resolution is not None:
            if (width, height, max_size) != (None, None, None):
                raise InvalidRequestError("give either resolution or width, height and max_size")
            width, height = _size(area, crs, dst_crs, resolution)
        size = encoded({"width": width, "height": height, "max_size": max_size, **texts})
        query = joined(query, size, "return_mask=true")
        named = dst_crs if dst_crs is not None else crs
        if not _is_geojson(area):
            corners = ",".join(map(repr, bbox_of(area)))
            return self._image(f"/bbox/{corners}.tif{query}", named)
        return self._image(f"/feature.tif{query}", named, _feature_text(area))

    def tile(
        self,
        x: int,
        y: int,
        z: int,
        *,
        tms: str = "WebMercatorQuad",
        tilesize: int | None = None,
        buffer: float | None = None,
        **parameters: Unpack[ImageParameters],
    ) -> "ImageData":
        """Reads a tile of a TileMatrixSet, by the id that the index or API knows it by.

        Raises `NotFoundError` beyond the zooms of the mosaic.
        """
        query = query_of(parameters, ImageParameters)
        query = joined(query, encoded({"tilesize": tilesize, "buffer": buffer}), "return_mask=true")
        place = "/".join(path_segment(str(part)) for part in (tms, z, x, y))
        return self._image(f"/tiles/{place}.tif{query}", None)

    def point(
        self,
        lon: float,
        lat: float,
        *,
        crs: AnyCrs | None = None,
        **parameters: Unpack[PixelParameters],
    ) -> "PointData":
        """Reads the pixel at a point, at full resolution; x and y where `crs` is given.

        `.array` has a value per band, `.metadata["scenes"]` each scene's, top first. Raises
        `NotFoundError` where there is no scene.
        """
        query = query_of(parameters, PixelParameters)
        query = joined(query, encoded(_crs_parameters(crs)))
        x, y = _number("lon", lon), _number("lat", lat)
        answer = self._ask("GET", f"/point/{x!r},{y!r}{query}")
        if answer.status == 204 or answer.document is None:
            raise NotFoundError(f"mosaic {self.id!r} has no scene at {lon}, {lat}")
        return point_of(answer.document, self.lonlat() if crs is None else crs_at(crs))

    def statistics(
        self,
        area: Area = _WHOLE,
        *,
        crs: AnyCrs | None = None,
        dst_crs: AnyCrs | None = None,
        width: int | None = None,
        height: int | None = None,
        max_size: int | None = None,
        **parameters: Unpack[StatisticsParameters],
    ) -> "dict[str, BandStatistics]":
        """Returns statistics of each band in an area, a bbox or GeoJSON, by the band's name.

        Without an area, of the whole mosaic: from few pixels, each weighted by its true area; of
        the sizes only `max_size` counts then. Of an area:
        At the resolution of the topmost scene unless a size is given; pixels are weighted by their
        share in the area. Without bands that have no valid pixel, so empty where there is no scene.
        """
        query = query_of(parameters, StatisticsParameters)
        size = {"width": width, "height": height, "max_size": max_size}
        query = joined(query, encoded({**size, **_crs_parameters(crs, dst_crs)}))
        is_whole = isinstance(area, str) and area == _WHOLE
        if is_whole:
            answer = self._ask("GET", f"/statistics{query}")
        else:
            answer = self._ask("POST", f"/statistics{query}", _feature_text(area))
        if answer.status == 204 or answer.document is None:
            return {}
        document = answer.document
        return statistics_of(document if is_whole else document["properties"])

    def scenes(
        self,
        bbox: BBox | None = None,
        *,
        limit: int | None = None,
        **rule: Unpack[RuleParameters],
    ) -> list[dict[str, Any]]:
        """Returns scenes as STAC Items, without links: in a box, top first, or all.

        A box is in degrees. Warns (`IncompleteWarning`) where a limit leaves scenes of it out.
        """
        if limit is not None:
            limit = _whole("limit", limit)
        size = _PAGE if limit is None else min(_PAGE, limit)
        box = None if bbox is None else ",".join(map(repr, bbox_of(bbox)))
        query = joined(query_of(rule, RuleParameters), encoded({"bbox": box, "limit": size}))
        found: list[dict[str, Any]] = []
        for page in self._pages(query):
            warn_of({"truncated": page.get("truncated")})
            found += ({**item, "links": []} for item in page["features"])
            if limit is not None and len(found) >= limit:
                break
        return found[:limit]

    def scene(self, id: str, collection: str | None = None) -> dict[str, Any]:  # noqa: A002
        """Returns one scene as a STAC Item; raises `NotFoundError` if there is none."""
        query = encoded({"collection": collection})
        return {**self._document(f"/items/{path_segment(id)}{query}"), "links": []}

    def mosaic_json(
        self, asset: str | None = None, quadkey_zoom: int | None = None
    ) -> Mapping[str, Any]:
        """Returns the mosaic as MosaicJSON 0.0.3, as of now, of one asset of each scene."""
        query = encoded({"assets": asset, "quadkey_zoom": quadkey_zoom})
        return self._document(f"/mosaic.json{query}")

    def add(self, items: Items, *, force: bool = False) -> list[EntryOutcome]:
        """Puts STAC Items in: objects of pystac or dicts, one, several or an ItemCollection; or
        the name of a file, of COGs or of a prefix, as `livemosaic ingest` takes them.

        Raises `ItemsNotAddedError` with the outcome of each if some were not taken. An Item that is
        older than what is there changes nothing, and is warned of; `force` makes it the newest.
        """
        outcomes = list(self._target.ingest(entries_of(items, self._allow), self.id, force=force))
        return raise_for(outcomes)

    def delete(self, id: str, collection: str | None = None, *, force: bool = False) -> None:  # noqa: A002
        """Deletes a scene; raises `NotFoundError` if there is none."""
        query = encoded({"collection": collection, "force": "true" if force else None})
        answer = self._target.client.ask("DELETE", f"{self._path}/items/{path_segment(id)}{query}")
        if answer.status != 204:
            raise self._target.client.refusal(answer)

    def lonlat(self) -> CRS:
        """Returns longitude and latitude on the mosaic's body: EPSG:4326 on Earth."""
        return crs_of(self._document("/bounds")["crs"])

    def _image(self, path: str, crs: AnyCrs | None, body: bytes = b"") -> "ImageData":
        answer = self._ask("POST" if body else "GET", path, body)
        return image_of(answer, None if crs is None else crs_at(crs))

    def _document(self, path: str) -> Mapping[str, Any]:
        answer = self._ask("GET", path)
        if answer.document is None:
            raise self._target.client.unknown_api(answer)
        return answer.document

    def _ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        client = self._target.client

        def ask(reader: Authorize | None) -> Answer:
            return client.ask(method, self._path + path, body, reader=reader, reads=True)

        answer = ask(self._reader)
        if answer.status in (401, 404) and self._may_read_after_all():
            answer = ask(self._reader)
        if answer.status not in (200, 204):
            raise client.refusal(answer)
        return answer

    def _pages(self, query: str) -> Iterator[Mapping[str, Any]]:
        path = f"{self._path}/items"
        try:
            yield from self._target.pages(path, query, self._reader)
        except (NotFoundError, UnauthorizedError):
            if not self._may_read_after_all():
                raise
            yield from self._target.pages(path, query, self._reader)

    def _may_read_after_all(self) -> bool:
        """Gets a token for a private mosaic, of which an API says nothing to a caller without one.

        A caller with AWS credentials may have one; it ends after some minutes.
        """
        if self._target.client.reader is not None:
            return False
        try:
            if self._target.get(self.id).access != "private":
                return False
            self._reader = self._target.reader()
        except LivemosaicError:
            return False
        return True


def _crs_parameters(crs: AnyCrs | None, dst_crs: AnyCrs | None = None) -> dict[str, str]:
    given = {"coord_crs": crs, "dst_crs": dst_crs}
    return {name: crs_text(value) for name, value in given.items() if value is not None}


def _is_geojson(area: Any) -> bool:
    return isinstance(area, Mapping) or hasattr(area, "__geo_interface__")


def _feature_text(area: Any) -> bytes:
    return json_text("the area", feature_of(area)).encode()


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"{name} must be a number; it is {str(value)[:80]!r}") from error


def _whole(name: str, value: Any) -> int:
    try:
        return index(value)
    except TypeError as error:
        raise InvalidRequestError(
            f"{name} must be a whole number; it is {str(value)[:80]!r}"
        ) from error


def _size(
    area: Any, crs: AnyCrs | None, dst_crs: AnyCrs | None, resolution: Any
) -> tuple[int, int]:
    target = crs_at(dst_crs if dst_crs is not None else (crs or "CRS84"))
    source = crs_at(crs) if crs is not None else lonlat_of(target)
    if _is_geojson(area):
        box = Shape.of(feature_of(area), source, sys.maxsize).box
    else:
        box = Box.of(source, bbox_of(area))
    return Size().of(box.to(target), _step(resolution))


def _step(resolution: Any) -> tuple[float, float]:
    try:
        x, y = resolution if isinstance(resolution, Iterable) else (resolution, resolution)
        step = float(x), float(y)
    except (TypeError, ValueError):
        step = (0.0, 0.0)
    if not all(0 < each < math.inf for each in step):
        raise InvalidRequestError(
            "resolution must be the size of a pixel, a number above zero or x and y; it is "
            f"{str(resolution)[:80]!r}"
        )
    return step
