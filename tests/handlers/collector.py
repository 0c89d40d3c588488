"""A collector of traces on 127.0.0.1, as OTLP/HTTP has it in JSON."""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from handlers.faulty import Faulty

VALUES = {"stringValue": str, "intValue": str, "doubleValue": float, "boolValue": bool}
"""Types in JSON: 64-bit integers are text (Protocol Buffers, "ProtoJSON Format")."""


@dataclass
class Collector(Faulty):
    """What came to it."""

    bodies: list[bytes] = field(default_factory=list)

    def traces(self) -> list[list[dict[str, Any]]]:
        """The spans of each request, all of whose values have OTLP's form."""
        return [spans_of(json.loads(body)) for body in self.bodies]


def spans_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The spans of an ExportTraceServiceRequest, with attributes as a dict."""
    [group] = document["resourceSpans"]
    assert attributes(group["resource"]["attributes"])["service.name"]
    [scope] = group["scopeSpans"]
    return [
        span | {"attributes": attributes(span["attributes"])}
        for span in map(checked, scope["spans"])
    ]


def checked(span: dict[str, Any]) -> dict[str, Any]:
    assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
    assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
    assert re.fullmatch("[0-9a-f]{16}", span.get("parentSpanId", "0" * 16))
    assert span["kind"] in (1, 2, 5)
    assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
    assert abs(int(span["endTimeUnixNano"]) / 1e9 - time.time()) < 600
    return span


def attributes(listed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {}
    for each in listed:
        [(kind, value)] = each["value"].items()
        assert isinstance(value, VALUES[kind])
        found[each["key"]] = int(value) if kind == "intValue" else value
    return found


@contextmanager
def collector(status: int = 200) -> Iterator[Collector]:
    """Takes traces while the context is open."""
    made = Collector(status)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/json"
            made.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(made.hangs_s)
            self.send_response(made.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
