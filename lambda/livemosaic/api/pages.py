"""The map page and the files it is made of, all served from here."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from livemosaic.api.params import OfMosaic

router = APIRouter(tags=["pages"])

_WEB: Final = Path(__file__).parent.parent / "web"


def static_files() -> StaticFiles:
    """The page's script and style, and MapLibre GL as `make` copies it from its npm package."""
    return StaticFiles(directory=_WEB)


@router.get("/mosaics/{mosaic}/map.html", response_class=HTMLResponse)
@router.get("/mosaics/{mosaic}/tiles/{tms}/map.html", response_class=HTMLResponse)
def map_page(mosaic: OfMosaic, tms: str = "WebMercatorQuad") -> HTMLResponse:
    """A map of the mosaic that follows it: parameters of tiles may be added to its address."""
    del tms  # the page reads its own address
    return HTMLResponse((_WEB / "map.html").read_text(), headers={"Cache-Control": "no-cache"})
