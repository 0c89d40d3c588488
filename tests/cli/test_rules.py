"""Rules of a mosaic, as a user types them."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from livemosaic.cli import app


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")


def create(*words: str) -> Result:
    return CliRunner().invoke(app, ["mosaics", "create", "m", "--property", "cloud", *words])


def test_a_default_rule_is_typed_as_a_query_beside_a_file_of_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"methods": ["center"], "max_scenes": 5}))
    result = create("--rules", str(file), "--rule", "sortby=-cloud&filter=cloud < 10&ids=a&ids=b")
    rules = json.loads(result.stdout)["rules"]
    default = {"sortby": "-cloud", "filter": "cloud < 10", "ids": ["a", "b"]}
    assert {name: value for name, value in rules.items() if value} == {
        "default": default,
        "methods": ["center"],
        "max_scenes": 5,
    }


@pytest.mark.parametrize(
    "query",
    ["sortby", "colour=red", "max_scenes=0", "sortby=gone", "sortby=cloud&sortby=datetime"],
)
def test_a_rule_that_no_request_could_follow_is_refused(query: str) -> None:
    result = create("--rule", query)
    assert (result.exit_code, query.partition("=")[0] in result.output) == (1, True)


@pytest.mark.parametrize("sortby", ["foo bar", "cloud,-datetime", "-id", "clouds", "-platform"])
def test_an_order_that_makes_no_sense_is_refused(sortby: str) -> None:
    result = create("--sortby", sortby)
    assert (result.exit_code, f"sortby '{sortby}'" in result.output) == (1, True)


@pytest.mark.parametrize("content", ["[1]", "7", "{"])
def test_a_file_that_holds_no_rules_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "rules.json"
    file.write_text(content)
    result = create("--rules", str(file))
    assert (result.exit_code, "are no rules" in result.output) == (1, True)
