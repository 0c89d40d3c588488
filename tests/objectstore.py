"""A local HTTP server of byte ranges that counts, delays, breaks and redirects on demand."""

import re
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Request:
    """One request that came in."""

    method: str
    target: str
    """Path and query, as sent."""
    range: tuple[int, int] | None
    """Half-open, as asked for."""
    sent: int
    """Bytes of the answer's body."""


class ObjectStore:
    """Serves a folder at `http://localhost:{port}`, on 127.0.0.1 only, while it is entered.

    An ETag is made of the bytes, as S3's is, unless `etags` is off. `delay_s` is waited before each
    answer. `statuses` maps a path to an HTTP status to answer instead, `redirects` one to where it
    is sent (302), `cuts` one to the bytes after which the connection breaks, `drips` one to the
    seconds before each byte, `head_drips` one to those before each byte of the headers.
    """

    def __init__(self, root: Path, delay_s: float = 0) -> None:
        self.root = root
        self.delay_s = delay_s
        self.requests: list[Request] = []
        self.statuses: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.cuts: dict[str, int] = {}
        self.drips: dict[str, float] = {}
        self.head_drips: dict[str, float] = {}
        self.ignore_ranges = False
        self.etags = True
        self._server = _Server(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self._server.store = self

    def __enter__(self) -> Self:
        self._server.server_bind()
        self._server.server_activate()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://localhost:{self._server.server_port}"

    @property
    def header_requests(self) -> list[Request]:
        """Those that begin at the first byte."""
        return [request for request in self.requests if request.range and request.range[0] == 0]

    @property
    def bytes_sent(self) -> int:
        return sum(request.sent for request in self.requests)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    store: ObjectStore


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it would hold each body back until its header is acknowledged
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        store = self.server.store
        time.sleep(store.delay_s)
        path = unquote(self.path.partition("?")[0])
        file = store.root / path.lstrip("/")
        if path in store.redirects:
            return self._answer(302, headers={"Location": store.redirects[path]})
        if path in store.statuses:
            return self._answer(store.statuses[path])
        if not file.is_file():
            return self._answer(404)
        return self._file(file.read_bytes())

    def _file(self, body: bytes) -> None:
        asked = self._range(len(body))
        if asked is None or self.server.store.ignore_ranges:
            return self._answer(200, body)
        start, stop = asked
        if start >= len(body):
            return self._answer(416, headers={"Content-Range": f"bytes */{len(body)}"})
        part = body[start:stop]
        headers = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(body)}"}
        if self.server.store.etags:
            headers["ETag"] = f'"{zlib.crc32(body):08x}"'
        return self._answer(206, part, headers)

    def _range(self, size: int) -> tuple[int, int] | None:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        return (int(found[1]), int(found[2] or size - 1) + 1) if found else None

    def _answer(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        sent = 0 if self.command == "HEAD" else len(body)
        # Noted before the answer leaves: who has the answer must find the request counted.
        self.server.store.requests.append(
            Request(self.command, self.path, self._range(2**62), sent)
        )
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        path = unquote(self.path.partition("?")[0])
        if path in self.server.store.head_drips:
            self._drip(b"X-Slow: " + b"." * 10_000, self.server.store.head_drips[path])
            return
        self.end_headers()
        cut = self.server.store.cuts.get(path)
        if sent and path in self.server.store.drips:
            self._drip(body, self.server.store.drips[path])
        elif sent:
            self.wfile.write(body[:cut])
        self.close_connection = self.close_connection or cut is not None

    def _drip(self, body: bytes, pause_s: float) -> None:
        self.close_connection = True
        with suppress(OSError):  # who asked does not wait for the rest
            self.flush_headers()
            for byte in body:
                time.sleep(pause_s)
                self.wfile.write(bytes([byte]))
