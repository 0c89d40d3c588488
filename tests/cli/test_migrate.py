"""`livemosaic migrate`: a mosaic that an earlier release stored is brought to the format of now."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from items import box, item
from livemosaic.cli import app
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.schema import mosaic_prefix
from livemosaic.model.mosaic import FORMAT, Mosaic
from livemosaic.table import Key, Put
from livemosaic.table.sqlite import SqliteTable

STORED = Path(__file__).parents[1] / "stored" / "format-0.ndjson"


def unpacked(pairs: dict[str, Any]) -> Any:
    return base64.b64decode(pairs["bytes"]) if pairs.keys() == {"bytes"} else pairs


def run(*words: str, code: int = 0, text: str | None = None) -> str:
    result = CliRunner().invoke(app, words, input=text)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteTable]:
    """An empty table, on which commands work."""
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")
    monkeypatch.setenv("COLUMNS", "300")
    with closing(SqliteTable(tmp_path / "index.db")) as made:
        yield made


@pytest.fixture
def stored(table: SqliteTable) -> SqliteTable:
    """With the mosaic `old`."""
    for line in STORED.read_text().splitlines():
        row = json.loads(line, object_hook=unpacked)
        table.transact([Put(Key(row["pk"], row["sk"]), row["item"])])
    return table


def of_format(table: SqliteTable, mosaic_id: str, number: int) -> None:
    """Makes a mosaic one that another release stored."""
    Mosaics(table).create(Mosaic(id=mosaic_id))
    key = Key("mosaics", mosaic_id)
    table.transact([Put(key, {**(table.get(key) or {}), "format": number})])


def test_mosaics_that_await_it_are_named_and_migrated(stored: SqliteTable) -> None:
    assert "livemosaic migrate old" in run("mosaics", "list")
    assert "livemosaic migrate old" in run("verify", "old", code=1)  # a truncation left a scene
    assert "name the mosaics to migrate" in run("migrate", code=1)
    assert f"now of format {FORMAT}" in run("migrate", "--all")
    assert f'"rewritten": 0,\n    "format": {FORMAT}' in run("migrate", "old", "--json")
    assert "nothing to do" in run("migrate", "old")
    assert "livemosaic migrate" not in run("mosaics", "list")
    assert "all well" in run("verify", "old")
    mosaic = Mosaics(stored).get("old")
    assert mosaic.format == FORMAT
    assert mosaic.overviews is None  # on by default of new mosaics only
    run(
        "ingest",
        "-",
        text=json.dumps(item("new", box(1, 1, 2, 2), href="https://example.com/n.tif")),
    )
    assert [*stored.scan(f"{mosaic_prefix(mosaic)}stale#")] == []


class Died(BaseException):
    """The process is killed."""


@pytest.mark.parametrize("lost", [True, False], ids=["at a write", "after a write"])
def test_where_it_is_killed_it_is_run_again(
    stored: SqliteTable, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """Each run gets one write further than the one before it."""
    transact, left = SqliteTable.transact, 0

    def dying(table: SqliteTable, actions: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0 or not lost:
            transact(table, actions)
        if left < 0:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(SqliteTable, "transact", dying)
        runs = 0
        while Mosaics(stored).get("old").format == 0:
            runs += 1
            left = int(lost)
            with suppress(Died):
                run("migrate", "old")
    assert runs > 4
    assert "nothing to do" in run("migrate", "old")
    assert "all well" in run("verify", "old")


def test_an_index_without_mosaics_and_a_mosaic_without_scenes(table: SqliteTable) -> None:
    assert "nothing to do: there is no mosaic" in run("migrate", "--all")
    assert "there is no mosaic 'm'" in run("migrate", "m", code=1)
    of_format(table, "m", 0)
    assert f"m: 0 scenes, 0 rewritten; now of format {FORMAT}" in run("migrate", "--all")
    assert "m: nothing to do" in run("migrate", "m")


@pytest.mark.parametrize("words", [("--all",), ("old", "new")], ids=" ".join)
def test_a_mosaic_of_a_later_release_is_named_and_nothing_is_migrated(
    stored: SqliteTable, words: tuple[str, ...]
) -> None:
    of_format(stored, "new", FORMAT + 1)
    output = run("migrate", *words, code=1)
    assert f"mosaic 'new' is of format {FORMAT + 1}, which a later release stored" in output
    assert "upgrade livemosaic" in output
    assert Mosaics(stored).get("old").format == 0
    assert f"now of format {FORMAT}" in run("migrate", "old")


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "-", "--mosaic", "new"),
        ("ingest", "-", "--mosaic", "new", "--force"),
        ("mosaics", "default-assets", "new", "red"),
        ("mosaics", "show", "new"),
        ("mosaics", "delete", "new", "--yes"),
        ("verify", "new", "--repair"),
        ("overviews", "build", "new"),
    ],
    ids=" ".join,
)
def test_a_mosaic_of_a_later_release_is_neither_written_nor_read(
    table: SqliteTable, words: tuple[str, ...]
) -> None:
    of_format(table, "new", FORMAT + 1)
    before = [*table.scan("")]
    output = run(*words, code=1, text=json.dumps(item("a")))
    assert f"mosaic 'new' is of format {FORMAT + 1}, which a later release stored" in output
    assert f"knows the formats up to {FORMAT}: upgrade livemosaic" in output
    assert [*table.scan("")] == before


def test_items_that_a_mosaic_of_a_later_release_wants_are_kept_for_it(
    table: SqliteTable, tmp_path: Path
) -> None:
    """They go into the others, and fail; none is counted as done."""
    of_format(table, "new", FORMAT + 1)
    Mosaics(table).create(Mosaic(id="other"))
    path = tmp_path / "items.ndjson"
    path.write_text(json.dumps(item("a")))
    output = run("ingest", str(path), "--errors", f"{tmp_path}/left", code=1)
    assert "1 failed" in output
    assert f"mosaic 'new' is of format {FORMAT + 1}" in output
    assert Mosaics(table).get("other").bounds
    assert json.loads((tmp_path / "left").read_text())
