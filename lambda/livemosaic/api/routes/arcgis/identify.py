"""identify and getSamples: the values at places, of the mosaic and of each item."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from rasterio.crs import CRS
from shapely.geometry.base import BaseGeometry
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.responses.point import read_at
from livemosaic.api.routes.arcgis.catalog import feature_of
from livemosaic.api.routes.arcgis.values.answers import document
from livemosaic.api.routes.arcgis.values.asked import Asked
from livemosaic.api.routes.arcgis.values.fields import (
    attribute_of,
    attributes_of,
    fields_of,
    names_of,
)
from livemosaic.api.routes.arcgis.values.geometry import geometry_of, point, reference_of
from livemosaic.api.routes.arcgis.values.rendering import Rendering, rendering_param
from livemosaic.api.routes.arcgis.values.rules import OBJECT_ID, rule_param
from livemosaic.api.routes.arcgis.values.samples import service_crs
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.feature import Shape
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Pixels
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene
from livemosaic.render.exports.encoder import ExportEncoder
from livemosaic.render.style import draw_scene
from livemosaic.tiler.views import Point

_NO_DATA: Final = "NoData"
_MAX_ITEMS: Final = 100
_SAMPLES: Final = 100
_MOST_SAMPLES: Final = 1000
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class PlaceValues:
    """The values at a place."""

    mosaic: str | None
    """Of the mosaic, between commas; None where there is no data."""
    keys: list[str]
    """Of the scenes that have the place, top first."""
    of_scenes: list[str]
    """Values of each scene, between spaces."""
    seen: list[bool]
    """Whether each scene has data there."""


async def values_at(
    asked: Asked, mosaic: Mosaic, at: Point, rule: Rule, rendering: Rendering, *, every: bool
) -> PlaceValues:
    """Reads the pixel at a place, at full resolution; of every scene, or of the visible ones."""
    draft, done = await read_at(asked.services, mosaic, at, rendering.read, rule, every=every)
    made = await asked.services.tiler.compose(draft, done)
    drawn = await run_in_threadpool(_rendered, made.pixels, draft.grid, rendering)
    layers = done.layers
    return PlaceValues(
        _joined(drawn, ", "),
        [draft.plan.scene(place).key for place in layers],
        [_joined(layer, " ") or _NO_DATA for layer in layers.values()],
        [bool(layer.valid.any()) for layer in layers.values()],
    )


def _rendered(pixels: Pixels, grid: Any, rendering: Rendering) -> Pixels:
    if not pixels.valid.any():
        return pixels
    made, _ = ExportEncoder(format="tiff", steps=rendering.steps).made(pixels, grid)
    return draw_scene(made, grid, rendering.render) if made.valid.any() else made


def _joined(pixels: Pixels, between: str) -> str | None:
    if not pixels.valid[0, 0]:
        return None
    return between.join(_text(value) for value in pixels.data[:, 0, 0])


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, np.integer) else repr(float(value))


async def _parsed(asked: Asked) -> tuple[Mosaic, Shape, Rule, Rendering]:
    """Parses what places are asked for; raises `InvalidRequestError`, which names the parameter."""
    mosaic = await asked.mosaic()
    shape = await run_in_threadpool(geometry_of, asked, service_crs(mosaic))
    if shape is None:
        raise InvalidRequestError("geometry is missing")
    rule, rendering = await rule_param(asked, mosaic), rendering_param(asked, mosaic)
    if any(step.margin for step in rendering.steps):
        raise InvalidRequestError(
            "renderingRule has a function over neighboring pixels, which a place alone has not"
        )
    return mosaic, shape, rule, rendering


async def identify(request: Request) -> Response:
    """Identifies a place: the value of the mosaic there, and its items, top first."""
    asked = await Asked.of(request)
    mosaic, shape, rule, rendering = await _parsed(asked)
    at = Point.on_any_turn(shape.crs, *_middle(shape.geometry))
    shows = asked.flag("returnCatalogItems", default=True)
    found = await values_at(asked, mosaic, at, rule, rendering, every=shows)
    location = point(at.x, at.y, shape.crs)
    answer: dict[str, Any] = {
        "objectId": 0,
        "name": "Pixel",
        "value": found.mosaic or _NO_DATA,
        "location": location,
        "properties": {"Values": found.of_scenes}
        if asked.flag("returnPixelValues", default=True)
        else {},
    }
    if shows:
        answer |= await run_in_threadpool(_items, asked, mosaic, found, shape.crs)
    return document(asked, answer)


def _middle(geometry: BaseGeometry) -> tuple[float, float]:
    at = geometry.centroid
    return at.x, at.y


def _items(asked: Asked, mosaic: Mosaic, found: PlaceValues, crs: CRS) -> dict[str, Any]:
    most = asked.whole("maxItemCount", _MAX_ITEMS, 1, _MAX_ITEMS)
    keys = found.keys[:most]
    scenes = {scene.key: scene for scene in asked.services.index.scenes(mosaic, keys)}
    names = names_of(fields_of(asked.services, mosaic), "*")
    shown = crs if asked.flag("returnGeometry", default=False) else None
    features = [feature_of(scenes[key], mosaic, names, shown) for key in keys if key in scenes]
    visible = _visibilities(found.seen)
    return {
        "catalogItems": {
            "objectIdFieldName": OBJECT_ID,
            "geometryType": "esriGeometryPolygon",
            "spatialReference": reference_of(crs),
            "features": features,
        },
        "catalogItemVisibilities": [
            part for key, part in zip(keys, visible, strict=False) if key in scenes
        ],
    }


def _visibilities(seen: Sequence[bool]) -> list[float]:
    """Returns the part of the place that shows each scene: all of it of the first with data."""
    first = seen.index(True) if True in seen else -1
    return [1.0 if number == first else 0.0 for number in range(len(seen))]


async def get_samples(request: Request) -> Response:
    """Samples the mosaic at points, along lines or within polygons."""
    asked = await Asked.of(request)
    mosaic, shape, rule, rendering = await _parsed(asked)
    points = _points(asked, shape.geometry)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def sampled(number: int, x: float, y: float) -> tuple[int, float, float, PlaceValues]:
        async with turns:
            at = Point.on_any_turn(shape.crs, x, y)
            return number, x, y, await values_at(asked, mosaic, at, rule, rendering, every=False)

    try:
        async with asyncio.timeout(asked.services.settings.max_statistics_s):
            made = await asyncio.gather(*(sampled(n, x, y) for n, (x, y) in enumerate(points)))
    except TimeoutError as error:
        raise InvalidRequestError("sampling took too long: ask for fewer samples") from error
    return document(
        asked, {"samples": await run_in_threadpool(_samples, asked, mosaic, shape.crs, made)}
    )


def _points(asked: Asked, geometry: BaseGeometry) -> list[tuple[float, float]]:
    count = asked.whole("sampleCount", _SAMPLES, 1, _MOST_SAMPLES)
    if geometry.geom_type in ("Point", "MultiPoint"):
        found = shapely.get_coordinates(geometry)
    elif geometry.geom_type == "MultiLineString":
        found = _along(asked, geometry, count)
    else:
        found = _within(geometry, count)
    if len(found) > _MOST_SAMPLES:
        raise InvalidRequestError(f"{len(found):,} samples, at most {_MOST_SAMPLES:,} are taken")
    return [(float(x), float(y)) for x, y in found]


def _along(asked: Asked, lines: BaseGeometry, count: int) -> Any:
    """Returns points at equal distances along lines, both ends included."""
    distance = asked.numbers("sampleDistance")
    if distance and distance[0] > 0:
        count = int(min(_MOST_SAMPLES, lines.length // distance[0] + 1))
    step = distance[0] if distance and distance[0] > 0 else lines.length / max(1, count - 1)
    return shapely.get_coordinates([_at(lines, n * step) for n in range(count)])


def _at(lines: BaseGeometry, distance: float) -> BaseGeometry:
    for line in shapely.get_parts(lines):
        if distance <= line.length * (1 + 1e-12):
            return line.interpolate(distance)
        distance -= line.length
    return line.interpolate(line.length)


def _within(polygons: BaseGeometry, count: int) -> Any:
    """Returns points of a regular grid within polygons, about so many."""
    left, bottom, right, top = polygons.bounds
    part = max(polygons.area / max((right - left) * (top - bottom), 1e-300), 1e-3)
    side = max(1, round((count / part) ** 0.5))
    x = left + (np.arange(side) + 0.5) * (right - left) / side
    y = top - (np.arange(side) + 0.5) * (top - bottom) / side
    grid = np.array(np.meshgrid(x, y)).reshape(2, -1)
    inside = shapely.contains_xy(polygons, *grid)
    return grid.T[inside][:_MOST_SAMPLES]


def _samples(
    asked: Asked, mosaic: Mosaic, crs: CRS, made: Sequence[tuple[int, float, float, PlaceValues]]
) -> list[dict[str, Any]]:
    wanted = asked.get("outFields")
    names = names_of(fields_of(asked.services, mosaic), wanted) if wanted else []
    tops = {number: _top(values) for number, _, _, values in made}
    keys = dict.fromkeys(key for key in tops.values() if key)
    scenes = {scene.key: scene for scene in asked.services.index.scenes(mosaic, keys)}
    return [
        {
            "location": point(x, y, crs),
            "locationId": number,
            "value": (values.mosaic or _NO_DATA).replace(",", ""),
            **_origin(scenes.get(tops[number] or ""), names),
        }
        for number, x, y, values in made
    ]


def _top(values: PlaceValues) -> str | None:
    return next((key for key, seen in zip(values.keys, values.seen, strict=True) if seen), None)


def _origin(scene: Scene | None, names: Sequence[str]) -> dict[str, Any]:
    if scene is None:
        return {}
    attributes = {"attributes": attributes_of(scene, names)} if names else {}
    return {"rasterId": attribute_of(scene, OBJECT_ID), **attributes}
