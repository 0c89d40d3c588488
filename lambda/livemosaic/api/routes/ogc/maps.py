"""OGC API - Maps (20-058): a mosaic as a map."""

from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Response

from livemosaic.api.dependencies import (
    AppearanceParams,
    CachedMosaic,
    IfNoneMatchHeader,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.params.crs import crs_of
from livemosaic.api.params.pixels import format_of, like_format
from livemosaic.api.responses.negotiation import accepted_types
from livemosaic.api.responses.picture import RESPONSES, image
from livemosaic.api.routes.bbox import MAX_SIDE, sized_view
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import Box, Size
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Format
from livemosaic.render.encode import MEDIA_TYPES
from livemosaic.tiler.tilesets import WORLD
from livemosaic.tiler.views import lonlat_on

router = APIRouter(tags=["boxes and features"])

CONFORMS_TO: Final = [
    # Not crs and spatial-subsetting, which want the axis order of each CRS; not scaling, which
    # wants scale-denominator; not tiff, which wants colors. docs/stac.md has the reasons.
    f"https://www.opengis.net/spec/ogcapi-maps-1/1.0/conf/{name}"
    for name in ("core", "png", "jpeg")
]
_DEFAULT_SIZE: Final = 1024


@router.get("/collections/{mosaic}/map", response_class=Response, responses=RESPONSES)
@router.get("/mosaics/{mosaic}/map", response_class=Response, responses=RESPONSES)
async def get_map(
    mosaic: CachedMosaic,
    services: ServicesDep,
    appearance: AppearanceParams,
    rule: RuleParams,
    bbox: Annotated[
        str | None,
        Query(description="Box of four or six numbers; the whole mosaic if not given"),
    ] = None,
    bbox_crs: Annotated[
        str | None,
        Query(alias="bbox-crs", description="CRS of the box; longitude and latitude if not given"),
    ] = None,
    crs: Annotated[
        str | None, Query(description="CRS of the map; longitude and latitude if not given")
    ] = None,
    width: Annotated[
        int | None, Query(ge=1, le=MAX_SIDE, description="Map width in pixels")
    ] = None,
    height: Annotated[
        int | None, Query(ge=1, le=MAX_SIDE, description="Map height in pixels")
    ] = None,
    f: Annotated[
        str | None, Query(description="Image format, such as `png`; overrides `Accept`")
    ] = None,
    accept: Annotated[str, Header()] = "",
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """Renders a map of a box, or of the whole mosaic; by default a PNG of at most 1024 pixels.

    Coordinates are x before y in every CRS, so longitude before latitude, as in TiTiler.
    """
    read, render = appearance.look(format_of(f) if f else _preferred_format(accept, mosaic))
    box = _box(mosaic, bbox, bbox_crs).to(crs_of(crs) if crs else lonlat_on(mosaic))
    size = Size(width, height, None if width or height else _DEFAULT_SIZE)
    view = await sized_view(services, mosaic, box, size, read, rule)
    answer = await image(services, mosaic, view, read, render, rule, if_none_match)
    answer.headers.add_vary_header("Accept")
    return answer


def _box(mosaic: Mosaic, bbox: str | None, bbox_crs: str | None) -> Box:
    if bbox is None:
        return Box.of(lonlat_on(mosaic), mosaic.described or WORLD)
    try:
        numbers = [float(number) for number in bbox.split(",")]
        left, bottom, *_ = numbers
        right, top = numbers[len(numbers) // 2 :][:2]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 6):
        raise InvalidRequestError(
            f"bbox {bbox[:80]!r} must be four numbers, minx,miny,maxx,maxy, or six with heights"
        )
    return Box.of(crs_of(bbox_crs) if bbox_crs else lonlat_on(mosaic), (left, bottom, right, top))


def _preferred_format(accept: str, mosaic: Mosaic) -> Format:
    """Returns the format that Accept prefers; the first of equals, PNG if it accepts none.

    Of the formats that the mosaic allows.
    """
    wanted = accepted_types(accept)
    liked = {
        name: wanted.get(kind.partition(";")[0], 0.0)
        for name, kind in MEDIA_TYPES.items()
        if not mosaic.formats or name in mosaic.formats
    }
    best = max(liked, key=lambda name: liked[name])
    return best if liked[best] > 0 else like_format(mosaic, "png")
