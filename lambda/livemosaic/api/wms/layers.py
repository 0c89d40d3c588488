"""Layers and styles: a mosaic is a layer, and its named renders are the layer's styles."""

from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from livemosaic.api.access import mosaic_of
from livemosaic.api.params.items import find_items
from livemosaic.api.params.pixels import Appearance
from livemosaic.api.wms.exceptions import ServiceError
from livemosaic.api.wms.request import WmsParameters, WmsRequest
from livemosaic.api.wms.time import with_time
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rule import Rule

DEFAULT_STYLE: Final = "default"
"""The mosaic as it is shown without a named render; an empty name means the same."""
LAYER_LIMIT: Final = 8
"""Layers of one map: each is rendered, one after the other."""


@dataclass(frozen=True, slots=True)
class DrawnLayer:
    """A layer with all that decides on its pixels, but the place and the format."""

    mosaic: Mosaic
    appearance: Appearance
    rule: Rule


async def the_layers(
    request: Request, asked: WmsRequest, only: Mosaic | None
) -> tuple[DrawnLayer, ...]:
    """Returns the layers of a map, bottom first, with their styles, TIME and our own parameters.

    `only` is the mosaic of the path; without one, LAYERS names ones that the caller may see. Raises
    `ServiceError` for what is not there, and `InvalidRequestError`.
    """
    names = asked.need("layers").split(",")
    if len(names) > LAYER_LIMIT:
        raise ServiceError(
            "OperationNotSupported",
            f"LAYERS names {len(names)} layers; a map has {LAYER_LIMIT} at most (LayerLimit)",
        )
    styles = _styles(asked.get("styles"), len(names))
    return tuple(
        [
            await _layer(request, asked, only, name.strip(), style)
            for name, style in zip(names, styles, strict=True)
        ]
    )


async def the_layer(request: Request, asked: WmsRequest, only: Mosaic | None) -> DrawnLayer:
    """Returns the layer of a legend, as `the_layers` returns the layers of a map."""
    return await _layer(request, asked, only, asked.need("layer"), asked.get("style"))


def _styles(text: str, count: int) -> list[str]:
    """Returns the style of each layer; an empty text is the default of all."""
    styles = text.split(",")
    if count == 1:
        return [text.strip(",")]
    if not text:
        return [""] * count
    if len(styles) != count:
        raise InvalidRequestError(f"STYLES names {len(styles)} styles for {count} layers")
    return styles


async def _layer(
    request: Request, asked: WmsRequest, only: Mosaic | None, name: str, style_name: str
) -> DrawnLayer:
    _refuse_other_ways(asked)
    mosaic = await run_in_threadpool(_mosaic, request, name, only)
    style = style_of(mosaic, style_name)
    parameters = _styled(asked.parameters(), style)
    rule = parameters.to_rule(mosaic)
    if items := parameters.items_named(mosaic, rule):
        await run_in_threadpool(find_items, request, mosaic, items)
    if time := asked.get("time"):
        if parameters.datetime is not None:
            raise InvalidRequestError("TIME and datetime are given at once: use one of them")
        rule = with_time(rule, time)
    return DrawnLayer(mosaic, Appearance.of(mosaic, rule, parameters), rule)


def _refuse_other_ways(asked: WmsRequest) -> None:
    if asked.get("elevation"):
        raise ServiceError(
            "InvalidDimensionValue", "ELEVATION is not offered: mosaics have no heights"
        )
    if asked.get("sld") or asked.get("sld_body"):
        raise ServiceError("OperationNotSupported", "styles by SLD are not offered: use STYLES")


def _mosaic(request: Request, layer: str, only: Mosaic | None) -> Mosaic:
    if only is not None and layer == only.id:
        return only
    if only is not None:
        raise ServiceError(
            "LayerNotDefined", f"there is no layer {layer[:80]!r} here; there is {only.id!r}"
        )
    try:
        return mosaic_of(layer, request)
    except NotFoundError as error:
        raise ServiceError("LayerNotDefined", str(error)) from error


def style_of(mosaic: Mosaic, text: str) -> str | None:
    """Returns the named render that is a style; None of the default; raises `ServiceError`."""
    name = text.strip()
    if name in ("", DEFAULT_STYLE) and name not in mosaic.renders:
        return None
    if name not in mosaic.renders:
        there = ", ".join((DEFAULT_STYLE, *mosaic.renders))
        raise ServiceError(
            "StyleNotDefined", f"layer {mosaic.id!r} has no style {name[:80]!r}; there are: {there}"
        )
    return name


def _styled(parameters: WmsParameters, style: str | None) -> WmsParameters:
    if style is None:
        return parameters
    if parameters.named not in (None, style):
        raise InvalidRequestError(
            f"STYLES names {style!r} and render {parameters.named[:80]!r}: use one of them"
        )
    return parameters.model_copy(update={"named": style})
