"""`livemosaic ingest` never says that an Item is in which does not show; `--force` shows it."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.gateway import TOKEN, Fault, Gateway, gateway
from items import box, deletion, item, later, notification
from livemosaic.cli import app
from livemosaic.errors import TableBusyError
from livemosaic.index.scenes import Index

Run = Callable[..., Result]
TRUNCATION = {"op": "truncate", "collection": "s2"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as made:
        yield made


@pytest.fixture(params=["an index", "an API"])
def run(
    request: pytest.FixtureRequest, server: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run a command on one and the same index, at hand or behind an API."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(random, "uniform", lambda *_: 0.0)
    local = ("--index", f"sqlite:///{tmp_path}/server.db")
    target = local if request.param == "an index" else ("--api", server.url, "--token", TOKEN)

    def command(*words: str, text: str | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(app, (*target, *words), input=text)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    command("mosaics", "create", "m")
    return command


def give(run: Run, *documents: Any, words: tuple[str, ...] = (), code: int = 0) -> str:
    return run("ingest", *words, "-", text="\n".join(map(json.dumps, documents)), code=code).output


def hrefs(server: Gateway) -> dict[str, str]:
    """What the mosaic shows, by id."""
    scenes, _ = server.services.index.list_scenes(server.services.mosaics.get("m"), limit=1000)
    return {scene.id: scene.assets["visual"] for scene in scenes}


def test_items_that_change_nothing_are_counted_and_named(run: Run) -> None:
    time = later()
    newer = [notification(item("v", box(1, 1, 2, 2)), time), deletion("d", time=time)]
    give(run, *newer)
    output = give(run, item("v"), item("d"), item("a"))
    assert "1 applied, 1 outdated (a newer version is there), 1 outdated (deleted since)" in output
    assert "2 Items are older than what the mosaics have, and changed nothing there" in output
    assert f"'d' in 'm' (deleted {time[:19]}" in output
    assert f"'v' in 'm' (a version of {time[:19]}" in output
    assert "--force makes what is given the newest" in output
    time = later(2)
    give(run, {**TRUNCATION, "time": time})
    output = give(run, *[item("a")] * 5)
    assert "5 outdated (truncated since)" in output
    assert output.count(f"'a' in 'm' (truncated {time[:19]}") == 1


def test_nothing_is_told_where_everything_shows(run: Run) -> None:
    assert "older" not in give(run, item("a"), item("b"))
    assert "older" not in give(run, item("a"), deletion("b"))


def test_who_insists_gets_it_shown(run: Run, server: Gateway) -> None:
    give(run, deletion("a", time=later()), {**TRUNCATION, "time": later()})
    assert "2 applied" in give(run, item("a"), item("b"), words=("--force",))
    assert hrefs(server).keys() == {"a", "b"}
    assert "1 deleted" in give(run, deletion("a"), words=("--force",))
    assert "1 truncated" in give(run, TRUNCATION, words=("--force", "--mosaic", "m"))
    assert hrefs(server) == {}


def test_of_several_lines_about_one_item_the_last_is_shown(run: Run, server: Gateway) -> None:
    """However many lines lie between, and however many are sent at once."""
    names = [f"s{n}" for n in range(100)]
    give(run, {**TRUNCATION, "time": later()})
    lines = [
        item(name, href=f"https://example.com/{turn}.tif") for turn in range(3) for name in names
    ]
    lines += [line for name in names[:10] for line in (item(name), deletion(name), item(name))]
    give(run, *lines, words=("--force",))
    shown = hrefs(server)
    assert {shown[name] for name in names[:10]} == {item()["assets"]["visual"]["href"]}
    assert {shown[name] for name in names[10:]} == {"https://example.com/2.tif"}


def test_after_a_line_that_failed_a_later_one_about_the_same_item_waits_for_it(
    run: Run, server: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, refused = Index.apply, ["https://example.com/1.tif"] * 2

    def busy_twice(index: Index, mosaic: Any, scene: Any, **rest: Any) -> Any:
        if scene.assets["visual"] in refused:
            refused.remove(scene.assets["visual"])
            raise TableBusyError("busy")
        return apply(index, mosaic, scene, **rest)

    monkeypatch.setattr(Index, "apply", busy_twice)
    links = [f"https://example.com/{n}.tif" for n in range(1, 4)]
    give(run, *(item("a", href=link) for link in links), item("b"), words=("--force",))
    assert not refused
    assert hrefs(server)["a"] == links[-1]


def test_a_run_that_is_resumed_counts_what_it_skipped_before(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    give(run, {**TRUNCATION, "time": later()})
    Path("items.ndjson").write_text("\n".join(json.dumps(item(name)) for name in "abc"))
    words = ("ingest", "items.ndjson", "--resume", "state")
    assert "3 Items are older" in run(*words).output
    assert "3 Items are older" in run(*words).output
    assert "is the state of another run: its force" in run(*words, "--force", code=1).output


def test_an_api_that_does_not_know_it_is_found_out(server: Gateway) -> None:
    words = ("--api", server.url, "--token", TOKEN)
    CliRunner().invoke(app, [*words, "mosaics", "create", "m"])
    before = b'{"outcomes":[{"id":"a","status":"done","changes":["applied"]}]}'
    server.faults = [Fault(200, before, match="POST /items")]
    result = CliRunner().invoke(
        app, [*words, "ingest", "--force", "-"], input=json.dumps(item("a"))
    )
    assert result.exit_code == 1
    assert "is older, and does not know --force" in result.output


def test_a_request_that_is_signed_may_insist(server: Gateway) -> None:
    server.keys = {"AKIAIOSFODNN7EXAMPLE": "wJalrXUtnFEMI"}
    env = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
        "AWS_REGION": server.region,
    }
    invoke = lambda *words, **rest: CliRunner().invoke(  # noqa: E731
        app, ["--api", server.url, *words], env=env, **rest
    )
    assert invoke("mosaics", "create", "m").exit_code == 0
    result = invoke("ingest", "--force", "-", input=json.dumps(item("a")))
    assert "1 applied" in result.output, result.output


def test_help_says_what_the_exit_code_means() -> None:
    output = " ".join(CliRunner().invoke(app, ["ingest", "--help"]).output.split())
    assert "stays 0 for Items that are older than what a mosaic has" in output.replace(
        "It stays", "stays"
    )
