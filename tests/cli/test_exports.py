"""Archives on a schedule: `exports` of a mosaic, `livemosaic serve` and `export --status`."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from api.served import AUTHORIZED, Server, serving
from cli.test_overviews import World, crowd
from cli.test_upkeep import eventually
from cli.test_upkeep import serving as server_process
from livemosaic.cli.serve.archives import archives
from livemosaic.cli.serve.beside import SideWork, Task, beside
from livemosaic.export.schedule.making import ScheduledMaker
from livemosaic.export.schedule.status import ExportReport, due_archives
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.services import running
from livemosaic.settings import Settings
from livemosaic.table.sqlite import SqliteTable

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    crowd(found)
    found.ingest()
    return found


def status(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.run("export", "m", "--status", "--json").stdout)
    (only,) = found["exports"]
    return only


def archive(world: World) -> Path:
    (found,) = (world.folder / "index.db.archives").glob("m.????????.pmtiles")
    return found


def test_a_server_makes_what_is_due_and_nothing_else(world: World) -> None:
    world.build()
    world.run("mosaics", "update", "m", "--export", "minzoom=9,maxzoom=11,keep=2")
    assert status(world)["made"] is None
    assert "never" in world.run("export", "m", "--status").stdout
    with server_process(world) as server:
        eventually(lambda: status(world)["made"], 90)
        eventually(lambda: "archive made" in server.text())
    first = archive(world).read_bytes()
    found = status(world)
    made = datetime.fromisoformat(found["made"])
    assert datetime.fromisoformat(found["due"]) - made == timedelta(hours=24)
    assert (found["error"], found["size"], found["warnings"]) == ("", len(first), [])
    assert len([*archive(world).parent.glob("m.????????.????-??-??.pmtiles")]) == 1
    world.run("export", "m", str(world.folder / "own.pmtiles"), "--zooms", "9-11")
    assert (world.folder / "own.pmtiles").read_bytes() == first

    with server_process(world, "two") as server:  # due-ness is not in memory
        eventually(lambda: server.url)
        time.sleep(4)
        assert status(world)["made"] == found["made"]
        assert not server.text().count("archive made")
    yesterday = time.time() - 25 * 3600
    os.utime(archive(world), (yesterday, yesterday))
    with server_process(world, "three"):
        eventually(lambda: datetime.fromisoformat(status(world)["made"]) >= made, 90)
    assert archive(world).read_bytes() == first


def test_an_export_that_fails_is_named_and_tried_again_in_an_hour(world: World) -> None:
    world.run("mosaics", "update", "m", "--export", "maxzoom=11")
    with server_process(world, "one", "--no-build-overviews") as server:
        eventually(lambda: "archive not made" in server.text(), 90)
        found = eventually(lambda: status(world) if status(world)["error"] else None)
        assert server.tile()[1]["Content-Type"] == "image/png"
    assert "overviews are not complete" in found["error"]
    assert found["made"] is None
    wait = datetime.fromisoformat(found["due"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < wait <= timedelta(hours=1)
    assert server.text().count("archive not made") == 1
    world.build()
    world.run("export", "m")
    found = status(world)
    assert found["error"] == ""
    world.run("export", "m", str(world.folder / "own.pmtiles"), "--zooms", "0-11")
    own = (world.folder / "own.pmtiles").read_bytes()
    assert archive(world).read_bytes() == own, "`export m` goes by the setting"


def test_a_server_makes_vector_tiles_too(world: World) -> None:
    world.build()
    setting = "layers=footprints,coverage,minzoom=8,maxzoom=11,keep=1,every_h=48"
    world.run("mosaics", "update", "m", "--export", setting)
    found = status(world)
    assert (found["layers"], found["format"]) == (["footprints", "coverage"], None)
    assert found["made"] is None
    with server_process(world) as server:
        eventually(lambda: status(world)["made"], 90)
        eventually(lambda: "archive made" in server.text())
        assert "vector tiles" in server.text()
        with urlopen(f"{server.url}/mosaics/m/vector.pmtiles") as answer:
            served = answer.read()
    found = status(world)
    made = datetime.fromisoformat(found["made"])
    assert datetime.fromisoformat(found["due"]) - made == timedelta(hours=48)
    assert (found["error"], found["size"], found["warnings"]) == ("", len(served), [])
    shown = world.run("export", "m", "--status").stdout
    assert all(word in shown for word in ("foot", "cover", "mvt", "8-11")), shown
    own = world.folder / "own.pmtiles"
    layers = ("--vector", "--layers", "footprints,coverage")
    world.run("export", "m", str(own), *layers, "--zooms", "8-11")
    assert own.read_bytes() == served
    world.run("export", "m", "--vector")
    folder = world.folder / "index.db.archives" / "vector"
    (archive,) = folder.glob("m.????????.pmtiles")
    assert archive.read_bytes() == served, "`export m --vector` goes by the setting"
    assert len([*folder.glob("m.????????.????-??-??.pmtiles")]) == 1
    assert not [*folder.parent.glob("*.pmtiles")], "no images were asked for"
    world.run("export", "m", "--vector", "--layers", "density", "--zooms", "9")
    assert archive.read_bytes() != served


def test_footprints_need_no_overviews_and_coverage_does(world: World) -> None:
    def made() -> ExportReport:
        with running(Settings(index=f"sqlite:///{world.folder / 'index.db'}")) as services:
            store = ArchiveStore(services.settings.archives)
            store.of_vectors.make_folder()
            (due,) = due_archives(store, services.mosaics, datetime.now(UTC))
            return ScheduledMaker(services.mosaics, services.publisher()).make(due)

    world.run("mosaics", "update", "m", "--export", "layers=coverage,maxzoom=9")
    assert "overviews are not complete" in made().error
    assert status(world)["error"].startswith("overviews are not complete")
    world.run("mosaics", "update", "m", "--export", "layers=footprints,maxzoom=9")
    for path in (world.folder / "index.db.archives" / "vector").glob("*.status"):
        path.unlink()
    report = made()
    assert (report.error, report.warnings) == ("", ())
    assert status(world)["made"]


def test_archives_are_left_alone_where_that_is_asked_for(world: World) -> None:
    world.build()
    world.run("mosaics", "update", "m", "--export", "maxzoom=9")
    with server_process(world, "one", "--no-make-archives") as server:
        eventually(lambda: server.url)
        time.sleep(3)
    assert status(world)["made"] is None


def test_the_longest_overdue_is_first_and_a_failure_delays_it(tmp_path: Path) -> None:
    with mosaic_of(tmp_path, renders={"a": {"bidx": [1]}}) as server:
        services = server.services
        exports = [{"render": "a"}, {"every_h": 48}]
        patched(server, exports)
        mosaic = services.mosaics.get("m")
        store = ArchiveStore(services.settings.archives)
        store.make_folder()
        now = datetime.now(UTC)
        for render, hours in (("a", 30), ("", 100)):
            path = Path(store.place_of(mosaic, render))
            path.write_bytes(b"x")
            then = now.timestamp() - 3600 * hours
            os.utime(path, (then, then))
        due = due_archives(store, services.mosaics, now)
        assert [each.export.render for each in due] == ["", "a"]
        report = ScheduledMaker(services.mosaics, services.publisher()).make(due[0])
        assert "shows nothing at zooms 0 to 12" in report.error
        due = due_archives(store, services.mosaics, now)
        assert [each.export.render for each in due] == ["a"]
        later = due_archives(store, services.mosaics, now + timedelta(hours=1, minutes=1))
        assert [each.export.render for each in later] == ["a", ""]
        Path(f"{due[0].place}.status").write_bytes(b"{")  # damaged: as none
        assert len(due_archives(store, services.mosaics, now)) == 1
        found = server.get("/mosaics/m/exports").json()["exports"]
        assert [each["error"][:21] for each in found] == ["", report.error[:21]]


def test_an_attempt_that_leaves_no_trace_is_made_again_in_an_hour(tmp_path: Path) -> None:
    """As on a disk that is full, or read-only: the next ones would be made at once, for ever."""
    with mosaic_of(tmp_path, renders={"a": {"bidx": [1]}}) as server:
        services, now = server.services, datetime.now(UTC)
        server.publish("r", [200, 0, 0])
        patched(server, [{}, {"render": "a"}])
        work = archives(services, lambda: now)
        made = []
        for _ in range(2):
            task = work.find()
            assert task is not None
            made.append(task["export"])
            only = next(
                each
                for each in due_archives(
                    ArchiveStore(services.settings.archives), services.mosaics, now
                )
                if each.export.render == task["export"]
            )
            report = ScheduledMaker(services.mosaics, services.publisher()).make(only)
            assert "cannot write" in report.error, "there is no folder"
        assert sorted(made) == ["", "a"]
        now += timedelta(minutes=50)  # as long as the last one took
        assert work.find() is None
        now += timedelta(minutes=11)
        assert work.find() == {"mosaic": "m", "export": made[0]}
        assert work.find() is None
        now += timedelta(minutes=50)
        assert work.find() == {"mosaic": "m", "export": made[1]}


def test_a_mosaic_may_go_while_its_archive_is_made(tmp_path: Path) -> None:
    with mosaic_of(tmp_path) as server:
        patched(server, [{}])
        work = archives(server.services)
        task = work.find()
        assert task is not None
        server.client.delete("/mosaics/m", headers=AUTHORIZED).raise_for_status()
        work.died(task, -9)
        assert work.find() is None


def test_a_failure_to_report_does_not_end_the_work(tmp_path: Path) -> None:
    def died(task: Task, status: int) -> None:
        raise OSError(f"{task} {status}")

    asked = []

    def find() -> Task | None:
        asked.append(1)
        return {} if len(asked) == 1 else None

    work = SideWork("tester", "livemosaic.none", find, 0.1, died)
    with mosaic_of(tmp_path) as server, beside(server.services, work):
        eventually(lambda: len(asked) > 1)


def test_a_process_that_made_an_archive_has_not_died(tmp_path: Path) -> None:
    """It ends with status 0: else a failure was reported of what is made."""
    with mosaic_of(tmp_path) as server:
        server.publish("r", [200, 0, 0])
        patched(server, [{"maxzoom": 9}])
        work, asked, deaths = archives(server.services), [], []

        def find() -> Task | None:
            asked.append(work.find())
            return asked[-1]

        def died(_: Task, status: int) -> None:
            deaths.append(status)

        with beside(server.services, replace(work, find=find, died=died)):
            eventually(lambda: len(asked) > 1, 90)
        assert (asked[0], asked[1], deaths) == ({"mosaic": "m", "export": ""}, None, [])
        assert server.get("/mosaics/m/mosaic.pmtiles").status_code == 200


def test_errors_do_not_show_where_archives_are(tmp_path: Path) -> None:
    with mosaic_of(tmp_path) as server:
        services = server.services
        server.publish("r", [200, 0, 0])
        patched(server, [{}])
        store = ArchiveStore(services.settings.archives)
        (only,) = due_archives(store, services.mosaics, datetime.now(UTC))
        store.make_folder()
        only.tell(ExportReport(datetime.now(UTC), f"cannot write {only.place}: No space left"))
        answer = server.get("/mosaics/m/exports")
        assert answer.json()["exports"][0]["error"] == "cannot write the archive: No space left"
        assert str(tmp_path) not in answer.text


def test_a_place_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with mosaic_of(tmp_path) as server:
        patched(server, [{}])
        (tmp_path / "index.db.archives").write_text("a file where the folder should be")
        answer = server.get("/mosaics/m/exports")
        assert answer.status_code == server.get("/mosaics/m/mosaic.pmtiles").status_code == 502
        assert answer.json()["detail"] == "the place of archives cannot be read (Not a directory)"


@contextmanager
def mosaic_of(folder: Path, **settings: Any) -> Iterator[Server]:
    """A server with a mosaic `m` without scenes."""
    index = f"sqlite:///{folder / 'index.db'}"
    with serving(SqliteTable(folder / "index.db"), folder, index=index) as server:
        server.create(overviews=None, **settings)
        yield server


def patched(server: Server, exports: list[dict[str, Any]], code: int = 200) -> str:
    how = {**AUTHORIZED, "Content-Type": "application/merge-patch+json"}
    body = json.dumps({"exports": exports})
    answer = server.client.patch("/mosaics/m", content=body, headers=how)
    assert answer.status_code == code, answer.text
    return answer.text


@pytest.mark.parametrize(
    ("exports", "says"),
    [
        ([{"to": "s3://other/file"}], "Extra inputs are not permitted"),
        ([{"every_h": 0}], "greater than or equal to 1"),
        ([{"render": "b"}], "exports[0] (render 'b'): "),
        ([{}, {"maxzoom": 9}], "exports[1] (render ''): there is another one of this render"),
        ([{"minzoom": 9, "maxzoom": 8}], "there are no tiles of zooms 9 to 8"),
        ([{"render": "x.2026-11-30"}], "ends with a date, as dated copies of archives do"),
        ([{"format": "png"}], "has no images of format png; it has webp, jpeg"),
        ([{"layers": ["outlines"]}], "'footprints', 'density' or 'coverage'"),
        ([{"layers": ["density", "density"]}], "exports[0] (vector tiles): layer density is named"),
        (
            [{"layers": ["density"], "render": "a"}],
            "exports[0] (vector tiles): render is for images",
        ),
        ([{"layers": ["density"], "format": "webp"}], "format is for images: leave it out"),
        (
            [{"layers": ["density"]}, {"layers": ["coverage"]}],
            "exports[1] (vector tiles): there is",
        ),
        (
            [{"layers": ["density"], "minzoom": 9, "maxzoom": 8}],
            "there are no tiles of zooms 9 to 8",
        ),
    ],
)
def test_an_export_that_cannot_be_is_refused(
    tmp_path: Path, exports: list[dict[str, Any]], says: str
) -> None:
    renders = {"a": {"bidx": [1]}, "x.2026-11-30": {"bidx": [1]}}
    with mosaic_of(tmp_path, renders=renders, formats=["webp", "jpeg"]) as server:
        assert says in patched(server, exports, 400)
        vectors = {"layers": ["footprints", "coverage"], "maxzoom": 9}
        assert patched(server, [{"render": "a", "maxzoom": 9}, vectors])
        stored = server.get("/mosaics/m").json()["exports"]
        assert [each["layers"] for each in stored] == [[], vectors["layers"]]
        assert [each["format"] for each in stored] == ["webp", None]
        assert patched(server, stored), "what is read can be written"
        assert server.get("/mosaics/m").json()["exports"] == stored


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("to=s3://x", "has 'to'; it is NAME=VALUE,… of render, format, layers, minzoom, maxzoom"),
        ("keep=1,keep=2", "has a name more than once"),
        ("maxzoom=deep", "exports: Input should be a valid integer"),
        ("maxzoom=9,coverage", "has 'coverage'; it is NAME=VALUE"),
        ("layers=coverage,roads", "exports: Input should be 'footprints', 'density' or 'coverage'"),
        ("layers=density,format=png", "(vector tiles): format is for images"),
    ],
)
def test_an_option_that_makes_no_sense(tmp_path: Path, words: str, says: str) -> None:
    world = World(tmp_path)
    found = world.run("mosaics", "create", "n", "--export", words, code=1).output
    assert says in " ".join(found.split())
    made = world.run("mosaics", "create", "n", "--export", "keep=3,format=png").stdout
    usual = {"render": "", "minzoom": 0, "maxzoom": 12, "every_h": 24, "keep": 3}
    kept = {**usual, "format": "png", "layers": []}
    assert json.loads(made)["exports"] == [kept]
    two = ("keep=3", "layers=density,coverage,keep=3")
    options = [word for text in two for word in ("--export", text)]
    after = json.loads(world.run("mosaics", "update", "n", *options).stdout)
    images = {**usual, "format": "webp", "layers": []}
    vectors = {**usual, "format": None, "layers": ["density", "coverage"]}
    assert after["exports"] == [images, vectors]
    assert json.loads(world.run("mosaics", "update", "n", "--title", "T").stdout)["exports"]
    after = json.loads(world.run("mosaics", "update", "n", "--reset", "exports").stdout)
    assert after["exports"] == []
