"""Pictures of boxes in any CRS, and what they are made of."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from livemosaic.api.dependencies import (
    CachedMosaic,
    CoordCrs,
    DstCrs,
    IfNoneMatchHeader,
    ReadParams,
    RenderParams,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.params.pixels import format_of
from livemosaic.api.responses.explain import explained
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
"""Pixels, of which a picture has fewer in all than the square of this."""

_PATH: Final = "/mosaics/{mosaic}/bbox/{minx},{miny},{maxx},{maxy}"
_ROUGH: Final = 256
"""Pixels of an edge, where only footprints are looked at."""

_FEATURE_PATH: Final = "/mosaics/{mosaic}/feature"


async def box_params(
    minx: Annotated[float, Path(description="West, or the smallest x")],
    miny: Annotated[float, Path(description="South, or the smallest y")],
    maxx: Annotated[float, Path(description="East; less than west across the antimeridian")],
    maxy: Annotated[float, Path(description="North, or the largest y")],
    coord_crs: CoordCrs,
) -> Box:
    """The box in the path, in the CRS of its coordinates."""
    return Box.of(coord_crs, (minx, miny, maxx, maxy))


async def size_params(
    max_size: Annotated[
        int | None,
        Query(
            ge=1, le=MAX_SIDE, description="Pixels of the longer side at most; if no side is given"
        ),
    ] = None,
    # Without Query: one route has them in its path.
    height: Annotated[
        int | None, Field(ge=1, le=MAX_SIDE, description="Pixels from top to bottom")
    ] = None,
    width: Annotated[
        int | None, Field(ge=1, le=MAX_SIDE, description="Pixels from left to right")
    ] = None,
) -> Size:
    """How many pixels; as many as the topmost scene has there if nothing is said."""
    return Size(width, height, max_size)


GivenBox = Annotated[Box, Depends(box_params)]
SizeParams = Annotated[Size, Depends(size_params)]


async def framed(
    services: Services, mosaic: Mosaic, box: Box, size: Size, read: Read, rule: Rule
) -> View:
    """A box as a picture of the size that is asked for; `InvalidRequestError` if it is too large,
    or coarser than the mosaic's minzoom.
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
            f"{box} makes {width:,} × {height:,} pixels, this server allows {most:,} in all; give "
            f"a smaller width and height, or max_size={int(most**0.5)}"
        )
    view = box_view(box, mosaic, width, height)
    if rule.method != "lock":  # which shows at every scale
        check_zoom(mosaic, view)
    return view


async def bbox_image(
    mosaic: CachedMosaic,
    box: GivenBox,
    size: SizeParams,
    dst_crs: DstCrs,
    services: ServicesDep,
    read: ReadParams,
    render: RenderParams,
    rule: RuleParams,
    format: str,  # noqa: A002 (the name that the path gives it)
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """A picture of a box, as a tile is one: the same parameters, headers and ETags.

    It shows just the box, in `dst_crs` the box around it, in pixels as large as those of the
    topmost scene unless a size is given.
    """
    render = replace(render, format=format_of(format))
    view = await framed(services, mosaic, box.to(dst_crs or box.crs), size, read, rule)
    return await image(services, mosaic, view, read, render, rule, held=if_none_match)


for _suffix in ("/{width}x{height}.{format}", ".{format}"):
    router.get(_PATH + _suffix, response_class=Response, responses=RESPONSES)(bbox_image)


@router.get(_PATH + "/assets")
async def bbox_assets(
    mosaic: CachedMosaic, box: GivenBox, services: ServicesDep, rule: RuleParams
) -> dict[str, Any]:
    """What a picture of the box would read, top first, and which scenes those hide."""
    return await explained(services, mosaic, box_view(box, mosaic, _ROUGH, _ROUGH), rule)


async def feature_image(
    mosaic: CachedMosaic,
    feature: Annotated[
        dict[str, Any],
        Body(description="GeoJSON Feature of polygons or lines; a ring may cross itself"),
    ],
    coord_crs: CoordCrs,
    dst_crs: DstCrs,
    size: SizeParams,
    services: ServicesDep,
    read: ReadParams,
    render: RenderParams,
    rule: RuleParams,
    format: str = "auto",  # noqa: A002 (the name that the path gives it)
) -> Response:
    """A picture of a feature's box, of which only the pixels are valid that the feature touches.

    Parameters and headers are those of a picture of a box; there is no ETag.
    """
    shape = await run_in_threadpool(Shape.of, feature, coord_crs, services.settings.max_vertices)
    render = replace(render, format=format_of(format))
    view = await framed(services, mosaic, shape.box.to(dst_crs or coord_crs), size, read, rule)
    view = replace(view, mask=await run_in_threadpool(shape.mask, view.grid))
    return await image(services, mosaic, view, read, render, rule)


for _suffix in ("/{width}x{height}.{format}", ".{format}", ""):
    router.post(_FEATURE_PATH + _suffix, response_class=Response, responses=RESPONSES)(
        feature_image
    )
