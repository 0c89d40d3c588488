"""Mosaics as STAC Collections (STAC 1.1, collection-spec), and what their Items can be queried by.

What an index does not know is left open: the interval of times, and the types of properties.
"""

from collections.abc import Iterable
from typing import Any, Final

from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.stac.items import STAC_VERSION
from livemosaic.stac.license import license_field
from livemosaic.tiler.rules.filter import ALWAYS

_WORLD: Final[BBox] = (-180.0, -90.0, 180.0, 90.0)
_QUERYABLES: Final[dict[str, dict[str, Any]]] = {
    "id": {"title": "Item ID", "type": "string"},
    "collection": {"title": "Collection ID", "type": "string"},
    "datetime": {"title": "Time of acquisition", "type": "string", "format": "date-time"},
}


def collection_document(mosaic: Mosaic) -> dict[str, Any]:
    """Returns a mosaic as a STAC Collection without links."""
    title = mosaic.title or mosaic.id
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": mosaic.id,
        "title": title,
        "description": f"Live mosaic {title}: its scenes as STAC Items, and its tiles and maps.",
        "itemType": "feature",  # the default of OGC API, but OWSLib wants it to be named
        "license": license_field(mosaic),
        "extent": {
            "spatial": {"bbox": [list(mosaic.described or _WORLD)]},
            "temporal": {"interval": [[None, None]]},
        },
        "links": [],
    }


def filterable(mosaic: Mosaic) -> tuple[str, ...]:
    """Returns the names that filters on Items of a mosaic may use."""
    return tuple(dict.fromkeys((*ALWAYS, *(mosaic.rules.fields or mosaic.properties))))


def queryables_document(names: Iterable[str], title: str) -> dict[str, Any]:
    """Returns the JSON Schema of names that filters may use, without `$id` (OGC 19-079r2, 6.2).

    Of kept properties no more than their names is known.
    """
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "type": "object",
        "title": title,
        "properties": {name: _QUERYABLES.get(name, {"title": name}) for name in names},
        "additionalProperties": False,
    }
