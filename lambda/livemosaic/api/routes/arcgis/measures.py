"""Statistics and histograms: of an area, and of a whole service."""

import asyncio
from dataclasses import replace
from typing import Any, Final

from shapely.geometry import box
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.routes.arcgis.values.answers import document
from livemosaic.api.routes.arcgis.values.asked import Asked
from livemosaic.api.routes.arcgis.values.geometry import geometry_of
from livemosaic.api.routes.arcgis.values.rendering import rendering_param
from livemosaic.api.routes.arcgis.values.rules import rule_param
from livemosaic.api.routes.arcgis.values.samples import service_crs
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import Size
from livemosaic.geo.feature import Shape
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Style
from livemosaic.tiler.statistics import Wanted
from livemosaic.tiler.tilesets import reached
from livemosaic.tiler.zonal import Counting, count

_BINS: Final = 256
_COVER: Final = 10
_ROUGH: Final = 512
"""Pixels of the longer side of a service whose statistics are computed as a whole."""
_POLYGONS: Final = ("Polygon", "MultiPolygon")

Bands = list[dict[str, Any]]
"""Statistics of each band, by rio-tiler's names."""


async def compute_statistics_histograms(request: Request) -> Response:
    """Computes statistics and histograms of an area."""
    asked = await Asked.of(request)
    bands = await _of_area(asked)
    return document(asked, {"statistics": _statistics(bands), "histograms": _histograms(bands)})


async def compute_histograms(request: Request) -> Response:
    """Computes histograms of an area."""
    asked = await Asked.of(request)
    return document(asked, {"histograms": _histograms(await _of_area(asked))})


async def histograms(request: Request) -> Response:
    """Computes histograms of the whole service, of few of its pixels."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    return document(asked, {"histograms": _histograms(await _of_service(asked, mosaic))})


async def statistics(request: Request) -> Response:
    """Computes statistics of the whole service, of few of its pixels."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    return document(asked, {"statistics": _statistics(await _of_service(asked, mosaic))})


async def _of_area(asked: Asked) -> Bands:
    mosaic = await asked.mosaic()
    shape = await run_in_threadpool(geometry_of, asked, service_crs(mosaic))
    if shape is None or shape.geometry.geom_type not in _POLYGONS:
        raise InvalidRequestError("geometry must be a polygon or an envelope")
    return await _counted(asked, mosaic, shape, _size(asked, shape))


async def _of_service(asked: Asked, mosaic: Mosaic) -> Bands:
    extent = reached(mosaic, mosaic.tms).extent
    shape = Shape(service_crs(mosaic), box(*extent))
    return await _counted(asked, mosaic, shape, Size(None, None, _ROUGH))


def _size(asked: Asked, shape: Shape) -> Size:
    """Returns the size by `pixelSize`, `x,y` or a point; that of the topmost scene without one."""
    text = asked.get("pixelSize")
    if text is None:
        return Size(None, None, None)
    given = asked.object("pixelSize") if text.startswith("{") else None
    steps = asked.numbers("pixelSize") if given is None else [given.get("x"), given.get("y")]
    numbers = [step for step in steps if isinstance(step, int | float) and step > 0]
    if len(numbers) not in (1, 2) or len(numbers) != len(steps):
        raise InvalidRequestError(f"pixelSize {text[:80]!r} must be x,y, above 0")
    left, bottom, right, top = shape.geometry.bounds
    sides = (right - left) / numbers[0], (top - bottom) / numbers[-1]
    width, height = (max(1, round(min(side, 1e6))) for side in sides)
    return Size(width, height, None)


async def _counted(asked: Asked, mosaic: Mosaic, shape: Shape, size: Size) -> Bands:
    rule, rendering = await rule_param(asked, mosaic), rendering_param(asked, mosaic)
    if rendering.steps:
        raise InvalidRequestError(
            "renderingRule must be a render of the service here: raster functions are not computed"
        )
    settings = asked.services.settings
    how = Counting(
        size=size, cover_scale=_COVER, style=Style(), max_pixels=settings.max_statistics_pixels
    )
    read = replace(rendering.read, palette=False)
    try:
        async with asyncio.timeout(settings.max_statistics_s):
            found = await count(asked.services.tiler, mosaic, shape, shape.crs, read, rule, how)
    except TimeoutError as error:
        raise InvalidRequestError(
            f"this took longer than {settings.max_statistics_s:g} s; ask for a smaller area, or "
            "for larger pixels by pixelSize"
        ) from error
    wanted = Wanted(percentiles=(), bins=_BINS)
    bands = await run_in_threadpool(found.tally.statistics, wanted)
    return [band for _, band in bands]


def _statistics(bands: Bands) -> Bands:
    return [
        {
            "min": band["min"],
            "max": band["max"],
            "mean": band["mean"],
            "standardDeviation": band["std"],
            "median": band["median"],
            "mode": band["majority"],
            "count": band["valid_pixels"],
            "skipX": 1,
            "skipY": 1,
        }
        for band in bands
    ]


def _histograms(bands: Bands) -> list[dict[str, Any]]:
    return [
        {"size": len(counts), "min": edges[0], "max": edges[-1], "counts": counts}
        for counts, edges in (band["histogram"] for band in bands)
        if counts
    ]
