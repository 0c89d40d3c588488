"""Whole mosaics to be exported: of an index, or page by page from an API."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from math import isclose
from typing import Any, Final, Protocol

from rasterio.dtypes import dtype_rev, typename_fwd
from shapely.geometry import MultiPolygon, shape

from livemosaic.api.documents.window import DataWindow
from livemosaic.auth.signing import Bearer
from livemosaic.client.remote import Remote, mosaic_path
from livemosaic.client.target import Local, Target, mosaic_of
from livemosaic.client.values.parameters import encoded
from livemosaic.cog.raster import Profile
from livemosaic.cog.reader import CogReader
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.export.whole.tile_index import IndexRaster
from livemosaic.geo.box import step_of
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rank import rank
from livemosaic.model.scene import Scene
from livemosaic.stac.items import OTHER_KIND, item_document
from livemosaic.stac.projection import known_frames
from livemosaic.storage.hrefs import local_path
from livemosaic.storage.objects import ObjectError
from livemosaic.tiler.tilesets import Reach, reached

_PAGE: Final = 500
_LISTED: Final = 100
"""Scenes among which the smallest is looked for: its pixels are fine, too."""
_EDGE: Final = 256
_VRT: Final = re.compile(
    r'rasterXSize="(\d+)" rasterYSize="(\d+)">.*?<GeoTransform>(.*?)</GeoTransform>', re.DOTALL
)
_FINER: Final = 1.01
"""A zoom shows the pixels of a scene if its own are at most this much larger."""


class MosaicExport(Protocol):
    """A mosaic as exports read it."""

    @property
    def mosaic(self) -> Mosaic:
        """Its settings, and what it has learned of its scenes."""
        ...

    def scenes(self) -> Iterator[Scene]:
        """Yields every scene, in no order."""
        ...

    def items(self) -> Iterator[Mapping[str, Any]]:
        """Yields every scene as a STAC Item."""
        ...

    def raster(self, asset: str) -> IndexRaster | None:
        """Returns the raster of one asset on the grid of tiles, as fine as a scene's own pixels.

        None where no scene can be read.
        """
        ...


def export_of(target: Target, mosaic: str) -> MosaicExport:
    """Returns a mosaic of a target; raises `NotFoundError` if there is none."""
    if isinstance(target, Local):
        return _OfIndex(target, target.services.mosaics.get(mosaic))
    if isinstance(target, Remote):
        found = mosaic_of(target.get(mosaic))
        return _OfApi(target, found, target.reader() if found.access == "private" else None)
    raise TypeError(type(target).__name__)


@dataclass(frozen=True, slots=True)
class _OfIndex:
    target: Local
    mosaic: Mosaic

    def scenes(self) -> Iterator[Scene]:
        return self.target.services.index.every_scene(self.mosaic)

    def items(self) -> Iterator[Mapping[str, Any]]:
        scenes, table = self.scenes(), self.target.services.index.table
        while some := list(islice(scenes, _LISTED)):
            frames = known_frames(table, ((self.mosaic, scene) for scene in some))
            yield from (item_document(self.mosaic, scene, frames=frames) for scene in some)

    def raster(self, asset: str) -> IndexRaster | None:
        services = self.target.services
        listed, _ = services.index.list_scenes(self.mosaic, limit=_LISTED)
        some = sorted(listed, key=lambda scene: scene.footprint.area)
        reader = CogReader(services.ingest.allow)
        for scene in some:
            if not scene.shows(asset):
                continue
            try:
                profile = asyncio.run(reader.profile(scene.assets[asset], version=""))
            except (LivemosaicError, ObjectError):
                continue
            return _raster(self.mosaic, profile)
        return None


def _raster(mosaic: Mosaic, profile: Profile) -> IndexRaster:
    found = reached(mosaic, mosaic.tms)
    steps = step_of(profile.frame, found.tms.rasterio_crs)
    window = DataWindow.of(found.between(None, _zoom(found, steps and min(steps))), _EDGE)
    cut = window.cut(found.extent)
    left, pixel, _, top, _, _ = cut.transform
    right, bottom = left + cut.size_x * pixel, top - cut.size_y * pixel
    return IndexRaster((left, bottom, right, top), pixel, _bands(profile))


def _zoom(found: Reach, step: float | None) -> int:
    """Returns the lowest zoom that shows pixels of a size."""
    zooms = range(found.minzoom, found.maxzoom + 1)
    fine = (z for z in zooms if step and found.tms.matrix(z).cellSize <= step * _FINER)
    return next(fine, found.maxzoom)


def _bands(profile: Profile) -> dict[str, str]:
    """Returns what GDAL would look for in a file: where scenes have other bands, it says so."""
    kind = profile.dtype.name
    colors = profile.count - (profile.alpha is not None)
    shown = ("red", "green", "blue") if (kind, colors) == ("uint8", 3) else ("gray",)
    names = [*shown, *("undefined" for _ in range(profile.count))][: profile.count]
    if profile.alpha is not None:
        names[profile.alpha] = "alpha"
    nodata = () if profile.nodata is None else (repr(profile.nodata),) * profile.count
    return {
        "BAND_COUNT": str(profile.count),
        "DATA_TYPE": ",".join([typename_fwd[dtype_rev[kind]]] * profile.count),
        "COLOR_INTERPRETATION": ",".join(names),
        **({"NODATA": ",".join(nodata)} if nodata else {}),
        **({"MASK_BAND": "YES"} if profile.masked else {}),
    }


@dataclass(frozen=True, slots=True)
class _OfApi:
    target: Remote
    mosaic: Mosaic
    reader: Bearer | None

    def scenes(self) -> Iterator[Scene]:
        """Raises `InvalidRequestError` where Items do not have the property to sort by."""
        name = self.mosaic.sortby.lstrip("+-")
        if name not in ("datetime", *self.mosaic.properties):
            raise InvalidRequestError(
                f"the order of mosaic {self.mosaic.id!r} is that of {name!r}, which it does not "
                "keep, so that its Items do not tell it: export it from the index, without --api"
            )
        return (_scene(self.mosaic, item) for item in self.items())

    def items(self) -> Iterator[Mapping[str, Any]]:
        path = f"{mosaic_path(self.mosaic.id)}/items"
        for page in self.target.pages(path, encoded({"limit": _PAGE}), self.reader):
            yield from page["features"]

    def raster(self, asset: str) -> IndexRaster | None:
        query = encoded({"assets": asset, "tile_format": "tif"})
        path = f"{mosaic_path(self.mosaic.id)}/gdal/mosaic.vrt{query}"
        try:
            found = _VRT.search(self.target.read(path, self.reader).body)
        except LivemosaicError:
            return None
        if found is None:
            return None
        left, pixel, _, top, _, height = map(float, found[3].split(","))
        right, bottom = left + pixel * int(found[1]), top - pixel * int(found[2])
        is_square = isclose(pixel, -height)
        return IndexRaster((left, bottom, right, top), pixel) if is_square else None


def _scene(mosaic: Mosaic, item: Mapping[str, Any]) -> Scene:
    """Returns the scene of an Item of an API, of which what exports need is known."""
    found = shape(item["geometry"])
    assets, properties = item["assets"], item["properties"]
    kinds = {name: asset.get(OTHER_KIND) for name, asset in assets.items()}
    return Scene(
        collection=item.get("collection") or "",
        id=item["id"],
        version=item.get("version", ""),
        footprint=found if isinstance(found, MultiPolygon) else MultiPolygon([found]),
        rank=rank(mosaic.sortby, properties),
        datetime=properties.get("datetime"),
        assets={name: local_path(asset["href"]) for name, asset in assets.items()},
        other_kinds={name: kind for name, kind in kinds.items() if kind},
        properties={k: v for k, v in properties.items() if k in mosaic.properties},
    )
