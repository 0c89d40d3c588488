"""Byte ranges of GeoTIFFs (RFC 9110, 14), by which GDAL's /vsicurl and geotiff.js read them."""

import json
import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livemosaic.api.problems import PROBLEM, problem

_TYPE: Final = "image/tiff"
_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")
"""One range: from a first to a last byte, from a first byte on, or the last bytes."""


class ByteRanges:
    """Answers requests for a range of a GeoTIFF with 206, or 416 where it has no such byte.

    Only of images with an ETag, of which two requests get the same bytes. Several ranges at once,
    and a range `If-Range` another ETag, are answered with the whole image (RFC 9110, 13.1.5).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything but successful GETs and HEADs through."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope) if scope["method"] == "GET" else Headers()
        start: Message | None = None

        async def send_part(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_tiff(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            begun, body = _part(start, message.get("body", b""), asked)
            start = None
            await send(begun)
            await send({**message, "body": body})

        await self.app(scope, receive, send_part)


def _is_tiff(start: Message) -> bool:
    kind = Headers(raw=start["headers"]).get("content-type", "")
    return start["status"] == 200 and kind.startswith(_TYPE)


def _part(start: Message, body: bytes, asked: Headers) -> tuple[Message, bytes]:
    """Returns the start and the body of a response to what was asked for of a whole image."""
    start = {**start, "headers": list(start["headers"])}
    headers = MutableHeaders(scope=start)
    etag = headers.get("etag")
    headers["Accept-Ranges"] = "bytes" if etag else "none"
    if etag is None or asked.get("if-range", etag) != etag:
        return start, body
    span = span_of(asked.get("range", ""), len(body))
    if span is None:
        return start, body
    first, end = span
    if first >= end:
        detail = f"the image has {len(body):,} bytes, and none of the range that was asked for"
        text = json.dumps(problem(416, detail)).encode()
        headers["Content-Range"], headers["Content-Length"] = f"bytes */{len(body)}", str(len(text))
        headers["Content-Type"], headers["Cache-Control"] = PROBLEM, "no-store"
        return start | {"status": 416}, text
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(body)}"
    headers["Content-Length"] = str(end - first)
    return start | {"status": 206}, body[first:end]


def span_of(asked: str, length: int) -> tuple[int, int] | None:
    """Returns the first byte of a range and one past its last, not above it where none is there.

    None for anything but one range, such as one that ends before its start (RFC 9110, 14.1.1).
    """
    found = _RANGE.fullmatch(asked.strip())
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return max(0, length - int(suffix)), length if int(suffix) else 0
    if last and int(last) < int(first):
        return None
    return int(first), min(length, int(last) + 1) if last else length
