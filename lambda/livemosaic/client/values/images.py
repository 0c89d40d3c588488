"""Responses of an API as rio-tiler's values: images, points, statistics."""

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
from rasterio import Env
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.session import DummySession
from rio_tiler.models import BandStatistics, ImageData, PointData

from livemosaic.api.params.crs import crs_of
from livemosaic.api.responses.picture import (
    CONTENT_BBOX,
    CONTENT_CRS,
    GRAY,
    MISSING,
    OVERVIEW,
    SCENES,
    SKIPPED,
    TRUNCATED,
)
from livemosaic.client.http import Answer
from livemosaic.errors import InvalidRequestError

_CUT: Final = "..."
"""The last of a list that is too long for a header."""


class IncompleteWarning(UserWarning):
    """A result lacks scenes: some could not be read, or a limit left some out."""


def image_of(answer: Answer, crs: CRS | None = None) -> ImageData:
    """Reads an image of values, a GeoTIFF whose last band is alpha, without any loss.

    `crs` is that of the image if it is known; a GeoTIFF may name one less exactly. `metadata` says
    which scenes are in the image, and which are not: then it warns (`IncompleteWarning`), too.
    """
    with Env(DummySession()), MemoryFile(answer.content) as file, file.open() as dataset:
        *bands, alpha = dataset.read()
        descriptions = list(dataset.descriptions[:-1])
        nodata, tags, found_crs = dataset.nodata, dataset.tags(), dataset.crs
    data = np.stack(bands)
    invalid = np.broadcast_to(alpha == 0, data.shape)
    metadata = _metadata(answer.headers, tags)
    warn_of(metadata, stacklevel=5)
    uri = answer.headers.get(CONTENT_CRS.lower(), "").strip("<>")
    return ImageData(
        np.ma.MaskedArray(data, invalid.copy()),
        assets=metadata["scenes"],
        crs=crs or (crs_of(uri) if uri else found_crs),
        bounds=tuple(map(float, answer.headers[CONTENT_BBOX.lower()].split(","))),
        band_descriptions=descriptions,
        nodata=nodata,
        metadata=metadata,
    )


def _metadata(headers: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, Any]:
    scenes = _names(headers.get(SCENES.lower(), ""))
    found = {
        "scenes": scenes,
        "skipped": _names(headers.get(SKIPPED.lower(), "")),
        "truncated": headers.get(TRUNCATED.lower(), ""),
        "gray": _names(headers.get(GRAY.lower(), "")),
        "missing_sources": _names(headers.get(MISSING.lower(), "")),
        "overview": headers.get(OVERVIEW.lower(), ""),
        "rule": json.loads(tags.get("RULE", "{}")),
        "scene_times": tags.get("SCENE_TIMES", ""),
    }
    return {name: value for name, value in found.items() if value or name == "scenes"}


def _names(header: str) -> list[str]:
    return [name if name == _CUT else unquote(name) for name in header.split(",") if name]


def warn_of(metadata: Mapping[str, Any], stacklevel: int = 3) -> None:
    """Warns of scenes that a result lacks, where there are any."""
    if skipped := metadata.get("skipped"):
        text = f"scenes that could not be read are left out: {', '.join(map(str, skipped[:10]))}"
        warnings.warn(text, IncompleteWarning, stacklevel)
    if missing := metadata.get("missing_sources"):
        text = f"sources of the mosaic are left out: {', '.join(map(str, missing[:10]))}"
        warnings.warn(text, IncompleteWarning, stacklevel)
    if limit := metadata.get("truncated"):
        text = f"a limit left scenes out: {limit}"
        warnings.warn(text, IncompleteWarning, stacklevel)


def point_of(document: Mapping[str, Any], crs: CRS) -> PointData:
    """Reads the values of a mosaic at a point; `metadata` has the values of each scene."""
    values = document["values"]
    metadata = {
        "scenes": document["assets"],
        "skipped": [f"{one['name']}={one['why']}" for one in document["skipped"]],
        "truncated": document["truncated"] or "",
    }
    warn_of(metadata, stacklevel=4)
    whole = values and all(isinstance(value, int) for value in values)
    data = np.array([0 if v is None else v for v in values], None if whole else np.float64)
    return PointData(
        np.ma.MaskedArray(data, [value is None for value in values]),
        band_descriptions=list(document["band_descriptions"]),
        coordinates=tuple(document["coordinates"]),
        crs=crs,
        assets=[one["name"] for one in document["assets"]],
        metadata=metadata,
    )


def statistics_of(properties: Mapping[str, Any]) -> dict[str, BandStatistics]:
    """Reads the statistics of each band of an area, by the names of the bands.

    Bands without a valid pixel have none; a number that is too large to be one is NaN.
    """
    skipped = [f"{one['name']}={one['why']}" for one in properties.get("skipped_assets", ())]
    warn_of({"skipped": skipped, "truncated": properties.get("truncated")}, stacklevel=4)
    return {
        name: BandStatistics(**{key: np.nan if v is None else v for key, v in found.items()})
        for name, found in properties["statistics"].items()
        if found["valid_pixels"]
    }


def feature_of(area: Any) -> dict[str, Any]:
    """Returns a GeoJSON Feature of a bbox, a geometry, a Feature, or an object that has one
    (`__geo_interface__`, as shapely's)."""
    found = getattr(area, "__geo_interface__", area)
    if isinstance(found, Mapping):
        if found.get("type") == "Feature":
            return dict(found)
        return {"type": "Feature", "properties": {}, "geometry": found}
    west, south, east, north = bbox_of(found)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": {}, "geometry": geometry}


def bbox_of(area: Sequence[float]) -> tuple[float, float, float, float]:
    """Returns four numbers: left, bottom, right, top. Raises `InvalidRequestError`."""
    try:
        left, bottom, right, top = map(float, area)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"{str(area)[:80]} is neither four numbers (left, bottom, right, top) nor GeoJSON"
        ) from error
    return left, bottom, right, top
