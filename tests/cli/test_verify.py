"""`livemosaic verify`, as a user types it."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from items import item
from livemosaic.cli import app
from sources.catalogue import Catalogue

Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


@pytest.fixture
def run(file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on an index of its own, with a mosaic `m` of two scenes."""
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{file}")
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: str, text: str | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(app, words, input=text)
        assert result.exit_code == code, result.output
        return result

    command("mosaics", "create", "m", "--collection", "s2")
    command("ingest", "-", text="\n".join(json.dumps(item(name)) for name in "ab"))
    return command


def damage(file: Path, sql: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute(f"DELETE FROM rows WHERE {sql}")
    connection.commit()
    connection.close()


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_mosaic_as_it_should_be_ends_with_0(run: Run) -> None:
    assert "rows and Items checked: all well" in run("verify", "m").stderr


def test_a_difference_is_named_and_ends_with_1_until_it_is_mended(run: Run, file: Path) -> None:
    damage(file, "pk LIKE '%#scenes#%' AND sk = 's2#a'")
    damage(file, "pk LIKE '%#coarse#%' AND sk LIKE '%s2#b'")
    said = run("verify", "m", code=1).stderr
    assert "stray: s2#a row in m." in said
    assert "incomplete: s2#b" in said
    assert "1 incomplete" in said
    said = run("verify", "m", "--repair").stderr
    assert "(mended)" in said
    assert "all well" in run("verify", "m").stderr


def test_json_counts_all_and_lists_some(run: Run, file: Path) -> None:
    damage(file, "pk LIKE '%#scenes#%'")
    found = told(run("verify", "m", "--json", "--limit", "1", code=1))
    assert found["mosaic"] == "m"
    marks = 2  # the mosaic has overviews by default: a stale row for each of its scenes
    assert found["checked"] - marks == found["found"]["stray"] > 2
    assert found["mended"] == 0
    (one,) = found["differences"]
    assert (one["kind"], one["mended"]) == ("stray", False)
    assert found["found"]["outdated"] == 1  # bounds, of scenes that are no more
    again = told(run("verify", "m", "--json", "--repair"))
    assert again["mended"] == sum(found["found"].values())


def test_a_mosaic_becomes_what_a_stac_api_has(run: Run) -> None:
    with Catalogue([item("b"), *(item(f"c{n}") for n in range(120))]) as api:
        words = ("verify", "m", "--stac", api.url, "--lag", "0")
        found = told(run(*words, "--json", code=1))
        assert found["found"] == {"absent": 120, "gone": 1}
        run(*words, "--repair")
        assert told(run(*words, "--json"))["found"] == {}


def test_scenes_that_changed_lately_are_not_judged_as_the_api_may_lag(run: Run) -> None:
    with Catalogue([item("b", href="https://example.com/old.tif")]) as api:
        words = ("verify", "m", "--stac", api.url, "--repair")
        found = told(run(*words, "--json"))
        assert (found["found"], found["recent"]) == ({}, 2)
        assert "2 scenes changed within --lag" in run(*words).stderr
        found = told(run(*words, "--lag", "0", "--json"))
        assert (found["found"], found["recent"]) == ({"differs": 1, "gone": 1}, 0)


def test_an_api_that_fails_is_named_and_nothing_is_taken_out(run: Run) -> None:
    with Catalogue([], faults=[400, 400]) as api:
        said = run("verify", "m", "--stac", api.url, "--repair", code=1).stderr
        assert f"cannot read a page of {api.url}/search" in said
    assert "all well" in run("verify", "m").stderr


def test_collections_of_an_api_must_be_known(run: Run) -> None:
    run("mosaics", "create", "any")
    with Catalogue([item("b")]) as api:
        said = run("verify", "any", "--stac", api.url, code=1).stderr
        assert "name some of" in said
        assert "--collection" in said
        found = told(
            run("verify", "any", "--stac", api.url, "--collection", "s2", "--json", code=1)
        )
    assert found["found"] == {"absent": 1}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("verify", "x"), "there is no mosaic 'x'"),
        (("--index", "", "--api", "https://example.com", "verify", "m"), "not on the API https://"),
    ],
    ids=["no mosaic", "an API"],
)
def test_an_error_names_the_value(run: Run, words: tuple[str, ...], says: str) -> None:
    assert says in run(*words, code=1).output


def test_help_says_what_it_costs(run: Run) -> None:
    assert "reads the whole table" in run("verify", "--help").output.lower()
