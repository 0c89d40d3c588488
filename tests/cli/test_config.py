"""Options in a file, and how much a command says."""

import json
from pathlib import Path

import pytest

from cli.everywhere import environment, invoke
from items import item

__all__ = ["environment"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user's settings, in which there are none yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    folder = tmp_path / "settings" / "livemosaic"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def index(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/index.db"


class TestConfig:
    def test_options_of_all_commands_may_be_in_it(self, home: Path, index: str) -> None:
        (home / "config.toml").write_text(
            f'index = "{index}"\n[mosaics.create]\nminzoom = 7\nproperty = ["a", "b"]\n'
        )
        made = json.loads(invoke("mosaics", "create", "alps").stdout)
        assert (made["minzoom"], made["properties"]) == (7, ["a", "b"])
        assert json.loads(invoke("--index", index, "mosaics", "show", "alps").stdout) == made

    def test_the_command_line_and_the_environment_take_precedence(
        self, home: Path, tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (home / "config.toml").write_text(
            f'index = "sqlite:///{tmp_path}/none/x.db"\n[mosaics.create]\nminzoom = 7\n'
        )
        monkeypatch.setenv("LIVEMOSAIC_INDEX", index)
        made = json.loads(invoke("mosaics", "create", "alps", "--minzoom", "3").stdout)
        assert made["minzoom"] == 3
        assert "alps" in invoke("mosaics", "list").stdout

    def test_another_file_replaces_it(self, home: Path, tmp_path: Path, index: str) -> None:
        (home / "config.toml").write_text("nonsense = 1")
        other = tmp_path / "other.toml"
        other.write_text(f'index = "{index}"')
        invoke("--config", str(other), "mosaics", "create", "alps")
        assert "alps" in invoke("--config", str(other), "mosaics", "list").stdout

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("indx = 'x'", "there is no option 'indx' (did you mean 'index'?)"),
            ("[ingests]\nlimits = 5", "did you mean 'ingest'?"),
            ("[ingest]\nlimits = 5", "[ingest] of"),
            ("[ingest]\nlimits = 5", "did you mean 'limit'?"),
            ("[index]\na = 5", "there is no option 'index'"),
            ("ingest = 5", "there is no option 'ingest'"),
            ("version = true", "there is no option 'version'"),
            ("index =", "is no TOML"),
            ("[ingest]\nlimit = 'x'", "--limit"),
            ("[ingest]\nlimit = 99999", "--limit"),
        ],
    )
    def test_what_is_wrong_is_named(self, home: Path, text: str, says: str) -> None:
        (home / "config.toml").write_text(text)
        code = 1 if "limit = " not in text else 2
        assert says in invoke("ingest", "x.json", code=code).output

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        shown = invoke("--config", str(tmp_path / "none.toml"), "mosaics", "list", code=1).output
        assert "none.toml': No such file" in shown


class TestQuiet:
    def test_results_and_problems_are_all_that_is_printed(self, tmp_path: Path, index: str) -> None:
        path = tmp_path / "some.ndjson"
        path.write_text("\n".join(json.dumps(one) for one in (item("a"), {**item("b"), "id": 5})))
        invoke("--index", index, "mosaics", "create", "m")
        loud = invoke("--index", index, "ingest", str(path), code=1)
        assert "1 applied" in loud.stderr
        quiet = invoke("--quiet", "--index", index, "ingest", str(path), "--json", code=1)
        assert json.loads(quiet.stdout) == {
            "items": 2,
            "refused": 1,
            "outdated": 0,
            "counts": {"rejected": 1, "unchanged": 1},
        }
        assert "some.ndjson" in quiet.stderr and "unchanged" not in quiet.stderr
        assert "'nope'" in invoke("-q", "--index", index, "mosaics", "show", "nope", code=1).stderr
