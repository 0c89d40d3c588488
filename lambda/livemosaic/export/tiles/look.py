"""How the tiles of an archive are read and drawn: as the tile route does by the same names."""

from dataclasses import dataclass, replace
from typing import Final, Self

from livemosaic.errors import InvalidRequestError
from livemosaic.export.pmtiles.header import TileKind
from livemosaic.export.pmtiles.writer import ArchiveContent
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.render import Read, Render, TileFormat
from livemosaic.model.rule import Rule
from livemosaic.render.encode import LOSSY
from livemosaic.render.named_renders import parameters_of
from livemosaic.render.parameters import Parameters
from livemosaic.tiler.rules.default_render import default_render
from livemosaic.tiler.rules.parameters import rule_of

TMS: Final = "WebMercatorQuad"
_EDGE: Final = 85.0511287798066
"""Latitude at which WebMercatorQuad ends."""


@dataclass(frozen=True, slots=True)
class TileLook:
    """Parameters of every tile of an archive."""

    named: str
    """The mosaic's render; empty for its default one, or none."""
    format: TileFormat
    read: Read
    render: Render
    rule: Rule

    @classmethod
    def of(cls, mosaic: Mosaic, named: str, format_: TileFormat) -> Self:
        """Raises `InvalidRequestError` for a render that is not there, and another tile grid."""
        check_grid(mosaic)
        if mosaic.formats and format_ not in mosaic.formats:
            raise InvalidRequestError(
                f"mosaic {mosaic.id!r} has no images of format {format_}; it has "
                f"{', '.join(mosaic.formats)}"
            )
        rule = rule_of({}, mosaic)
        shown = named or default_render(mosaic, rule, format_)
        parameters = parameters_of(mosaic, shown) if shown else Parameters()
        render = parameters.render()
        quality = (render.quality or mosaic.quality) if format_ in LOSSY else None
        render = replace(render, format=format_, quality=quality)
        return cls(named, format_, parameters.read(), render, rule)

    def about(self, mosaic: Mosaic) -> ArchiveContent:
        """Returns what an archive of such tiles states."""
        return content_of(mosaic, self.format, self.named)


def check_grid(mosaic: Mosaic) -> None:
    """Raises `InvalidRequestError` for a mosaic of another tile grid than PMTiles have."""
    if mosaic.tms != TMS:
        raise InvalidRequestError(
            f"mosaic {mosaic.id!r} has tiles of {mosaic.tms}, and PMTiles has tiles of {TMS} "
            f"alone: for an archive, make a mosaic of the same scenes with --tms {TMS}"
        )


def content_of(mosaic: Mosaic, kind: TileKind, about: str = "") -> ArchiveContent:
    """Returns what an archive states of a mosaic; `about` is added to its name."""
    name = mosaic.title or mosaic.id
    stated = {
        "name": f"{name}, {about}" if about else name,
        "attribution": mosaic.attribution,
        "license": mosaic.license,
    }
    metadata = {key: text for key, text in stated.items() if text}
    return ArchiveContent(
        kind=kind, bounds=_bounds(mosaic), metadata=metadata | {"type": "overlay"}
    )


def _bounds(mosaic: Mosaic) -> BBox:
    west, south, east, north = mosaic.described or (-180.0, -_EDGE, 180.0, _EDGE)
    if west > east:
        west, east = -180.0, 180.0
    return west, max(south, -_EDGE), east, min(north, _EDGE)
