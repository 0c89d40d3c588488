"""Tiles, and what a tile is made of."""

from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Response
from fastapi.concurrency import run_in_threadpool

from livemosaic.api.etag import Basis, IfNoneMatch
from livemosaic.api.params import FORMATS, Has, HowRead, HowRender, OfMosaic, format_of
from livemosaic.errors import InvalidRequestError
from livemosaic.hrefs import redact
from livemosaic.model import Mosaic, Render
from livemosaic.render import encode
from livemosaic.services import Services
from livemosaic.settings import Settings
from livemosaic.tiler import Draft, Tile, TileAddress

router = APIRouter(tags=["tiles"])

SCENES: Final = "X-Scenes"
SKIPPED: Final = "X-Skipped-Scenes"
TRUNCATED: Final = "X-Truncated"
_MAX_HEADER: Final = 2000
_BRIEF_S: Final = 10
"""How long a tile without scenes, or with skipped ones, may be kept at most: it soon has more."""
_PATH: Final = "/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"


@router.get(_PATH + "/assets")
async def tile_assets(
    mosaic: OfMosaic, tms: str, z: int, x: int, y: int, has: Has
) -> dict[str, Any]:
    """What the tile would read, top first, and which scenes those hide, by footprints alone."""
    explained = await has.tiler.explain(mosaic, TileAddress(tms, z, x, y), 256)
    return {
        "scenes": [
            {
                "id": scene.id,
                "collection": scene.collection or None,
                "datetime": scene.datetime,
                "version": scene.version,
                "read": why == "shows",
                "why": why,
                "assets": {name: redact(href) for name, href in scene.assets.items()},
            }
            for scene, why in explained
        ]
    }


async def tile(
    mosaic: OfMosaic,
    tms: str,
    z: int,
    x: int,
    y: int,
    has: Has,
    read: HowRead,
    render: HowRender,
    scale: int = 1,
    format: str = "auto",  # noqa: A002 (the name that the path gives it)
    tilesize: Annotated[int, Query(description="Pixels of an edge, before `@{n}x`")] = 256,
    if_none_match: Annotated[list[str] | None, Header(description="ETags of what is there")] = None,
) -> Response:
    """A map tile: the newest pixels on top.

    Its `ETag` changes when scenes that it is made of do. `If-None-Match` is answered from the index
    alone, with 304 where nothing changed. A tile with skipped scenes has none.

    Headers say what it is made of: `X-Scenes` the scenes that show, `X-Skipped-Scenes` those that
    could not be read and why, `X-Truncated` the limit that left scenes out.
    """
    size = _size(tilesize, scale, has.settings)
    render = replace(render, format=format_of(format))
    if render.format in ("tif", "npy"):
        read = replace(read, palette=False)
    address = TileAddress(tms, z, x, y)
    draft = has.tiler.draft(mosaic, address, size, read)
    basis = _basis(draft, address, render, has)
    held = IfNoneMatch.of(",".join(if_none_match or ()))
    if held.tags and (same := await run_in_threadpool(held.foreseen, basis, draft.plan)):
        return _not_modified(basis.etag(same), _life(mosaic, brief=not same.scenes))
    made = await has.tiler.make(draft)
    etag = None if made.skipped else basis.etag(made.seen)
    life = _life(mosaic, brief=not (etag and made.seen.scenes))
    encoded = await run_in_threadpool(encode, made.pixels, render, made.grid)
    if held.holds(etag):
        return _not_modified(etag, life)
    headers = _kept(etag, life) | _told(made)
    return Response(encoded.body, media_type=encoded.media_type, headers=headers)


for _suffix in ("@{scale}x.{format}", "@{scale}x", ".{format}", ""):
    router.get(
        _PATH + _suffix,
        response_class=Response,
        responses={
            304: {"description": "The tile is as `If-None-Match` says that it is known"},
            200: {
                "content": {
                    "image/png": {},
                    "image/jpeg": {},
                    "image/webp": {},
                    "image/tiff; application=geotiff": {},
                    "application/x-binary": {},
                },
                "description": f"An image; `format` is one of {', '.join(sorted(FORMATS))}",
            },
        },
    )(tile)


def _size(tilesize: int, scale: int, settings: Settings) -> int:
    if not 1 <= scale <= 4:
        raise InvalidRequestError(f"scale @{scale}x must be @1x to @4x")
    size = tilesize * scale
    if not 1 <= size <= settings.max_tile_size:
        raise InvalidRequestError(
            f"tilesize {tilesize} at @{scale}x makes {size} pixels, this server allows 1 to "
            f"{settings.max_tile_size}"
        )
    return size


def _basis(draft: Draft, address: TileAddress, render: Render, has: Services) -> Basis:
    mosaic, limits = draft.mosaic, has.tiler.limits
    return Basis(
        (
            has.settings.build,
            (mosaic.id, mosaic.generation, mosaic.default_assets),
            (address, draft.grid.width, draft.read, render),
            (limits.max_scenes, limits.max_rows, has.settings.allowed_prefixes),
        )
    )


def _life(mosaic: Mosaic, *, brief: bool) -> str:
    """Cache-Control of a tile (RFC 9111, 5.2.2; RFC 5861)."""
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


def _told(made: Tile) -> dict[str, str]:
    headers = {SCENES: _listed(made.scenes)}
    if made.skipped:
        headers[SKIPPED] = _listed([f"{name}={why}" for name, why in made.skipped])
    if made.truncated:
        headers[TRUNCATED] = made.truncated
    return headers


def _listed(names: Any) -> str:
    """Comma-separated, percent-encoded (headers are ASCII), cut between names."""
    text = ",".join(quote(name, safe=" =:/()'") for name in names)
    return text if len(text) <= _MAX_HEADER else text[:_MAX_HEADER].rpartition(",")[0] + ",..."
