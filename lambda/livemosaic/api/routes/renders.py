"""Named renders of a mosaic, which requests apply by `render=NAME`."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from livemosaic.api.access import with_token
from livemosaic.api.dependencies import CurrentMosaic
from livemosaic.model.mosaic import Mosaic
from livemosaic.render.named_renders import render_of

router = APIRouter(tags=["renders"])


class Link(BaseModel):
    """A link (RFC 8288)."""

    rel: str
    href: str
    type: str
    title: str
    templated: bool = False


class RenderOut(BaseModel):
    """A named render with its links."""

    params: dict[str, Any] = Field(
        description="Fields of the STAC render extension 2.0, and other parameters"
    )
    links: list[Link]


class RenderList(BaseModel):
    """The named renders of a mosaic."""

    renders: dict[str, RenderOut]
    links: list[Link]


@router.get("/mosaics/{mosaic}/renders")
def list_renders(mosaic: CurrentMosaic, request: Request) -> RenderList:
    """Lists the named renders of a mosaic."""
    title = f"Renders of {mosaic.title or mosaic.id}"
    here = Link(rel="self", href=_url(request, mosaic), type="application/json", title=title)
    renders = {name: _shown(request, mosaic, name, mosaic.renders[name]) for name in mosaic.renders}
    return RenderList(renders=renders, links=[here])


@router.get("/mosaics/{mosaic}/renders/{render}")
def show_render(mosaic: CurrentMosaic, render: str, request: Request) -> RenderOut:
    """Shows a named render, with links to its tiles."""
    return _shown(request, mosaic, render, render_of(mosaic, render))


def _shown(request: Request, mosaic: Mosaic, name: str, params: Mapping[str, Any]) -> RenderOut:
    title = params.get("title") or name
    tiles = f"{request.base_url}mosaics/{mosaic.id}/tiles/{{tileMatrixSetId}}"
    own = Link(
        rel="self",
        href=_url(request, mosaic, f"/{name}"),
        type="application/json",
        title=f"Render {title}",
    )
    tilejson = Link(
        rel="tilesets-map",
        href=with_token(request, f"{tiles}/tilejson.json?render={name}"),
        type="application/json",
        title=f"TileJSON of {title}",
        templated=True,
    )
    return RenderOut(params=dict(params), links=[own, tilejson])


def _url(request: Request, mosaic: Mosaic, path: str = "") -> str:
    return with_token(request, f"{request.base_url}mosaics/{mosaic.id}/renders{path}")
