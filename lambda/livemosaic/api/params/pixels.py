"""Query parameters of pixels and colors, as models that check them."""

import math
from typing import Final, get_args

from pydantic import BaseModel, Field

from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Format, Read, Render
from livemosaic.render.named_renders import parameters_of
from livemosaic.render.parameters import ReadParameters, RenderParameters
from livemosaic.settings import Settings

FORMATS: Final[dict[str, Format]] = {
    **{name: name for name in get_args(Format)},
    "jpg": "jpeg",
    "pngraw": "png",
    "tiff": "tif",
}
"""What a format may be called, and its name here."""


def encodable(text: str) -> str:
    """Text as UTF-8 can carry it: JSON lets half a surrogate pair in, which no answer lets out."""
    return text.encode(errors="replace").decode()


class _Named(BaseModel):
    named: str | None = Field(
        None,
        alias="render",
        description="A named render of the mosaic; other parameters go before what it says",
    )


class ReadQuery(_Named, ReadParameters):
    """Query parameters that say how pixels are read, and the named render that they override."""

    def to_read(self, mosaic: Mosaic) -> Read:
        """The parsed values; `InvalidRequestError` names the one that is wrong."""
        return (self.over(parameters_of(mosaic, self.named)) if self.named else self).read()


class RenderQuery(_Named, RenderParameters):
    """Query parameters that say how pixels become an image, and the named render they override."""

    def to_render(self, mosaic: Mosaic) -> Render:
        """The parsed values but the format; `InvalidRequestError` names the one that is wrong."""
        return (self.over(parameters_of(mosaic, self.named)) if self.named else self).render()


def format_of(name: str) -> Format:
    """A format by any of its names; `InvalidRequestError` names the known ones."""
    known = FORMATS.get(name.lower())
    if known is None:
        raise InvalidRequestError(
            f"unknown format {name[:20]!r}; known are {', '.join(sorted(FORMATS))}"
        )
    return known


class EdgeQuery(BaseModel):
    """Query parameters that say how many pixels the edge of a tile has."""

    tilesize: int = Field(256, description="Pixels of an edge, before `@{n}x`")
    buffer: float = Field(
        0.0, description="More pixels on each side, in halves: 0.5 makes 257 of 256"
    )
    padding: int = Field(
        0,
        ge=0,
        le=1024,
        description="Changes nothing: resampling always reads as far around as it needs",
    )

    def edge(self, scale: int, settings: Settings) -> int:
        """Pixels of an edge without the buffer, which counts where it is limited."""
        if not 1 <= scale <= 4:
            raise InvalidRequestError(f"scale @{scale}x must be @1x to @4x")
        buffer = self.buffer
        if not (math.isfinite(buffer) and buffer >= 0 and (2 * buffer).is_integer()):
            raise InvalidRequestError(
                f"buffer {buffer:g} must be a multiple of 0.5, and not below 0"
            )
        size = self.tilesize * scale
        whole = size + int(2 * buffer)
        if not 1 <= size <= whole <= settings.max_tile_size:
            raise InvalidRequestError(
                f"tilesize {self.tilesize} at @{scale}x makes {whole} pixels with its buffer, this "
                f"server allows 1 to {settings.max_tile_size}"
            )
        return size
