"""The command `livemosaic`, as a user types it."""

import http.client
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.main import get_command
from typer.testing import CliRunner

from api.served import raster, tile_url
from cli.process import LIVEMOSAIC, serving
from items import box, item
from livemosaic.cli import app
from livemosaic.cli.serve.server import listening
from livemosaic.errors import InvalidRequestError

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on an index of its own."""
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: str, text: str | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(app, words, input=text)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return command


def mosaic(run: Run, mosaic_id: str = "m") -> dict[str, object]:
    found: dict[str, object] = json.loads(run("mosaics", "show", mosaic_id).stdout)
    return found


class TestMosaics:
    def test_a_mosaic_is_created_listed_shown_and_deleted(self, run: Run) -> None:
        run(
            *("mosaics", "create", "m", "--title", "Alps", "--collection", "s2"),
            *("--filter", "eo:cloud_cover < 10", "--asset", "visual", "--minzoom", "5"),
            *("--max-age", "60", "--stale-while-revalidate", "600"),
        )
        shown = mosaic(run)
        assert (shown["title"], shown["collections"], shown["minzoom"]) == ("Alps", ["s2"], 5)
        assert (shown["max_age_s"], shown["stale_while_revalidate_s"]) == (60, 600)
        assert shown["filter"] == {"op": "<", "args": [{"property": "eo:cloud_cover"}, 10.0]}
        assert "Alps" in run("mosaics", "list").stdout
        assert [m["id"] for m in json.loads(run("mosaics", "list", "--json").stdout)] == ["m"]
        run("mosaics", "delete", "m", "--yes")
        assert json.loads(run("mosaics", "list", "--json").stdout) == []

    def test_deleting_asks_first(self, run: Run) -> None:
        run("mosaics", "create", "m")
        run("mosaics", "delete", "m", text="n\n", code=1)
        assert mosaic(run)["id"] == "m"

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("mosaics", "show", "x"), "there is no mosaic 'x'"),
            (("mosaics", "create", "a b"), "mosaic id 'a b'"),
            (("mosaics", "create", "m", "--filter", "<<"), "not valid CQL2"),
            (("mosaics", "create", "m", "--minzoom", "15"), "quadkey_zoom 14"),
            (("mosaics", "create", "m", "--minzoom", "-1"), "minzoom"),
            (("mosaics", "create", "m", "--max-age", "-1"), "max_age_s"),
            (("--index", "mysql://x", "mosaics", "list"), "mysql://x"),
            (("ingest", "nowhere.json"), "cannot read 'nowhere.json'"),
            (("ingest", ""), "a name is empty"),
            (("ingest", "x" * 5000), "File name too long"),
            (("ingest", "nowhere.json", "--errors", "x" * 5000), "File name too long"),
            (("ingest", "https://[::1/a.tif"), "'https://[::1/a.tif' is no URL"),
            (("--token", "a b", "gdal", "m"), "the token holds a space"),
        ],
        ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
    )
    def test_an_error_names_the_value_and_ends_with_1(
        self, run: Run, words: tuple[str, ...], says: str
    ) -> None:
        assert says in run(*words, code=1).output

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("serve", "--port", "99999"), "Invalid value for '--port'"),
            (("serve", "--port", "-1"), "Invalid value for '--port'"),
            (("demo", "--port", "65536"), "Invalid value for '--port'"),
            (("demo", "--every", "inf"), "Invalid value for '--every'"),
            (("overviews", "watch", "--every", "inf"), "Invalid value for '--every'"),
            (("gdal", "\udcff"), "is not UTF-8"),
            (("mosaics", "default-assets", "m", "\udcff"), "is not UTF-8"),
        ],
        ids=lambda value: ascii(" ".join(value)) if isinstance(value, tuple) else "",
    )
    def test_what_no_option_can_be_is_refused_by_its_name(
        self, run: Run, words: tuple[str, ...], says: str
    ) -> None:
        assert says in run(*words, code=2).output

    @pytest.mark.parametrize(
        "words", [(), ("mosaics", "create"), ("ingest",), ("serve",), ("demo",)]
    )
    def test_help_says_how(self, run: Run, words: tuple[str, ...]) -> None:
        assert "Usage" in run(*words, "--help").output

    def test_every_command_has_examples_or_commands_in_its_help_and_plain_values(
        self, run: Run
    ) -> None:
        for words in commands(get_command(app)):
            output = run(*words, "-h").output
            assert "Example" in output or "Commands" in output, words
            assert not re.search("<bool>|<str>|<int>|<float>|<path>|list\\[", output), words


def commands(group: Any, *before: str) -> Iterator[tuple[str, ...]]:
    """The words of every command, and of every group."""
    yield before
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *before, name)


class TestIngest:
    @pytest.fixture(autouse=True)
    def a_mosaic(self, run: Run) -> None:
        run("mosaics", "create", "m")

    def items(self, count: int) -> list[dict[str, object]]:
        return [item(f"s{n}", box(n, 0, n + 1, 1)) for n in range(count)]

    @pytest.mark.parametrize("kind", ["item", "collection", "ndjson", "pretty"])
    def test_files_of_every_kind_are_taken(self, run: Run, tmp_path: Path, kind: str) -> None:
        items = self.items(1 if kind in ("item", "pretty") else 150)
        text = {
            "item": json.dumps(items[0]),
            "pretty": json.dumps(items[0], indent=2),
            "collection": json.dumps({"type": "FeatureCollection", "features": items}),
            "ndjson": "\n".join(map(json.dumps, items)) + "\n\n",
        }[kind]
        path = tmp_path / "items.json"
        path.write_text(text)
        assert f"{len(items)} applied" in run("ingest", str(path)).output
        assert mosaic(run)["bounds"] == [0, 0, len(items), 1]

    def test_standard_input_is_a_file_too(self, run: Run) -> None:
        lines = "\n".join(map(json.dumps, self.items(3)))
        assert "3 applied" in run("ingest", "-", text=lines).output

    def test_the_same_again_changes_nothing(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "items.json"
        path.write_text(json.dumps(item("a", updated="2026-01-01T00:00:00Z")))
        run("ingest", str(path))
        assert "1 unchanged" in run("ingest", str(path)).output

    def test_a_bad_item_is_named_with_its_line_and_the_others_go_on(
        self, run: Run, tmp_path: Path
    ) -> None:
        good = self.items(2)
        path = tmp_path / "items.ndjson"
        bad = json.dumps(item("bad") | {"geometry": None})
        path.write_text("\n".join([json.dumps(good[0]), bad, "{oops", json.dumps(good[1])]))
        output = run("ingest", str(path), code=1).output
        assert "2 applied, 2 rejected" in output
        assert "items.ndjson:2: item 'bad': has no geometry" in output
        assert "items.ndjson:3: not JSON" in output

    def test_an_asset_that_is_left_out_is_named_and_counted(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "item.json"
        assets = {name: {"href": f"{name}://bucket/a.tif"} for name in ("s3", "gs")}
        path.write_text(json.dumps(item("a", assets=assets)))
        output = " ".join(run("ingest", str(path)).output.split())
        assert "item 'a' without its asset 'gs'" in output
        assert "1 applied" in output
        assert "shown, with warnings: 1" in output

    def test_assets_on_disk_need_permission(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "item.json"
        path.write_text(json.dumps(item("a", href="./a.tif")))
        assert "LIVEMOSAIC_ALLOWED_PREFIXES" in run("ingest", str(path), code=1).output
        assert "1 applied" in run("--allow", str(tmp_path), "ingest", str(path)).output

    def test_one_mosaic_can_be_named(self, run: Run, tmp_path: Path) -> None:
        run("mosaics", "create", "other")
        path = tmp_path / "item.json"
        path.write_text(json.dumps(item("a")))
        run("ingest", "--mosaic", "m", str(path))
        assert mosaic(run, "m")["bounds"]
        assert mosaic(run, "other")["bounds"] is None

    def test_what_no_mosaic_wants_is_said_to_be_ignored(self, run: Run, tmp_path: Path) -> None:
        run("mosaics", "delete", "m", "--yes")
        path = tmp_path / "item.json"
        path.write_text(json.dumps(item("a")))
        assert "1 ignored" in run("ingest", str(path)).output


class TestDemo:
    def test_scenes_arrive_and_the_second_time_they_are_there_already(
        self, run: Run, tmp_path: Path
    ) -> None:
        words = ("demo", "--folder", str(tmp_path / "demo"), "--count", "2", "--every", "0")
        quiet = ("--port", "0", "--no-browser", "--no-stay")
        for _ in range(2):
            output = run(*words, *quiet).output
            assert "All 2 scenes are there" in output
            assert "map.html" in output

    @pytest.mark.parametrize("kept", ["scenes/own.tif", "index.db", "scenes/collection.json"])
    def test_files_of_others_are_never_deleted(self, run: Run, tmp_path: Path, kept: str) -> None:
        own = tmp_path / "own" / kept
        own.parent.mkdir(parents=True)
        own.write_text("{}")
        words = ("demo", "--folder", str(tmp_path / "own"), "--count", "1", "--every", "0")
        ended = run(*words, "--port", "0", "--no-browser", "--no-stay", code=1)
        assert f"{kept} is not of a demo" in "".join(ended.output.splitlines())
        assert own.read_text() == "{}"

    def test_a_folder_that_cannot_be_made_is_named(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        output = run("demo", "--folder", str(tmp_path / "file"), code=1).output
        assert "cannot be the folder of the demo" in " ".join(output.split())

    def test_a_port_that_is_taken_is_named(self, run: Run, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            words = ("demo", "--folder", str(tmp_path), "--count", "1", "--no-browser")
            assert (
                f"cannot listen on 127.0.0.1:{port}" in run(*words, "--port", port, code=1).output
            )
        assert "live at" in run(*words, "--port", "0", "--no-stay").output


def test_no_connection_of_a_listener_holds_a_body_back() -> None:
    """Until the client acknowledges the header, as TCP does unless it is told not to (RFC 896)."""
    with (
        listening("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_client_may_pause_between_two_requests_of_a_connection(tmp_path: Path) -> None:
    """For longer than the 5 s after which httpx, and many others, give a connection up."""
    env = os.environ | {"LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/index.db", "COLUMNS": "200"}
    with serving(env) as printed:
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)", printed)[1])
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            for pause_s in (0, 6):
                time.sleep(pause_s)
                connection.request("GET", "/health")
                assert connection.getresponse().read()
                assert connection.sock is not None


def test_an_empty_host_is_not_every_address_of_the_machine() -> None:
    with pytest.raises(InvalidRequestError, match="--host is empty"), listening("", 0):
        pass


def test_serve_answers_until_it_is_stopped(tmp_path: Path) -> None:
    """It says where, and with which token, and ends on SIGINT."""
    env = os.environ | {"LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/index.db", "COLUMNS": "200"}
    command = [*LIVEMOSAIC, "mosaics", "create", "m"]
    subprocess.run(command, env=env, check=True, capture_output=True)
    with serving(env) as said:
        assert re.search(r"http://127\.0\.0\.1:\d+/mosaics/m/map\.html", said)


def test_serve_shows_files_without_an_index(tmp_path: Path) -> None:
    """They are a mosaic of their own, of which nothing is left."""
    scenes, temporary = tmp_path / "scenes", tmp_path / "temporary"
    scenes.mkdir()
    temporary.mkdir()
    values = np.full((1, 256, 256), 77, "uint8")
    raster(scenes / "a.tif", values)
    (scenes / "b.tif").write_text("no tiff")
    env = os.environ | {"TMPDIR": str(temporary), "COLUMNS": "200"}
    with serving(env, sources=[str(scenes / "a.tif"), str(scenes / "b.tif")]) as said:
        here = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        assert f"{here}/mosaics/files/map.html" in said
        assert "1 applied, 1 rejected" in said
        with urllib.request.urlopen(f"{here}{tile_url('.npy')}".replace("/m/", "/files/")) as tile:
            assert (np.load(io.BytesIO(tile.read()))[0] == 77).all()
        with urllib.request.urlopen(f"{here}/mosaics/files") as shown:
            assert json.load(shown)["title"] == "a.tif and 1 more"
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in scenes.iterdir()) == ["a.tif", "b.tif"]


def test_serve_of_files_that_are_none_ends(tmp_path: Path) -> None:
    (tmp_path / "b.tif").write_text("no tiff")

    def said(*words: str) -> str:
        ended = subprocess.run([*LIVEMOSAIC, *words], capture_output=True, text=True, timeout=100)
        assert ended.returncode == 1
        return ended.stderr

    assert "there is nothing to serve" in said("serve", f"{tmp_path}/b.tif")
    assert "without --index" in said("--index", "sqlite:///x.db", "serve", f"{tmp_path}/b.tif")
    assert "unknown TileMatrixSet 'x'" in said("serve", f"{tmp_path}", "--tms", "x")


def test_ingest_says_how_to_allow_a_folder(run: Run, tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif", np.ones((1, 256, 256), "uint8"))
    run("mosaics", "create", "m")
    assert "livemosaic --allow FOLDER ingest" in run("ingest", str(path), code=1).output
    assert "--allow" not in run("--allow", str(tmp_path), "ingest", str(path)).output


def test_serve_names_the_url_by_which_clients_come(tmp_path):
    env = os.environ | {
        "LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/m.db",
        "LIVEMOSAIC_PUBLIC_URL": "https://example.com/maps",
    }
    with serving(env) as said:
        here = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        asked = urllib.request.Request(f"{here}/", headers={"X-Forwarded-Proto": "http"})
        with urllib.request.urlopen(asked) as answer:
            links = json.load(answer)["links"]
    assert "livemosaic on https://example.com/maps/" in said
    assert all(link["href"].startswith("https://example.com/maps/") for link in links)


def test_serve_trusts_no_header_of_a_client_on_its_own_machine(tmp_path):
    env = os.environ | {"LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/m.db"}
    with serving(env) as said:
        here = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        asked = urllib.request.Request(f"{here}/", headers={"X-Forwarded-Proto": "https"})
        with urllib.request.urlopen(asked) as answer:
            links = json.load(answer)["links"]
    assert all(link["href"].startswith(f"{here}/") for link in links)


class TestImports:
    def test_lists_of_commands_show_how_the_help_of_each_begins(self) -> None:
        loaded = get_command(app).commands  # type: ignore[attr-defined]
        listed = {name: get_command(app).get_command(None, name).help for name in loaded}  # type: ignore[attr-defined]
        assert len(listed) == 14
        assert listed == {name: loaded[name].help.partition("\n\n")[0] for name in loaded}

    @pytest.mark.parametrize("words", [("--help",), ("--version",), ()], ids=" ".join)
    def test_a_list_of_commands_imports_none_of_them(self, words: tuple[str, ...]) -> None:
        modules = imported(*words)
        assert "livemosaic.cli.terminal.commands" in modules
        assert not modules & {"numpy", "rasterio", "pydantic", "livemosaic.cli.session"}

    def test_a_command_on_an_index_imports_no_other_command_no_server_and_no_aws(
        self, tmp_path: Path
    ) -> None:
        at = f"sqlite:///{tmp_path}/index.db"
        modules = imported("--index", at, "mosaics", "create", "m")
        assert {"livemosaic.cli.mosaics", "rasterio.session", "livemosaic.services"} <= modules
        assert not modules & {"boto3", "botocore", "starlette", "livemosaic.api.app"}
        others = {"ingest", "verify", "serve.command", "cost.command", "gis.export"}
        assert not modules & {f"livemosaic.cli.{name}" for name in others}


def imported(*words: str) -> set[str]:
    """The modules of a process that ran the command."""
    script = (
        "import atexit, sys, livemosaic.__main__ as command\n"
        "atexit.register(lambda: print('modules', *sys.modules))\n"
        "command.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=60
    )
    return set(ended.stdout.rpartition("modules")[2].split())
