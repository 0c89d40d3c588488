"""Clients that generators make of the OpenAPI document have every operation, and work."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.served import WHOLE, X, Y, Z, on_socket, raster, scene, serving
from bench.environments import PeerError, interpreter
from livemosaic.table.sqlite import SqliteTable

_TYPESCRIPT = Path(__file__).parents[2] / "node_modules" / ".bin" / "openapi-typescript"
_USE = """
import json, sys
from client import AuthenticatedClient
from client.api.items import list_items
from client.api.mosaics import create_mosaic, list_mosaics
from client.api.tiles import tile_with_format
from client.models import NewMosaic

client = AuthenticatedClient(base_url=sys.argv[1], token="secret")
made = create_mosaic.sync(client=client, body=NewMosaic(id="made"))
print(json.dumps({
    "made": made.id,
    "mosaics": [mosaic.id for mosaic in list_mosaics.sync(client=client).mosaics],
    "tile": tile_with_format.sync_detailed(
        "m", "WebMercatorQuad", *map(int, sys.argv[2:5]), "png", client=client, rescale=["0,255"]
    ).status_code,
    "items": list_items.sync_detailed("m", client=client).status_code,
}))
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a mosaic `m` of one scene."""
    folder = tmp_path_factory.mktemp("served")
    with (
        serving(SqliteTable(folder / "table.db"), folder, token="secret") as server,
        on_socket(server) as url,
    ):
        for path, body in (
            ("/mosaics", {"id": "m"}),
            ("/mosaics/m/items", scene("a", str(raster(folder / "a.tif", 7)), WHOLE)),
        ):
            answer = server.client.post(path, json=body, headers={"Authorization": "Bearer secret"})
            assert answer.is_success, answer.text
        yield url


@pytest.fixture(scope="module")
def document(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import httpx

    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    path.write_text(httpx.get(f"{url}/openapi.json").text)
    return path


def operations(document: Path) -> list[str]:
    paths: dict[str, dict[str, Any]] = json.loads(document.read_text())["paths"]
    return [one["operationId"] for item in paths.values() for one in item.values()]


def test_python_has_every_operation_and_answers(url: str, document: Path, tmp_path: Path) -> None:
    try:
        python = interpreter("openapi")
    except PeerError as reason:
        pytest.skip(f"openapi-python-client is not to be had: {reason}")
    command = [str(python.with_name("openapi-python-client")), "generate", "--path", str(document)]
    made = subprocess.run(
        [*command, "--output-path", str(tmp_path / "client"), "--meta", "none"],
        env=os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = made.stdout + made.stderr
    assert "will not be generated" not in said
    assert "Unable to" not in said  # a schema that is left out
    files = {path.stem for path in (tmp_path / "client" / "api").glob("*/*.py")} - {"__init__"}
    assert files == set(operations(document))
    used = subprocess.run(
        [str(python), "-c", _USE, url, str(Z), str(X), str(Y)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert used.returncode == 0, used.stderr
    assert json.loads(used.stdout) == {
        "made": "made",
        "mosaics": ["m", "made"],
        "tile": 200,
        "items": 200,
    }


def test_typescript_has_every_operation(document: Path, tmp_path: Path) -> None:
    if not _TYPESCRIPT.exists():
        pytest.skip("openapi-typescript is not installed: make setup")
    target = tmp_path / "api.ts"
    subprocess.run(
        [str(_TYPESCRIPT), str(document), "--output", str(target)], check=True, capture_output=True
    )
    text = target.read_text()
    missing = [name for name in operations(document) if f"    {name}: {{" not in text]
    assert missing == []
    assert '"/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"' in text
