"""FastAPI dependencies: services, mosaics and parsed parameters of a request.

A dependency that never blocks is a coroutine: FastAPI would run a plain function in another thread,
which costs more than most of them.
"""

from typing import Annotated

from fastapi import Depends, Header, Query, Request
from rasterio.crs import CRS
from starlette.concurrency import run_in_threadpool

from livemosaic.api.access import (
    current_mosaic,
    may_write,
    mosaic_of,
    services_of,
    visible_mosaics,
)
from livemosaic.api.params.crs import MAX_CRS, crs_of
from livemosaic.api.params.items import find_items
from livemosaic.api.params.pixels import Appearance, ReadQuery, RenderQuery
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Render
from livemosaic.model.rule import Rule
from livemosaic.services import Services
from livemosaic.tiler.rules.parameters import MosaicRuleQuery
from livemosaic.tiler.views import lonlat_on


async def get_services(request: Request) -> Services:
    """Returns the services of the application that handles the request."""
    return services_of(request)


ServicesDep = Annotated[Services, Depends(get_services)]
CachedMosaic = Annotated[Mosaic, Depends(mosaic_of)]
CurrentMosaic = Annotated[Mosaic, Depends(current_mosaic)]
VisibleMosaics = Annotated[list[Mosaic], Depends(visible_mosaics)]
Writes = Depends(may_write)


async def read_query(query: Annotated[ReadQuery, Query()]) -> ReadQuery:
    """Returns the parameters of reading as given."""
    return query


async def render_query(query: Annotated[RenderQuery, Query()]) -> RenderQuery:
    """Returns the parameters of drawing as given."""
    return query


GivenRead = Annotated[ReadQuery, Depends(read_query)]
GivenRender = Annotated[RenderQuery, Depends(render_query)]


async def read_params(mosaic: CachedMosaic, query: GivenRead) -> Read:
    """Parses how values are read from each scene."""
    return query.to_read(mosaic)


async def render_params(mosaic: CachedMosaic, query: GivenRender) -> Render:
    """Parses what is made of values, apart from the format."""
    return query.to_render(mosaic)


async def rule_query(query: Annotated[MosaicRuleQuery, Query()]) -> MosaicRuleQuery:
    """Returns the parameters of a rule as given."""
    return query


GivenRule = Annotated[MosaicRuleQuery, Depends(rule_query)]


async def rule_params(mosaic: CachedMosaic, query: GivenRule, request: Request) -> Rule:
    """Parses which scenes take part, in which order, and how they are combined."""
    rule = query.to_rule(mosaic)
    if named := query.items_named(mosaic, rule):
        await run_in_threadpool(find_items, request, mosaic, named)
    return rule


ReadParams = Annotated[Read, Depends(read_params)]
RenderParams = Annotated[Render, Depends(render_params)]
RuleParams = Annotated[Rule, Depends(rule_params)]


async def appearance_params(
    mosaic: CachedMosaic, read: GivenRead, render: GivenRender, rule: RuleParams
) -> Appearance:
    """Returns what the request says of the values and colors of images."""
    return Appearance.of(mosaic, rule, read, render)


AppearanceParams = Annotated[Appearance, Depends(appearance_params)]

IfNoneMatchHeader = Annotated[
    list[str] | None, Header(alias="If-None-Match", description="ETags of the client's copies")
]


async def crs_param(
    mosaic: CachedMosaic,
    crs: Annotated[
        str | None,
        Query(
            max_length=MAX_CRS, description="CRS of the bounds; longitude and latitude by default"
        ),
    ] = None,
) -> CRS:
    """Parses the CRS of the bounds in a response."""
    return crs_of(crs) if crs else lonlat_on(mosaic)


InCrs = Annotated[CRS, Depends(crs_param)]


async def coord_crs_param(
    mosaic: CachedMosaic,
    coord_crs: Annotated[
        str | None,
        Query(
            max_length=MAX_CRS,
            description="CRS of the given coordinates; longitude and latitude by default",
        ),
    ] = None,
) -> CRS:
    """Parses the CRS of the coordinates in the path or the body."""
    return crs_of(coord_crs) if coord_crs else lonlat_on(mosaic)


async def dst_crs_param(
    dst_crs: Annotated[
        str | None,
        Query(
            max_length=MAX_CRS, description="CRS of the pixels; that of the coordinates by default"
        ),
    ] = None,
) -> CRS | None:
    """Parses the CRS of the pixels; None for that of the coordinates."""
    return crs_of(dst_crs) if dst_crs else None


CoordCrs = Annotated[CRS, Depends(coord_crs_param)]
DstCrs = Annotated[CRS | None, Depends(dst_crs_param)]
