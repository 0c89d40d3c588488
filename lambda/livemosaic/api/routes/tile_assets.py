"""What a tile is made of."""

from typing import Any

from fastapi import APIRouter

from livemosaic.api.dependencies import CachedMosaic, RuleParams, ServicesDep
from livemosaic.api.responses.explain import explained
from livemosaic.api.routes.tiles import PATH
from livemosaic.tiler.views import TileAddress

router = APIRouter(tags=["tiles"])


@router.get(PATH + "/assets")
async def tile_assets(
    mosaic: CachedMosaic, tms: str, z: int, x: int, y: int, services: ServicesDep, rule: RuleParams
) -> dict[str, Any]:
    """What the tile would read, top first, and which scenes those hide, by footprints alone."""
    return await explained(services, mosaic, TileAddress(tms, z, x, y).view(mosaic, 256), rule)
