"""HTML pages and their static files, all served from this origin."""

import re
from html import escape
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from livemosaic.api.access import TOKEN_PARAMETER, mosaic_of
from livemosaic.api.documents.preview import preview_path
from livemosaic.api.responses.negotiation import PAGE_HEADERS, WEB, static_path
from livemosaic.errors import NotFoundError, UnauthorizedError
from livemosaic.model.mosaic import Mosaic
from livemosaic.tiler.tilesets import web_map_tms

router = APIRouter(tags=["pages"])

_VERSION: Final = re.compile("[0-9a-f]{16}")
_FOREVER: Final = "public, max-age=31536000, immutable"
_PAGE: Final[dict[str, Any]] = {
    "description": "Page that describes the error",
    "content": {"text/html": {}},
}

_PREVIEW: Final = 1200
"""Pixels of the longer side of the image by which a link is shown."""

_MISSING: Final = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>No such mosaic · livemosaic</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="../../{static}/base.css">
    <link rel="stylesheet" href="../../{static}/map.css">
  </head>
  <body>
    <main class="message">
      <h2>This mosaic does not exist, or not for everybody</h2>
      <p>{detail}</p>
    </main>
  </body>
</html>
"""


class _Files(StaticFiles):
    """Files whose path changes with their contents, so that caches never ask for them again.

    By any other path they are revalidated, so that no old script runs in a new page: also while two
    releases answer, as a page may load its files from the other one.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        version, _, name = path.partition("/")
        current = static_path().endswith(f"/{version}")
        known = current or _VERSION.fullmatch(version) is not None
        response = await super().get_response(name if known else path, scope)
        if response.status_code < 400:
            response.headers["Cache-Control"] = _FOREVER if current else "no-cache"
        return response


def static_files() -> StaticFiles:
    """Returns an application for scripts, styles, and files that `make` copies from npm."""
    return _Files(directory=WEB)


@router.get("/docs", include_in_schema=False)
def docs() -> HTMLResponse:
    """Serves Swagger UI, from its npm package, for the OpenAPI document."""
    page = (WEB / "docs.html").read_text("utf-8").replace("{static}", static_path())
    return HTMLResponse(page, headers=PAGE_HEADERS)


@router.get(
    "/mosaics/{mosaic}/map.html",
    response_class=HTMLResponse,
    responses={401: _PAGE, 404: _PAGE},
)
def map_page(mosaic: str, request: Request) -> HTMLResponse:
    """Serves a map page that updates with the mosaic; its URL accepts the parameters of tiles."""
    try:
        found = mosaic_of(mosaic, request)
        tms = _drawn(found)
    except (NotFoundError, UnauthorizedError) as error:
        status = 404 if isinstance(error, NotFoundError) else 401
        return HTMLResponse(
            _MISSING.format(detail=escape(str(error)), static=static_path()),
            status,
            headers=PAGE_HEADERS,
        )
    page = (WEB / "map.html").read_text("utf-8").replace("{static}", static_path())
    page = page.replace("{tms}", escape(tms)).replace("{meta}", _meta(found, request))
    return HTMLResponse(page, headers=PAGE_HEADERS)


def _meta(mosaic: Mosaic, request: Request) -> str:
    """Returns what a link to the page is shown by (Open Graph), with the colors of its query.

    A private mosaic has no image: who follows a link has no token.
    """
    root, title = str(request.base_url), mosaic.title or mosaic.id
    found = {"title": title, "type": "website", "site_name": "livemosaic"}
    found["description"] = "A live mosaic: new scenes appear as they arrive."
    is_open = mosaic.access == "public" and TOKEN_PARAMETER not in request.query_params
    if path := preview_path(mosaic, _PREVIEW) if is_open else None:
        given = f"&{request.url.query}" if request.url.query else ""
        found["image"] = f"{root}{path}{given}"
    return "".join(
        f'<meta property="og:{name}" content="{escape(value)}">' for name, value in found.items()
    )


@router.get(
    "/mosaics/{mosaic}/tiles/{tms}/map.html", status_code=307, response_class=RedirectResponse
)
def map_page_of_tiles(mosaic: str, tms: str, request: Request) -> RedirectResponse:
    """Redirects to the mosaic's map page; 404 for other TileMatrixSets."""
    return _to_map("../../map.html", mosaic, tms, request)


@router.get("/mosaics/{mosaic}/{tms}/map.html", status_code=307, response_class=RedirectResponse)
def map_page_of_tms(mosaic: str, tms: str, request: Request) -> RedirectResponse:
    """Redirects TiTiler's URL of the map page to ours; 404 for other TileMatrixSets."""
    return _to_map("../map.html", mosaic, tms, request)


def _to_map(path: str, mosaic: str, tms: str, request: Request) -> RedirectResponse:
    if tms != (drawn := _drawn(mosaic_of(mosaic, request))):
        raise NotFoundError(f"the map page of mosaic {mosaic[:80]!r} draws {drawn} only")
    # Relative, as the server's public URL is unknown.
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{path}{query}", 307)


def _drawn(mosaic: Mosaic) -> str:
    """Returns the TileMatrixSet that MapLibre draws; `NotFoundError` where the body has none."""
    found = web_map_tms(mosaic)
    if found is None:
        raise NotFoundError(
            f"mosaic {mosaic.id!r} has no map page: no TileMatrixSet of its body is a Mercator quad"
        )
    return found
