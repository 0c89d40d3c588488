"""Registries of TileMatrixSets, algorithms and colormaps."""

from html import escape
from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from livemosaic.api.documents.example import example_of
from livemosaic.api.documents.outline import outline_of
from livemosaic.api.params.pixels import format_of
from livemosaic.api.responses.negotiation import (
    DOCUMENT_RESPONSES,
    Negotiated,
    Responder,
    preferred_form,
)
from livemosaic.api.routes.ogc.tilesets import TILING_SCHEME
from livemosaic.errors import NotFoundError
from livemosaic.geo.crs import LONLAT
from livemosaic.geo.tms import summaries, tile_matrix_set, tms_ids
from livemosaic.model.names import suggested
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Format, Render
from livemosaic.render.algorithms import DESCRIPTIVE, is_parameter
from livemosaic.render.encode import MEDIA_TYPES, encode

router = APIRouter(tags=["catalogues"])

_LONG: Final = 256
"""Default length of a legend in pixels: one per color."""
_SHORT: Final = 20
_MAX_LEGEND: Final = 2048
_SVG: Final = "image/svg+xml"

_LEGENDS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {name: {} for name in ("application/json", "text/html", *MEDIA_TYPES.values())}
    }
}

_Side = Annotated[
    int | None, Query(ge=1, le=_MAX_LEGEND, description="Legend width or height in pixels")
]


@router.get("/tileMatrixSets", response_class=Response, responses=DOCUMENT_RESPONSES)
def tile_matrix_sets(request: Request, responder: Negotiated) -> Response:
    """Lists the supported TileMatrixSets (OGC 17-083r4)."""
    if responder.form == "html":
        earth_first = sorted(summaries(), key=lambda tms: not tms.is_like(LONLAT))
        cards = "".join(_tms_card(tms.id, tms.title) for tms in earth_first)
        return responder.page("TileMatrixSets", f'<ul class="swatches">{cards}</ul>')
    listed = [
        {
            "id": tms.id,
            "title": tms.title,
            **_item_links(
                request, f"tileMatrixSets/{tms.id}", TILING_SCHEME, f"Definition of {tms.id}"
            ),
        }
        for tms in summaries()
    ]
    return responder.answer("TileMatrixSets", {"tileMatrixSets": listed})


def _tms_card(name: str, title: str) -> str:
    place = f"tileMatrixSets/{escape(name)}"
    image = f'<img class="example" src="{place}?f=svg" alt="" loading="lazy">'
    about = f"<code>{escape(name)}</code><br>{escape(title)}"
    return f'<li><a href="{place}?f=html">{image}{about}</a></li>'


@router.get(
    "/tileMatrixSets/{tms}",
    response_class=Response,
    responses={200: {"content": {name: {} for name in ("application/json", "text/html", _SVG)}}},
)
def show_tile_matrix_set(
    tms: str,
    request: Request,
    f: Annotated[
        Literal["json", "html", "svg"] | None,
        Query(description="Document, or `svg` for its tiles as an image. By Accept if not given"),
    ] = None,
) -> Response:
    """Shows a TileMatrixSet in its standard's JSON (OGC 17-083r4)."""
    if tms not in tms_ids():
        raise NotFoundError(f"there is no TileMatrixSet {tms[:80]!r}; /tileMatrixSets lists them")
    found = tile_matrix_set(tms)
    if f == "svg":
        return Response(outline_of(found), media_type=_SVG)
    image = f'<img class="example" src="{escape(tms)}?f=svg" alt="Edges of its tiles">'
    document = found.model_dump(mode="json", exclude_none=True)
    return Responder(request, f or preferred_form(request)).answer(tms, document, image)


def _item_links(request: Request, path: str, rel: str, title: str) -> dict[str, Any]:
    href = f"{request.base_url}{path}"
    return {"links": [{"href": href, "rel": rel, "type": "application/json", "title": title}]}


@router.get("/algorithms", response_class=Response, responses=DOCUMENT_RESPONSES)
def list_algorithms(request: Request, responder: Negotiated) -> Response:
    """Lists the algorithms for the parameter `algorithm`, which are TiTiler's."""
    # Imported late: TiTiler brings its routers with it, a quarter of a cold start.
    from titiler.core.algorithm import algorithms

    listed = [
        {
            "id": name,
            "title": _text(_fields(name), "title") or name,
            **_item_links(request, f"algorithms/{name}", "item", f"Definition of {name}"),
        }
        for name in algorithms.list()
    ]
    if responder.form == "html":
        cards = "".join(map(_algorithm_card, algorithms.list()))
        return responder.page("Algorithms", f'<ul class="swatches">{cards}</ul>')
    return responder.answer("Algorithms", {"algorithms": listed})


def _algorithm_card(name: str) -> str:
    place, fields = f"algorithms/{escape(name)}", _fields(name)
    image = f'<img class="example" src="{place}?f=png" alt="" loading="lazy">'
    title, about = _text(fields, "title") or name, _text(fields, "description")
    return (
        f'<li><a href="{place}?f=html">{image}<strong>{escape(title)}</strong>'
        f"<br><code>{escape(name)}</code><br>{escape(about)}</a></li>"
    )


@router.get(
    "/algorithms/{algorithm}",
    response_class=Response,
    responses={
        200: {"content": {name: {} for name in ("application/json", "text/html", "image/png")}}
    },
)
def show_algorithm(
    algorithm: str,
    request: Request,
    f: Annotated[
        Literal["json", "html", "png"] | None,
        Query(description="Document, or `png` for an example image. By Accept if not given"),
    ] = None,
) -> Response:
    """Shows an algorithm's inputs and outputs, and the JSON Schema of its `algorithm_params`."""
    from titiler.core.algorithm import algorithms

    if algorithm not in algorithms.list():
        raise NotFoundError(f"there is no algorithm {algorithm[:80]!r}; /algorithms lists them")
    fields = _fields(algorithm)
    if f == "png":
        example = example_of(algorithm, fields.get("input_nbands", {}).get("default"))
        return Response(example, media_type=MEDIA_TYPES["png"])
    image = f'<img class="example" src="{escape(algorithm)}?f=png" alt="Example">'
    return Responder(request, f or preferred_form(request)).answer(
        algorithm, _algorithm(fields), image
    )


def _fields(algorithm: str) -> dict[str, Any]:
    """Returns the JSON Schema of an algorithm's fields, by name."""
    from titiler.core.algorithm import algorithms

    fields: dict[str, Any] = algorithms.get(algorithm).model_json_schema()["properties"]
    return fields


def _algorithm(fields: dict[str, Any]) -> dict[str, Any]:
    """Describes an algorithm from the defaults of its model's fields, as TiTiler does."""
    defaults = {name: field.get("default") for name, field in fields.items()}

    def about(kind: str) -> dict[str, Any]:
        return {n.removeprefix(kind): defaults[n] for n in defaults if n.startswith(kind)}

    return {
        **{name: defaults.get(name) for name in DESCRIPTIVE},
        "inputs": about("input_"),
        "outputs": about("output_"),
        "parameters": {name: fields[name] for name in filter(is_parameter, fields)},
    }


def _text(fields: dict[str, Any], name: str) -> str:
    return str(fields.get(name, {}).get("default") or "")


@router.get("/colorMaps", response_class=Response, responses=DOCUMENT_RESPONSES)
def list_colormaps(request: Request, responder: Negotiated) -> Response:
    """Lists the colormaps for the parameter `colormap_name`, which are rio-tiler's."""
    from rio_tiler.colormap import cmap

    names = sorted(cmap.list())
    if responder.form == "html":
        return responder.page(
            "Colormaps", f'<ul class="swatches">{"".join(map(_swatch, names))}</ul>'
        )
    listed = [
        {"id": name, **_item_links(request, f"colorMaps/{name}", "item", f"Definition of {name}")}
        for name in names
    ]
    return responder.answer("Colormaps", {"colormaps": listed})


def _swatch(name: str) -> str:
    place = f"colorMaps/{escape(name)}"
    image = f'<img src="{place}?f=png&amp;height=1" alt="" loading="lazy" width="256" height="20">'
    return f'<li><a href="{place}?f=html">{image}{escape(name)}</a></li>'


@router.get("/colorMaps/{colormap}", response_class=Response, responses=_LEGENDS)
def show_colormap(
    colormap: str,
    request: Request,
    f: Annotated[
        Literal["json", "html", "png", "jpeg", "jpg", "webp", "jp2", "tif", "tiff", "npy"] | None,
        Query(description="Document or image format; an image is a legend. By Accept if not given"),
    ] = None,
    orientation: Literal["horizontal", "vertical"] = "horizontal",
    width: _Side = None,
    height: _Side = None,
) -> Response:
    """Shows the colors of a colormap by value, or as a legend."""
    from rio_tiler.colormap import cmap

    if colormap not in cmap.list():
        raise NotFoundError(
            f"there is no colormap {suggested(colormap[:80], cmap.list())}; /colorMaps lists them"
        )
    if f in ("json", "html", None):
        colors = {
            str(value): [int(part) for part in color]
            for value, color in dict(cmap.get(colormap)).items()
        }
        legend = f'<img class="legend" src="{escape(colormap)}?f=png" alt="Legend">'
        return Responder(request, f or preferred_form(request)).answer(colormap, colors, legend)
    lying = orientation == "horizontal"
    wide, high = (_LONG, _SHORT) if lying else (_SHORT, _LONG)
    return _legend(colormap, format_of(f), width or wide, height or high, lying=lying)


def _legend(colormap: str, format_: Format, width: int, height: int, *, lying: bool) -> Response:
    """Draws the colors of 0 to 255 from left to right, or from top to bottom."""
    ramp = np.linspace(0, 255, width if lying else height).round().astype(np.uint8)
    data = np.broadcast_to(ramp if lying else ramp[:, None], (1, height, width))
    pixels = Pixels(data, np.ones((height, width), bool), ("b1",))
    render = Render(format=format_, colormap=colormap)
    legend = encode(pixels, render, Grid(LONLAT, (0, 0, width, height), width, height))
    return Response(legend.body, media_type=legend.media_type)
