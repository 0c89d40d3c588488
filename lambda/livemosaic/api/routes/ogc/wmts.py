"""WMTS capabilities of a mosaic, for GIS programs (WMTS 1.0.0, OGC 07-057r7, RESTful)."""

import math
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Annotated, Final

import morecantile
from fastapi import APIRouter, Depends, Query, Request, Response
from morecantile import TileMatrixSet
from morecantile.models import TileMatrix

from livemosaic.api.dependencies import CachedMosaic
from livemosaic.api.params.pixels import format_of
from livemosaic.api.urls import CheckedTileURLsDep, TileURLs
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.model.mosaic import Mosaic
from livemosaic.render.encode import MEDIA_TYPES
from livemosaic.tiler.tilesets import WORLD, MatrixLimits, Reach, reach

router = APIRouter(tags=["describe"])

Zooms = Mapping[str, tuple[int, int]]
"""Minimum and maximum zoom by TileMatrixSet; `*` stands for all."""

_MAX_ZOOMS: Final = 50
_PIXEL_M: Final = 0.28e-3
_RADIUS_M: Final = 6_378_137
"""Equatorial radius of WGS 84, the datum of all TileMatrixSets in degrees."""
_ZOOMS: Final = re.compile(r"(\w{1,64}|\*)::(-?\d{1,2}),(-?\d{1,2})", re.ASCII)
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot carry, not even escaped (XML 1.0, 2.2)."""

_DOCUMENT: Final = """<?xml version="1.0" encoding="UTF-8"?>
<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1" \
xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.opengis.net/wmts/1.0 \
http://schemas.opengis.net/wmts/1.0/wmtsGetCapabilities_response.xsd" version="1.0.0">
<ows:ServiceIdentification>
<ows:Title>{title}</ows:Title>
<ows:ServiceType>OGC WMTS</ows:ServiceType>
<ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion>
</ows:ServiceIdentification>
<ows:OperationsMetadata>{operations}
</ows:OperationsMetadata>
<Contents>{contents}
</Contents>
<ServiceMetadataURL xlink:href="{url}"/>
</Capabilities>
"""

_OPERATION: Final = """
<ows:Operation name="{name}"><ows:DCP><ows:HTTP><ows:Get xlink:href="{url}">
<ows:Constraint name="GetEncoding"><ows:AllowedValues>
<ows:Value>RESTful</ows:Value>
</ows:AllowedValues></ows:Constraint>
</ows:Get></ows:HTTP></ows:DCP></ows:Operation>"""

_LAYER: Final = """
<Layer>
<ows:Title>{title}</ows:Title>
<ows:WGS84BoundingBox>
<ows:LowerCorner>{bounds[0]} {bounds[1]}</ows:LowerCorner>
<ows:UpperCorner>{bounds[2]} {bounds[3]}</ows:UpperCorner>
</ows:WGS84BoundingBox>
<ows:Identifier>{id}</ows:Identifier>
<Style isDefault="true"><ows:Identifier>default</ows:Identifier></Style>
<Format>{media_type}</Format>{links}
<ResourceURL format="{media_type}" resourceType="tile" template="{template}"/>
</Layer>"""

_LINK: Final = """
<TileMatrixSetLink><TileMatrixSet>{id}</TileMatrixSet><TileMatrixSetLimits>{limits}
</TileMatrixSetLimits></TileMatrixSetLink>"""

_LIMITS: Final = """
<TileMatrixLimits><TileMatrix>{matrix}</TileMatrix>\
<MinTileRow>{rows[0]}</MinTileRow><MaxTileRow>{rows[1]}</MaxTileRow>\
<MinTileCol>{columns[0]}</MinTileCol><MaxTileCol>{columns[1]}</MaxTileCol></TileMatrixLimits>"""

_TMS: Final = """
<TileMatrixSet>
<ows:Identifier>{id}</ows:Identifier>
<ows:SupportedCRS>{crs}</ows:SupportedCRS>{matrices}
</TileMatrixSet>"""

_MATRIX: Final = """
<TileMatrix><ows:Identifier>{one.id}</ows:Identifier>\
<ScaleDenominator>{scale!r}</ScaleDenominator>\
<TopLeftCorner>{one.pointOfOrigin[0]!r} {one.pointOfOrigin[1]!r}</TopLeftCorner>\
<TileWidth>{one.tileWidth}</TileWidth><TileHeight>{one.tileHeight}</TileHeight>\
<MatrixWidth>{one.matrixWidth}</MatrixWidth><MatrixHeight>{one.matrixHeight}</MatrixHeight>\
</TileMatrix>"""


class _Xml(Response):
    media_type = "application/xml"


async def kvp(request: Request) -> None:
    """Refuses operations, services and versions other than GetCapabilities of WMTS 1.0.0."""
    given = {name.lower(): value for name, value in request.query_params.items()}
    for name, only in (("service", "WMTS"), ("request", "GetCapabilities"), ("version", "1.0.0")):
        value = given.get(name, only)
        if value.lower() != only.lower():
            raise InvalidRequestError(
                f"{name} {value[:80]!r} is not offered here: this is {only}; tiles are RESTful, as "
                "the ResourceURL of these capabilities describes them"
            )


@router.get(
    "/mosaics/{mosaic}/WMTSCapabilities.xml", response_class=_Xml, dependencies=[Depends(kvp)]
)
def capabilities(
    mosaic: CachedMosaic,
    request: Request,
    tiles: CheckedTileURLsDep,
    tms: Annotated[
        str | None,
        Query(max_length=100, description="TileMatrixSet to include; all if not given"),
    ] = None,
    tile_format: Annotated[str, Query(description="File extension in tile URLs")] = "png",
    zooms: Annotated[
        list[str] | None,
        Query(
            max_length=_MAX_ZOOMS, description="Zoom range: `TMS::MIN,MAX`, or `*::MIN,MAX` for all"
        ),
    ] = None,
    use_epsg: Annotated[
        bool, Query(description="Name CRS like `EPSG:3857`, as ArcMap requires, not by URN")
    ] = False,
) -> Response:
    """Returns WMTS 1.0.0 capabilities, for tiles in all TileMatrixSets that cover the mosaic.

    Parameters of tiles are checked and added to the tile URL of the first layer; named renders are
    separate layers.
    """
    reached = list(_reached(mosaic, tms, dict(map(_zoom_range, zooms or ()))))
    if not reached:
        raise NotFoundError(f"mosaic {mosaic.id!r} lies outside {tms}")
    format_ = format_of(tile_format)
    if format_ == "auto":
        raise InvalidRequestError("a WMTS layer has one format: tile_format=png, jpg, webp or tif")
    media_type = MEDIA_TYPES[format_]
    layers = _layers(mosaic, reached, tiles.without("tilesize"), tile_format, media_type)
    contents = "".join([*layers, *(_tms(one.tms, use_epsg=use_epsg) for one in reached)])
    url = _text(str(request.url))
    operations = (_OPERATION.format(name=n, url=url) for n in ("GetCapabilities", "GetTile"))
    title = _text(mosaic.title or mosaic.id)
    document = _DOCUMENT.format(
        title=title, operations="".join(operations), contents=contents, url=url
    )
    return _Xml(document)


def _zoom_range(text: str) -> tuple[str, tuple[int, int]]:
    found = _ZOOMS.fullmatch(text)
    if not found or int(found[2]) > int(found[3]):
        raise InvalidRequestError(
            f"zooms {text[:80]!r} must be like WebMercatorQuad::0,5 or *::0,5"
        )
    if found[1] != "*":
        tile_matrix_set(found[1])
    return found[1], (int(found[2]), int(found[3]))


def _reached(mosaic: Mosaic, tms_id: str | None, zooms: Zooms) -> Iterable[Reach]:
    for name in [tms_id] if tms_id else morecantile.tms.list():
        if tile_matrix_set(name).is_variable:
            continue  # WMTS has no rows of variable width
        found = reach(mosaic, name)
        if found is not None:
            yield found.between(*zooms.get(name, zooms.get("*", (None, None))))


def _layers(
    mosaic: Mosaic, reached: Iterable[Reach], tiles: TileURLs, extension: str, media_type: str
) -> Iterable[str]:
    """Yields a layer with the request's parameters, and one per named render."""
    title, links = mosaic.title or mosaic.id, "".join(map(_link, reached))
    layers = {mosaic.id: (title, tiles)} | {
        f"{mosaic.id}_{name}": (f"{title}: {render.get('title') or name}", tiles.for_render(name))
        for name, render in mosaic.renders.items()
    }
    place = f"{{TileMatrixSet}}/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.{extension}"
    for identifier, (name, tile_urls) in layers.items():
        yield _LAYER.format(
            title=_text(name),
            bounds=mosaic.bounds or WORLD,
            id=identifier,
            media_type=media_type,
            links=links,
            template=_text(tile_urls.at(place)),
        )


def _link(reached: Reach) -> str:
    limits = "".join(_limits(reached, one) for one in reached.limits())
    return _LINK.format(id=reached.tms.id, limits=limits)


def _limits(reached: Reach, at: MatrixLimits) -> str:
    return _LIMITS.format(matrix=reached.tms.matrix(at.zoom).id, rows=at.rows, columns=at.columns)


def _tms(tms: TileMatrixSet, *, use_epsg: bool) -> str:
    code = tms.crs.to_epsg()  # None of OGC:CRS84
    urn = f"urn:ogc:def:crs:EPSG::{code}" if code else "urn:ogc:def:crs:OGC:1.3:CRS84"
    plain = f"EPSG:{code}" if code else "OGC:CRS84"
    matrices = "".join(_MATRIX.format(one=one, scale=_scale(tms, one)) for one in tms.tileMatrices)
    return _TMS.format(id=tms.id, crs=plain if use_epsg else urn, matrices=matrices)


def _scale(tms: TileMatrixSet, matrix: TileMatrix) -> float:
    """Returns the scale denominator for WMTS's pixels of 0.28 mm, from which clients derive the
    pixel size; CanadianNAD83_LCC's own scales assume smaller pixels."""
    degree_m = 2 * math.pi * _RADIUS_M / 360
    size_m = matrix.cellSize * (degree_m if tms.rasterio_crs.is_geographic else 1)
    return size_m / _PIXEL_M


def _text(value: str) -> str:
    return escape(_NOT_XML.sub("", value))
