"""Where an answer is not titiler.mosaic's, on purpose. Whatever is not listed here is a fault."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final


@dataclass(frozen=True, slots=True)
class Difference:
    """One that is meant."""

    asks: str
    """Names of requests (`grid.py`), where `*` stands for anything."""
    what: str
    """As `compare.py` says it, where `*` stands for anything."""
    why: str

    def is_of(self, ask: str, what: str) -> bool:
        """Whether it is this one; `[` and `?` stand for themselves."""
        return matches(ask, self.asks) and matches(what, self.what)


def matches(text: str, pattern: str) -> bool:
    """Whether the pattern, in which only `*` means more than itself, is that text."""
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


DIFFERENCES: Final = (
    # What is answered
    Difference("*refused*", "status 422 → 400", "every refusal of a request is a 400"),
    Difference("*that is none", "status 422 → 404", "what a path names and is not there is a 404"),
    Difference("tile refused bidx=9", "status 500 → 400", "it is the request that is wrong"),
    Difference("tile of files, unknown", "status 404 → 400", "the path is right, a parameter not"),
    Difference("tile without scenes", "status 204 → 200", "maps want an image: it is transparent"),
    Difference("bbox nowhere", "status 204 → 200", "maps want an image: it is transparent"),
    Difference("map of all", "status 501 → 200", "the bounds of a mosaic are known"),
    Difference("tile of files, none", "status 422 → 200", "a mosaic has default assets"),
    Difference("tile uint16 as png", "status 400 → 200", "PNG shows the first three of four bands"),
    Difference(
        "tile float as png",
        "status 200 → 400",
        "TiTiler scales by the largest float there is, to one grey; here rescale is asked for",
    ),
    Difference("tile nodata nan", "status 500 → 200", "no integer is NaN, so all are data"),
    Difference(
        "tile resampling=gauss",
        "status 200 → 400",
        "GDAL makes overviews by it, and takes "
        "no pixels; TiTiler lets it pass where nothing is resampled",
    ),
    Difference(
        "tile of files with an expression each",
        "status 200 → 400",
        "one expression names them all: red*2;nir",
    ),
    Difference(
        "tile ndvi of *", "status 400 → 200", "expressions may name assets as well as bands"
    ),
    Difference(
        "*",
        "opaque * → None",
        "a GeoTIFF that has the nodata value of the source has a mask where it is asked for alone",
    ),
    Difference("* as jpg", "type image/jpg → image/jpeg", "IANA knows no image/jpg"),
    # Where pixels lie
    Difference("*", "header content-crs: *EPSG/0/4326> → *CRS84>", "longitude comes first"),
    Difference(
        "tile in WorldCRS84Quad",
        "header content-crs: *OGC/0/CRS84> → *OGC/1.3/CRS84>",
        "the URI of CRS84 has that version",
    ),
    # Values of pixels
    Difference(
        "*",
        "opaque *",
        "a mask beside floats, or in npy, is 0 or 255; in TiTiler it goes "
        "from the smallest to the largest value of the data type",
    ),
    Difference("tile *", "dtype int32 → float32", "band math is 32 bits deep"),
    Difference("tile *", "dtype float64 → float32", "band math is 32 bits deep"),
    Difference(
        "tile cfastie of ndvi",
        "pixels",
        "band math is 32 bits deep: at the border between two colors, rounding decides",
    ),
    Difference(
        "tile other nodata",
        "pixels",
        "a pixel is nodata where all its bands are, as blue "
        "is real beside black; TiTiler fills band by band from scenes below",
    ),
    Difference(
        "tile *=sum",
        "pixels",
        "a kernel is used on aligned pixels too; TiTiler takes them as they are",
    ),
    Difference("tile *=cubic_spline", "pixels", "as sum; it smooths everywhere"),
    Difference(
        "tile pixel_selection=count of uint16",
        "pixels",
        "where nothing is counted, nothing is valid",
    ),
    Difference(
        "tile padding=4 of UTM scenes",
        "pixels",
        "resampling always reads as far around as "
        "it needs; TiTiler's nearest pixels move by one or two",
    ),
    Difference("colormap as png, upright", "pixels", "which colors a short legend leaves out"),
    # Fields
    Difference("point*", "field assets[].name", "scenes are called by their Item's id"),
    Difference("statistics*", "field *used_assets[]", "scenes are called by their Item's id"),
    Difference(
        "point of files",
        "field assets[].band_names[]",
        "bands of several assets are told apart: red_b1",
    ),
    Difference(
        "statistics of files",
        "field properties.statistics.b* missing",
        "bands of several assets are told apart: red_b1",
    ),
    Difference(
        "statistics in degrees",
        "field properties.statistics.*",
        "of pixels as near as others, another is taken",
    ),
    Difference("assets of *", "field ", "each with its assets, and why it shows or not"),
    Difference("info*", "field *name missing", "title"),
    Difference("info*", "field *crs missing", "bounds are in longitude and latitude; /bounds says"),
    Difference("info*", "field *quadkeys missing", "cells are many, and nobody's business"),
    Difference("info*", "field *mosaic_* missing", "tms, minzoom, maxzoom"),
    Difference("info as GeoJSON*", "field geometry.coordinates[][][]", "the ring begins elsewhere"),
    Difference("tilejson", "field tiles[]", "tiles are of 256 pixels if nothing is asked"),
    Difference("tilejson*", "field raster_layers missing", "TiTiler's own, and empty"),
    Difference(
        "tilejson in degrees",
        "field *zoom",
        "those of the mosaic; TiTiler's are all that the matrix set has",
    ),
    Difference("tilejson in degrees", "field center[]", "its zoom is minzoom"),
    Difference("tileset*", "field *title", "for people, in our words"),
    Difference("tileset*", "field links[].href", "the map is at /mosaics/{mosaic}/map.html"),
    Difference(
        "tileset*",
        "field tileMatrixSetLimits[].maxTile*",
        "a tile that bounds only touch is not theirs",
    ),
    Difference("tileset*", "field boundingBox.crs", "longitude comes first"),
    Difference("tileset*", "field accessConstraints missing", "nobody here classifies data"),
    Difference("tileset in degrees", "field links[data] missing", "the map draws WebMercatorQuad"),
    Difference(
        "tileset in degrees", "field tileMatrixSetLimits[*] missing", "the zooms of the mosaic"
    ),
    Difference("tilesets*", "field tilesets", "those that the mosaic has tiles in"),
    Difference("WMTS*", "field ServiceIdentification[].Title[]", "the mosaic's"),
    Difference("WMTS*", "field ServiceProvider missing", "nobody knows who provides it"),
    Difference(
        "WMTS*",
        "field Contents[].Layer*",
        "one layer has all matrix sets, as WMTS means it; TiTiler has a layer for each",
    ),
    Difference("WMTS*", "field Contents[].TileMatrixSet*", "those that the mosaic has tiles in"),
    Difference("catalogue of *", "field *title", "for people, in our words"),
)

LACKED: Final[dict[str, str]] = {
    "* ?url": "the path names the mosaic",
    "* ?asset_as_band": "an expression may call a one-band asset by its name alone, always",
    "POST /mosaics/{}/validate": "there is no MosaicJSON to validate",
    "GET /mosaics/{}/{}/tilejson.json ?*": "it leads to tiles/{}/tilejson.json, which takes them",
    "GET /mosaics/{}/{}/map.html ?*": "its script hands them on to tilejson.json",
}
"""Routes of titiler.mosaic that are not here, and parameters (`route ?name`), and why; `*` stands
for anything."""
