"""Dependencies of FastAPI's routes: what they take from a request.

A dependency that never waits is a coroutine: FastAPI would run a plain function in another thread,
which costs more than most of these do.
"""

from typing import Annotated

from fastapi import Depends, Header, Query, Request
from rasterio.crs import CRS

from livemosaic.api.access import mosaic_now, mosaic_of, mosaics_of, services_of
from livemosaic.api.params.crs import crs_of
from livemosaic.api.params.pixels import ReadQuery, RenderQuery
from livemosaic.api.params.rule import AskedRule
from livemosaic.geo.crs import LONLAT
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Render
from livemosaic.model.rule import Rule
from livemosaic.services import Services


async def get_services(request: Request) -> Services:
    """The services of the application that answers the request."""
    return services_of(request)


ServicesDep = Annotated[Services, Depends(get_services)]
CachedMosaic = Annotated[Mosaic, Depends(mosaic_of)]
CurrentMosaic = Annotated[Mosaic, Depends(mosaic_now)]
VisibleMosaics = Annotated[list[Mosaic], Depends(mosaics_of)]


async def read_params(mosaic: CachedMosaic, query: Annotated[ReadQuery, Query()]) -> Read:
    """How pixels are read from each scene."""
    return query.to_read(mosaic)


async def render_params(mosaic: CachedMosaic, query: Annotated[RenderQuery, Query()]) -> Render:
    """How pixels become an image; the path may name its format."""
    return query.to_render(mosaic)


async def rule_params(mosaic: CachedMosaic, query: Annotated[AskedRule, Query()]) -> Rule:
    """Which scenes take part, in which order, and what becomes of them."""
    return query.to_rule(mosaic)


ReadParams = Annotated[Read, Depends(read_params)]
RenderParams = Annotated[Render, Depends(render_params)]
RuleParams = Annotated[Rule, Depends(rule_params)]

IfNoneMatchHeader = Annotated[
    list[str] | None, Header(alias="If-None-Match", description="ETags of what is there")
]


async def crs_param(
    crs: Annotated[
        str | None, Query(max_length=100, description="CRS of the bounds, longitude first without")
    ] = None,
) -> CRS:
    """The CRS in which bounds are told."""
    return crs_of(crs) if crs else LONLAT


InCrs = Annotated[CRS, Depends(crs_param)]


async def coord_crs_param(
    coord_crs: Annotated[
        str | None,
        Query(max_length=100, description="CRS of the coordinates, longitude first without"),
    ] = None,
) -> CRS:
    """The CRS in which coordinates of a path or a body are told."""
    return crs_of(coord_crs) if coord_crs else LONLAT


async def dst_crs_param(
    dst_crs: Annotated[
        str | None,
        Query(max_length=100, description="CRS of the pixels, that of the coordinates without"),
    ] = None,
) -> CRS | None:
    """The CRS of an answer, where one is asked for."""
    return crs_of(dst_crs) if dst_crs else None


CoordCrs = Annotated[CRS, Depends(coord_crs_param)]
DstCrs = Annotated[CRS | None, Depends(dst_crs_param)]
