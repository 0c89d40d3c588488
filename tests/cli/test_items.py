"""The commands `livemosaic items`."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from cli.everywhere import Run, behind_cdn, environment, run, server
from items import box, item

__all__ = ["behind_cdn", "environment", "run", "server"]


class TestScenes:
    @pytest.fixture(autouse=True)
    def alps(self, run: Run, tmp_path: Path) -> None:
        run("mosaics", "create", "alps", "--property", "eo:cloud_cover")
        documents = [
            item("a", datetime="2026-01-01T00:00:00Z", properties={"eo:cloud_cover": 5}),
            item("b", datetime="2026-02-01T00:00:00Z", properties={"eo:cloud_cover": 50}),
            item("c", box(40, 0, 41, 1), datetime="2026-03-01T00:00:00Z", collection="other"),
        ]
        (tmp_path / "some.ndjson").write_text("\n".join(map(json.dumps, documents)))
        run("ingest", str(tmp_path / "some.ndjson"))

    @staticmethod
    def ids(result: Result) -> list[str]:
        return [json.loads(line)["id"] for line in result.stdout.splitlines()]

    def test_they_are_listed_by_box_time_and_filter(self, run: Run) -> None:
        def ids(*words: str) -> list[str]:
            return self.ids(run("items", "list", "alps", "--json", *words))

        assert sorted(ids()) == ["a", "b", "c"]
        assert ids("--bbox", "40.2,0.2,40.4,0.4") == ["c"]
        assert ids("--datetime", "2026-02") == ["b"]
        assert ids("--filter", "eo:cloud_cover < 10") == ["a"]
        shown = run("items", "list", "alps", "--limit", "2")
        assert "there are more than 2: --limit lists more" in shown.stderr
        assert "2026-01-01" in run("items", "list", "alps", "--filter", "eo:cloud_cover<10").stdout

    def test_what_is_listed_can_be_ingested_again(self, run: Run, tmp_path: Path) -> None:
        def items(mosaic: str) -> list[Any]:
            lines = run("items", "list", mosaic, "--json").stdout.splitlines()
            return [{**json.loads(line), "version": ""} for line in lines]

        (tmp_path / "again.ndjson").write_text(run("items", "list", "alps", "--json").stdout)
        run("mosaics", "create", "copy", "--property", "eo:cloud_cover")
        run("ingest", "--mosaic", "copy", str(tmp_path / "again.ndjson"))
        assert items("copy") == items("alps")

    def test_one_is_shown(self, run: Run) -> None:
        shown = json.loads(run("items", "show", "alps", "c", "--collection", "other").stdout)
        assert (shown["id"], shown["collection"]) == ("c", "other")
        assert "'x'" in run("items", "show", "alps", "x", code=1).output
        assert "'nope'" in run("items", "show", "nope", "x", code=1).output

    def test_some_are_deleted(self, run: Run) -> None:
        run("items", "delete", "alps", "a", "b", code=1)  # nobody answers the question
        run("items", "delete", "alps", "a", "b", "--collection", "s2", "--yes")
        assert self.ids(run("items", "list", "alps", "--json")) == ["c"]
        assert "'c'" in run("items", "delete", "alps", "c", "--yes", code=1).output

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("list", "alps", "--bbox", "1,2,3"), "--bbox must be W,S,E,N in degrees"),
            (("list", "alps", "--datetime", "never"), "'never'"),
            (("list", "alps", "--filter", "<<"), "CQL2"),
            (("list", "nope"), "there is no mosaic 'nope'"),
        ],
    )
    def test_what_makes_no_sense_is_named(
        self, run: Run, words: tuple[str, ...], says: str
    ) -> None:
        assert says in run("items", *words, code=1).output

    @pytest.mark.parametrize("name", ["..", ".", "x/y", "50%41", "?a#b"])
    def test_an_id_means_the_same_in_a_path(self, run: Run, tmp_path: Path, name: str) -> None:
        (tmp_path / "odd.json").write_text(json.dumps(item(name, collection="odd")))
        run("ingest", str(tmp_path / "odd.json"))
        assert (
            json.loads(run("items", "show", "alps", name, "--collection", "odd").stdout)["id"]
            == name
        )
        run("items", "delete", "alps", name, "--collection", "odd", "--yes")
        assert sorted(self.ids(run("items", "list", "alps", "--json"))) == ["a", "b", "c"]

    @pytest.mark.parametrize("name", ["../../victim", "..", "a/../b", "../items/a"])
    def test_what_is_no_id_deletes_nothing_else(self, run: Run, name: str) -> None:
        run("mosaics", "create", "victim")
        assert repr(name) in run("items", "delete", "alps", name, "--yes", code=1).output
        assert json.loads(run("mosaics", "show", "victim").stdout)["id"] == "victim"
        assert sorted(self.ids(run("items", "list", "alps", "--json"))) == ["a", "b", "c"]

    def test_scenes_of_a_private_mosaic_are_listed_shown_and_deleted(self, run: Run) -> None:
        run("mosaics", "update", "alps", "--private")
        assert sorted(self.ids(run("items", "list", "alps", "--json"))) == ["a", "b", "c"]
        assert (
            json.loads(run("items", "show", "alps", "a", "--collection", "s2").stdout)["id"] == "a"
        )
        run("items", "delete", "alps", "a", "--collection", "s2", "--yes")
        assert "'a'" in run("items", "show", "alps", "a", "--collection", "s2", code=1).output

    def test_a_dry_run_says_where_items_would_go_and_changes_nothing(
        self, run: Run, tmp_path: Path
    ) -> None:
        run("mosaics", "create", "clear", "--filter", "eo:cloud_cover < 10", "--collection", "new")
        clear = item("clear", collection="new", properties={"eo:cloud_cover": 5})
        cloudy = item("cloudy", collection="new", properties={"eo:cloud_cover": 50})
        deletion = {"op": "delete", "collection": "new", "id": "x"}
        documents = [clear, cloudy, {**cloudy, "geometry": 5}, deletion]
        path = tmp_path / "new.ndjson"
        path.write_text("\n".join(map(json.dumps, documents)))
        shown = run("ingest", "--dry-run", "--json", str(path), code=1)
        assert json.loads(shown.stdout)["counts"] == {
            "filtered out of clear": 1,
            "rejected": 1,
            "to be deleted from alps": 1,
            "to be deleted from clear": 1,
            "to be put into alps": 2,
            "to be put into clear": 1,
        }
        assert "nothing was changed" in shown.stderr
        assert self.ids(run("items", "list", "clear", "--json")) == []
        only = run("ingest", "--dry-run", "--mosaic", "clear", "--json", str(path), code=1)
        assert json.loads(only.stdout)["counts"]["to be put into clear"] == 1
        assert "--resume" in run("ingest", "--dry-run", "--resume", "r", str(path), code=1).stderr
