"""Documents as JSON or as HTML pages, by content negotiation."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

WEB: Final = Path(__file__).parent.parent / "web"


@cache
def static_path() -> str:
    """Returns the path of static files below the API's root: other files have another path."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(path for path in WEB.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(WEB)}\n".encode() + file.read_bytes())
    return f"static/{digest.hexdigest()}"


PAGE_HEADERS: Final = {
    "Cache-Control": "no-cache",
    # MapLibre's style sheet embeds its icons as data: images.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; worker-src 'self'; "
    "style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every HTML page."""

DOCUMENT_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/json": {}, "text/html": {}}}
}
"""OpenAPI responses of routes that return a document."""

Form = Literal["json", "html"]
_HREF: Final = re.compile(r"(?<=&quot;href&quot;: &quot;)https?://(?:(?!&quot;)[^{\s])+(?=&quot;)")
"""URLs in escaped JSON. URL templates, which have braces, do not become links."""
_NUMBERS: Final = re.compile(r"\[[-+.,\dEe\s]+\]")
"""Lists of numbers in JSON, which are printed on one line."""


@dataclass(frozen=True, slots=True)
class Responder:
    """Creates responses in the negotiated form."""

    request: Request
    form: Form

    def answer(self, title: str, document: Mapping[str, Any], above: str = "") -> Response:
        """Returns the document in the negotiated form; pages show the HTML `above` before it."""
        if self.form == "html":
            return self.page(title, above + self._printed(document))
        return JSONResponse(document, headers={"Vary": "Accept"})

    def page(self, title: str, body: str) -> HTMLResponse:
        """Returns an HTML page. All links are relative, as the server's public URL is unknown."""
        template = Template((WEB / "page.html").read_text("utf-8"))
        text = template.substitute(
            title=escape(title),
            root=self._root,
            static=static_path(),
            crumbs=self._crumbs(),
            body=body,
        )
        return HTMLResponse(text, headers=PAGE_HEADERS | {"Vary": "Accept"})

    @property
    def _steps(self) -> list[str]:
        """Segments of the path below the root of the API."""
        scope = self.request.scope
        return str(scope["path"]).removeprefix(scope.get("root_path", "")).split("/")[1:]

    @property
    def _root(self) -> str:
        return "../" * (len(self._steps) - 1) or "./"

    def _crumbs(self) -> str:
        """Returns links to all parents of the path; an empty string at the root."""
        above = self._steps[:-1]
        names = ["livemosaic", *above] if self._steps != [""] else []
        links = [
            f'<a href="{self._root}{escape("/".join(above[:n]))}">{escape(name)}</a>'
            for n, name in enumerate(names)
        ]
        return " / ".join(links)

    def _printed(self, document: Mapping[str, Any]) -> str:
        text = json.dumps(document, indent=2, ensure_ascii=False)
        text = escape(_NUMBERS.sub(lambda found: " ".join(found[0].split()), text))
        return f"<pre>{_HREF.sub(self._link, text)}</pre>"

    def _link(self, found: re.Match[str]) -> str:
        href, base = found[0], escape(str(self.request.base_url))
        inside = f"{self._root}{href.removeprefix(base)}" if href.startswith(base) else href
        return f'<a href="{inside}">{href}</a>'


async def negotiate(
    request: Request,
    f: Annotated[
        Form | None, Query(description="`html` or `json`; by the Accept header if not given")
    ] = None,
) -> Responder:
    """Negotiates the form of a document by `f`, or else by Accept (RFC 9110, 12.5.1)."""
    return Responder(request, f or preferred_form(request))


def preferred_form(request: Request) -> Form:
    """Returns the form that Accept prefers; JSON where both are equal."""
    wanted = accepted_types(request.headers.get("accept", ""))
    other = max(wanted.get("*/*", 0.0), wanted.get("application/*", 0.0))
    return (
        "html" if wanted.get("text/html", 0.0) > wanted.get("application/json", other) else "json"
    )


def accepted_types(header: str) -> dict[str, float]:
    """Returns the quality, 0 to 1, of each media type in an Accept header."""
    wanted: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = part.replace(" ", "").lower().split(";")
        wanted[name] = min((_quality(p) for p in parameters if p[:2] == "q="), default=1.0)
    return wanted


def _quality(parameter: str) -> float:
    try:
        return float(parameter[2:])
    except ValueError:
        return 0.0


Negotiated = Annotated[Responder, Depends(negotiate)]
