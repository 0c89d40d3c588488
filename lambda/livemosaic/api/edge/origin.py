"""The gate of an origin: requests come through its CDN, or are sent there.

The CDN shows a secret in a header, so that nobody can evade its cache and its firewall by the URL
of the origin itself.
"""

from dataclasses import dataclass
from typing import Final, Self

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from livemosaic.api.gateway import is_authorized
from livemosaic.api.responses.errors import error_response
from livemosaic.auth.keys import KeyRing, open_keys
from livemosaic.errors import KeysUnavailableError
from livemosaic.settings import Settings
from livemosaic.storage.hrefs import path_segment

HEADER: Final = "X-Livemosaic-Origin"
"""Request header in which the CDN shows the secret."""


@dataclass(frozen=True, slots=True)
class OriginGate:
    """Decides whether a request is answered here."""

    keys: KeyRing | None
    """Secrets that the CDN may show; None to admit all requests."""
    settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the gate that the setting `origin_secret` describes."""
        place = settings.origin_secret
        keys = KeyRing(open_keys(place, setting="LIVEMOSAIC_ORIGIN_SECRET")) if place else None
        return cls(keys, settings)

    async def refusal(self, scope: Scope) -> Response | None:
        """Returns the response to an HTTP request that may not pass; None for others.

        Requests that API Gateway authorized pass: their signatures name the origin's own host.
        """
        if self.keys is None or is_authorized(scope, self.settings.authorizer):
            return None
        shown = Headers(scope=scope).get(HEADER, "")
        try:
            admitted = await run_in_threadpool(self.keys.holds, shown)
        except KeysUnavailableError as error:
            return error_response(503, str(error), {"Retry-After": "1"})
        return None if admitted else self._elsewhere(scope)

    def _elsewhere(self, scope: Scope) -> Response:
        if not self.settings.public_url:
            return error_response(403, "this is the origin of a CDN, which alone may ask it")
        query = scope.get("query_string", b"").decode("latin-1")
        path = "/".join(path_segment(part, ":@,{}+=") for part in scope["path"].split("/"))
        url = self.settings.public_url + path
        response = RedirectResponse(f"{url}?{query}" if query else url, 307)
        response.headers["Cache-Control"] = "no-store"
        return response
