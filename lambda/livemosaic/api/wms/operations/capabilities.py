"""GetCapabilities: what the service offers, in the XML of each version."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isqrt
from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.access import services_of, visible_mosaics
from livemosaic.api.documents.credits import credit_text
from livemosaic.api.documents.sample import format_that_shows
from livemosaic.api.documents.xml import written
from livemosaic.api.params.pixels import Appearance
from livemosaic.api.wms.documented import INFO_FORMATS
from livemosaic.api.wms.exceptions import Version
from livemosaic.api.wms.layers import DEFAULT_STYLE, LAYER_LIMIT
from livemosaic.api.wms.operations.boxes import every_box, few_boxes, lonlat_bounds_of
from livemosaic.api.wms.operations.legend import legend_of
from livemosaic.api.wms.request import FORMATS, WmsRequest, is_north_first
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.render import Format, Render
from livemosaic.model.time import parse_time
from livemosaic.render.named_renders import parameters_of
from livemosaic.services import Services

MEDIA_TYPES: Final[Mapping[Version, str]] = {
    "1.3.0": "text/xml",
    "1.1.1": "application/vnd.ogc.wms_xml",
}
_PIXEL_M: Final = 0.28e-3
"""Size of a pixel of the standard (OGC 06-042, 7.2.4.6.9)."""
_MOST_LISTED: Final = 100
"""Scenes up to which the days of a mosaic are listed; the index keeps no interval of more."""
_SINCE: Final = "1900-01-01"
"""Begin of the dimension TIME of a mosaic with more scenes: earlier than any image."""


@dataclass(frozen=True, slots=True)
class TimeDimension:
    """The values of TIME that are worth asking for."""

    extent: str
    default: str
    """An interval with every scene."""


@dataclass(frozen=True, slots=True)
class WmsStyle:
    """A named render of a mosaic, or the way in which it is shown without one."""

    name: str
    title: str
    legend: str = ""
    """URL of its legend; empty where it has no colors to explain."""
    legend_size: tuple[int, int] = (0, 0)
    """Width and height of the legend in pixels."""


@dataclass(frozen=True, slots=True)
class WmsLayer:
    """A mosaic as a layer."""

    name: str
    title: str
    bounds: BBox
    """West, south, east, north, in degrees of its body."""
    boxes: Mapping[str, BBox]
    """By the name of a CRS, in the axis order of the version."""
    scales: tuple[float, float]
    """Smallest and largest scale denominator."""
    hints: tuple[float, float]
    """The same as diagonals of a pixel, in metres (OGC 01-068r3, 7.1.4.5.12)."""
    styles: tuple[WmsStyle, ...]
    time: TimeDimension | None
    attribution: str


async def get_capabilities(request: Request, asked: WmsRequest, only: Mosaic | None) -> Response:
    """Describes the mosaic of the path; without one, all mosaics that the caller may see.

    URLs carry our own parameters of the request, which are checked, so that maps have them, too.
    """
    services = services_of(request)
    formats = [*FORMATS]
    if only is not None:
        shown = await _format_that_shows(services, asked, only)
        formats.sort(key=lambda name: FORMATS[name] != shown)
        allowed = [name for name in formats if FORMATS[name] in only.formats]
        formats = allowed or formats  # the schema has one at least
    url = _url(request, asked, only)
    layers = await run_in_threadpool(_layers, request, asked.version, only, url)
    body = await run_in_threadpool(
        written,
        f"wms_{asked.version}.xml",
        title=layers[0].title if only else "Mosaics",
        license=only.license if only else "",
        home=str(request.base_url),
        url=url,
        layer_limit=LAYER_LIMIT,
        side=isqrt(services.settings.max_image_pixels),
        formats=formats,
        info_formats=INFO_FORMATS,
        layers=layers,
        is_alone=only is not None,
    )
    return Response(body, media_type=MEDIA_TYPES[asked.version])


async def _format_that_shows(services: Services, asked: WmsRequest, mosaic: Mosaic) -> Format:
    parameters = asked.parameters()
    rule = parameters.to_rule(mosaic)
    read, render = Appearance.of(mosaic, rule, parameters).look("auto")
    return await format_that_shows(services, mosaic, read, render, rule)


def _url(request: Request, asked: WmsRequest, only: Mosaic | None) -> str:
    """Returns the URL of the service, to which clients add parameters."""
    place = f"mosaics/{only.id}/wms" if only else "wms"
    query = f"{urlencode(asked.vendor)}&" if asked.vendor else ""
    return f"{request.base_url}{place}?{query}"


def _layers(request: Request, version: Version, only: Mosaic | None, url: str) -> list[WmsLayer]:
    if only is not None:
        time = _time_dimension(services_of(request), only)
        return [_layer(only, version, every_box(only), url, time)]
    seen = visible_mosaics(request)
    return [_layer(mosaic, version, few_boxes(mosaic), url) for mosaic in seen]


def _layer(
    mosaic: Mosaic,
    version: Version,
    boxes: Mapping[str, BBox],
    url: str,
    time: TimeDimension | None = None,
) -> WmsLayer:
    scales = _scales(mosaic)
    return WmsLayer(
        name=mosaic.id,
        title=mosaic.title or mosaic.id,
        bounds=lonlat_bounds_of(mosaic),
        boxes=_in_order(boxes, version),
        scales=scales,
        hints=(scales[0] * _PIXEL_M * math.sqrt(2), scales[1] * _PIXEL_M * math.sqrt(2)),
        styles=(*_styles(mosaic, version, url),),
        time=time,
        attribution=credit_text(mosaic),
    )


def _in_order(boxes: Mapping[str, BBox], version: Version) -> dict[str, BBox]:
    """Returns boxes in the axis order of a version, which knows `CRS:84` since 1.3.0."""
    if version == "1.1.1":
        return {name: box for name, box in boxes.items() if name != "CRS:84"}
    return {
        name: (box[1], box[0], box[3], box[2]) if is_north_first(name) else box
        for name, box in boxes.items()
    }


def _scales(mosaic: Mosaic) -> tuple[float, float]:
    """Returns the scale denominators of the mosaic's maxzoom and minzoom.

    Not of the scenes' own zoom: clients show no layer beyond its scales.
    """
    tms = tile_matrix_set(mosaic.tms)
    ends = mosaic.widest_zoom, mosaic.minzoom
    zooms = (min(max(zoom, tms.minzoom), tms.maxzoom) for zoom in ends)
    fine, coarse = (tms.matrix(zoom).scaleDenominator for zoom in zooms)
    return fine, coarse


def _styles(mosaic: Mosaic, version: Version, url: str) -> Iterator[WmsStyle]:
    if DEFAULT_STYLE not in mosaic.renders:
        usual = WmsStyle(DEFAULT_STYLE, "As the mosaic is shown")
        yield _with_legend(usual, mosaic.default_render, mosaic, version, url)
    for name, render in mosaic.renders.items():
        style = WmsStyle(name, str(render.get("title") or name))
        yield _with_legend(style, name, mosaic, version, url)


def _with_legend(
    style: WmsStyle, named: str, mosaic: Mosaic, version: Version, url: str
) -> WmsStyle:
    """Returns a style with the legend of a named render, if its colors stand for values."""
    render = parameters_of(mosaic, named).render() if named else Render()
    if render.colormap is None:
        return style
    asked = {
        "SERVICE": "WMS",
        "VERSION": version,
        "REQUEST": "GetLegendGraphic",
        "LAYER": mosaic.id,
        "STYLE": style.name,
        "FORMAT": "image/png",
    }
    height, width = legend_of(render, style.name).shape[1:]
    return replace(style, legend=f"{url}{urlencode(asked)}", legend_size=(width, height))


def _time_dimension(services: Services, mosaic: Mosaic) -> TimeDimension | None:
    """Returns the days of a mosaic of few scenes, as listed; else an interval that has any scene.

    None where no scene has a time.
    """
    scenes, following = services.index.list_scenes(mosaic, limit=_MOST_LISTED)
    if following:
        today = datetime.now(UTC).date().isoformat()
        return TimeDimension(f"{_SINCE}/{today}/P1D", f"{_SINCE}/{today}")
    times = (parse_time(scene.datetime) for scene in scenes if scene.datetime)
    days = sorted({time.date().isoformat() for time in times})
    return TimeDimension(",".join(days), f"{days[0]}/{days[-1]}") if days else None
