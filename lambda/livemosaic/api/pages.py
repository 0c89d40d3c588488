"""The pages and the files they are made of, all served from here."""

from html import escape
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from livemosaic.api.params import Has
from livemosaic.errors import NotFoundError

router = APIRouter(tags=["pages"])

_WEB: Final = Path(__file__).parent.parent / "web"
_TMS: Final = "WebMercatorQuad"
"""What MapLibre draws."""

_HEADERS: Final = {
    "Cache-Control": "no-cache",
    # MapLibre's style sheet carries its icons as data: images.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; worker-src 'self'; "
    "style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_MISSING: Final = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>No such mosaic · livemosaic</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="../../static/map.css">
  </head>
  <body>
    <main class="message">
      <h2>This mosaic does not exist</h2>
      <p>{detail}</p>
    </main>
  </body>
</html>
"""


class _Files(StaticFiles):
    """Files that a browser asks for again: an old script must not meet a new page."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def static_files() -> StaticFiles:
    """The page's script and style, and what `make` copies from npm packages."""
    return _Files(directory=_WEB)


@router.get("/", status_code=307, include_in_schema=False)
def root() -> RedirectResponse:
    """What there is to ask for."""
    return RedirectResponse("docs", 307)


@router.get("/docs", include_in_schema=False)
def docs() -> HTMLResponse:
    """The OpenAPI document as a page, by Swagger UI from its npm package."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="livemosaic",
        swagger_js_url="static/swagger/swagger-ui-bundle.js",
        swagger_css_url="static/swagger/swagger-ui.css",
        swagger_favicon_url="data:,",
    )


@router.get("/mosaics/{mosaic}/map.html", response_class=HTMLResponse)
def map_page(mosaic: str, has: Has) -> HTMLResponse:
    """A map of the mosaic that follows it: parameters of tiles may be added to its address."""
    try:
        has.cache.get(mosaic)
    except NotFoundError as error:
        return HTMLResponse(_MISSING.format(detail=escape(str(error))), 404, headers=_HEADERS)
    return HTMLResponse((_WEB / "map.html").read_text("utf-8"), headers=_HEADERS)


@router.get("/mosaics/{mosaic}/tiles/{tms}/map.html", status_code=307)
def map_page_of_tiles(mosaic: str, tms: str, request: Request) -> RedirectResponse:
    """The same map at its one address; there is none of other TileMatrixSets."""
    if tms != _TMS:
        raise NotFoundError(f"the map page of mosaic {mosaic[:80]!r} draws {_TMS} only")
    # Relative: nobody here knows what the server is called outside.
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"../../map.html{query}", 307)
