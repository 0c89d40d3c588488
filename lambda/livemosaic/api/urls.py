"""Addresses of tiles, as clients fill them in, with the parameters that were asked for."""

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import Depends, Query, Request

from livemosaic.api.access import PARAMETER
from livemosaic.api.dependencies import (
    CachedMosaic,
    ReadParams,
    RenderParams,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.params.pixels import EdgeQuery, format_of

_OF_DESCRIPTIONS: Final = (
    *("crs", "f", "maxzoom", "minzoom", "tile_format", "tile_scale", "use_epsg", "zooms"),
    # What WMTS clients add, in capitals or not (OGC 07-057r7, 7.1.1).
    *("acceptformats", "acceptversions", "request", "sections", "service", "updatesequence"),
    "version",
)
"""Parameters that the tiles do not have."""


@dataclass(frozen=True, slots=True)
class TileAddresses:
    """Where a mosaic's tiles are."""

    base: str
    """All before the TileMatrixSet."""
    query: tuple[tuple[str, str], ...]
    """Parameters of tiles."""

    def at(self, path: str) -> str:
        """The address of something below `base`."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{self.base}/{path}{query}"

    def template(self, tms: str, suffix: str = "") -> str:
        """Of tiles, to fill in `{z}`, `{x}` and `{y}`; `suffix` is a scale and a format."""
        return self.at(f"{tms}/{{z}}/{{x}}/{{y}}{suffix}")

    def less(self, dropped: str) -> "TileAddresses":
        """The same without some parameter."""
        kept = tuple((name, value) for name, value in self.query if name != dropped)
        return TileAddresses(self.base, kept)

    def drawn_by(self, render: str) -> "TileAddresses":
        """The same drawn by a named render, and by nothing that was asked for."""
        token = tuple((name, value) for name, value in self.query if name == PARAMETER)
        return TileAddresses(self.base, (("render", render), *token))


async def addresses(request: Request, mosaic: CachedMosaic) -> TileAddresses:
    """With the parameters of this request, whatever they are."""
    given = request.query_params.multi_items()
    query = tuple((name, value) for name, value in given if name.lower() not in _OF_DESCRIPTIONS)
    return TileAddresses(f"{request.base_url}mosaics/{mosaic.id}/tiles", query)


TileURLsDep = Annotated[TileAddresses, Depends(addresses)]


async def checked(
    tiles: TileURLsDep,
    mosaic: CachedMosaic,
    services: ServicesDep,
    read: ReadParams,
    _render: RenderParams,
    _rule: RuleParams,
    edge: Annotated[EdgeQuery, Query()],
) -> TileAddresses:
    """The same, where tiles would refuse none of the parameters."""
    edge.edge(1, services.settings)
    services.tiler.understood(mosaic, read)
    return tiles


CheckedTileURLsDep = Annotated[TileAddresses, Depends(checked)]


async def tile_suffix(
    tile_format: Annotated[str | None, Query(description="Extension of the tile URL")] = None,
    tile_scale: Annotated[int, Query(ge=1, le=4, description="2 for `@2x` tiles")] = 1,
) -> str:
    """What follows a tile's row: `@2x.png`, or nothing."""
    scale = "" if tile_scale == 1 else f"@{tile_scale}x"
    if tile_format is None:
        return scale
    format_of(tile_format)
    return f"{scale}.{tile_format}"


Suffix = Annotated[str, Depends(tile_suffix)]
