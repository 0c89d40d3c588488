"""Statistics of the pixel values of a whole mosaic."""

import asyncio
import json
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from fastapi.concurrency import run_in_threadpool

from livemosaic.api.dependencies import (
    CachedMosaic,
    IfNoneMatchHeader,
    ReadParams,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.responses.digest import tagged
from livemosaic.api.responses.explain import band_names
from livemosaic.api.routes.statistics import wanted_params
from livemosaic.errors import InvalidRequestError
from livemosaic.model.render import Read
from livemosaic.tiler.statistics import Wanted
from livemosaic.tiler.whole.count import WholeCount
from livemosaic.tiler.whole.image import MAX_SIDE, SIDE
from livemosaic.tiler.whole.statistics import count_whole

router = APIRouter(tags=["numbers"])

_OF_IMAGE: Final = (
    "of an image of the whole mosaic with fewer pixels than its scenes: the mean is that of the "
    "scenes, while extremes, deviation and percentiles are of its pixels, each of which may stand "
    "for many; weights are true areas, `count` is in km²"
)
_OF_SAMPLES: Final = (
    "of small images around each scene, in which scenes that overlap count more than once; weights "
    "are true areas, `count` is in km²"
)


@router.get(
    "/mosaics/{mosaic}/statistics",
    response_model=None,
    responses={
        204: {"description": "The mosaic has no scenes, or no pixels of them"},
        304: {"description": "The statistics still have an ETag of `If-None-Match`"},
    },
)
async def whole_statistics(
    mosaic: CachedMosaic,
    services: ServicesDep,
    read: ReadParams,
    rule: RuleParams,
    wanted: Annotated[Wanted, Depends(wanted_params)],
    max_size: Annotated[
        int, Query(ge=16, le=MAX_SIDE, description="Pixels of the longer side of the mosaic")
    ] = SIDE,
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """Computes statistics of each band of the whole mosaic, of few pixels: `approximate` is true,
    and `approximation` says how. Each pixel counts by its true area.

    Where the mosaic has overviews that show what is asked for, they are of these, and no scene is
    read; else of its scenes, if they are few. Fields are as of areas. `size` is
    width and height of the image, `area_km2` the area of its valid pixels.
    """
    read = replace(read, palette=False)
    services.tiler.of_scenes(mosaic, read, rule)
    try:
        async with asyncio.timeout(services.settings.max_statistics_s):
            counted = await count_whole(
                services.tiler, mosaic, read, rule, services.stretches.counts, max_size
            )
    except TimeoutError as error:
        raise InvalidRequestError(
            f"this took longer than {services.settings.max_statistics_s:g} s; ask for a smaller "
            "max_size, or POST single areas"
        ) from error
    if counted is None or not (counted.tally.names or counted.skipped):
        return Response(status_code=204)
    body = await run_in_threadpool(_body, counted, wanted, read)
    brief = bool(counted.skipped)
    return tagged(body, "application/json", mosaic, services.settings, if_none_match, brief=brief)


def _body(counted: WholeCount, wanted: Wanted, read: Read) -> bytes:
    names = band_names(read, counted.tally.names)
    document: dict[str, Any] = {
        "statistics": {
            name: {**statistics, "approximate": True, "description": description}
            for name, (description, statistics) in zip(
                names, counted.tally.statistics(wanted), strict=True
            )
        },
        "approximate": True,
        "approximation": _OF_IMAGE if counted.size else _OF_SAMPLES,
        "bounds": counted.bounds,
        "size": counted.size,
        "area_km2": counted.area_km2 and round(counted.area_km2, 6),
        "used_assets": list(counted.scenes),
        "overviews": sorted(counted.rungs),
    }
    if counted.skipped:
        document["skipped_assets"] = [{"name": n, "why": y} for n, y in counted.skipped.items()]
    if counted.truncated:
        document["truncated"] = counted.truncated
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
