"""Explanations of tiles."""

from typing import Any

from fastapi import APIRouter

from livemosaic.api.dependencies import AppearanceParams, CachedMosaic, RuleParams, ServicesDep
from livemosaic.api.responses.explain import explain_view
from livemosaic.api.routes.tiles import PATH
from livemosaic.tiler.views import TileAddress

router = APIRouter(tags=["tiles"])


@router.get(PATH + "/assets")
async def tile_assets(
    mosaic: CachedMosaic,
    tms: str,
    z: int,
    x: int,
    y: int,
    services: ServicesDep,
    appearance: AppearanceParams,
    rule: RuleParams,
) -> dict[str, Any]:
    """Lists the scenes that a tile would read or hide, top first, by footprints alone."""
    read, _ = appearance.look("auto")
    return await explain_view(
        services, mosaic, TileAddress(tms, z, x, y).view(mosaic, 256), read, rule
    )
