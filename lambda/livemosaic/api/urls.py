"""Tile URLs that carry the parameters of the request."""

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import Depends, Query, Request

from livemosaic.api.access import TOKEN_PARAMETER
from livemosaic.api.dependencies import (
    AppearanceParams,
    CachedMosaic,
    RuleParams,
    ServicesDep,
)
from livemosaic.api.params.pixels import Appearance, EdgeQuery, format_of

KVP: Final = frozenset(
    {
        *("acceptformats", "acceptversions", "request", "sections", "service", "updatesequence"),
        "version",
    }
)
"""Parameters of GetCapabilities that WMTS clients add, in any case (OGC 07-057r7, 7.1.1)."""
_OWN_PARAMETERS: Final = KVP | frozenset(
    ("crs", "f", "maxzoom", "minzoom", "tile_format", "tile_scale", "tms", "use_epsg", "zooms")
)
"""Parameters that descriptions have and tiles do not."""


@dataclass(frozen=True, slots=True)
class TileURLs:
    """URLs of a mosaic's tiles."""

    base: str
    """The URL up to the TileMatrixSet."""
    query: tuple[tuple[str, str], ...]
    """Query parameters for tiles."""

    def at(self, path: str) -> str:
        """Returns the URL of a path below `base`."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{self.base}/{path}{query}"

    def template(self, tms: str, suffix: str = "") -> str:
        """Returns a URL template with `{z}`, `{x}` and `{y}`; `suffix` is a scale and a format."""
        return self.at(f"{tms}/{{z}}/{{x}}/{{y}}{suffix}")

    def without(self, dropped: str) -> "TileURLs":
        """Returns these URLs without a query parameter."""
        kept = tuple((name, value) for name, value in self.query if name != dropped)
        return TileURLs(self.base, kept)

    def of_format(self, name: str, appearance: Appearance) -> "TileURLs":
        """Returns these URLs for a format that was chosen because it can hold what images show.

        They name the default render where tiles of the format would not have it by themselves.
        """
        default = appearance.default("auto")
        if not default or appearance.default(format_of(name)):
            return self
        return TileURLs(self.base, (("render", default), *self.query))

    def for_render(self, render: str) -> "TileURLs":
        """Returns the URLs of tiles in a named render, without any other parameter."""
        token = tuple((name, value) for name, value in self.query if name == TOKEN_PARAMETER)
        return TileURLs(self.base, (("render", render), *token))


async def tile_urls(request: Request, mosaic: CachedMosaic) -> TileURLs:
    """Returns tile URLs with the parameters of this request; the route checks them."""
    given = request.query_params.multi_items()
    query = tuple((name, value) for name, value in given if name.lower() not in _OWN_PARAMETERS)
    return TileURLs(f"{request.base_url}mosaics/{mosaic.id}/tiles", query)


TileURLsDep = Annotated[TileURLs, Depends(tile_urls)]


async def checked_tile_urls(
    tiles: TileURLsDep,
    mosaic: CachedMosaic,
    services: ServicesDep,
    appearance: AppearanceParams,
    rule: RuleParams,
    edge: Annotated[EdgeQuery, Query()],
) -> TileURLs:
    """Returns tile URLs with this request's parameters, after the checks that tiles make."""
    edge.edge(1, services.settings)
    read, _ = appearance.look("auto")
    services.tiler.of_scenes(mosaic, read, rule)
    return tiles


CheckedTileURLsDep = Annotated[TileURLs, Depends(checked_tile_urls)]


async def tile_suffix(
    tile_format: Annotated[str | None, Query(description="File extension in tile URLs")] = None,
    tile_scale: Annotated[int, Query(ge=1, le=4, description="Tile scale: 2 for `@2x`")] = 1,
) -> str:
    """Returns the suffix of tile URLs, such as `@2x.png`, or an empty string."""
    scale = "" if tile_scale == 1 else f"@{tile_scale}x"
    if tile_format is None:
        return scale
    format_of(tile_format)
    return f"{scale}.{tile_format}"


Suffix = Annotated[str, Depends(tile_suffix)]
