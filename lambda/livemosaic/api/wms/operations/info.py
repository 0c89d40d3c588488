"""GetFeatureInfo: the values of a mosaic and of its scenes at a pixel of a map."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.access import services_of
from livemosaic.api.documents.xml import written
from livemosaic.api.responses.point import BandValues, PointOut, values_at
from livemosaic.api.wms.documented import INFO_FORMATS
from livemosaic.api.wms.exceptions import ServiceError
from livemosaic.api.wms.layers import DrawnLayer, the_layers
from livemosaic.api.wms.request import WmsRequest
from livemosaic.geo.box import OffGlobeError
from livemosaic.geo.crs import authority_of
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid
from livemosaic.model.render import Format
from livemosaic.services import Services
from livemosaic.tiler.views import Point

_OF_VALUES: Final[Format] = "npy"
_GML: Final = "application/vnd.ogc.gml"
_ALSO: Final = {"application/geo+json": "application/json", "": "application/json"}
_PLACE: Final = "place"
"""The element of the geometry."""
_NOT_OF_NAMES: Final = re.compile("[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class FoundFeature:
    """The mosaic, or one of its scenes, at a place."""

    kind: Literal["mosaic", "scene"]
    id: str
    properties: Mapping[str, Any]
    """Where it comes from, then its values by band."""


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """What is at a pixel of a map."""

    title: str
    """Of the mosaics."""
    point: Point
    features: Sequence[FoundFeature]
    """Of each mosaic itself first, then its scenes from the top; empty where there is none."""
    limits: Mapping[str, Any]
    """What is left out, and why."""


async def get_feature_info(request: Request, asked: WmsRequest, only: Mosaic | None) -> Response:
    """Answers with the values that the map is made of, at full resolution: first the mosaic's, by
    its rule, then each scene's, top first, at most FEATURE_COUNT. Of several queried layers the
    topmost one comes first.
    """
    services, layers = services_of(request), await the_layers(request, asked, only)
    queried = _queried(asked, layers)
    media_type = _media_type(asked)
    grid = asked.grid(services.settings, len(layers))
    point = _centre(grid, *asked.pixel(grid.width, grid.height))
    found = [(layer.mosaic, await _values(services, layer, point)) for layer in queried]
    there = [(mosaic, values) for mosaic, values in found if values is not None]
    count = asked.feature_count()
    info = FeatureInfo(
        ", ".join(_title(mosaic) for mosaic, _ in found),
        point,
        [one for mosaic, values in there for one in _features(mosaic, values, count)],
        _limits([values for _, values in there]),
    )
    text = _WRITERS[media_type](info)
    return Response(text, media_type=media_type, headers={"X-Content-Type-Options": "nosniff"})


async def _values(services: Services, layer: DrawnLayer, point: Point) -> PointOut | None:
    """Returns the values of a layer; None off its globe."""
    read, _ = layer.appearance.look(_OF_VALUES)
    services.tiler.of_scenes(layer.mosaic, read, layer.rule)  # what raises does so anywhere
    with suppress(OffGlobeError):
        return await values_at(services, layer.mosaic, point, read, layer.rule)
    return None


def _centre(grid: Grid, column: int, row: int) -> Point:
    """Returns the centre of a pixel, in the world of ±180°, of which maps may show several."""
    return Point.on_any_turn(grid.crs, *(grid.transform @ (column + 0.5, row + 0.5)))


def _queried(asked: WmsRequest, layers: Sequence[DrawnLayer]) -> list[DrawnLayer]:
    """Returns the layers of QUERY_LAYERS, the topmost one of the map first."""
    names = {name.strip() for name in asked.need("query_layers").split(",")}
    if not names <= {layer.mosaic.id for layer in layers}:
        raise ServiceError("LayerNotDefined", "QUERY_LAYERS must name layers of the map")
    return [layer for layer in reversed(layers) if layer.mosaic.id in names]


def _media_type(asked: WmsRequest) -> str:
    text = asked.get("info_format").lower().replace(" ", "")
    found = _ALSO.get(text, text)
    if found not in _WRITERS:
        raise ServiceError(
            "InvalidFormat",
            f"INFO_FORMAT {text[:80]!r} is not offered; {', '.join(INFO_FORMATS)} are",
        )
    return found


def _features(mosaic: Mosaic, found: PointOut, count: int) -> Iterator[FoundFeature]:
    yield FoundFeature("mosaic", mosaic.id, {"mosaic": _title(mosaic)} | _by_band(found))
    for scene in found.assets[:count]:
        about = {"scene": scene.name, "collection": scene.collection, "datetime": scene.datetime}
        yield FoundFeature("scene", scene.name, about | _by_band(scene))


def _title(mosaic: Mosaic) -> str:
    return mosaic.title or mosaic.id


def _by_band(values: BandValues) -> dict[str, int | float | None]:
    return dict(zip(values.band_names, values.values, strict=True))


def _limits(found: Sequence[PointOut]) -> dict[str, Any]:
    """Returns what is not in an answer, and why."""
    skipped = [one.model_dump() for values in found for one in values.skipped]
    truncated = next((values.truncated for values in found if values.truncated), None)
    parts = {"skipped": skipped, "truncated": truncated}
    return {name: value for name, value in parts.items() if value}


def _json(info: FeatureInfo) -> str:
    """Returns GeoJSON, but for its CRS: coordinates are of the map, as clients of WMS have them."""
    place = {"type": "Point", "coordinates": [info.point.x, info.point.y]}
    features = [
        {"type": "Feature", "id": one.id, "geometry": place, "properties": dict(one.properties)}
        for one in info.features
    ]
    return json.dumps({"type": "FeatureCollection", "features": features, **info.limits})


def _plain(info: FeatureInfo) -> str:
    lines = [f"{info.title} at {info.point.x:.12g}, {info.point.y:.12g}"]
    for one in info.features:
        lines += ["", *(f"{name} = {value}" for name, value in one.properties.items())]
    lines += [] if info.features else ["", "no scene covers the point"]
    lines += [f"{name}: {json.dumps(value)}" for name, value in info.limits.items()]
    return "\n".join(lines) + "\n"


def _html(info: FeatureInfo) -> str:
    return written("wms_info.html", info=info)


def _gml(info: FeatureInfo) -> str:
    """Returns GML 2.1.2 (OGC 02-069), x before y, without properties that have no value."""
    authority = authority_of(info.point.crs)
    return written(
        "wms_info.gml",
        info=info,
        features=[(one.kind, _elements(one.properties)) for one in info.features],
        limits="; ".join(f"{name}: {json.dumps(value)}" for name, value in info.limits.items()),
        epsg=authority[1] if authority and authority[0] == "EPSG" else "",
    )


def _elements(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Returns properties by names of XML: `_` stands for what these cannot have, as in `nir/red`,
    and a number follows one that there is before."""
    found: dict[str, Any] = {}
    for name, value in properties.items():
        plain = _NOT_OF_NAMES.sub("_", name)
        plain = plain if plain[:1].isalpha() else f"_{plain}"
        free = (plain, *(f"{plain}_{number}" for number in range(2, len(properties) + 3)))
        found[next(one for one in free if one not in found and one != _PLACE)] = value
    return {name: value for name, value in found.items() if value is not None}


_WRITERS: Final[Mapping[str, Callable[[FeatureInfo], str]]] = {
    "application/json": _json,
    "text/plain": _plain,
    "text/html": _html,
    _GML: _gml,
    "text/xml": _gml,  # as GeoServer has it
}
