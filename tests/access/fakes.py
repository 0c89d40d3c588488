"""Local servers that ask for a login: Earthdata, the Planetary Computer, an API, S3, STS."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

BODY = b"0123456789"


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    target: str
    headers: Message
    """Names match whatever their case."""
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {k: v[0] for k, v in parse_qs(urlsplit(self.target).query).items()}

    @property
    def bearer(self) -> str | None:
        return self.headers.get("Authorization", " ").partition("Bearer ")[2] or None


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    pause_s: float = 0
    """Seconds before each byte of the body."""


Respond = Callable[[Asked], Answer]


def ranged(asked: Asked, body: bytes = BODY) -> Answer:
    """The requested range of an object."""
    headers = {"ETag": '"x"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("Range", ""))
    if not found:
        return Answer(200, body, headers)
    start, stop = int(found[1]), min(int(found[2]) + 1, len(body))
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
    return Answer(206, body[start:stop], headers)


class Fake:
    """A server on 127.0.0.1 that answers by `respond` while it is entered, and notes requests."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self

    @property
    def url(self) -> str:
        return f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    fake: Fake


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, self.headers, body)
        self.server.fake.asked.append(asked)
        answer = self.server.fake.respond(asked)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self._write(answer)

    def _write(self, answer: Answer) -> None:
        if not answer.pause_s:
            self.wfile.write(answer.body)
            return
        for number in answer.body:
            time.sleep(answer.pause_s)
            try:
                self.wfile.write(bytes([number]))
            except OSError:  # the client has gone
                return

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()
