"""Scenes as STAC Items (STAC 1.1, item-spec), of what the index keeps of the Items they come from.

An Item made here has its id, geometry, time, kept properties, and the assets that are read, with
nodata, scale and offset of their bands. Links of the original Item, other assets and other
properties are not kept.
"""

import math
from pathlib import Path
from typing import Any, Final

from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from livemosaic.geo.antimeridian import extent
from livemosaic.index.learning.meanings import AUXILIARY, Meaning
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rank import processing_time
from livemosaic.model.raster import BandEncoding, encodings_from_text
from livemosaic.model.scene import Scene
from livemosaic.model.time import parse_time, utc_text
from livemosaic.storage.hrefs import without_query

STAC_VERSION: Final = "1.1.0"
SOURCE: Final = "livemosaic:collection"
"""Property with the collection of the Item that a scene was made of."""
OTHER_KIND: Final = "livemosaic:other_kind"
"""Member of an asset that means something else than its mosaic has by its name: how it differs."""
_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
_MEDIA_TYPES: Final = {"jp2": "image/jp2", "png": "image/png", "jpg": "image/jpeg"}
"""Media types of assets that are no GeoTIFF, by the end of the href."""


def item_document(
    mosaic: Mosaic, scene: Scene, shape: BaseGeometry | None = None
) -> dict[str, Any]:
    """Returns a scene as a STAC Item without links, in the collection of its original Item.

    The geometry is `shape`, or else the footprint. A scene whose Item had no collection has none.
    """
    shape = shape or scene.footprint
    collection = {"collection": scene.collection} if scene.collection else {}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": scene.id,
        **collection,
        "geometry": mapping(shape),
        "bbox": list(extent(shape) if shape.area else shape.bounds),
        "properties": _properties(scene),
        "links": [],
        "assets": {name: _asset(mosaic, scene, name) for name in scene.assets},
        "version": scene.version,
    }


def member_document(mosaic: Mosaic, scene: Scene) -> dict[str, Any]:
    """Returns a scene as a STAC Item of the Collection that its mosaic is, without links."""
    document = item_document(mosaic, scene)
    source = {SOURCE: scene.collection} if scene.collection else {}
    properties = {**document["properties"], **source}
    return {**document, "collection": mosaic.id, "properties": properties}


def _properties(scene: Scene) -> dict[str, Any]:
    time = None if scene.datetime is None else stac_time(scene.datetime)
    processed = processing_time(scene.rank)
    created = {} if processed is None else {"created": utc_text(processed)}
    return {**created, "datetime": time, **scene.properties}


def stac_time(text: str) -> str:
    """Returns a time as STAC writes it, in UTC: unchanged where it is so already."""
    is_stac = text[10:11] == "T" and text.endswith(("Z", "+00:00"))
    return text if is_stac else utc_text(parse_time(text))


def _asset(mosaic: Mosaic, scene: Scene, name: str) -> dict[str, Any]:
    href = _absolute(without_query(scene.assets[name]))  # the query of a signed URL is a credential
    role = "metadata" if Meaning.of(mosaic.meanings.get(name, "")).role == AUXILIARY else "data"
    return {
        "href": href,
        "type": _MEDIA_TYPES.get(href.rpartition(".")[2].lower(), _COG),
        "roles": [role],
        **({OTHER_KIND: scene.other_kinds[name]} if name in scene.other_kinds else {}),
        **_encoding(scene, name),
    }


def _absolute(href: str) -> str:
    """Returns a URL: the path of a local file would be one of this server to clients."""
    return Path(href).as_uri() if href.startswith("/") else href


def _encoding(scene: Scene, name: str) -> dict[str, Any]:
    """Returns nodata, scale and offset, where they are stated: of the asset, or band by band."""
    bands = [_stated(band) for band in encodings_from_text(scene.encodings).get(name, ())]
    return bands[0] if len(bands) == 1 else {"bands": bands} if bands else {}


def _stated(band: BandEncoding) -> dict[str, Any]:
    stated: dict[str, Any] = {} if band.nodata is None else {"nodata": _number(band.nodata)}
    if (band.scale, band.offset) != (1.0, 0.0):
        stated |= {"raster:scale": band.scale, "raster:offset": band.offset}
    return stated


def _number(value: float) -> float | str:
    """Returns a number as JSON has it: STAC writes an infinite nodata as text."""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
