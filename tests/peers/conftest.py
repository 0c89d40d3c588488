"""Both servers, filled with the same scenes."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api.served import serving
from bench.environments import PeerError, interpreter
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.tools.emulator import free_port
from peers.asking import Pair
from peers.scenes import stacks

_APP = Path(__file__).with_name("titiler_app.py")
_START_S = 60.0


@pytest.fixture(scope="session")
def titiler() -> Iterator[str]:
    """URL of titiler.mosaic."""
    with running() as url:
        yield url


@contextmanager
def running(app: Path = _APP, *arguments: str, **environment: str) -> Iterator[str]:
    """Runs titiler.mosaic, which is installed into `build/` where it is not there yet."""
    try:
        python = interpreter("titiler")
    except PeerError as reason:
        pytest.skip(f"titiler.mosaic is not to be had: {reason}")
    port = free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own |= environment
    with subprocess.Popen([str(python), str(app), str(port), *arguments], env=own) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            _await(server, url)
            yield url
        finally:
            server.terminate()


def _await(server: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        assert server.poll() is None, f"titiler.mosaic ended with status {server.returncode}"
        try:
            httpx.get(f"{url}/colorMaps")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"titiler.mosaic did not answer within {_START_S} s")


@pytest.fixture(scope="session")
def pair(titiler: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The two, filled."""
    folder = tmp_path_factory.mktemp("peers")
    filled = stacks(folder)
    with (
        serving(SqliteTable(folder / "table.db"), folder) as server,
        httpx.Client(base_url=titiler, timeout=60) as client,
    ):
        files = {}
        for stack in filled:
            stack.fill(server)
            files[stack.name] = str(stack.write_mosaic_json(folder))
        in_files = frozenset(stack.name for stack in filled if stack.in_files)
        yield Pair(server, client, files, in_files)
