"""The URL by which clients reach the API, with which every absolute link in a response begins.

By default it is that of the request: its scheme and its Host header. `public_url` replaces it;
headers of proxies count only where `trusted_headers` names them, as any client can send them.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from starlette.datastructures import Headers
from starlette.types import Scope

from livemosaic.settings import PREFIX, PUBLIC_URL, Settings, is_host

_PAIR: Final = r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"\\;,]+))\s*'
_PAIRS: Final = re.compile(_PAIR)
_ELEMENT: Final = re.compile(f"(?:(?:{_PAIR})?;)*(?:{_PAIR})?")
"""What one proxy says in `Forwarded`: parameters, whose values may be quoted (RFC 7239, 4)."""


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """A URL in its parts; an empty one is the request's own."""

    scheme: str = ""
    host: str = ""
    """With a port where it is not the scheme's."""
    prefix: str = ""
    """Path before the API's own, without a slash at its end."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parses the setting `public_url`; empty for an empty one."""
        found = PUBLIC_URL.fullmatch(url)
        return cls(found["scheme"], found["host"], found["prefix"]) if found else cls()

    def scope(self, scope: Scope) -> Scope:
        """Returns the scope of a request that came by this URL, from one without the prefix."""
        moved = dict(scope)
        if self.scheme:
            moved["scheme"] = self.scheme
        if self.host:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            moved["headers"] = [*others, (b"host", self.host.encode())]
        if self.prefix:
            moved["root_path"] = self.prefix
            moved["path"] = self.prefix + scope["path"]
        return moved


@dataclass(frozen=True, slots=True)
class PublicUrls:
    """Finds the URL by which the client of a request came."""

    set_by_operator: PublicUrl
    trusted: tuple[str, ...]
    """Names of trusted headers, in lower case."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns what the settings `public_url` and `trusted_headers` describe."""
        return cls(PublicUrl.parse(settings.public_url), settings.trusted_headers)

    def __call__(self, scope: Scope) -> Scope:
        """Returns an HTTP request's scope with the URL by which its client came."""
        if self.set_by_operator.host:
            return self.set_by_operator.scope(scope)
        return self._forwarded(Headers(scope=scope)).scope(scope) if self.trusted else scope

    def _forwarded(self, headers: Headers) -> PublicUrl:
        """Returns what the nearest proxy says; values that make no URL are ignored.

        Of several proxies the nearest is the last in a header, and the only one that is trusted.
        """
        stated = {n: ",".join(headers.getlist(n)).rpartition(",")[2].strip() for n in self.trusted}
        named = _parameters(stated.get("forwarded", ""))
        scheme = stated.get("x-forwarded-proto") or named.get("proto", "")
        host = stated.get("x-forwarded-host") or named.get("host", "")
        prefix = stated.get("x-forwarded-prefix", "").rstrip("/")
        return PublicUrl(
            scheme.lower() if scheme.lower() in ("http", "https") else "",
            host if is_host(host) else "",
            prefix if PREFIX.fullmatch(prefix) else "",
        )


def _parameters(element: str) -> dict[str, str]:
    """Returns the parameters of an element of `Forwarded` by name; none of a malformed one."""
    found = _PAIRS.findall(element) if _ELEMENT.fullmatch(element) else []
    named = {name.lower(): quoted or token for name, quoted, token in found}
    return named if len(named) == len(found) else {}
