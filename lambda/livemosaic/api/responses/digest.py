"""Documents and vector tiles with an ETag of their own bytes, kept as long as images are."""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from starlette.responses import Response

from livemosaic.api.responses.etag import IfNoneMatch
from livemosaic.api.responses.picture import cache_control
from livemosaic.model.mosaic import Mosaic
from livemosaic.settings import Settings

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def tagged(
    body: bytes,
    media_type: str,
    mosaic: Mosaic,
    settings: Settings,
    if_none_match: Sequence[str] | None,
    *,
    about: Mapping[str, str] = _NOTHING,
    brief: bool = False,
    weak: bool = False,
) -> Response:
    """Returns a document, or a 304 where `if_none_match` has its ETag; `brief` as of images.

    The ETag is of the body and of the headers `about` it; a `weak` one is of a body that may be
    compressed on the way.
    """
    digest = hashlib.blake2b(body, digest_size=16)
    if about:
        digest.update(repr(about).encode())
    etag = f'"{digest.hexdigest()}"'
    life = cache_control(mosaic, settings, brief=brief)
    headers = {**about, "Cache-Control": life, "ETag": f"W/{etag}" if weak else etag}
    if IfNoneMatch.of(",".join(if_none_match or ())).matches(etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
