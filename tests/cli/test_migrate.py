"""`livemosaic migrate`: a mosaic that an earlier release stored is brought to the format of now."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from items import box, item
from livemosaic.cli import app
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.schema import mosaic_prefix
from livemosaic.model.mosaic import FORMAT
from livemosaic.table import Key, Put
from livemosaic.table.sqlite import SqliteTable

STORED = Path(__file__).parents[1] / "stored" / "format-0.ndjson"


def unpacked(pairs: dict[str, Any]) -> Any:
    return base64.b64decode(pairs["bytes"]) if pairs.keys() == {"bytes"} else pairs


def test_mosaics_that_await_it_are_named_and_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = SqliteTable(tmp_path / "index.db")
    for line in STORED.read_text().splitlines():
        row = json.loads(line, object_hook=unpacked)
        table.transact([Put(Key(row["pk"], row["sk"]), row["item"])])
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")
    monkeypatch.setenv("COLUMNS", "300")

    def run(*words: str, code: int = 0, text: str | None = None) -> str:
        result = CliRunner().invoke(app, words, input=text)
        assert result.exit_code == code, result.output
        return result.output

    assert "livemosaic migrate old" in run("mosaics", "list")
    assert "livemosaic migrate old" in run("verify", "old", code=1)  # a truncation left a scene
    assert "name the mosaics to migrate" in run("migrate", code=1)
    assert f"now of format {FORMAT}" in run("migrate", "--all")
    assert "nothing to do" in run("migrate", "old")
    assert "livemosaic migrate" not in run("mosaics", "list")
    assert "all well" in run("verify", "old")
    mosaic = Mosaics(table).get("old")
    assert mosaic.format == FORMAT
    assert mosaic.overviews is None  # on by default of new mosaics only
    run(
        "ingest",
        "-",
        text=json.dumps(item("new", box(1, 1, 2, 2), href="https://example.com/n.tif")),
    )
    assert [*table.scan(f"{mosaic_prefix(mosaic)}stale#")] == []
    table.close()
