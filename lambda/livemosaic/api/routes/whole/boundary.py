"""The boundary of a whole mosaic, as GeoJSON."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from shapely.geometry import mapping

from livemosaic.api.dependencies import CachedMosaic, IfNoneMatchHeader, ServicesDep
from livemosaic.api.responses.digest import tagged
from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.tiler.whole.boundary import Boundary, boundary_of, number_of_scenes
from livemosaic.tiler.whole.image import MAX_SIDE, SIDE

router = APIRouter(tags=["describe"])

_TILE: Final = 256
_LEAST: Final = 16


@router.get(
    "/mosaics/{mosaic}/boundary",
    response_class=Response,
    responses={
        200: {
            "content": {"application/geo+json": {}},
            "description": "A GeoJSON Feature of polygons; `bbox` is as tight as they are",
        },
        204: {"description": "The mosaic has no scenes, or no pixels of them"},
        304: {"description": "The boundary still has an ETag of `If-None-Match`"},
    },
)
async def boundary(
    mosaic: CachedMosaic,
    services: ServicesDep,
    zoom: Annotated[
        int | None,
        Query(
            ge=0, le=24, description="As fine as tiles of this zoom; 512 pixels across by default"
        ),
    ] = None,
    envelope: Annotated[
        bool, Query(description="The rectangle around the boundary instead of the boundary")
    ] = False,
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """Returns where the mosaic has pixels now: by its overviews, without reading a scene, or by the
    footprints of few scenes.

    Unlike the bounds of the mosaic, which hold all scenes ever added, it follows scenes that go.
    `resolution` is the size of a pixel in degrees, null of footprints; `area_km2` the true area;
    `newest` the time of the newest scene, where the mosaic shows that on top; `scenes` how many
    there are, null of many without overviews.
    """
    side = SIDE if zoom is None else _side(mosaic, zoom)
    found = await boundary_of(services.tiler, mosaic, side)
    if found is None:
        return Response(status_code=204)
    scenes = await run_in_threadpool(number_of_scenes, services.tiler, mosaic)
    body = await run_in_threadpool(_body, mosaic, found, scenes, envelope)
    return tagged(body, "application/geo+json", mosaic, services.settings, if_none_match)


def _side(mosaic: Mosaic, zoom: int) -> int:
    west, south, east, north = mosaic.bounds or (0, 0, 0, 0)
    pixels: float = max((east - west) % 360 or 360, north - south) / 360 * _TILE * 2**zoom
    if pixels > MAX_SIDE:
        raise InvalidRequestError(
            f"zoom {zoom} makes {pixels:,.0f} pixels of mosaic {mosaic.id!r}, at most {MAX_SIDE:,} "
            "are read; ask for a smaller zoom"
        )
    return max(_LEAST, round(pixels))


def _body(mosaic: Mosaic, found: Boundary, scenes: int | None, envelope: bool) -> bytes:
    properties: dict[str, Any] = {
        "title": mosaic.title or mosaic.id,
        "area_km2": round(found.area_km2, 6),
        "newest": found.newest,
        "scenes": scenes,
        "resolution": found.resolution,
        "overviews": list(found.rungs),
    }
    feature = {
        "type": "Feature",
        "id": mosaic.id,
        "bbox": found.bounds,
        "geometry": mapping(found.envelope if envelope else found.geometry),
        "properties": properties,
    }
    return json.dumps(feature, allow_nan=False, separators=(",", ":")).encode()
