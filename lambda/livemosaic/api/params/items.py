"""Items that a request names by `ids` and `lock`; a header names the ones that do not exist."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request

from livemosaic.api.access import services_of
from livemosaic.errors import NotFoundError
from livemosaic.index.named import missing_items
from livemosaic.model.mosaic import Mosaic

MISSING: Final = "X-Missing-Items"
"""Header with the named Items that the mosaic does not have, and key of them in the ASGI scope."""


def find_items(request: Request, mosaic: Mosaic, names: Sequence[str]) -> None:
    """Notes the named Items that do not exist; raises `NotFoundError` if none of them does."""
    missing = missing_items(services_of(request).index, mosaic, names) if names else []
    if missing and len(missing) == len(set(names)):
        shown = ", ".join(repr(name[:80]) for name in missing[:5])
        raise NotFoundError(f"no scene of mosaic {mosaic.id!r} has the id {shown}")
    request.scope[MISSING] = missing
