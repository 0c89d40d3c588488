"""The object store that a benchmark starts beside itself, and ends."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from livemosaic_cdk.tools.emulator import free_port


@dataclass(frozen=True, slots=True)
class Traffic:
    """What an object store was asked for."""

    requests: int
    bytes: int
    files: frozenset[str]


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A folder over HTTP; all of a path but its end is free, so one file has many URLs."""

    url: str

    def href(self, name: str, alias: str = "x") -> str:
        """URL of a file under an alias; a new alias is in no cache."""
        return f"{self.url}/{alias}/{name}"

    def take(self) -> Traffic:
        """What was asked for since the last time."""
        with urllib.request.urlopen(f"{self.url}/_take", timeout=10) as answer:
            counted = json.load(answer)
        return Traffic(counted["requests"], counted["bytes"], frozenset(counted["files"]))


@contextmanager
def object_store(root: Path, delay_ms: float) -> Iterator[ObjectStore]:
    """`bench.store` on a free port, in a process of its own so that its CPU is not counted."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("store.py"))]
    url = f"http://localhost:{port}"
    arguments = (str(root), str(port), str(delay_ms / 1000))
    with started("the object store", [*command, *arguments], f"{url}/_take"):
        yield ObjectStore(url)


@contextmanager
def tile_server(
    name: str, command: Sequence[str], port: int, environment: Mapping[str, str]
) -> Iterator[int]:
    """Any of the servers that answer `/_usage`, once it does; gives its process."""
    with started(name, command, f"http://127.0.0.1:{port}/_usage", environment) as server:
        yield server.pid


@contextmanager
def started(
    name: str, command: Sequence[str], url: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process from when it answers at a URL, ended afterwards."""
    server = subprocess.Popen(command, env=environment)
    try:
        _await(server, url, name)
        yield server
    finally:
        _stop(server)


def _await(server: subprocess.Popen[bytes], url: str, name: str) -> None:
    for _ in range(1200):
        if server.poll() is not None:
            raise RuntimeError(f"{name} ended at once, with status {server.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{name} does not answer")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
