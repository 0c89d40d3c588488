"""Named renders of a mosaic, in JSON of the STAC render extension 2.0.

Their values mean the same as in a query, and go through the same parsers.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, ValidationError

from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.names import nearest
from livemosaic.model.render import Read, Resampling
from livemosaic.render.expression import Expression
from livemosaic.render.parameters import AUTO, Parameters

NONE: Final = "none"
"""Asks for the values as they are, also where the mosaic has a default render."""
MAX_RENDERS: Final = 32
_MAX_JSON: Final = 64_000
"""Bytes of all renders of a mosaic, whose row may take 400 KB (DynamoDB)."""
_MAX_FIELD: Final = 80
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_JSON: Final = ("colormap", "algorithm_params")
_LISTS: Final = ("assets", "bidx", "minmax_zoom")
_NAMES: Final = tuple(Parameters.model_fields)

Finite = Annotated[float, AllowInfNan(False)]


class NamedRender(BaseModel):
    """A render object; other fields are stored and ignored, unless they misspell one of these."""

    model_config = ConfigDict(extra="allow")

    title: str | None = Field(None, max_length=500)
    minmax_zoom: tuple[int, int] | None = None
    """Informative; limits nothing."""
    assets: list[str] | None = None
    bidx: list[int] | None = None
    expression: str | None = None
    nodata: Finite | Literal["nan"] | None = None
    unscale: bool | None = None
    resampling: Resampling | None = None
    reproject: Resampling | None = None
    overviews: bool | None = None
    algorithm: str | None = None
    algorithm_params: dict[str, Any] | None = None
    rescale: list[tuple[Finite, Finite]] | Literal["auto"] | None = None
    color_formula: str | None = None
    colormap_name: str | None = None
    colormap: dict[str, Any] | list[Any] | None = None
    return_mask: bool | None = None
    quality: Annotated[int, Field(ge=1, le=100)] | None = None

    def parameters(self) -> Parameters:
        """Returns these values as query parameters."""
        values: dict[str, Any] = {
            name: json.dumps(value) if name in _JSON else value
            for name in _NAMES
            if (value := getattr(self, name)) is not None
        }
        if self.nodata is not None:
            values["nodata"] = float(self.nodata)
        if self.rescale == AUTO:
            values["rescale"] = [AUTO]
        elif self.rescale:
            values["rescale"] = [f"{low!r},{high!r}" for low, high in self.rescale]
        return Parameters(**values)


def parameters_of(mosaic: Mosaic, name: str) -> Parameters:
    """Returns a render's parameters; `InvalidRequestError` lists the renders that exist.

    `NONE` has no parameters, unless the mosaic has a render of that name.
    """
    found = mosaic.renders.get(name)
    if found is None and name == NONE:
        return Parameters()
    if found is None:
        raise InvalidRequestError(_unknown(mosaic, name))
    return NamedRender.model_validate(found).parameters()


def render_of(mosaic: Mosaic, name: str) -> Mapping[str, Any]:
    """Returns a render as stored; `NotFoundError` lists the renders that exist."""
    found = mosaic.renders.get(name)
    if found is None:
        raise NotFoundError(_unknown(mosaic, name))
    return found


def _unknown(mosaic: Mosaic, name: str) -> str:
    there = ", ".join(sorted(mosaic.renders)) or "none"
    return f"there is no render {name[:80]!r} in mosaic {mosaic.id!r}; there are: {there}"


def read_of_scenes(mosaic: Mosaic, name: str, read: Read) -> Read:
    """Returns how to read scenes that a render draws one by one, before they are composed.

    The render's own reading parameters override `read`, as its colors are made for them.
    """
    parameters = parameters_of(mosaic, name)
    own, default = parameters.read(), Read()
    changed = {
        field.name: value
        for field in fields(Read)
        if (value := getattr(own, field.name)) != getattr(default, field.name)
    }
    return replace(read, **changed, style=parameters.render())


def check_renders(renders: Mapping[str, Mapping[str, Any]]) -> None:
    """Checks renders; `InvalidRequestError` names the render and the value that is invalid."""
    if len(renders) > MAX_RENDERS:
        raise InvalidRequestError(
            f"{len(renders):,} renders, at most {MAX_RENDERS} can be stored on a mosaic"
        )
    for name, render in renders.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(
                f"render {name[:80]!r} must be named with 1 to 63 of A–Z a–z 0–9 _ . - and start "
                "with a letter or digit"
            )
        try:
            _check(render)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"render {name!r}: {error}") from error
    _check_size(renders)


def _check(render: Mapping[str, Any]) -> None:
    for name in render.keys() - NamedRender.model_fields.keys():
        if meant := nearest(str(name)[:_MAX_FIELD], NamedRender.model_fields):
            raise InvalidRequestError(f"there is no field {name!r}; did you mean {meant!r}?")
    parameters = _parsed(render).parameters()
    read = parameters.read()
    if read.expression:
        Expression.parse(read.expression)
    parameters.render()


def _parsed(render: Mapping[str, Any]) -> NamedRender:
    try:
        return NamedRender.model_validate(dict(render))
    except ValidationError as error:
        problem = error.errors()[0]
        # Without the names of alternatives: `rescale.list[…].0`.
        place = ".".join(part for part in map(str, problem["loc"]) if "[" not in part)
        raise InvalidRequestError(
            f"{place}: {problem['msg']} (it is {str(problem['input'])[:80]!r})"
        ) from error


def _check_size(renders: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(renders, allow_nan=False, ensure_ascii=False).encode())
    except (ValueError, RecursionError) as error:  # UnicodeEncodeError: half a surrogate pair
        raise InvalidRequestError(f"renders are not JSON: {str(error)[:200]}") from error
    if size > _MAX_JSON:
        raise InvalidRequestError(
            f"renders take {size:,} bytes of JSON, at most {_MAX_JSON:,} can be stored"
        )


def parse_query(text: str) -> dict[str, Any]:
    """Parses a query, `assets=red&rescale=0,100`, to a render in JSON of the extension."""
    render: dict[str, Any] = {}
    try:
        for name, value in parse_qsl(text, strict_parsing=True):
            if name in _LISTS:
                render.setdefault(name, []).extend(value.split(","))
            elif name == "rescale" and value == AUTO:
                render[name] = AUTO
            elif name == "rescale":
                render.setdefault(name, []).append(value.split(","))
            else:
                render[name] = json.loads(value) if name in _JSON else value
    except ValueError as error:
        raise InvalidRequestError(f"{text[:200]!r} is no query: {error}") from error
    for strange in render.keys() - NamedRender.model_fields.keys():
        raise InvalidRequestError(
            f"there is no parameter {strange!r}; there are {', '.join(NamedRender.model_fields)}"
        )
    return _parsed(render).model_dump(mode="json", exclude_none=True)
