"""Band values at a point, of each scene and of the mosaic."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from livemosaic.api.dependencies import CachedMosaic, CoordCrs, ReadParams, RuleParams, ServicesDep
from livemosaic.api.responses.explain import explain_view
from livemosaic.api.responses.point import PointOut, values_at
from livemosaic.tiler.views import Point

router = APIRouter(tags=["numbers"])


@router.get(
    "/mosaics/{mosaic}/point/{lon},{lat}",
    response_model=PointOut,
    responses={204: {"description": "No scene covers the point"}},
)
async def point(
    mosaic: CachedMosaic,
    lon: float,
    lat: float,
    crs: CoordCrs,
    services: ServicesDep,
    read: ReadParams,
    rule: RuleParams,
) -> Any:
    """Reads the pixel of each scene at a point, top first, at full resolution."""
    found = await values_at(services, mosaic, Point(crs, lon, lat), read, rule)
    return Response(status_code=204) if found is None else found


@router.get("/mosaics/{mosaic}/point/{lon},{lat}/assets")
async def point_assets(
    mosaic: CachedMosaic,
    lon: float,
    lat: float,
    crs: CoordCrs,
    services: ServicesDep,
    read: ReadParams,
    rule: RuleParams,
) -> dict[str, Any]:
    """Lists the scenes that cover a point, top first, by footprints alone."""
    view = Point(crs, lon, lat).view(mosaic)
    return await explain_view(services, mosaic, view, read, replace(rule, min_pixels=0), every=True)
