"""A store or table that fails: an HTTP server that gives one answer to every request."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Faulty:
    """What the server answers; may change while it runs."""

    status: int = 200
    body: bytes = b""
    hangs_s: float = 0
    url: str = ""


@contextmanager
def faulty(status: int = 200, body: bytes = b"", hangs_s: float = 0) -> Iterator[Faulty]:
    """Serves on 127.0.0.1 while the context is open."""
    answer = Faulty(status, body, hangs_s)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(answer.hangs_s)
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815
        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Says nothing."""

        def handle(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # a reader that gave up
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    answer.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield answer
    finally:
        server.shutdown()
        server.server_close()
