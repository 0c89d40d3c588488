"""The parameters of WMS as the OpenAPI document has them."""

from typing import Any, Final

INFO_FORMATS: Final = ("application/json", "text/plain", "text/html", "application/vnd.ogc.gml")
"""Media types of GetFeatureInfo; `text/xml` is GML, too."""

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_NUMBER: Final[dict[str, Any]] = {"type": "integer", "minimum": 1}
_PIXEL: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}


def _one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": [*values]}


DOCUMENTED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "SERVICE": (_one_of("WMS"), "Always `WMS`"),
    "REQUEST": (
        _one_of("GetCapabilities", "GetMap", "GetFeatureInfo", "GetLegendGraphic"),
        "The operation",
    ),
    "VERSION": (_one_of("1.3.0", "1.1.1"), "1.3.0 if not given; others are answered as the next"),
    "LAYERS": (_TEXT, "Ids of mosaics, between commas, the first one drawn at the bottom"),
    "STYLES": (
        _TEXT,
        "A named render of each mosaic, between commas; `default` or nothing: as it is shown",
    ),
    "CRS": (_TEXT, "CRS of `BBOX` and of the map, such as `EPSG:3857` or `CRS:84`"),
    "SRS": (_TEXT, "The same, in 1.1.1"),
    "BBOX": (_TEXT, "Box of the map; in 1.3.0 in the axis order of its CRS, in 1.1.1 x before y"),
    "WIDTH": (_NUMBER, "Width of the map in pixels"),
    "HEIGHT": (_NUMBER, "Height of the map in pixels"),
    "FORMAT": (
        _one_of("image/png", "image/png; mode=8bit", "image/jpeg", "image/webp", "image/tiff"),
        "Format of the map; `mode=8bit`, also `image/png8`, has a palette of up to 255 colors",
    ),
    "TRANSPARENT": (_one_of("TRUE", "FALSE"), "Whether a map has no background; FALSE by default"),
    "BGCOLOR": (_TEXT, "Background of a map, `0xRRGGBB`; white if not given"),
    "TIME": (
        _TEXT,
        "Times of the scenes that take part: moments, intervals and periods, between commas",
    ),
    "EXCEPTIONS": (
        _TEXT,
        "`XML`, `INIMAGE` or `BLANK`: the form of a service exception of a map",
    ),
    "QUERY_LAYERS": (_TEXT, "Some of `LAYERS`, for GetFeatureInfo"),
    "INFO_FORMAT": (
        _one_of(*INFO_FORMATS),
        "Format of GetFeatureInfo",
    ),
    "FEATURE_COUNT": (_NUMBER, "Scenes that GetFeatureInfo lists at most: 1 if not given"),
    "I": (_PIXEL, "Column of the queried pixel, from the left"),
    "J": (_PIXEL, "Row of the queried pixel, from the top"),
    "X": (_PIXEL, "The column, in 1.1.1"),
    "Y": (_PIXEL, "The row, in 1.1.1"),
    "LAYER": (_TEXT, "The id of a mosaic, for GetLegendGraphic"),
    "STYLE": (_TEXT, "A named render of it, for GetLegendGraphic"),
}
"""Schema and description by name; names are read in any case."""
