"""Statistics of pixel values in the areas of GeoJSON features."""

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Query, Response
from fastapi.concurrency import run_in_threadpool

from livemosaic.api.dependencies import (
    CachedMosaic,
    CoordCrs,
    DstCrs,
    ReadParams,
    RenderParams,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.responses.explain import band_names
from livemosaic.api.routes.bbox import SizeParams
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.feature import Shape
from livemosaic.model.render import Read, Style
from livemosaic.tiler.statistics import Wanted
from livemosaic.tiler.zonal import Counted, Counting, count

router = APIRouter(tags=["numbers"])

_MAX_BINS: Final = 1000
_MAX_CATEGORIES: Final = 1000
_MAX_PERCENTILES: Final = 100
_MAX_COUNTS: Final = 500_000
"""Maximum counts in all histograms of a response."""


async def wanted_params(
    categorical: Annotated[
        bool | None, Query(description="Count the pixels of each value instead of a histogram")
    ] = None,
    c: Annotated[list[float] | None, Query(description="Values to count; all if not given")] = None,
    p: Annotated[list[int] | None, Query(description="Percentiles; 2 and 98 by default")] = None,
    histogram_bins: Annotated[
        str | None, Query(description="Number of bins, or comma-separated edges")
    ] = None,
    histogram_range: Annotated[
        str | None, Query(description="Histogram range `min,max`; by default that of the values")
    ] = None,
) -> Wanted:
    """Parses which statistics of the values are requested."""
    categories, percentiles = tuple(c or ()), tuple(p or ()) or (2, 98)
    if len(categories) > _MAX_CATEGORIES:
        raise InvalidRequestError(f"{len(categories)} values c, at most {_MAX_CATEGORIES} are read")
    if not all(map(math.isfinite, categories)):
        raise InvalidRequestError("values c must be finite numbers")
    if len(percentiles) > _MAX_PERCENTILES or not all(0 <= q <= 100 for q in percentiles):
        raise InvalidRequestError(
            f"percentiles p {str(percentiles)[:80]} must be 0 to 100, at most {_MAX_PERCENTILES}"
        )
    return Wanted(
        categorical=bool(categorical),
        categories=categories,
        percentiles=percentiles,
        bins=_bins(histogram_bins) if histogram_bins else 10,
        range=_range(histogram_range) if histogram_range else None,
    )


def _bins(text: str) -> int | tuple[float, ...]:
    edges = _numbers("histogram_bins", text)
    if len(edges) > _MAX_BINS + 1 or (len(edges) == 1 and edges[0] not in range(1, _MAX_BINS + 1)):
        raise InvalidRequestError(f"histogram_bins {text[:80]!r} must be 1 to {_MAX_BINS} bins")
    if any(left >= right for left, right in pairwise(edges)):
        raise InvalidRequestError(f"histogram_bins {text[:80]!r} must be edges that ascend")
    return int(edges[0]) if len(edges) == 1 else edges


def _range(text: str) -> tuple[float, float]:
    ends = _numbers("histogram_range", text)
    if len(ends) != 2 or ends[0] > ends[1]:
        raise InvalidRequestError(f"histogram_range {text[:80]!r} must be min,max")
    return ends[0], ends[1]


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidRequestError(f"{name} {text[:80]!r} must be numbers and commas") from error
    if not math.isfinite(sum(map(abs, numbers))):
        raise InvalidRequestError(f"{name} {text[:80]!r} must be finite numbers")
    return numbers


async def counting_params(
    services: ServicesDep,
    size: SizeParams,
    render: RenderParams,
    cover_scale: Annotated[
        int | None,
        Query(
            ge=1,
            le=1000,
            description="Subdivisions of a pixel per direction, to estimate its share in the area; "
            "10 by default",
        ),
    ] = None,
) -> Counting:
    """Parses how pixels in areas are counted; of the render, only the algorithm matters."""
    return Counting(
        size=size,
        cover_scale=cover_scale or 10,
        style=render,
        max_pixels=services.settings.max_statistics_pixels,
    )


@router.post(
    "/mosaics/{mosaic}/statistics",
    response_class=Response,
    responses={
        200: {
            "content": {"application/geo+json": {}},
            "description": "The given GeoJSON, with `statistics` and `used_assets` in properties",
        },
        204: {"description": "No scene covers the areas"},
    },
)
async def statistics(
    mosaic: CachedMosaic,
    geojson: Annotated[
        dict[str, Any], Body(description="GeoJSON Feature or FeatureCollection of polygons")
    ],
    coord_crs: CoordCrs,
    dst_crs: DstCrs,
    services: ServicesDep,
    read: ReadParams,
    rule: RuleParams,
    how: Annotated[Counting, Depends(counting_params)],
    wanted: Annotated[Wanted, Depends(wanted_params)],
) -> Response:
    """Computes statistics of each band in each area, at the resolution of the topmost scene unless
    a size is given. Pixels are weighted by their share in the area.

    Large areas are read in blocks of 1024 × 1024 pixels; the rule is applied to each block.
    `used_assets` are the visible scenes, `skipped_assets` the scenes that could not be read and
    why, `overviews` the zooms of overviews that were read in place of scenes, `truncated` the limit
    that left scenes out, and a band's `approximate` the relative error
    of its percentiles, if any.
    """
    features = _features(geojson, services.settings.max_features)
    if any(not isinstance(feature.get("properties") or {}, dict) for feature in features):
        raise InvalidRequestError("properties of a Feature must be an object or null")
    shapes = [
        await run_in_threadpool(Shape.of, feature, coord_crs, services.settings.max_vertices)
        for feature in features
    ]
    read = replace(read, palette=False)
    results: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(services.settings.max_statistics_s):
            for shape in shapes:
                counted = await count(
                    services.tiler, mosaic, shape, dst_crs or coord_crs, read, rule, how
                )
                results.append(
                    await run_in_threadpool(_properties, counted, wanted, read, how.style)
                )
                _refuse_too_many(results)
    except TimeoutError as error:
        raise InvalidRequestError(
            f"this took longer than {services.settings.max_statistics_s:g} s; ask for fewer areas, "
            "or for fewer pixels with max_size"
        ) from error
    if results and not any(each["statistics"] or "skipped_assets" in each for each in results):
        return Response(status_code=204)
    body = await run_in_threadpool(_body, geojson, features, results)
    return Response(body, media_type="application/geo+json")


def _features(geojson: dict[str, Any], most: int) -> list[dict[str, Any]]:
    if geojson.get("type") != "FeatureCollection":
        return [geojson]
    features = geojson.get("features")
    if not isinstance(features, list) or not all(isinstance(f, dict) for f in features):
        raise InvalidRequestError("features of a FeatureCollection must be a list of Features")
    if len(features) > most:
        raise InvalidRequestError(
            f"the FeatureCollection has {len(features):,} features, at most {most:,} are read; "
            "send them in several requests"
        )
    return features


def _properties(counted: Counted, wanted: Wanted, read: Read, style: Style) -> dict[str, Any]:
    names = band_names(read, counted.tally.names, style)
    bands = counted.tally.statistics(wanted)
    properties: dict[str, Any] = {
        "statistics": {
            name: statistics | {"description": description}
            for name, (description, statistics) in zip(names, bands, strict=True)
        },
        "used_assets": list(counted.scenes),
    }
    if counted.skipped:
        properties["skipped_assets"] = [{"name": n, "why": y} for n, y in counted.skipped.items()]
    if counted.rungs:
        properties["overviews"] = sorted(counted.rungs)
    if counted.truncated:
        properties["truncated"] = counted.truncated
    return properties


def _refuse_too_many(results: Sequence[dict[str, Any]]) -> None:
    bands = [band for each in results for band in each["statistics"].values()]
    numbers = sum(len(band["histogram"][0]) for band in bands)
    if numbers > _MAX_COUNTS:
        raise InvalidRequestError(
            f"the histograms of {len(results)} features have {numbers:,} counts; the limit is "
            f"{_MAX_COUNTS:,}: ask for fewer areas, bins or categories"
        )


def _body(
    geojson: dict[str, Any], features: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]
) -> bytes:
    answers = [
        feature | {"properties": (feature.get("properties") or {}) | properties}
        for feature, properties in zip(features, results, strict=True)
    ]
    collection = geojson.get("type") == "FeatureCollection"
    answer = geojson | {"features": answers} if collection else answers[0]
    try:
        return json.dumps(answer, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise InvalidRequestError("NaN and Infinity in the GeoJSON are no JSON") from error
