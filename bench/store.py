"""A slow object store: byte ranges of the files of a folder, each answer delayed, all counted.

`python store.py ROOT PORT DELAY_S`; imports nothing but the standard library, so it starts at once.
`/{alias}/…/{file}` is a file whatever is before its name, counted under its path without the alias;
`/_take` gives what was asked for since the last time.
"""

import json
import re
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path, port: int, delay_s: float) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.root, self.delay_s = root, delay_s
        self._counted: list[tuple[str, int]] = []
        self._lock = threading.Lock()

    def count(self, name: str, sent: int) -> None:
        with self._lock:
            self._counted.append((name, sent))

    def take(self) -> bytes:
        with self._lock:
            counted, self._counted = self._counted, []
        document = {
            "requests": len(counted),
            "bytes": sum(sent for _, sent in counted),
            "files": sorted({name for name, _ in counted}),
        }
        return json.dumps(document).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path == "/_take":
            return self._answer(200, self.server.take())
        time.sleep(self.server.delay_s)
        file = self.server.root / self.path.rpartition("/")[2]
        path = "/".join(self.path.split("/")[2:])
        if not file.is_file():
            self.server.count(path, 0)
            return self._answer(404)
        return self._part(file, path)

    def _part(self, file: Path, path: str) -> None:
        found = file.stat()
        size, etag = found.st_size, f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        if self.headers.get("If-Match", etag) not in (etag, "*"):
            self.server.count(path, 0)
            return self._answer(412, headers={"ETag": etag})
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, stop = (int(asked[1]), int(asked[2] or size - 1) + 1) if asked else (0, size)
        body = b""
        if self.command == "GET":
            with file.open("rb") as source:
                source.seek(start)
                body = source.read(stop - start)
        self.server.count(path, len(body))  # before who asked has the answer
        if asked is None:
            return self._answer(200, body, {"Content-Length": str(size), "ETag": etag})
        where = f"bytes {start}-{start + len(body) - 1}/{size}"
        return self._answer(206, body, {"Content-Range": where, "ETag": etag})

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    _, root, port, delay_s = sys.argv
    _Server(Path(root), int(port), float(delay_s)).serve_forever()
