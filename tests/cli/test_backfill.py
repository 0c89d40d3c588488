"""`livemosaic ingest` of whole catalogues: what is done stays done, what is wrong is told."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from items import box, item
from livemosaic.cli import app
from livemosaic.errors import TableBusyError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.table import Put
from livemosaic.table.sqlite import SqliteTable
from sources.catalogue import Catalogue
from sources.parquet import write

Run = Callable[..., Result]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[SqliteTable]:
    """With a mosaic `m` in it."""
    table = SqliteTable(tmp_path / "index.db")
    Mosaics(table).create(Mosaic(id="m"))
    yield table
    table.close()


@pytest.fixture
def run(table: SqliteTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `ingest` on that table, in a folder of its own, without pauses."""
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)
    monkeypatch.chdir(tmp_path)

    def command(*words: str, text: str | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ("ingest", *words), input=text)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return command


def many(count: int, **rest: Any) -> list[dict[str, Any]]:
    return [item(f"s{n:03}", box(n % 90, 0, n % 90 + 1, 1), **rest) for n in range(count)]


def scenes(table: SqliteTable) -> dict[str, str]:
    """Version by scene."""
    mosaics = Mosaics(table)
    with ThreadPoolExecutor(1) as pool:
        index, found, token = Index(table, mosaics, pool), {}, ""
        while True:
            page, following = index.list_scenes(mosaics.get("m"), limit=1000, token=token)
            found |= {scene.id: scene.version for scene in page}
            if not following:
                return found
            token = following


def ndjson(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def lines(path: Path, documents: Sequence[Any]) -> str:
    texts = [d if isinstance(d, str) else json.dumps(d) for d in documents]
    path.write_text("\n".join(texts) + "\n")
    return str(path)


class TestSources:
    def test_a_stac_api_is_searched(self, run: Run, table: SqliteTable) -> None:
        with Catalogue([*many(25), item("other", collection="s1")]) as api:
            words = ("--collections", "s2", "--bbox", "-10,0,100,10", "--limit", "10")
            output = run("--stac", api.url, *words).output
        assert "25 applied" in output
        assert set(scenes(table)) == {f"s{n:03}" for n in range(25)}
        assert api.searches[-1]["bbox"] == [-10, 0, 100, 10]

    def test_an_item_that_comes_twice_counts_once(self, run: Run, table: SqliteTable) -> None:
        with Catalogue(many(25), repeat=3) as api:
            output = run("--stac", api.url, "--limit", "10").output
        assert "25 applied, " in output
        assert len(scenes(table)) == 25

    def test_a_newer_event_outlives_an_older_catalogue(
        self, run: Run, table: SqliteTable, tmp_path: Path
    ) -> None:
        """With `updated`, and without: what the catalogue says is as old as the run."""
        now = lines(tmp_path / "now.ndjson", [item("a", updated="2026-02-02T00:00:00Z")])
        run(now)
        before = scenes(table)
        with Catalogue([item("a", box(1, 1, 2, 2), updated="2026-02-01T00:00:00Z")]) as api:
            assert "1 outdated" in run("--stac", api.url).output
        assert scenes(table) == before

    def test_of_an_area_the_newest_items_are_ingested(
        self, run: Run, table: SqliteTable, tmp_path: Path
    ) -> None:
        """Counts, progress and the rest of the command are of these alone."""
        (tmp_path / "area.geojson").write_text(json.dumps(box(-0.5, 0.2, 9.5, 0.8)))
        items = [
            one | {"properties": {"datetime": f"2026-01-{n % 28 + 1:02}T00:00:00Z"}}
            for n, one in enumerate(many(25))
        ]
        with Catalogue(items) as api:
            words = ("--stac", api.url, "--intersects", "area.geojson")
            few = (*words, "--max-items", "4", "--resume", "state")
            assert "4 applied" in run(*few).output
            assert set(scenes(table)) == {"s006", "s007", "s008", "s009"}
            asked = [search.get("limit") for search in api.searches]
            assert asked == [1, 4]
            assert "resuming after 4 Items" in run(*few).output
            assert "6 applied, 4 unchanged" in run(*words).output

    def test_stac_geoparquet_is_read(self, run: Run, table: SqliteTable, tmp_path: Path) -> None:
        path = write(tmp_path / "items.parquet", many(300))
        assert "300 applied" in run(str(path)).output
        assert len(scenes(table)) == 300

    def test_sources_of_several_kinds_go_together(
        self, run: Run, table: SqliteTable, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "items.parquet", many(30))
        text = lines(tmp_path / "items.ndjson", [item("x"), item("y")])
        assert "32 applied" in run(str(path), text).output

    def test_a_bad_first_line_breaks_no_other(
        self, run: Run, table: SqliteTable, tmp_path: Path
    ) -> None:
        deep = '{"a":' * 10_000 + "1" + "}" * 10_000
        for n, bad in enumerate(('{"oops', deep, "oops")):
            path = lines(tmp_path / f"{n}.ndjson", [bad, item(f"a{n}"), item(f"b{n}")])
            assert "2 applied, 1 rejected" in run(path, code=1).output

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ((), "nothing to read"),
            (("--collections", "s2", "a.json"), "--collections is for a STAC API"),
            (("--stac", "http://127.0.0.1:9", "a.json"), "--stac and 'a.json' exclude each other"),
            (("--stac", "http://127.0.0.1:9", "--bbox", "1,2,3"), "--bbox '1,2,3' is not west"),
            (
                (
                    "--stac",
                    "http://127.0.0.1:9",
                    "--bbox",
                    "1,2,3,4",
                    "--intersects",
                    "POINT (1 2)",
                ),
                "--bbox and --intersects exclude each other",
            ),
            (("--intersects", "POINT (1 2)", "a.json"), "--intersects is for a STAC API"),
            (("--max-items", "3", "a.json"), "--max-items is for a STAC API"),
            (("s3://bucket/key",), "'s3://bucket/key' is neither a prefix nor stac-geoparquet"),
            (("none.parquet",), "cannot read 'none.parquet': No such file"),
            (("-", "--resume", "state"), "--resume cannot read standard input again"),
            (("a.json", "--errors", "no/folder"), "cannot write 'no/folder'"),
            (("a.json", "--resume", "no/folder"), "cannot write 'no/folder'"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_what_makes_no_sense_is_told(
        self, run: Run, tmp_path: Path, words: tuple[str, ...], says: str
    ) -> None:
        lines(tmp_path / "a.json", [item("a")])
        assert says in run(*words, code=1).output


class TestErrors:
    def test_each_item_that_cannot_be_taken_is_in_the_file_with_the_reason(
        self, run: Run, tmp_path: Path
    ) -> None:
        bad = item("bad") | {"geometry": None}
        path = lines(tmp_path / "items.ndjson", [item("a"), bad, "{oops", item("b")])
        output = run(path, "--errors", "errors.ndjson", code=1).output
        assert "2 applied, 2 rejected" in output
        first, second = ndjson(tmp_path / "errors.ndjson")
        assert (first["source"], first["line"], first["id"]) == (path, 2, "bad")
        assert "has no geometry" in first["reason"]
        assert first["item"] == bad
        assert (second["line"], second["id"], second["item"]) == (3, None, "{oops\n")

    def test_a_file_with_errors_of_before_is_not_written_over(
        self, run: Run, tmp_path: Path
    ) -> None:
        path = lines(tmp_path / "items.ndjson", [item("a")])
        (tmp_path / "errors.ndjson").write_text("{}\n")
        output = run(path, "--errors", "errors.ndjson", code=1).output
        assert "'errors.ndjson' holds errors of another run" in output

    def test_what_the_table_is_too_busy_for_is_tried_again(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply, refused = Index.apply, dict.fromkeys(("s2#s001", "s2#s003"), 2)

        def busy_twice(index: Index, mosaic: Any, scene: Any, **rest: Any) -> Any:
            if refused.get(scene.key):
                refused[scene.key] -= 1
                raise TableBusyError("busy")
            return apply(index, mosaic, scene, **rest)

        monkeypatch.setattr(Index, "apply", busy_twice)
        path = lines(tmp_path / "items.ndjson", many(5))
        assert "5 applied" in run(path).output

    def test_what_stays_busy_goes_to_the_file_and_the_others_go_on(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply = Index.apply

        def busy(index: Index, mosaic: Any, scene: Any, **rest: Any) -> Any:
            if scene.id == "s003":
                raise TableBusyError("the table is busy")
            return apply(index, mosaic, scene, **rest)

        monkeypatch.setattr(Index, "apply", busy)
        path = lines(tmp_path / "items.ndjson", many(5))
        output = run(path, "--errors", "errors.ndjson", code=1).output
        assert "4 applied, 1 failed" in output
        (line,) = ndjson(tmp_path / "errors.ndjson")
        assert (line["id"], line["reason"]) == ("s003", "the table is busy")

    def test_a_table_that_takes_nothing_any_more_ends_the_run(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What failed then is not done: the run goes on with it."""
        path = lines(tmp_path / "items.ndjson", many(400))
        words = (path, "--errors", "errors.ndjson", "--resume", "state")

        def busy(*_: Any, **__: Any) -> Any:
            raise TableBusyError("the table is busy")

        with monkeypatch.context() as patch:
            patch.setattr(Index, "apply", busy)
            output = run(*words, code=1).output
        assert "256 Items in a row failed, the last for this reason: the table is busy" in output
        assert "400 applied" in run(*words).output
        assert (tmp_path / "errors.ndjson").read_text() == ""


class TestResume:
    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every mark is noted."""
        monkeypatch.setattr("livemosaic.cli.backfill.ledger._RECORD_S", -1.0)

    def test_a_run_that_is_done_is_not_done_again(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = lines(tmp_path / "items.ndjson", [*many(5), "{oops"])
        assert "5 applied, 1 rejected" in run(path, "--resume", "state", code=1).output
        monkeypatch.setattr(Index, "apply", None)
        output = run(path, "--resume", "state", code=1).output
        assert "resuming after 6 Items" in output
        assert "5 applied, 1 rejected" in output

    @pytest.mark.parametrize("change", ["file", "mosaic", "errors", "search"])
    def test_the_state_of_another_run_is_noticed(
        self, run: Run, tmp_path: Path, change: str
    ) -> None:
        path = lines(tmp_path / "items.ndjson", many(2))
        run(path, "--resume", "state")
        words: tuple[str, ...] = (path,)
        match change:
            case "file":
                lines(tmp_path / "items.ndjson", many(3))
            case "mosaic":
                words += ("--mosaic", "m")
            case "errors":
                words += ("--errors", "errors.ndjson")
        with Catalogue([]) as api:
            if change == "search":
                words = ("--stac", api.url)
            output = run(*words, "--resume", "state", code=1).output
        assert "'state' is the state of another run: its " in output
        assert "Delete it to begin anew" in output

    def test_a_file_that_is_no_state_is_left_alone(self, run: Run, tmp_path: Path) -> None:
        path = lines(tmp_path / "items.ndjson", many(2))
        (tmp_path / "precious").write_text("precious")
        assert "not the state of a run" in run(path, "--resume", "precious", code=1).output
        assert (tmp_path / "precious").read_text() == "precious"

    def test_a_last_line_that_is_not_whole_counts_for_nothing(
        self, run: Run, tmp_path: Path
    ) -> None:
        path = lines(tmp_path / "items.ndjson", many(5))
        run(path, "--resume", "state")
        state = tmp_path / "state"
        state.write_bytes(state.read_bytes() + b'{"places": {"files": {"fi')
        assert "5 applied" in run(path, "--resume", "state").output

    def test_a_page_that_fails_ends_the_run_and_the_next_one_goes_on_there(
        self, run: Run, table: SqliteTable
    ) -> None:
        with Catalogue(many(50)) as api:
            words = ("--stac", api.url, "--limit", "10", "--resume", "state")
            api.faults += [None, None, None, 400]  # the count, two pages, and the third
            assert "HTTP 400" in run(*words, code=1).output
            assert len(scenes(table)) == 20
            asked = len(api.searches)
            output = run(*words).output
        assert "resuming after 20 Items" in output
        assert "50 applied" in output
        assert [search.get("token") for search in api.searches[asked:]] == [None, "20", "30", "40"]

    @pytest.mark.parametrize(
        ("kind", "where"),
        [
            ("api", "Index.apply 150"),
            ("api", "Journal.add 2"),
            ("api", "sync 2"),
            ("file", "Index.apply 150"),
            ("parquet", "Journal.add 2"),
        ],
    )
    def test_after_kill_9_everything_is_in_and_nothing_is_written_twice(
        self,
        run: Run,
        table: SqliteTable,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
        where: str,
    ) -> None:
        """Items without `updated`, every tenth of them bad."""
        items = many(300)
        for bad in items[5::10]:
            bad["assets"]["visual"]["href"] = "file:///etc/passwd"
        good = {d["id"] for d in items} - {bad["id"] for bad in items[5::10]}
        with Catalogue(items) as api:
            source: tuple[str, ...] = ("--stac", api.url, "--limit", "50")
            if kind == "file":
                source = (lines(tmp_path / "items.ndjson", items),)
            if kind == "parquet":
                source = (str(write(tmp_path / "items.parquet", items)),)
            words = (*source, "--resume", "state", "--errors", "errors.ndjson")
            killed(words, tmp_path, where)
            there = set(scenes(table))
            assert 0 < len(there) < 270
            written = heads_written(monkeypatch)
            output = run(*words, code=1).output
        assert "30 rejected" in output
        assert set(scenes(table)) == good
        assert sorted(written) == sorted(good - there)
        errors = [line["id"] for line in ndjson(tmp_path / "errors.ndjson")]
        assert sorted(errors) == [f"s{n:03}" for n in range(5, 300, 10)]


KILLED = """
import itertools, os, sys
from livemosaic import cli
from livemosaic.cli.backfill import ledger
from livemosaic.cli.backfill.journal import Journal
from livemosaic.index.scenes import Index

where, count, *words = sys.argv[1:]
holder = {"Index.apply": Index, "Journal.add": Journal}.get(where, ledger)
name, calls = where.rpartition(".")[2], itertools.count(1)
real = getattr(holder, name)

def deadly(*given, **rest):
    if next(calls) == int(count):
        os.kill(os.getpid(), 9)
    return real(*given, **rest)

setattr(holder, name, deadly)
ledger._RECORD_S = -1.0
cli.app(["ingest", *words])
"""


def killed(words: Sequence[str], folder: Path, where: str) -> None:
    """A run that is killed by -9 where it calls something the nth time, before that is done."""
    command = [sys.executable, "-c", KILLED, *where.split(), *words]
    ended = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def heads_written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the scenes whose heads are written from now on, as often as they are."""
    written: list[str] = []
    transact = SqliteTable.transact

    def noting(table: SqliteTable, actions: Sequence[Any]) -> None:
        transact(table, actions)
        heads = [a for a in actions if isinstance(a, Put) and "#scenes#" in a.key.pk]
        written.extend(action.key.sk.rpartition("#")[2] for action in heads)

    monkeypatch.setattr(SqliteTable, "transact", noting)
    return written
