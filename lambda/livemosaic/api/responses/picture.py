"""A picture as an HTTP answer: conditional, cacheable, and saying what it is made of."""

from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from livemosaic.api.params.crs import uri_of
from livemosaic.api.params.pixels import FORMATS
from livemosaic.api.responses.etag import Basis, IfNoneMatch
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid
from livemosaic.model.render import Read, Render
from livemosaic.model.rule import DEFAULT, Rule
from livemosaic.render.encode import encode
from livemosaic.services import Services
from livemosaic.tiler.picture import Draft, Picture
from livemosaic.tiler.views import View

SCENES: Final = "X-Scenes"
SKIPPED: Final = "X-Skipped-Scenes"
TRUNCATED: Final = "X-Truncated"
TIMING: Final = "Server-Timing"
CONTENT_BBOX: Final = "Content-Bbox"
CONTENT_CRS: Final = "Content-Crs"
_MAX_HEADER: Final = 2000
_BRIEF_S: Final = 10
"""How long a picture without scenes, or with skipped ones, may be kept at most: it soon has more.
"""

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The picture is as `If-None-Match` says that it is known"},
    200: {
        "content": {
            "image/png": {},
            "image/jpeg": {},
            "image/webp": {},
            "image/jp2": {},
            "image/tiff; application=geotiff": {},
            "application/x-binary": {},
        },
        "description": f"An image; `format` is one of {', '.join(sorted(FORMATS))}",
    },
}
"""Of routes that answer with `image`."""


async def image(
    services: Services,
    mosaic: Mosaic,
    view: View,
    read: Read,
    render: Render,
    rule: Rule = DEFAULT,
    *,
    held: list[str] | None = None,
) -> Response:
    """Its `ETag` changes when scenes that it is made of do. What is `held` is answered from the
    index alone, with 304 where nothing changed. A picture with skipped scenes has none, nor one
    of a part of its grid.

    Headers say what it is made of: `X-Scenes` the scenes that show, `X-Skipped-Scenes` those that
    could not be read and why, `X-Truncated` the limit that left scenes out. `Content-Bbox` and
    `Content-Crs` say where it lies, `Server-Timing` how many milliseconds each step took.
    """
    if render.format in ("tif", "npy"):
        read = replace(read, palette=False)
    draft = services.tiler.draft(mosaic, view, read, rule)
    basis = _basis(draft, render, services)
    known = IfNoneMatch.of(",".join(held or ()))
    if known.tags and (same := await run_in_threadpool(known.foreseen, basis, draft.plan)):
        return _not_modified(basis.etag(same), _life(mosaic, brief=not same.scenes))
    made = await services.tiler.make(draft)
    etag = None if made.skipped or view.mask is not None else basis.etag(made.seen)
    life = _life(mosaic, brief=not (etag and made.seen.scenes))
    encoded = await run_in_threadpool(encode, made.pixels, render, made.grid)
    draft.timings.end("encode")
    if known.holds(etag):
        return _not_modified(etag, life)
    headers = _kept(etag, life) | _told(made) | _placed(encoded.grid) | {TIMING: _timed(draft)}
    return Response(encoded.body, media_type=encoded.media_type, headers=headers)


def _basis(draft: Draft, render: Render, services: Services) -> Basis:
    mosaic, grid, limits = draft.mosaic, draft.grid, services.tiler.limits
    return Basis(
        (
            services.pixel_version(),
            (mosaic.id, mosaic.generation, mosaic.default_assets),
            (grid.crs.to_wkt(), grid.bounds, grid.width, grid.height),
            (draft.read, draft.rule, render),
            (limits.max_scenes, limits.max_rows, services.settings.allowed_prefixes),
        )
    )


def _life(mosaic: Mosaic, *, brief: bool) -> str:
    """Cache-Control of a picture (RFC 9111, 5.2.2; RFC 5861)."""
    if not mosaic.max_age_s and (brief or not mosaic.stale_while_revalidate_s):
        return "no-cache"
    if brief:
        return f"public, max-age={min(mosaic.max_age_s, _BRIEF_S)}"
    stale_s = mosaic.stale_while_revalidate_s
    while_revalidate = f", stale-while-revalidate={stale_s}" if stale_s else ""
    return f"public, max-age={mosaic.max_age_s}{while_revalidate}"


def _kept(etag: str | None, life: str) -> dict[str, str]:
    return {"Cache-Control": life} | ({"ETag": etag} if etag else {})


def _not_modified(etag: str | None, life: str) -> Response:
    return Response(status_code=304, headers=_kept(etag, life))


def _told(made: Picture) -> dict[str, str]:
    headers = {SCENES: _listed(made.scenes)}
    if made.skipped:
        headers[SKIPPED] = _listed([f"{name}={why}" for name, why in made.skipped])
    if made.truncated:
        headers[TRUNCATED] = made.truncated
    return headers


def _placed(grid: Grid) -> dict[str, str]:
    """As OGC API - Maps has them (20-058), x before y."""
    bounds = ",".join(map(str, grid.bounds))
    return {CONTENT_BBOX: bounds, CONTENT_CRS: f"<{uri_of(grid.crs)}>"}


def _timed(draft: Draft) -> str:
    """As W3C Server Timing has it."""
    steps = draft.timings.seconds().items()
    return ", ".join(f"{step};dur={1000 * seconds:.1f}" for step, seconds in steps)


def _listed(names: Any) -> str:
    """Comma-separated, percent-encoded (headers are ASCII), cut between names."""
    text = ",".join(quote(name, safe=" =:/()'") for name in names)
    return text if len(text) <= _MAX_HEADER else text[:_MAX_HEADER].rpartition(",")[0] + ",..."
