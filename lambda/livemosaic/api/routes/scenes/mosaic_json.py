"""A mosaic as MosaicJSON."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field

from livemosaic.api.dependencies import CurrentMosaic, ServicesDep
from livemosaic.export.mosaic_json import at_most, mosaic_json

router = APIRouter(tags=["exports"])

_MAX_SCENES: Final = 5000


@router.get("/mosaics/{mosaic}/mosaic.json")
def export_mosaic_json(
    mosaic: CurrentMosaic,
    services: ServicesDep,
    assets: Annotated[
        list[Annotated[str, Field(max_length=200)]],
        Query(max_length=1, description="The one asset of each scene; by default the shown one"),
    ] = [],  # noqa: B006 (FastAPI copies it)
    quadkey_zoom: Annotated[
        int | None, Query(ge=0, le=24, description="Zoom of the cells that list assets")
    ] = None,
) -> dict[str, Any]:
    """Returns a mosaic of at most 5,000 scenes as MosaicJSON 0.0.3, as of now.

    A scene is listed where its footprint has area, the top one first. `livemosaic export` writes
    larger ones.
    """
    scenes = at_most(services.index.every_scene(mosaic), _MAX_SCENES)
    return mosaic_json(mosaic, scenes, asset="".join(assets), quadkey_zoom=quadkey_zoom)
