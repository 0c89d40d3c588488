"""Rendering rules of ArcGIS requests: renders of the mosaic, and chains of raster functions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from livemosaic.api.routes.arcgis.values.arguments import (
    INPUTS,
    Arguments,
    arguments_of,
    check_arguments,
)
from livemosaic.api.routes.arcgis.values.asked import Asked
from livemosaic.api.routes.arcgis.values.functions import (
    FUNCTIONS,
    NAMES,
    check_bands,
)
from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Format, Read, Render
from livemosaic.model.rule import Rule
from livemosaic.render.exports.encoder import DTYPES_OF, PixelType, RasterStep, as_type
from livemosaic.render.named_renders import parameters_of
from livemosaic.render.style import draw_scene
from livemosaic.tiler.rules.default_render import default_render

NONE: Final = "None"
_UNKNOWN: Final = "UNKNOWN"
_MOST_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class Rendering:
    """How a rendering rule reads, computes and draws."""

    read: Read = field(default_factory=Read)
    render: Render = field(default_factory=Render)
    """Of a render that nothing follows."""
    steps: tuple[RasterStep, ...] = ()

    def then(self, step: RasterStep) -> "Rendering":
        """Returns this and a step more; a render before it is drawn first."""
        steps = self.steps
        if self.render != Render():
            drawn = partial(_draw, style=self.render)
            steps = (*steps, RasterStep(repr(self.render), drawn))
        if len(steps) >= _MOST_STEPS:
            raise InvalidRequestError(f"renderingRule has more than {_MOST_STEPS} functions")
        return replace(self, render=Render(), steps=(*steps, step))


def _draw(pixels: Pixels, grid: Grid, *, style: Render) -> Pixels:
    return draw_scene(pixels, grid, style)


def rendering_param(asked: Asked, mosaic: Mosaic) -> Rendering:
    """Returns what `renderingRule` asks for; raises `InvalidRequestError` for what is not known."""
    given = asked.object("renderingRule")
    if given in (None, {}):
        return Rendering()
    return rendering_of(mosaic, given, asked.services.settings.max_bands)


def drawing_param(asked: Asked, mosaic: Mosaic, rule: Rule, format_: Format) -> Rendering:
    """Returns what `renderingRule` asks for; the default render where an image asks for nothing.

    `None` asks for the values as they are, and so does who asks for bands, a pixel type or NoData.
    """
    kind = asked.get("pixelType") or _UNKNOWN
    says = kind.upper() != _UNKNOWN or asked.get("bandIds") or asked.get("noData")
    is_open = not says and asked.object("renderingRule") in (None, {})
    name = default_render(mosaic, rule, format_) if is_open else ""
    if name:
        return rendering_of(mosaic, {"rasterFunction": name}, asked.services.settings.max_bands)
    return rendering_param(asked, mosaic)


def rendering_of(mosaic: Mosaic, rule: object, most_bands: int) -> Rendering:
    """Parses a rendering rule, from the innermost raster outwards."""
    chain: list[tuple[Mapping[str, Any], Arguments]] = []
    while rule is not None:
        if not isinstance(rule, dict) or len(chain) == _MOST_STEPS:
            raise InvalidRequestError(
                f"renderingRule {str(rule)[:80]!r} must be an object of a rasterFunction, at most "
                f"{_MOST_STEPS} within each other"
            )
        chain.append((rule, arguments_of(rule)))
        rule = _input_of(chain[-1][1])
    found = Rendering()
    for number, (one, given) in enumerate(reversed(chain)):
        check_bands(given, most_bands)
        found = _applied(mosaic, found, one, given, is_first=number == 0)
    return found


def _input_of(given: Arguments) -> object:
    """Returns the function whose result another takes; None for the mosaic itself, `$$`."""
    raster = next((given[name] for name in INPUTS if name in given), None)
    if raster in (None, "$$", "$1"):
        return None
    if isinstance(raster, dict) and isinstance(raster.get("function"), dict):
        return raster["function"]
    return raster


def _applied(
    mosaic: Mosaic, before: Rendering, rule: Mapping[str, Any], given: Arguments, *, is_first: bool
) -> Rendering:
    name = rule.get("rasterFunction")
    if not isinstance(name, str):
        raise InvalidRequestError("renderingRule has no rasterFunction that is a name")
    found = _of_name(mosaic, before, name, given, is_first=is_first)
    kind = rule.get("outputPixelType")
    if kind in (None, "UNKNOWN", "unknown"):
        return found
    run = partial(_typed, kind=pixel_type(kind))
    shown = found.steps[-1].colors if found.steps else None
    return found.then(RasterStep(f"outputPixelType {kind}", run, colors=shown))


def _of_name(
    mosaic: Mosaic, before: Rendering, name: str, given: Arguments, *, is_first: bool
) -> Rendering:
    if name in mosaic.renders:
        if not is_first:
            raise InvalidRequestError(f"render {name!r} takes the mosaic itself, no Raster")
        check_arguments(name, given)
        parameters = parameters_of(mosaic, name)
        return Rendering(parameters.read(), parameters.render())
    if name.lower() in (NONE.lower(), "identity"):
        return before
    make = FUNCTIONS.get(name.lower())
    if make is None:
        names = ", ".join([NONE, *sorted(mosaic.renders), *NAMES])
        raise InvalidRequestError(
            f"rasterFunction {name[:80]!r} is not known here; known are {names}"
        )
    check_arguments(name.lower(), given)
    made = make(given)
    text = json.dumps([name.lower(), {k: v for k, v in given.items() if k not in INPUTS}])
    return before.then(RasterStep(text, made.run, made.margin, made.window, made.colors))


def pixel_type(name: object) -> PixelType:
    """Returns a pixel type by its name; `InvalidRequestError` lists the known ones."""
    for known in DTYPES_OF:
        if str(name).upper() == known:
            return known
    raise InvalidRequestError(
        f"pixelType {str(name)[:20]!r} is not known; known are {', '.join(DTYPES_OF)}"
    )


def _typed(pixels: Pixels, _: Grid, *, kind: PixelType) -> Pixels:
    return as_type(pixels, kind)
