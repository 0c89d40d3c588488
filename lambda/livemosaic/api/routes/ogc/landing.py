"""Landing page, for people and programs (OGC API - Common, 19-072), and health check."""

from collections.abc import Mapping
from html import escape
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

import livemosaic
from livemosaic.api.access import TOKEN_PARAMETER
from livemosaic.api.dependencies import ServicesDep, VisibleMosaics
from livemosaic.api.documents.preview import preview_path
from livemosaic.api.responses.negotiation import DOCUMENT_RESPONSES, Negotiated, static_path
from livemosaic.api.responses.stac import CONFORMS_TO, StacLinks
from livemosaic.api.routes.ogc import maps
from livemosaic.geo.antimeridian import lonlat_boxes
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.stac.items import STAC_VERSION
from livemosaic.table import Key
from livemosaic.tiler.tilesets import WORLD, web_map_tms

router = APIRouter()

_OGC: Final = "http://www.opengis.net/"
_CONFORMS_TO: Final = [
    *(f"{_OGC}spec/ogcapi-common-1/1.0/conf/{name}" for name in ("core", "html", "json")),
    f"{_OGC}spec/ogcapi-common-1/1.0/conf/landing-page",
    # Not ogcapi-tiles-1: its core wants 404 beyond the limits of a tileset, where scenes may come.
    *maps.CONFORMS_TO,
    *CONFORMS_TO,
]
OPENAPI: Final = "application/vnd.oai.openapi+json;version=3.1"
_DESCRIPTION: Final = "Live mosaics of Cloud-Optimized GeoTIFFs: STAC items go in, tiles come out."
_LINKS: Final = (
    ("", "self", "application/json", "This page"),
    ("", "root", "application/json", "This page"),
    (
        "openapi.json",
        "service-desc",
        OPENAPI,
        "OpenAPI",
    ),
    ("docs", "service-doc", "text/html", "API documentation"),
    ("conformance", f"{_OGC}def/rel/ogc/1.0/conformance", "application/json", "Conformance"),
    ("conformance", "conformance", "application/json", "Conformance"),
    ("collections", "data", "application/json", "Mosaics as STAC Collections"),
    ("mosaics", "related", "application/json", "Mosaics"),
    (
        "tileMatrixSets",
        f"{_OGC}def/rel/ogc/1.0/tiling-schemes",
        "application/json",
        "TileMatrixSets",
    ),
    ("algorithms", "related", "application/json", "Algorithms"),
    ("colorMaps", "related", "application/json", "Colormaps"),
    ("health", "status", "application/json", "Health"),
)
_MOSAIC_LINKS: Final = {
    "Map": "map.html",
    "TileJSON": "tiles/{tms}/tilejson.json",
    "WMTS": "WMTSCapabilities.xml",
    "Tilesets": "tiles",
    "Info": "info",
}
_FILES: Final = {"GDAL": "gdal/mosaic.vrt", "QGIS": "gdal/mosaic.qlr"}
"""Links of a mosaic with scenes."""
_NO_MOSAICS: Final = (
    "There is no mosaic here yet, or no public one. "
    "<code>livemosaic mosaics create NAME</code> creates one."
)
_SHOWN: Final = 500
"""Maximum number of mosaics on the page."""
_PREVIEW: Final = 480
"""Pixels of the longer side of a preview."""
_SMALLEST: Final = 10.0
"""Minimum width and height, in degrees, of a mosaic's extent on the locator map."""
_GRATICULE: Final = "".join(
    [f"M{lon},-90V90" for lon in range(-150, 180, 30)]
    + [f"M-180,{lat}H180" for lat in range(-60, 90, 30)]
)


@router.get("/", tags=["describe"], response_class=Response, responses=DOCUMENT_RESPONSES)
def landing(request: Request, mosaics: VisibleMosaics, responder: Negotiated) -> Response:
    """Links to all resources; the HTML page also lists the mosaics that the user may see."""
    if responder.form == "html":
        token = request.query_params.get(TOKEN_PARAMETER)
        query = f"?{urlencode({TOKEN_PARAMETER: token})}" if token else ""
        return responder.page("livemosaic", _body(mosaics, query))
    stac = StacLinks(request)
    links = [stac.link(rel, path, kind=kind, title=title) for path, rel, kind, title in _LINKS]
    children = [
        stac.link("child", "collections", mosaic.id, title=mosaic.title or mosaic.id)
        for mosaic in mosaics[:_SHOWN]
    ]
    return responder.answer(
        "",
        {
            "type": "Catalog",
            "stac_version": STAC_VERSION,
            "id": "livemosaic",
            "title": "livemosaic",
            "description": _DESCRIPTION,
            "conformsTo": _CONFORMS_TO,
            "links": [*links, *stac.searches(), *children],
        },
    )


@router.get(
    "/conformance", tags=["describe"], response_class=Response, responses=DOCUMENT_RESPONSES
)
def conformance(responder: Negotiated) -> Response:
    """Lists the conformance classes of OGC API standards that the API implements."""
    return responder.answer("Conformance", {"conformsTo": _CONFORMS_TO})


@router.get("/health", tags=["health"])
def health(services: ServicesDep) -> dict[str, str]:
    """Reports `ok`, or 503 if the table does not respond."""
    services.mosaics.table.get(Key("mosaics", "health"))
    return {"status": "ok", "version": livemosaic.__version__}


def _body(mosaics: list[Mosaic], query: str) -> str:
    cards = "".join(_card(mosaic, query) for mosaic in mosaics[:_SHOWN])
    more = len(mosaics) - _SHOWN
    listed = f'<ul class="mosaics">{cards}</ul>' if cards else f'<p class="none">{_NO_MOSAICS}</p>'
    rest = f'<p><a href="mosaics{escape(query)}">{more:,} more mosaics</a></p>' if more > 0 else ""
    links = _anchors({title: path for path, _, _, title in _LINKS[1:]}, "", "")
    nav = f'<nav class="links" aria-label="API">{links}</nav>'
    return f'<p class="lead">{_DESCRIPTION}</p>{listed}{rest}{nav}'


def _card(mosaic: Mosaic, query: str) -> str:
    base = f"mosaics/{mosaic.id}/"
    tms = web_map_tms(mosaic) or mosaic.tms
    paths = _MOSAIC_LINKS | (_FILES if mosaic.bounds else {})
    paths = {name: path.format(tms=tms) for name, path in paths.items()}
    private = ' <span class="private">private</span>' if mosaic.access == "private" else ""
    return (
        f'<li><a class="card" href="{base}map.html{escape(query)}">{_picture(mosaic, query)}'
        f"<h2>{escape(mosaic.title or mosaic.id)}</h2>"
        f"<p><code>{mosaic.id}</code>{private}</p><p>{_place(mosaic)}</p></a>"
        f'<nav class="links" aria-label="{mosaic.id}">{_anchors(paths, base, query)}</nav></li>'
    )


def _anchors(paths: Mapping[str, str], base: str, query: str) -> str:
    return " ".join(
        f'<a href="{base}{path}{escape(query)}">{name}</a>' for name, path in paths.items()
    )


def _place(mosaic: Mosaic) -> str:
    if mosaic.bounds is None:
        return "no scenes yet"
    west, south, east, north = mosaic.described or mosaic.bounds
    latitudes, longitudes = _degrees(south, north, "NS"), _degrees(west, east, "EW")
    return f"{latitudes}, {longitudes}, zoom {mosaic.minzoom}–{mosaic.deepest_zoom}"


def _degrees(low: float, high: float, signs: str) -> str:
    one, other = (f"{abs(d):.1f}° {signs[d < 0]}" for d in (low, high))
    return one if one == other else f"{one} – {other}"


def _picture(mosaic: Mosaic, query: str) -> str:
    """Shows a preview of the mosaic with the world map in its corner, or the world map alone."""
    path = preview_path(mosaic, _PREVIEW)
    if path is None:
        return f'<div class="picture">{_locator(mosaic)}</div>'
    source = escape(path + query.replace("?", "&"))
    preview = f'<img src="{source}" alt="" loading="lazy">'
    return f'<div class="picture shown">{preview}{_locator(mosaic)}</div>'


def _locator(mosaic: Mosaic) -> str:
    """Draws the mosaic's extent on a map of the world; small extents are enlarged."""
    kind = "extent" if mosaic.described else "empty"
    parts = lonlat_boxes(mosaic.described or WORLD)
    extent = "".join(_rectangle(kind, part.bounds) for part in parts)
    return (
        f'<svg viewBox="-180 -90 360 180" aria-hidden="true">{_coast(mosaic)}'
        f'<path class="graticule" d="{_GRATICULE}"/><path class="axes" d="M0,-90V90M-180,0H180"/>'
        f"{extent}</svg>"
    )


def _coast(mosaic: Mosaic) -> str:
    """Returns the land, of mosaics on the Earth."""
    if web_map_tms(mosaic) != "WebMercatorQuad":
        return ""
    place = 'x="-180" y="-90" width="360" height="180"'
    return f'<image href="{static_path()}/land/land.svg" {place}/>'


def _rectangle(kind: str, bounds: BBox) -> str:
    west, south, east, north = bounds
    width, height = max(_SMALLEST, east - west), max(_SMALLEST, north - south)
    x, y = (west + east - width) / 2, -(south + north + height) / 2
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {place}/>'
