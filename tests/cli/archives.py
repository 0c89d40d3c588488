"""`livemosaic export` to PMTiles as tests run it, and its archives as other readers have them."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.served import AUTHORIZED, Server
from livemosaic.cli import app
from livemosaic.export.pmtiles.reader import Archive

Place = tuple[int, int, int]
"""Zoom, column, row."""


def export(server: Server, to: Path | str, *options: str, code: int = 0, mosaic: str = "m") -> str:
    index = server.services.settings.index
    words = ["--index", index, "--allow", str(server.folder), "export", mosaic, str(to), *options]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def opened(path: Path) -> Archive:
    body = path.read_bytes()
    return Archive.open(lambda start, stop: body[start:stop])


def every_tile(archive: Archive) -> dict[Place, bytes]:
    """All tiles of an archive, by the reference reader."""
    reader = pytest.importorskip("pmtiles.reader")
    there = reader.Reader(lambda offset, length: archive._read(offset, offset + length))
    return dict(reader.all_tiles(there.get_bytes))


def counts(text: str) -> tuple[int, int]:
    """How many tiles were drawn, and how many taken over, of what the command says."""
    found = re.search(r": ([\d,]+) drawn, ([\d,]+) as before", text)
    assert found, text
    drawn, copied = (int(number.replace(",", "")) for number in found.groups())
    return drawn, copied


def put(server: Server, item: dict[str, Any]) -> None:
    """Make an Item the newest of its scene, whatever its time."""
    url = "/mosaics/m/items?force=true"
    answer = server.client.post(url, json=item, headers=AUTHORIZED)
    assert answer.status_code == 200, answer.text


def delete(server: Server, name: str) -> None:
    url = f"/mosaics/m/items/{name}?collection=s2&force=true"
    answer = server.client.delete(url, headers=AUTHORIZED)
    assert answer.status_code in (200, 204), answer.text
