"""Scenes as STAC Items (STAC 1.1, item-spec), of what the index keeps of the Items they come from.

An Item made here has its id, geometry, time, kept properties, and the assets that are read, with
what is known of their bands: common names, nodata, scale and offset. Links of the original Item,
other assets and other properties are not kept.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from livemosaic.geo.antimeridian import extent
from livemosaic.index.learning.meanings import (
    AUXILIARY,
    COLORS,
    STATED,
    Meaning,
    contradicting,
)
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rank import processing_time, sort_value
from livemosaic.model.raster import BandEncoding, encodings_from_text
from livemosaic.model.scene import Scene
from livemosaic.model.time import parse_time, utc_text
from livemosaic.stac.projection import NO_FRAMES, PROJECTION, Frames, projection_fields
from livemosaic.storage.hrefs import without_query

STAC_VERSION: Final = "1.1.0"
SOURCE: Final = "livemosaic:collection"
"""Property with the collection of the Item that a scene was made of."""
OTHER_KIND: Final = "livemosaic:other_kind"
"""Member of an asset that means something else than its mosaic has by its name: how it differs."""
_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
_TIMES: Final = ("datetime", "created", "updated", "published", "expires")
"""Ends of the names of properties that are times."""
_MEDIA_TYPES: Final = {"jp2": "image/jp2", "png": "image/png", "jpg": "image/jpeg"}
"""Media types of assets that are no GeoTIFF, by the end of the href."""


def item_document(
    mosaic: Mosaic, scene: Scene, shape: BaseGeometry | None = None, frames: Frames = NO_FRAMES
) -> dict[str, Any]:
    """Returns a scene as a STAC Item without links, in the collection of its original Item.

    The geometry is `shape`, or else the footprint. A scene whose Item had no collection has none.
    Assets whose frame is known have fields of the projection extension.
    """
    shape = shape or scene.footprint
    collection = {"collection": scene.collection} if scene.collection else {}
    assets = {name: _asset(mosaic, scene, name, frames) for name in scene.assets}
    is_placed = any("proj:transform" in asset for asset in assets.values())
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [PROJECTION] if is_placed else [],
        "id": scene.id,
        **collection,
        "geometry": mapping(shape),
        "bbox": list(extent(shape) if shape.area else shape.bounds),
        "properties": _properties(mosaic, scene),
        "links": [],
        "assets": assets,
        "version": scene.version,
    }


def member_document(mosaic: Mosaic, scene: Scene, frames: Frames) -> dict[str, Any]:
    """Returns a scene as a STAC Item of the Collection that its mosaic is, without links."""
    document = item_document(mosaic, scene, frames=frames)
    source = {SOURCE: scene.collection} if scene.collection else {}
    properties = {**document["properties"], **source}
    return {**document, "collection": mosaic.id, "properties": properties}


def _properties(mosaic: Mosaic, scene: Scene) -> dict[str, Any]:
    time = None if scene.datetime is None else stac_time(scene.datetime)
    return {
        **_processing(mosaic, scene),
        **_sorted_by(mosaic, scene),
        "datetime": time,
        **mosaic.given_of(scene.properties),
    }


def _processing(mosaic: Mosaic, scene: Scene) -> dict[str, Any]:
    """Returns the time of processing, by which scenes of equal rank are ordered."""
    time = processing_time(scene.rank)
    has_created = "created" in (mosaic.sortby_of(scene).lstrip("+-"), *scene.properties)
    name = "processing:datetime" if has_created else "created"
    return {} if time is None else {name: utc_text(time)}


def _sorted_by(mosaic: Mosaic, scene: Scene) -> dict[str, Any]:
    """Returns the property by which scenes are ordered, which is kept as a number alone."""
    sortby = mosaic.sortby_of(scene)
    name, number = sortby.lstrip("+-"), sort_value(sortby, scene.rank)
    if number is None:
        return {}
    is_time = name.rpartition(":")[2].endswith(_TIMES)
    return {name: utc_text(datetime.fromtimestamp(number, UTC)) if is_time else number}


def stac_time(text: str) -> str:
    """Returns a time as STAC writes it, in UTC: unchanged where it is so already."""
    is_stac = text[10:11] == "T" and text.endswith(("Z", "+00:00"))
    return text if is_stac else utc_text(parse_time(text))


def _meaning(mosaic: Mosaic, scene: Scene, name: str) -> Meaning:
    """Returns what an asset of a scene means: as in its mosaic, but where it differs."""
    known = Meaning.of(mosaic.meanings.get(name, ""))
    how = scene.other_kinds.get(name)
    return known if how is None else contradicting(known, how)


def _asset(mosaic: Mosaic, scene: Scene, name: str, frames: Frames) -> dict[str, Any]:
    frame = frames.get(scene.assets[name])
    href = _absolute(without_query(scene.assets[name]))  # the query of a signed URL is a credential
    meaning = _meaning(mosaic, scene, name)
    return {
        "href": href,
        "type": _MEDIA_TYPES.get(href.rpartition(".")[2].lower(), _COG),
        "roles": ["data", "metadata"] if meaning.role == AUXILIARY else ["data"],
        **_bands(meaning, encodings_from_text(scene.encodings).get(name, ())),
        **({"unit": meaning.unit} if meaning.unit else {}),
        **({} if frame is None else projection_fields(frame)),
        STATED: meaning.text,
        **({OTHER_KIND: scene.other_kinds[name]} if name in scene.other_kinds else {}),
    }


def _absolute(href: str) -> str:
    """Returns a URL: the path of a local file would be one of this server to clients."""
    return Path(href).as_uri() if href.startswith("/") else href


def _bands(meaning: Meaning, encodings: Sequence[BandEncoding]) -> dict[str, Any]:
    """Returns names of bands, nodata, scale and offset, where they are known: of the asset, or
    band by band."""
    stated = [_stated(band) for band in encodings]
    named = [_named(kind) for kind in meaning.bands] if any(meaning.bands) else []
    if len(stated) > 1:
        pairs: Iterator[tuple[Mapping[str, Any], ...]] = zip_longest(named, stated, fillvalue={})
        return {"bands": [{**name, **encoding} for name, encoding in pairs]}
    if stated and stated[0] and len(named) > 1:
        return stated[0]  # of the asset: a list of bands would make it one of each band
    return {**(stated[0] if stated else {}), **({"bands": named} if named else {})}


def _named(kind: str) -> dict[str, Any]:
    """Returns a band of a kind (STAC EO extension 2), as far as its kind has a name."""
    if kind.startswith("~"):
        return {"eo:center_wavelength": float(kind[1:])}
    if kind in COLORS:
        return {"eo:common_name": kind}
    return {"name": kind} if kind and not kind.startswith("#") else {}


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
