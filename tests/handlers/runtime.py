"""Functions as Lambda runs them: AWS's own runtime client in a process, and the API that it polls.

The Runtime API is described in the Lambda Developer Guide, "Using the Lambda runtime API"; the
answer to a response that is too long is what AWS gives.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import pytest

CODE = Path(__file__).parents[2] / "lambda"
MAX_RESPONSE = 6_291_556
_PREFIX = "/2018-06-01/runtime"


class FunctionError(Exception):
    """What a function, or its start, ended with, as its caller is told."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        super().__init__(f"{report['errorType']}: {report['errorMessage']}")
        self.kind: str = report["errorType"]
        self.message: str = report["errorMessage"]


@dataclass
class Function:
    """A function that waits for events."""

    log: Path
    """What it wrote to standard output and error."""
    events: Queue[Any] = field(default_factory=Queue)
    reports: Queue[tuple[str, bytes]] = field(default_factory=Queue)
    """Each `response` and `error` that came from the process, and its body."""
    snapped: Event = field(default_factory=Event)
    restored: Event = field(default_factory=Event)
    trace: str = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0"
    """X-Ray's header of its next invocations."""

    def invoke(self, event: Any) -> Any:
        """The response to one event; `FunctionError` where there is none."""
        self.events.put(event)
        kind, body = self._report()
        if kind == "error":
            raise FunctionError(json.loads(body))
        return json.loads(body)

    def wait_for_snapshot(self) -> None:
        """Until it is started, and asks to be restored; with SnapStart only."""
        assert self.snapped.wait(30), self.log.read_text()

    def restore(self) -> None:
        """Let it go on after its snapshot."""
        self.wait_for_snapshot()
        self.restored.set()

    def logged(self) -> list[dict[str, Any]]:
        """Its JSON log lines so far."""
        lines = self.log.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _report(self) -> tuple[str, bytes]:
        try:
            return self.reports.get(timeout=30)
        except Empty:
            raise AssertionError(f"the function said nothing:\n{self.log.read_text()}") from None


@contextmanager
def function(handler: str, folder: Path, **environment: str) -> Iterator[Function]:
    """A function of `lambda/`, started in that environment alone, ended afterwards."""
    pytest.importorskip("awslambdaric", reason="AWS builds its runtime client for Linux only")
    made = Function(folder / f"{handler}.log")
    server = _RuntimeApi(made)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    with made.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=CODE,
            env=_environment(handler, server.server_port) | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield made
        finally:
            process.terminate()
            process.wait()
            made.events.put(None)
            made.restored.set()
            server.shutdown()
            thread.join()
            server.server_close()


def _environment(handler: str, port: int) -> dict[str, str]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": handler.partition(".")[0],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
        "AWS_REGION": "eu-central-1",
        "LAMBDA_TASK_ROOT": str(CODE),
        "_HANDLER": handler,
    }


class _RuntimeApi(ThreadingHTTPServer):
    def __init__(self, function: Function) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.function = function


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _RuntimeApi

    def do_GET(self) -> None:
        if self.path == f"{_PREFIX}/restore/next":
            self.server.function.snapped.set()
            self.server.function.restored.wait()
            self._answer(200, {})
            return
        assert self.path == f"{_PREFIX}/invocation/next"
        event = self.server.function.events.get()
        if event is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 30_000),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:"
            "function:livemosaic",
            "Lambda-Runtime-Trace-Id": self.server.function.trace,
        }
        self._answer(200, event, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        *_, kind = self.path.split("/")
        if kind == "response" and len(body) > MAX_RESPONSE:
            error = {
                "errorMessage": f"Response payload size exceeded maximum allowed payload size "
                f"({MAX_RESPONSE} bytes).",
                "errorType": "Function.ResponseSizeTooLarge",
            }
            self._report("error", json.dumps(error).encode())
            self._answer(413, error)
        else:
            self._report(kind, body)
            self._answer(202, {"status": "OK"})

    def _report(self, kind: str, body: bytes) -> None:
        self.server.function.reports.put((kind, body))

    def _answer(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
