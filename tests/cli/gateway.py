"""API Gateway in front of the real application, served by uvicorn on this machine.

Reads pass. Writes pass with a signature that AWS would accept (computed here once more from the
request as it came in), and reach the application with its token. Faults come first.
"""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from api.served import app_on_socket
from livemosaic.api.app import App
from livemosaic.services import Services, running
from livemosaic.settings import Settings
from livemosaic.table.sqlite import SqliteTable

TOKEN = "a-token-for-tests"


@dataclass(frozen=True)
class Fault:
    """An answer that the gateway gives in place of the application's."""

    status: int = 503
    body: bytes = b'{"message":"Service Unavailable"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    """Whether the application has done its work before."""
    match: str = ""
    """`METHOD /path` that it is for; any that begins so."""


@dataclass
class Gateway:
    """What it demands, and what it saw."""

    services: Services
    url: str = ""
    keys: Mapping[str, str] | None = None
    """Secret by access key, where signatures are checked; else the application checks a token."""
    region: str = "eu-central-1"
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    """`METHOD /path`, headers in lower case, body."""

    @property
    def lines(self) -> list[str]:
        return [line for line, _, _ in self.seen]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        line = f"{scope['method']} {scope['raw_path'].decode()}"
        self.seen.append((line, headers, body))
        fault = self._fault(line)
        if fault and not fault.after:
            return await _answer(send, fault)
        if self.keys is not None and scope["method"] != "GET":
            if not self._signed(scope, headers, body):
                return await _answer(send, Fault(403, b'{"message":"Forbidden"}'))
            admitted = {"authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/a"}}}
            scope["aws.event"] = {"requestContext": admitted}
            token = (b"authorization", f"Bearer {TOKEN}".encode())
            scope["headers"] = [h for h in scope["headers"] if h[0] != b"authorization"] + [token]

        async def again() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, _nowhere if fault else send)
        return await _answer(send, fault) if fault else None

    def __post_init__(self) -> None:
        self._app = App(self.services)

    def _fault(self, line: str) -> Fault | None:
        if self.faults and line.startswith(self.faults[0].match):
            return self.faults.pop(0)
        return None

    def _signed(self, scope: Any, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the Authorization header is what AWS would compute for what came in."""
        given = headers.get("authorization", "")
        if not given.startswith("AWS4-HMAC-SHA256 Credential="):
            return False
        parts = dict(part.split("=", 1) for part in given.split(" ", 1)[1].split(", "))
        key, _date, region, service, _ = parts["Credential"].split("/")
        if key not in self.keys or (region, service) != (self.region, "execute-api"):
            return False
        names = parts["SignedHeaders"].split(";")
        query = scope["query_string"].decode()
        url = f"http://{headers['host']}{scope['raw_path'].decode()}{'?' if query else ''}{query}"
        request = AWSRequest(
            scope["method"], url, headers={name: headers[name] for name in names}, data=body
        )
        request.context["timestamp"] = headers["x-amz-date"]
        auth = SigV4Auth(Credentials(key, self.keys[key]), service, region)
        wanted = auth.signature(
            auth.string_to_sign(request, auth.canonical_request(request)), request
        )
        return {"host", "x-amz-date"} <= set(names) and wanted == parts["Signature"]


async def _nowhere(_: Any) -> None:
    pass


async def _answer(send: Any, fault: Fault) -> None:
    headers = {"content-type": "application/json", **fault.headers}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": fault.status, "headers": raw})
    await send({"type": "http.response.body", "body": fault.body})


@contextmanager
def gateway(folder: Path, **settings: Any) -> Iterator[Gateway]:
    """The application on an index in a folder, behind a gateway on a free port."""
    index = f"sqlite:///{folder}/server.db"
    given = Settings(index=index, token=TOKEN, mosaic_max_age_s=0, **settings)
    table = SqliteTable(folder / "server.db")
    with running(given, table) as services:
        front = Gateway(services)
        with app_on_socket(front) as front.url:
            yield front


class Line:
    """TCP connections to a server, all of which can be cut; then nothing listens there."""

    def __init__(self, url: str, port: int = 0) -> None:
        self._server = "127.0.0.1", urlsplit(url).port
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._server)
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=ends, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def detail(text: str) -> bytes:
    """The body of an error of the application."""
    return json.dumps({"detail": text}).encode()
