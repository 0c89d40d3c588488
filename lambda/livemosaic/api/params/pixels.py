"""Query parameters for pixels and colors, as pydantic models."""

import math
from dataclasses import dataclass, replace
from typing import Final, Self, get_args

from pydantic import BaseModel, Field

from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Format, Read, Render
from livemosaic.model.rule import Rule
from livemosaic.render.named_renders import parameters_of
from livemosaic.render.parameters import (
    Parameters,
    QueryParameters,
    ReadParameters,
    RenderParameters,
)
from livemosaic.settings import Settings
from livemosaic.tiler.rules.default_render import default_render

FORMATS: Final[dict[str, Format]] = {
    **{name: name for name in get_args(Format)},
    "jpg": "jpeg",
    "pngraw": "png",
    "tiff": "tif",
}
"""Formats by every name that requests may use."""


_OF_AUTO: Final = ("png", "jpeg")
"""Formats between which `auto` decides."""
_PICTURES: Final = ("png", "webp", "jpeg")


class _Named(QueryParameters):
    named: str | None = Field(
        None,
        alias="render",
        description="Named render of the mosaic; other parameters override its values; `none` "
        "for the values as they are, also where the mosaic has a default render",
    )

    def over_named(self, mosaic: Mosaic) -> Self | Parameters:
        """Returns these parameters, over the named render's if there is one."""
        return self.over(parameters_of(mosaic, self.named)) if self.named else self


class ReadQuery(_Named, ReadParameters):
    """Query parameters for reading pixels, and the named render that they override."""

    def to_read(self, mosaic: Mosaic) -> Read:
        """Parses the values; `InvalidRequestError` names the invalid one."""
        return self.over_named(mosaic).read()


class RenderQuery(_Named, RenderParameters):
    """Query parameters for turning pixels into an image, and the named render they override."""

    def to_render(self, mosaic: Mosaic) -> Render:
        """Parses the values except the format; `InvalidRequestError` names the invalid one."""
        return self.over_named(mosaic).render()


_OF_LOOKS: Final = Parameters.model_fields.keys() - {
    *("resampling", "reproject", "overviews", "return_mask", "quality")
}
"""Parameters that say which values an image shows, or in which colors."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """What a request says of the values and colors of images.

    Where it says nothing, the default render of the mosaic decides. A single parameter of them
    replaces that as a whole: colors that were made for other values would be wrong.
    """

    mosaic: Mosaic
    given: Parameters
    """Over the named render, if one is named."""
    rule: Rule
    is_open: bool
    """Whether it says nothing of them."""

    @classmethod
    def of(cls, mosaic: Mosaic, rule: Rule, *queries: _Named) -> Self:
        """Takes the parameters of a request; `InvalidRequestError` for a render that is unknown."""
        given = Parameters()
        for query in queries:
            given = query.over(given)
        says = any(getattr(given, name) is not None for name in _OF_LOOKS)
        named = queries[0].named
        pixels = given.over(parameters_of(mosaic, named)) if named else given
        return cls(mosaic, pixels, rule, is_open=named is None and not says)

    def default(self, wanted: Format) -> str:
        """Returns the default render if images of a format have it; else an empty text."""
        if not (self.is_open and self.mosaic.default_render):
            return ""
        return default_render(self.mosaic, self.rule, allowed_format(self.mosaic, wanted))

    def look(self, wanted: Format) -> tuple[Read, Render]:
        """Parses how images of a format are read and drawn.

        Raises `InvalidRequestError`, which names the value that is invalid or not allowed.
        """
        name = self.default(wanted)
        pixels = self.given.over(parameters_of(self.mosaic, name)) if name else self.given
        return pixels.read(), replace(pixels.render(), format=wanted)


def format_of(name: str) -> Format:
    """Returns a format by any of its names; `InvalidRequestError` lists the known ones."""
    known = FORMATS.get(name.lower())
    if known is None:
        raise InvalidRequestError(
            f"unknown format {name[:20]!r}; known are {', '.join(sorted(FORMATS))}"
        )
    return known


def allowed_format(mosaic: Mosaic, wanted: Format) -> Format:
    """Returns a format that a mosaic allows: `auto` is one of them, others stay as they are.

    Of classes `auto` is PNG, as JPEG makes others of them.

    Raises `InvalidRequestError` for one that it does not allow.
    """
    allowed = mosaic.formats
    of_classes = mosaic.is_thematic or mosaic.sources_of_classes
    if wanted == "auto" and of_classes and (not allowed or "png" in allowed):
        return "png"
    if not allowed or wanted in allowed or (wanted == "auto" and {*_OF_AUTO} <= {*allowed}):
        return wanted
    if wanted == "auto":
        return FORMATS[allowed[0]]
    raise InvalidRequestError(
        f"mosaic {mosaic.id!r} has no images of format {wanted}; it has {', '.join(allowed)}"
    )


def like_format(mosaic: Mosaic, wanted: Format) -> Format:
    """Returns a format if a mosaic allows it, else one for pictures, else any that it allows."""
    allowed = mosaic.formats
    if not allowed or wanted in allowed:
        return wanted
    return FORMATS[next((name for name in _PICTURES if name in allowed), allowed[0])]


class EdgeQuery(BaseModel):
    """Query parameters for the size of a tile."""

    tilesize: int = Field(256, description="Pixels per tile edge, before the scale `@{n}x`")
    buffer: float | None = Field(
        None,
        description="Extra pixels on each side, a multiple of 0.5: 0.5 makes a 256 px tile 257 px. "
        "What an algorithm drops on each side is read around the tile if this is not given, so "
        "that the tile keeps its size; else it is dropped from these pixels, as in TiTiler",
    )
    padding: int = Field(
        0,
        ge=0,
        le=1024,
        description="Has no effect: resampling always reads as many pixels around as it needs",
    )

    def edge(self, scale: int, settings: Settings) -> int:
        """Returns pixels per edge without the buffer; the limit applies with the buffer."""
        if not 1 <= scale <= 4:
            raise InvalidRequestError(f"scale @{scale}x must be @1x to @4x")
        buffer = self.buffer or 0.0
        if not (math.isfinite(buffer) and buffer >= 0 and (2 * buffer).is_integer()):
            raise InvalidRequestError(
                f"buffer {buffer:g} must be a multiple of 0.5, and not below 0"
            )
        size = self.tilesize * scale
        whole = size + int(2 * buffer)
        if not 1 <= size <= whole <= settings.max_tile_size:
            raise InvalidRequestError(
                f"tilesize {self.tilesize} at @{scale}x makes {whole} pixels with its buffer; this "
                f"server allows 1 to {settings.max_tile_size}"
            )
        return size
