"""Pictures of GeoJSON features: of their box, transparent outside of them."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Response
from fastapi.concurrency import run_in_threadpool

from livemosaic.api.access import OfMosaic
from livemosaic.api.boxes import HowLarge, framed
from livemosaic.api.crs import CoordCrs, DstCrs
from livemosaic.api.images import RESPONSES, image
from livemosaic.api.params import Has, HowRead, HowRender, format_of
from livemosaic.api.rule import HowRule
from livemosaic.shapes import Shape

router = APIRouter(tags=["boxes and features"])

_PATH: Final = "/mosaics/{mosaic}/feature"


async def feature_image(
    mosaic: OfMosaic,
    feature: Annotated[
        dict[str, Any],
        Body(description="GeoJSON Feature of polygons or lines; a ring may cross itself"),
    ],
    coord_crs: CoordCrs,
    dst_crs: DstCrs,
    size: HowLarge,
    has: Has,
    read: HowRead,
    render: HowRender,
    rule: HowRule,
    format: str = "auto",  # noqa: A002 (the name that the path gives it)
) -> Response:
    """A picture of a feature's box, of which only the pixels are valid that the feature touches.

    Parameters and headers are those of a picture of a box; there is no ETag.
    """
    shape = await run_in_threadpool(Shape.of, feature, coord_crs, has.settings.max_vertices)
    render = replace(render, format=format_of(format))
    view = await framed(has, mosaic, shape.box.to(dst_crs or coord_crs), size, read, rule)
    view = replace(view, mask=await run_in_threadpool(shape.mask, view.grid))
    return await image(has, mosaic, view, read, render, rule)


for _suffix in ("/{width}x{height}.{format}", ".{format}", ""):
    router.post(_PATH + _suffix, response_class=Response, responses=RESPONSES)(feature_image)
