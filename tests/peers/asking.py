"""One request to both servers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx

from api.served import Server

_SPELLINGS: Final = {"?&amp;": "?", "?&": "?", '?"': '"', "%7B": "{", "%7D": "}"}
"""What is left of `url=`, and braces of templates as some write them."""

Agreement = Literal["exact", "rounded", "ties", "lossy"]
"""How pixels must agree: `compare.pixels` says what each means."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, written as titiler.mosaic has it below its router's prefix, without `url=`."""

    name: str
    """Unique; differences are listed by it."""
    path: str
    query: Sequence[tuple[str, str]] = ()
    stack: str = "rgb"
    """The mosaic; empty for what belongs to none."""
    body: Any = None
    """JSON; makes it a POST."""
    pixels: Agreement = "exact"
    accept: str = "*/*"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said, with its own addresses taken out."""

    status: int
    media_type: str
    headers: Mapping[str, str]
    content: bytes
    text: str
    """Of what is text: `{mosaic}` and `{server}` stand for where the server has them."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both servers, filled."""

    ours: Server
    titiler: httpx.Client
    files: Mapping[str, str]
    """By mosaic, its mosaic.json."""
    in_files: frozenset[str]
    """Mosaics whose scenes titiler.mosaic reads as STAC Items."""

    def ask(self, ask: Ask) -> tuple[Answer, Answer]:
        """Their answer, and ours."""
        return self._theirs(ask), self._ours(ask)

    def _theirs(self, ask: Ask) -> Answer:
        prefix = "/stac" if ask.stack in self.in_files else "/cog"
        root = str(self.titiler.base_url).rstrip("/")
        if not ask.stack:
            return _answer(_send(self.titiler, ask.path, ask, ask.query), {root: "{server}"})
        file = self.files[ask.stack]
        query = [("url", file), *ask.query]
        names = {
            root + prefix: "{mosaic}",
            root: "{server}",
            str(httpx.QueryParams({"url": file})): "",
            file: ask.stack,
        }
        return _answer(_send(self.titiler, prefix + ask.path, ask, query), names)

    def _ours(self, ask: Ask) -> Answer:
        client = self.ours.client
        root = str(client.base_url).rstrip("/")
        prefix = f"/mosaics/{ask.stack}" if ask.stack else ""
        names = {root + prefix: "{mosaic}"} if ask.stack else {}
        answer = _send(client, prefix + ask.path, ask, ask.query)
        return _answer(answer, {**names, root: "{server}"})


def _send(
    client: httpx.Client, path: str, ask: Ask, query: Sequence[tuple[str, str]]
) -> httpx.Response:
    method = "GET" if ask.body is None else "POST"
    return client.request(
        method, path, params=list(query), json=ask.body, headers={"Accept": ask.accept}
    )


def _answer(answer: httpx.Response, names: Mapping[str, str]) -> Answer:
    media_type = answer.headers.get("content-type", "")
    text = answer.text if _is_text(media_type) else ""
    for place, name in names.items():
        text = text.replace(place, name)
    for escaped, plain in _SPELLINGS.items():
        text = text.replace(escaped, plain)
    return Answer(
        answer.status_code, media_type.replace(" ", ""), answer.headers, answer.content, text
    )


def _is_text(media_type: str) -> bool:
    return any(word in media_type for word in ("json", "xml", "text"))
