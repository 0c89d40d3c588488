"""Images of boxes and features in any CRS."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from livemosaic.api.dependencies import (
    AppearanceParams,
    CachedMosaic,
    CoordCrs,
    DstCrs,
    IfNoneMatchHeader,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.params.pixels import format_of
from livemosaic.api.responses.explain import explain_view
from livemosaic.api.responses.picture import RESPONSES, image
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import Box, Size, step_of
from livemosaic.geo.feature import Shape
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.services import Services
from livemosaic.tiler.views import View, box_view, check_zoom

router = APIRouter(tags=["boxes and features"])


MAX_SIDE: Final = 100_000
"""Maximum width and height in pixels; their product is limited further."""

_PATH: Final = "/mosaics/{mosaic}/bbox/{minx},{miny},{maxx},{maxy}"
_ROUGH: Final = 256
"""Pixels per edge of a grid that only footprints are drawn on."""

_FEATURE_PATH: Final = "/mosaics/{mosaic}/feature"


async def box_params(
    minx: Annotated[float, Path(description="West, or the smallest x")],
    miny: Annotated[float, Path(description="South, or the smallest y")],
    maxx: Annotated[float, Path(description="East; less than west across the antimeridian")],
    maxy: Annotated[float, Path(description="North, or the largest y")],
    coord_crs: CoordCrs,
) -> Box:
    """Parses the box in the path, in the CRS of its coordinates."""
    return Box.of(coord_crs, (minx, miny, maxx, maxy))


async def size_params(
    max_size: Annotated[
        int | None,
        Query(
            ge=1,
            le=MAX_SIDE,
            description="Maximum pixels of the longer side, if neither width nor height is given",
        ),
    ] = None,
    # Without Query: one route has them in its path.
    height: Annotated[
        int | None, Field(ge=1, le=MAX_SIDE, description="Image height in pixels")
    ] = None,
    width: Annotated[
        int | None, Field(ge=1, le=MAX_SIDE, description="Image width in pixels")
    ] = None,
) -> Size:
    """Parses the size of an image; the topmost scene's resolution by default."""
    return Size(width, height, max_size)


GivenBox = Annotated[Box, Depends(box_params)]
SizeParams = Annotated[Size, Depends(size_params)]


async def sized_view(
    services: Services, mosaic: Mosaic, box: Box, size: Size, read: Read, rule: Rule
) -> View:
    """Returns the view of a box at a size; `InvalidRequestError` if it has too many pixels, or is
    coarser than the mosaic's minzoom.
    """
    step = None
    if not size.given:
        rough = box_view(box, mosaic, _ROUGH, _ROUGH)
        frame = await services.tiler.native(services.tiler.draft(mosaic, rough, read, rule))
        step = step_of(frame, box.crs) if frame else None
    width, height = size.of(box, step)
    most = services.settings.max_image_pixels
    if width * height > most:
        raise InvalidRequestError(
            f"{box} makes {width:,} × {height:,} pixels; this server allows {most:,} in all: give "
            f"a smaller width and height, or max_size={int(most**0.5)}"
        )
    view = box_view(box, mosaic, width, height)
    if rule.method != "lock":  # locked scenes are visible at every scale
        check_zoom(mosaic, view)
    return view


async def bbox_image(
    mosaic: CachedMosaic,
    box: GivenBox,
    size: SizeParams,
    dst_crs: DstCrs,
    services: ServicesDep,
    appearance: AppearanceParams,
    rule: RuleParams,
    format: str,  # noqa: A002 (the name that the path gives it)
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """Renders an image of a box, with the parameters, headers and ETags of tiles.

    The image covers exactly the box, or its bounds in `dst_crs`, at the resolution of the topmost
    scene unless a size is given.
    """
    read, render = appearance.look(format_of(format))
    view = await sized_view(services, mosaic, box.to(dst_crs or box.crs), size, read, rule)
    return await image(services, mosaic, view, read, render, rule, if_none_match)


for _suffix in ("/{width}x{height}.{format}", ".{format}"):
    router.get(_PATH + _suffix, response_class=Response, responses=RESPONSES)(bbox_image)


@router.get(_PATH + "/assets")
async def bbox_assets(
    mosaic: CachedMosaic,
    box: GivenBox,
    services: ServicesDep,
    appearance: AppearanceParams,
    rule: RuleParams,
) -> dict[str, Any]:
    """Lists the scenes that an image of the box would read or hide, top first."""
    read, _ = appearance.look("auto")
    return await explain_view(services, mosaic, box_view(box, mosaic, _ROUGH, _ROUGH), read, rule)


async def feature_image(
    mosaic: CachedMosaic,
    feature: Annotated[
        dict[str, Any],
        Body(description="GeoJSON Feature of polygons or lines; rings may cross themselves"),
    ],
    coord_crs: CoordCrs,
    dst_crs: DstCrs,
    size: SizeParams,
    services: ServicesDep,
    appearance: AppearanceParams,
    rule: RuleParams,
    format: str = "auto",  # noqa: A002 (the name that the path gives it)
) -> Response:
    """Renders an image of a feature's bounds, where only pixels that touch the feature are valid.

    Parameters and headers are the same as for boxes, without an ETag.
    """
    shape = await run_in_threadpool(Shape.of, feature, coord_crs, services.settings.max_vertices)
    read, render = appearance.look(format_of(format))
    view = await sized_view(services, mosaic, shape.box.to(dst_crs or coord_crs), size, read, rule)
    view = replace(view, mask=await run_in_threadpool(shape.mask, view.grid))
    return await image(services, mosaic, view, read, render, rule)


for _suffix in ("/{width}x{height}.{format}", ".{format}", ""):
    router.post(_FEATURE_PATH + _suffix, response_class=Response, responses=RESPONSES)(
        feature_image
    )
