"""Documents with an ETag of their own bytes, kept by caches as long as images are."""

import hashlib
from collections.abc import Sequence

from starlette.responses import Response

from livemosaic.api.responses.etag import IfNoneMatch
from livemosaic.api.responses.picture import cache_control
from livemosaic.model.mosaic import Mosaic
from livemosaic.settings import Settings


def tagged(
    body: bytes,
    media_type: str,
    mosaic: Mosaic,
    settings: Settings,
    if_none_match: Sequence[str] | None,
    *,
    brief: bool = False,
) -> Response:
    """Returns a document, or a 304 where `if_none_match` has its ETag; `brief` as of images."""
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"Cache-Control": cache_control(mosaic, settings, brief=brief), "ETag": etag}
    if IfNoneMatch.of(",".join(if_none_match or ())).matches(etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
