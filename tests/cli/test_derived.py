"""The options of derived mosaics, on an index and behind an API."""

import json
from pathlib import Path

import pytest

from cli.everywhere import Run, behind_cdn, environment, run, server

__all__ = ["behind_cdn", "environment", "run", "server"]


def test_sources_are_named_by_options_and_files(run: Run, tmp_path: Path) -> None:
    for name in ("drone", "s2"):
        run("mosaics", "create", name, "--property", "gsd")
    sources = ("--source", "drone:z_order=-10,minzoom=12,assets.visual=B4", "--source", "s2")
    made = json.loads(run("mosaics", "create", "best", *sources).stdout)
    plain = {"z_order": 0, "minzoom": 0, "maxzoom": 30, "filter": None, "assets": {}}
    drone = {"mosaic": "drone", "z_order": -10, "minzoom": 12, "assets": {"visual": "B4"}}
    assert made["sources"] == [{**plain, **drone}, {**plain, "mosaic": "s2"}]
    assert (made["collections"], made["properties"]) == ([], ["gsd"])

    file = tmp_path / "sources.json"
    file.write_text(json.dumps([{"mosaic": "drone", "filter": "gsd < 0.5"}]))
    changed = json.loads(run("mosaics", "update", "best", "--sources", str(file)).stdout)
    where = {"op": "<", "args": [{"property": "gsd"}, 0.5]}
    assert changed["sources"] == [{**plain, "mosaic": "drone", "filter": where}]
    assert "of drone" in run("mosaics", "list").output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--source", "drone:zorder=1"), "'zorder=1'"),
        (("--source", "drone:z_order=top"), "'z_order=top'"),
        (("--source", "nowhere"), "nowhere"),
        (("--source", "drone", "--collection", "c"), "subscribe"),
        (("--source", "drone", "--overviews"), "overviews"),
    ],
    ids=["name", "value", "missing", "collection", "overviews"],
)
def test_sources_that_make_no_sense_are_refused(
    run: Run, words: tuple[str, ...], says: str
) -> None:
    run("mosaics", "create", "drone")
    assert says in run("mosaics", "create", "best", *words, code=1).output


def test_a_source_is_deleted_by_force_alone(run: Run) -> None:
    run("mosaics", "create", "drone")
    run("mosaics", "create", "best", "--source", "drone")
    assert "best" in run("mosaics", "delete", "drone", "--yes", code=1).output
    run("mosaics", "delete", "drone", "--yes", "--force")
    shown = json.loads(run("mosaics", "show", "best").stdout)
    assert shown["missing_sources"] == ["drone"]


def test_a_derived_mosaic_takes_no_items(run: Run, tmp_path: Path) -> None:
    run("mosaics", "create", "drone")
    run("mosaics", "create", "best", "--source", "drone")
    file = tmp_path / "item.json"
    file.write_text(json.dumps({"type": "Feature", "id": "a"}))
    assert "derived" in run("ingest", str(file), "--mosaic", "best", code=1).output


def test_what_works_on_scenes_of_its_own_is_refused(run: Run) -> None:
    run("mosaics", "create", "drone")
    run("mosaics", "create", "best", "--source", "drone")
    for command in (("verify",), ("cost",), ("overviews", "build")):
        output = run(*command, "best", code=1).output
        assert "derived" in output or "leave out --api" in output
