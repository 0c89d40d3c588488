"""Images as HTTP responses: conditional, cacheable, with headers that describe their content."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from livemosaic.api.params.crs import uri_of
from livemosaic.api.params.pixels import FORMATS, allowed_format
from livemosaic.api.responses.etag import Basis, IfNoneMatch
from livemosaic.api.responses.provenance import tags_of
from livemosaic.errors import LivemosaicError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Read, Render
from livemosaic.model.rule import DEFAULT, Rule
from livemosaic.render.encode import LOSSY, MEDIA_TYPES, Encoded, encode
from livemosaic.render.stack.bands import check_drawn
from livemosaic.services import Services
from livemosaic.settings import Settings
from livemosaic.tiler.kept.kind import ValueKind
from livemosaic.tiler.kept.tiffs import KeptTiff
from livemosaic.tiler.overviews import MOST_COUNTED, Lag, ShownCells
from livemosaic.tiler.picture import Draft, Picture
from livemosaic.tiler.views import View

log = logging.getLogger(__name__)

Encoder = Callable[[Pixels, Render, Grid, Mapping[str, str]], Encoded]
"""Turns pixels into bytes, as `encode` does; the mapping has metadata of a GeoTIFF."""

SCENES: Final = "X-Scenes"
SKIPPED: Final = "X-Skipped-Scenes"
TRUNCATED: Final = "X-Truncated"
GRAY: Final = "X-Gray-Scenes"
MISSING: Final = "X-Missing-Sources"
OVERVIEW: Final = "X-Overview"
TIMING: Final = "Server-Timing"
CONTENT_BBOX: Final = "Content-Bbox"
CONTENT_CRS: Final = "Content-Crs"
CONTENT_DATETIME: Final = "Content-Datetime"
_MAX_HEADER: Final = 2000
_BRIEF_S: Final = 10
"""Maximum age of an image without scenes, or with skipped ones: more scenes may appear soon."""
_STALE_IF_ERROR_S: Final = 60
"""How much longer caches may show an image while we fail; without a limit, some do so for good."""

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The image still has an ETag of `If-None-Match`"},
    200: {
        "content": {
            "image/png": {},
            "image/jpeg": {},
            "image/webp": {},
            "image/jp2": {},
            "image/tiff; application=geotiff": {},
            "application/x-binary": {},
        },
        "description": f"Image in the requested `format`: {', '.join(sorted(FORMATS))}",
    },
}
"""OpenAPI responses of routes that return `image`."""


async def image(
    services: Services,
    mosaic: Mosaic,
    view: View,
    read: Read,
    render: Render,
    rule: Rule = DEFAULT,
    if_none_match: list[str] | None = None,
    encoder: Encoder = encode,
    *,
    fills: bool = True,
) -> Response:
    """Renders an image, or returns 304 where `if_none_match` shows that the client has it.

    It has the size of the view: what an algorithm needs around it, and drops, is read, too; but not
    unless it `fills` the view.

    Shows overview cells where they keep what is asked for, else scenes; `X-Overview` says so. The
    `ETag` changes when the scenes or cells in the image do; unless they did, the 304 needs the
    index alone. Images with skipped scenes and masked images have no ETag. The `repr` of an
    encoder of another kind is in the ETag.
    """
    render = _of_mosaic(mosaic, render, encoder)
    if render.format in ("tif", "npy"):
        read = replace(read, palette=False)
    if render.auto_rescale:
        render = await services.stretched(mosaic, read, render, rule)
    if fills and render.algorithm:
        view = view.widened(mosaic, render.margin)
    draft = await services.tiler.prepare(mosaic, view, read, rule)
    kind = None
    if render.format in ("tif", "npy"):
        kind = await services.kinds.find(services.tiler, mosaic, draft.read, rule)
    if kind is not None and render.shows_values:
        render = replace(render, nodata=kind.nodata)
    basis = _basis(draft, (render, *_other(encoder)), services, kind)
    known = IfNoneMatch.of(",".join(if_none_match or ()))
    if known.tags and (same := await run_in_threadpool(known.unchanged, basis, draft.plan)):
        about = _overview_headers(mosaic, draft.shown, await _lag(services, draft))
        life = cache_control(mosaic, services.settings, brief=not same.scenes)
        return _not_modified(basis.etag(same), life, about)
    may_be_kept = render.format == "tif" and view.mask is None and not _other(encoder)
    kept = services.tiffs.get(basis.digest) if may_be_kept else None
    if kept and await _is_unchanged(kept, basis, draft):
        headers = {**kept.headers, TIMING: _server_timing(draft)}
        return Response(kept.body, media_type=MEDIA_TYPES["tif"], headers=headers)
    made, lag = await asyncio.gather(services.tiler.make(draft), _lag(services, draft))
    made = _of_kind(made, kind) if kind else made
    is_drawn = render.algorithm or render.format not in ("tif", "npy")
    if is_drawn and len(draft.read.assets or mosaic.shown_assets) > 1:
        check_drawn(draft.read, made.pixels.names, render)
    made = made if view.canvas is None else _on_canvas(made, view.canvas)
    about = _overview_headers(mosaic, made.shown, lag)
    is_whole = not made.skipped and not made.lost
    etag = basis.etag(made.seen) if is_whole and view.mask is None else None
    life = cache_control(mosaic, services.settings, brief=not (etag and made.seen.scenes))
    tags = tags_of(mosaic, made, rule) if render.format == "tif" else {}
    encoded = await run_in_threadpool(encoder, made.pixels, render, made.grid, tags)
    draft.timings.end("encode")
    if known.matches(etag):
        return _not_modified(etag, life, about)
    headers = _cache_headers(etag, life) | _headers(made) | about | _location_headers(encoded.grid)
    if etag and may_be_kept:
        services.tiffs.keep(basis.digest, KeptTiff(etag, encoded.body, headers))
    headers = headers | {TIMING: _server_timing(draft)}
    return Response(encoded.body, media_type=encoded.media_type, headers=headers)


def _of_mosaic(mosaic: Mosaic, render: Render, encoder: Encoder) -> Render:
    """Returns a render with the format and the quality of the mosaic, where it leaves them open.

    The format of another kind of encoder is its own matter; but it must be allowed.
    """
    chosen = allowed_format(mosaic, render.format)
    if encoder is not encode and chosen != render.format:
        chosen = allowed_format(mosaic, "png")
    has_quality = chosen == "auto" or chosen in LOSSY
    quality = (render.quality or mosaic.quality) if has_quality else None
    return replace(render, format=chosen, quality=quality)


def _on_canvas(made: Picture, canvas: Grid) -> Picture:
    """Returns an image with nothing around it, up to the edges of a larger grid."""
    first = round((made.grid.bounds[0] - canvas.bounds[0]) / canvas.transform.a)
    around = first, canvas.width - first - made.grid.width
    data = np.pad(made.pixels.data, ((0, 0), (0, 0), around))
    valid = np.pad(made.pixels.valid, ((0, 0), around))
    return replace(made, pixels=Pixels(data, valid, made.pixels.names), grid=canvas)


def _of_kind(made: Picture, kind: ValueKind) -> Picture:
    """Returns an image of values with the bands that images of the mosaic have."""
    if not made.pixels.valid.any():
        return replace(made, pixels=kind.blank(made.grid))
    if not kind.has_more_bands(made.pixels):
        return made
    cells = made.shown.names if made.shown else ()
    gray = [*made.scenes, *cells, *made.gray]
    return replace(made, pixels=kind.in_gray(made.pixels), gray=gray)


async def _is_unchanged(kept: KeptTiff, basis: Basis, draft: Draft) -> bool:
    known = IfNoneMatch.of(kept.etag)
    return await run_in_threadpool(known.unchanged, basis, draft.plan) is not None


def _other(encoder: Encoder) -> tuple[Encoder, ...]:
    return () if encoder is encode else (encoder,)


def _basis(
    draft: Draft, how: tuple[Render | Encoder, ...], services: Services, kind: ValueKind | None
) -> Basis:
    mosaic, grid, limits = draft.mosaic, draft.grid, services.tiler.limits
    return Basis(
        (
            services.pixel_version(),
            (mosaic.id, mosaic.generation),
            *([mosaic.clip_to_boundary] if mosaic.clip_to_boundary else []),
            *mosaic.sources_of_classes,
            (grid.crs.to_wkt(), grid.bounds, grid.width, grid.height),
            draft.view.canvas,
            (draft.read, (draft.live or draft).rule, *how),
            (limits.max_scenes, limits.max_rows, services.settings.allowed_prefixes),
            draft.shown and draft.shown.remarks,
            kind and kind.names,
        ),
        of_scenes=mosaic.shown_assets,
        of_nothing=(kind,),
    )


def cache_control(mosaic: Mosaic, settings: Settings, *, brief: bool) -> str:
    """Returns Cache-Control of an image or a vector tile (RFC 9111, 5.2.2; RFC 5861).

    Of a `brief` one more scenes may appear soon.
    """
    age_s = mosaic.max_age_s
    shared_s = 0 if age_s else settings.shared_max_age_s
    stale_s = mosaic.stale_while_revalidate_s
    if brief:
        age_s, shared_s, stale_s = min(age_s, _BRIEF_S), min(shared_s, _BRIEF_S), 0
    if not (age_s or shared_s or stale_s):
        return "no-cache"
    found = ["public", f"max-age={age_s}"]
    found += [f"s-maxage={shared_s}"] if shared_s else []
    found += [f"stale-while-revalidate={stale_s}"] if stale_s else []
    return ", ".join([*found, f"stale-if-error={_STALE_IF_ERROR_S}"])


def _cache_headers(etag: str | None, life: str) -> dict[str, str]:
    return {"Cache-Control": life} | ({"ETag": etag} if etag else {})


def _not_modified(etag: str | None, life: str, about: dict[str, str]) -> Response:
    return Response(status_code=304, headers=_cache_headers(etag, life) | about)


async def _lag(services: Services, draft: Draft) -> Lag | None:
    """Returns what the overviews of an image lack; None where that is not known."""
    overviews = services.tiler.overviews
    if draft.shown is None or overviews is None:
        return None
    try:
        return await run_in_threadpool(overviews.lag, draft.mosaic, draft.view)
    except LivemosaicError as error:
        log.warning("stale overviews not counted", extra={"reason": str(error)})
        return None


def _overview_headers(mosaic: Mosaic, shown: ShownCells | None, lag: Lag | None) -> dict[str, str]:
    """Returns which rung of overviews an image shows, when it was made, and how stale it is.

    A 304 has it, too, so that a cache's copy of an image says how stale it is by now.
    """
    if shown is None:
        return {}
    parts = [str(shown.zoom)]
    if shown.built:
        parts.append(f"built={shown.built}")
    if lag is not None:
        parts.append(f"stale={lag.scenes}{'+' if lag.scenes >= MOST_COUNTED else ''}")
        parts += [f"unread={lag.unread}"] if lag.unread else []
    cells = mosaic.shown_overviews
    if cells is not None and dict(cells.rule) != dict(mosaic.rules.default):
        parts.append("rule=previous")
    return {OVERVIEW: "; ".join(parts)}


def _headers(made: Picture) -> dict[str, str]:
    headers = {SCENES: name_list(made.scenes)}
    if made.times:  # OGC API - Maps (20-058), /req/core/map-response
        headers[CONTENT_DATETIME] = made.times
    if skipped := [*made.skipped, *made.left_out, *made.lost]:
        headers[SKIPPED] = reason_list(skipped)
    if made.gray:
        headers[GRAY] = name_list(made.gray)
    if made.truncated:
        headers[TRUNCATED] = made.truncated
    return headers


def _location_headers(grid: Grid) -> dict[str, str]:
    """Returns the headers of OGC API - Maps (20-058): the bounds, x before y, and the CRS."""
    uri, bounds = uri_of(grid.crs), ",".join(map(str, grid.bounds))
    return {CONTENT_BBOX: bounds} | ({CONTENT_CRS: f"<{uri}>"} if uri else {})


def _server_timing(draft: Draft) -> str:
    """Returns milliseconds per step (W3C Server Timing)."""
    steps = draft.timings.seconds().items()
    return ", ".join(f"{step};dur={1000 * seconds:.1f}" for step, seconds in steps)


def name_list(names: Iterable[str]) -> str:
    """Joins names by commas, percent-encoded as headers are ASCII; a long list is cut."""
    return joined(_encoded(name) for name in names)


def reason_list(reasons: Iterable[tuple[str, str]]) -> str:
    """Joins names and reasons, `name=reason`, as `name_list` does; an `=` of a name is encoded."""
    return joined(f"{_encoded(name)}={_encoded(why, '=')}" for name, why in reasons)


def _encoded(text: str, also: str = "") -> str:
    return quote(text, safe=" :/()'" + also)


def joined(entries: Iterable[str]) -> str:
    """Joins entries of a header by commas; a long list is cut."""
    text = ",".join(entries)
    return text if len(text) <= _MAX_HEADER else text[:_MAX_HEADER].rpartition(",")[0] + ",..."
