"""The command `livemosaic --api URL`: as against an index, through HTTP."""

import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.gateway import TOKEN, Fault, Gateway, Line, detail, gateway
from items import box, deletion, item
from livemosaic.api.routes import mosaics as api_mosaics
from livemosaic.auth.signing import AwsSignature, Bearer
from livemosaic.cli import app
from livemosaic.client import http
from livemosaic.client.http import ApiClient
from livemosaic.errors import TableBusyError
from livemosaic.index.scenes import Index
from objectstore import ObjectStore

Run = Callable[..., Result]

BUSY = Fault()
LOST = Fault(504, b'{"message":"Endpoint request timed out"}', after=True)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of this machine's; what the command sets is taken back. Pauses take no time."""
    with mock.patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith(("AWS_", "LIVEMOSAIC_")) or name.upper().endswith("_PROXY"):
                del os.environ[name]
        os.environ |= {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(tmp_path),
            "COLUMNS": "300",
        }
        monkeypatch.setattr(random, "uniform", lambda *_: 0.0)
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as made:
        yield made


@pytest.fixture
def run(server: Gateway) -> Run:
    """Run a command on the API, with its token unless another is given."""

    def command(
        *words: str, text: str | None = None, code: int = 0, token: str | None = TOKEN
    ) -> Result:
        given = ("--token", token) if token else ()
        return invoke("--api", server.url, *given, *words, text=text, code=code)

    return command


def invoke(*words: str, text: str | None = None, code: int = 0) -> Result:
    result = CliRunner().invoke(app, words, input=text)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def lines(*documents: Any) -> str:
    return "\n".join(map(json.dumps, documents))


def many(count: int) -> list[dict[str, Any]]:
    return [item(f"s{n}", box(n % 100, 0, n % 100 + 1, 1)) for n in range(count)]


class TestMosaics:
    def test_a_mosaic_is_created_listed_shown_and_deleted(self, run: Run) -> None:
        made = run(
            *("mosaics", "create", "m", "--title", "Alps", "--collection", "s2"),
            *("--filter", "eo:cloud_cover < 10", "--asset", "visual", "--minzoom", "5"),
        )
        shown = json.loads(run("mosaics", "show", "m").stdout)
        assert json.loads(made.stdout) == shown
        assert (shown["title"], shown["collections"], shown["minzoom"]) == ("Alps", ["s2"], 5)
        assert "Alps" in run("mosaics", "list").stdout
        assert json.loads(run("mosaics", "list", "--json").stdout) == [shown]
        assert "deleted m" in run("mosaics", "delete", "m", "--yes").output
        assert json.loads(run("mosaics", "list", "--json").stdout) == []

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("mosaics", "show", "x"), "there is no mosaic 'x'"),
            (("mosaics", "show", "../health"), "there is no mosaic '../health'"),
            (("mosaics", "delete", "x", "-y"), "there is no mosaic 'x'"),
            (("mosaics", "create", "a b"), "mosaic id 'a b'"),
            (("mosaics", "create", "m"), "mosaic 'm' already exists"),
            (("mosaics", "create", "n", "--filter", "<<"), "not valid CQL2"),
            (("mosaics", "create", "n", "--tms", "No"), "'No'"),
            (("mosaics", "create", "n", "--minzoom", "-1"), "minzoom"),
            (("mosaics", "create", "n", "--create-table"), "--create-table is for an index"),
            (("ingest", "nowhere.json"), "cannot read 'nowhere.json'"),
            (("ingest", "--mosaic", "x", "nowhere.json"), "there is no mosaic 'x'"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_an_error_says_the_same_as_against_an_index(
        self, run: Run, words: tuple[str, ...], says: str
    ) -> None:
        run("mosaics", "create", "m")
        output = run(*words, code=1).output
        assert f"error: {says}" in output or says in output

    def test_a_large_mosaic_is_deleted_in_as_many_requests_as_it_takes(
        self, run: Run, server: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_mosaics, "DELETE_S", -1)
        run("mosaics", "create", "m")
        run("ingest", "-", text=lines(*many(5)))
        assert "deleted m" in run("mosaics", "delete", "m", "--yes").output
        assert server.lines.count("DELETE /mosaics/m") == 6
        run("mosaics", "create", "m")

    def test_an_answer_that_is_lost_is_found_out(self, run: Run, server: Gateway) -> None:
        """Creating and deleting are asked for again; that they are done already is no error."""
        server.faults += [LOST]
        assert json.loads(run("mosaics", "create", "m", "--title", "A").stdout)["title"] == "A"
        server.faults += [LOST]
        run("mosaics", "delete", "m", "--yes")
        assert json.loads(run("mosaics", "list", "--json").stdout) == []

    def test_overviews_are_as_asked_for_or_as_the_server_has_them(
        self, run: Run, server: Gateway
    ) -> None:
        for name, words in {"a": (), "b": ("--overviews",), "c": ("--no-overviews",)}.items():
            server.faults += [LOST]
            made = json.loads(run("mosaics", "create", name, *words).stdout)
            assert (made["overviews"] is None) == (name == "c")

    def test_another_mosaic_of_that_id_is_no_lost_answer(self, run: Run, server: Gateway) -> None:
        run("mosaics", "create", "m", "--title", "theirs")
        server.faults += [BUSY]
        assert "already exists" in run("mosaics", "create", "m", "--title", "mine", code=1).output


class TestIngest:
    @pytest.fixture(autouse=True)
    def a_mosaic(self, run: Run, environment: None) -> None:
        run("mosaics", "create", "m")

    def posted(self, server: Gateway) -> list[int]:
        """How many Items each request had."""
        return [
            len(json.loads(body)["features"])
            for line, _, body in server.seen
            if line in ("POST /items", "POST /mosaics/m/items")
        ]

    def test_items_go_to_every_mosaic_that_wants_them_fifty_at_a_time(
        self, run: Run, server: Gateway
    ) -> None:
        run("mosaics", "create", "other")
        output = run("ingest", "-", text=lines(*many(120))).output
        assert "120 applied" in output
        assert sorted(self.posted(server)) == [20, 50, 50]
        bounds = [json.loads(run("mosaics", "show", m).stdout)["bounds"] for m in ("m", "other")]
        assert bounds == [[0, 0, 100, 1]] * 2

    def test_one_mosaic_can_be_named(self, run: Run) -> None:
        run("mosaics", "create", "other")
        assert "1 applied" in run("ingest", "--mosaic", "m", "-", text=lines(item("a"))).output
        assert json.loads(run("mosaics", "show", "other").stdout)["bounds"] is None

    def test_files_of_one_item_share_requests(
        self, run: Run, server: Gateway, tmp_path: Path
    ) -> None:
        for document in many(20):
            (tmp_path / f"{document['id']}.json").write_text(json.dumps(document, indent=1))
        assert "20 applied" in run("ingest", *map(str, tmp_path.glob("s*.json"))).output
        assert self.posted(server) == [20]

    def test_a_bad_item_is_named_with_its_line_and_the_others_go_on(
        self, run: Run, tmp_path: Path, server: Gateway
    ) -> None:
        path = tmp_path / "items.ndjson"
        good, bad = many(2), json.dumps(item("bad") | {"geometry": None})
        lone = '{"type": "Feature", "id": "\\ud800"}'
        path.write_text("\n".join([json.dumps(good[0]), bad, "{oops", lone, json.dumps(good[1])]))
        output = run("ingest", str(path), code=1).output
        assert "2 applied, 3 rejected" in output
        assert "items.ndjson:2: item 'bad': has no geometry" in output
        assert "items.ndjson:3: not JSON" in output
        assert "items.ndjson:4: " in output
        assert self.posted(server)[0] <= 4  # the line that is no JSON is not sent

    def test_a_deletion_is_one_too(self, run: Run) -> None:
        run("ingest", "-", text=lines(item("a")))
        assert "1 deleted" in run("ingest", "-", text=lines(deletion("a"))).output

    def test_the_same_again_changes_nothing(self, run: Run) -> None:
        text = lines(item("a", updated="2026-01-01T00:00:00Z"))
        run("ingest", "-", text=text)
        assert "1 unchanged" in run("ingest", "-", text=text).output

    def test_requests_stay_below_what_lambda_takes_and_one_larger_item_fails_alone(
        self, run: Run, server: Gateway
    ) -> None:
        heavy = [item(f"h{n}", links=[{"x": "y" * 1_500_000}]) for n in range(4)]
        huge = item("huge", links=[{"x": "y" * 4_000_000}])
        output = run("ingest", "-", text=lines(*heavy, huge, item("a")), code=1).output
        assert "5 applied, 1 rejected" in output
        assert "-:5: has 4,000," in output
        assert "4,000,000 can be sent" in output
        assert max(len(body) for _, _, body in server.seen) < 4_100_000

    def test_an_href_relative_to_the_self_link_is_resolved(self, run: Run, server: Gateway) -> None:
        self_link = {"rel": "self", "href": "https://example.com/stac/a.json"}
        text = lines(item("a", href="./a.tif", links=[self_link]))
        assert "1 applied" in run("ingest", "-", text=text).output
        found = server.services.index.scene(server.services.mosaics.get("m"), "s2#a")
        assert found.assets["visual"] == "https://example.com/stac/a.tif"

    def test_an_href_relative_to_a_file_of_this_machine_is_refused(
        self, run: Run, tmp_path: Path, server: Gateway
    ) -> None:
        path = tmp_path / "a.json"
        path.write_text(lines(item("a", href="./a.tif")))
        output = run("ingest", str(path), code=1).output
        assert "href './a.tif' is relative" in output
        assert str(tmp_path).encode() not in server.seen[-1][2]

    def test_what_the_index_was_too_busy_for_is_sent_again_alone(
        self, run: Run, server: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply, refused = Index.apply, {"s2#s1", "s2#s3"}

        def busy_once(index: Index, mosaic: Any, scene: Any, **rest: Any) -> Any:
            if scene.key in refused:
                refused.remove(scene.key)
                raise TableBusyError("busy")
            return apply(index, mosaic, scene, **rest)

        monkeypatch.setattr(Index, "apply", busy_once)
        assert "5 applied" in run("ingest", "-", text=lines(*many(5))).output
        assert self.posted(server) == [5, 2]

    def test_what_stays_busy_is_named(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def busy(*_: Any, **__: Any) -> Any:
            raise TableBusyError("the table is busy")

        monkeypatch.setattr(Index, "apply", busy)
        output = run("ingest", "-", text=lines(item("a")), code=1).output
        assert "1 failed" in output
        assert "-:1: the table is busy" in output

    @pytest.mark.parametrize(
        "fault",
        [
            BUSY,
            LOST,
            Fault(429, b'{"message":"Too Many Requests"}'),
            Fault(500, b'{"message":"Internal Server Error"}', after=True),
            Fault(502, b"<html>Bad Gateway</html>"),
        ],
        ids=["busy", "lost", "throttled", "crashed", "bad gateway"],
    )
    def test_a_request_that_may_pass_is_sent_again(
        self, run: Run, server: Gateway, fault: Fault
    ) -> None:
        server.faults += [fault, fault]
        text = lines(item("a", updated="2026-01-01T00:00:00Z"))
        output = run("ingest", "-", text=text).output
        assert "1 applied" in output or "1 unchanged" in output
        assert len(self.posted(server)) == 3

    @pytest.mark.parametrize("status", [429, 503])
    def test_it_waits_as_long_as_the_server_asks(
        self, run: Run, server: Gateway, status: int
    ) -> None:
        server.faults += [Fault(status, b"{}", {"Retry-After": "1"})]
        began = time.monotonic()
        assert "1 applied" in run("ingest", "-", text=lines(item("a"))).output
        assert time.monotonic() - began >= 1

    @pytest.mark.parametrize(
        ("given", "least", "most"),
        [
            (lambda: "7", 6, 7),
            (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=30), True), 25, 31),
            (lambda: "86400", 59, 60),
            (lambda: format_datetime(datetime.now(UTC) + timedelta(days=9), True), 59, 60),
            (lambda: "9" * 400, 59, 60),
        ],
        ids=["seconds", "date", "a day", "a date in days", "no number that fits"],
    )
    def test_a_pause_is_asked_for_in_seconds_or_by_a_date_and_bounded(
        self,
        run: Run,
        server: Gateway,
        monkeypatch: pytest.MonkeyPatch,
        given: Callable[[], str],
        least: float,
        most: float,
    ) -> None:
        waits: list[float] = []
        slow = SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
        monkeypatch.setattr(http, "time", slow)
        server.faults += [Fault(503, b"{}", {"Retry-After": given()})]
        assert "1 applied" in run("ingest", "-", text=lines(item("a"))).output
        assert waits
        assert least <= waits[0] <= most

    @pytest.mark.parametrize("given", ["", "soon", "-5", "1.5", "Mon, 01 Jan 1990 00:00:00 GMT"])
    def test_a_pause_that_is_none_is_not_waited_for(
        self, run: Run, server: Gateway, monkeypatch: pytest.MonkeyPatch, given: str
    ) -> None:
        waits: list[float] = []
        slow = SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
        monkeypatch.setattr(http, "time", slow)
        server.faults += [Fault(503, b"{}", {"Retry-After": given})]
        assert "1 applied" in run("ingest", "-", text=lines(item("a"))).output
        assert waits == []

    def test_a_run_that_the_api_breaks_off_goes_on(
        self, run: Run, server: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was sent, but for what was on its way, is not sent again."""
        monkeypatch.setattr("livemosaic.cli.backfill.ledger._RECORD_S", -1.0)
        path = tmp_path / "items.ndjson"
        items = [item(f"s{n}", updated="2026-01-01T00:00:00Z") for n in range(500)]
        path.write_text("{oops\n" + lines(*items))
        words = (
            "ingest",
            str(path),
            "--resume",
            f"{tmp_path}/state",
            "--errors",
            f"{tmp_path}/bad",
        )

        def break_off(line: str) -> Fault | None:
            gone = server.lines.count("POST /items") > 8
            return Fault(403, b'{"message":"gone"}') if gone else None

        with monkeypatch.context() as patch:
            patch.setattr(server, "_fault", break_off)
            assert "HTTP 403: gone" in run(*words, code=1).output
        sent = len(self.posted(server))
        output = run(*words, code=1).output
        assert "1 rejected" in output
        assert 2 < len(self.posted(server)) - sent < 8
        mosaic = server.services.mosaics.get("m")
        assert len(server.services.index.list_scenes(mosaic, limit=1000)[0]) == 500
        assert len((tmp_path / "bad").read_text().splitlines()) == 1

    def test_what_was_read_before_a_missing_file_goes_in(
        self, run: Run, server: Gateway, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.json"
        path.write_text(lines(item("a")))
        assert "cannot read 'no.json'" in run("ingest", str(path), "no.json", code=1).output
        assert server.services.mosaics.get("m").bounds


REFUSED = [
    pytest.param(Fault(401, detail("that bearer token is old")), "token is old; --token", id="401"),
    pytest.param(Fault(403, b'{"message":"Forbidden"}'), "leave out --token", id="403"),
    pytest.param(Fault(404, detail("there is no mosaic 'm'")), "no mosaic 'm'", id="404"),
    pytest.param(Fault(429, b'{"message":"Too Many Requests"}'), "(asked 5 times)", id="429"),
    pytest.param(Fault(429, b"<html>slow down"), "answers HTTP 429 and '<html>slow", id="proxy"),
    pytest.param(Fault(500, detail("a bug")), "a bug", id="500"),
    pytest.param(Fault(500, b"Internal Server Error"), "answers HTTP 500 and 'Int", id="crash"),
    pytest.param(Fault(502, b"<html>Bad Gateway"), "answers HTTP 502 and '<html>", id="502"),
    pytest.param(LOST, "HTTP 504: Endpoint request timed out", id="504"),
    pytest.param(Fault(200, b"<html>Log in"), "no livemosaic API at http", id="login"),
    pytest.param(Fault(200, b'{"outcomes": []}'), "no livemosaic API at http", id="no outcomes"),
]


class TestItemsThatAreRefused:
    """A server refuses what `ingest` sends: no Item is lost, and the command says where it is."""

    @pytest.fixture
    def source(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A file of five requests."""
        monkeypatch.setattr("livemosaic.cli.backfill.ledger._RECORD_S", -1.0)
        monkeypatch.setattr("livemosaic.client.remote._AT_ONCE", 1)
        run("mosaics", "create", "m")
        path = tmp_path / "items.ndjson"
        path.write_text(lines(*many(250)))
        return path

    def there(self, server: Gateway) -> int:
        mosaic = server.services.mosaics.get("m")
        return len(server.services.index.list_scenes(mosaic, limit=1000)[0])

    def from_the_third_on(self, server: Gateway, fault: Fault) -> Callable[[str], Fault | None]:
        def refuse(line: str) -> Fault | None:
            return fault if server.lines.count("POST /items") > 2 else None

        return refuse

    @pytest.mark.parametrize(("fault", "says"), REFUSED)
    def test_a_run_that_is_broken_off_says_how_far_it_came_and_goes_on_from_there(
        self, run: Run, server: Gateway, source: Path, tmp_path: Path, fault: Fault, says: str
    ) -> None:
        words = ("ingest", str(source), "--resume", f"{tmp_path}/state")
        with mock.patch.object(server, "_fault", self.from_the_third_on(server, fault)):
            output = run(*words, code=1).output
        assert "broken off after 100 applied; the same command goes on from there" in output
        assert "error: " in output.splitlines()[-1]
        assert says in output.splitlines()[-1]
        assert self.there(server) >= 100
        begun = len(server.seen)
        assert "resuming after 100 Items" in run(*words).output
        assert len(server.seen) - begun == 3
        assert self.there(server) == 250

    def test_a_first_request_that_is_refused_leaves_nothing_to_count(
        self, run: Run, server: Gateway, source: Path
    ) -> None:
        server.faults += [Fault(403, b'{"message":"gone"}')]
        output = run("ingest", str(source), code=1).output
        assert output.startswith("error: ")
        assert "HTTP 403: gone" in output

    def test_a_server_that_goes_away_midway(
        self, run: Run, server: Gateway, source: Path, tmp_path: Path
    ) -> None:
        """It dies in the midst of a request, and does not come back; then it does."""
        words = ("ingest", str(source), "--resume", f"{tmp_path}/state")
        line = Line(server.url)

        def goes_away(request: str) -> None:
            if server.lines.count("POST /items") == 3:
                line.cut()

        with mock.patch.object(server, "_fault", goes_away):
            output = invoke("--api", line.url, "--token", TOKEN, *words, code=1).output
        assert "broken off after 100 applied" in output
        assert f"nothing listens at {line.url} (Connection refused) (asked 5 times)" in output
        again = Line(server.url, port=line.port)
        assert "applied" in invoke("--api", again.url, "--token", TOKEN, *words).output
        again.cut()
        assert self.there(server) == 250

    @pytest.mark.parametrize(
        "body", [b"<html>413 Request Entity Too Large", b'{"message":"Request Too Long"}']
    )
    def test_a_proxy_that_takes_less_at_once_gets_less_at_once(
        self, run: Run, server: Gateway, source: Path, tmp_path: Path, body: bytes
    ) -> None:
        def too_large(_: str) -> Fault | None:
            return Fault(413, body) if len(server.seen[-1][2]) > 5_000 else None

        with source.open("a") as file:
            file.write("\n" + lines(item("huge", title="x" * 6_000)))
        with mock.patch.object(server, "_fault", too_large):
            output = run("ingest", str(source), "--errors", f"{tmp_path}/bad", code=1).output
        assert "250 applied, 1 rejected" in output
        assert "items.ndjson:251: has 6," in output
        assert "413" in output
        assert self.there(server) == 250
        (bad,) = map(json.loads, (tmp_path / "bad").read_text().splitlines())
        assert bad["id"] == "huge"

    def test_with_force_what_follows_a_failed_item_waits_for_it_when_a_request_is_halved(
        self, run: Run, server: Gateway, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply, busy = Index.apply, [True]

        def busy_once(index: Index, mosaic: Any, scene: Any, **rest: Any) -> Any:
            if scene.assets["visual"].endswith("1.tif") and busy.pop():
                raise TableBusyError("busy")
            return apply(index, mosaic, scene, **rest)

        def too_large(_: str) -> Fault | None:
            two = server.seen[-1][2].count(b'"op":"relay"') > 1
            return Fault(413, b"<html>") if two else None

        busy.insert(0, False)
        monkeypatch.setattr(Index, "apply", busy_once)
        versions = [item("a", href=f"https://example.com/{n}.tif") for n in (1, 2)]
        with mock.patch.object(server, "_fault", too_large):
            run("ingest", "--force", "-", text=lines(*versions))
        found = server.services.index.scene(server.services.mosaics.get("m"), "s2#a")
        assert found.assets["visual"].endswith("2.tif")

    def test_what_the_index_is_too_busy_for_is_named_kept_and_counted(
        self,
        run: Run,
        server: Gateway,
        source: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        apply = Index.apply

        def busy(index: Index, mosaic: Any, scene: Any, **rest: Any) -> Any:
            if scene.id == "s7":
                raise TableBusyError("the table is busy")
            return apply(index, mosaic, scene, **rest)

        monkeypatch.setattr(Index, "apply", busy)
        output = run("ingest", str(source), "--errors", f"{tmp_path}/bad", code=1).output
        assert "249 applied, 1 failed" in output
        assert "items.ndjson:8: the table is busy" in output
        assert "1 Item failed, and may succeed later" in output
        (bad,) = map(json.loads, (tmp_path / "bad").read_text().splitlines())
        monkeypatch.setattr(Index, "apply", apply)
        assert "1 applied" in run("ingest", "-", text=lines(bad["item"])).output
        assert self.there(server) == 250

    def test_an_api_that_does_not_know_what_is_sent_is_named_at_once(
        self, run: Run, server: Gateway, source: Path
    ) -> None:
        """Not 250 Items rejected one by one for a reason that is none of theirs."""
        old = {"status": "rejected", "detail": "op 'relay' is neither 'delete' nor 'truncate'"}
        server.faults += [Fault(400, json.dumps({"outcomes": [old] * 50}).encode())]
        output = run("ingest", str(source), code=1).output
        assert "is older, and does not know the order of changes" in output
        assert server.lines.count("POST /items") <= 2  # the next one is on its way
        assert "rejected" not in output

    @pytest.mark.parametrize(
        "outcome", [None, "done", {"status": "done", "newer": [{}]}, {"newer": 5}], ids=str
    )
    def test_outcomes_that_are_none_are_no_answer(
        self, run: Run, server: Gateway, source: Path, outcome: Any
    ) -> None:
        server.faults += [Fault(200, json.dumps({"outcomes": [outcome] * 50}).encode())]
        assert "no livemosaic API at http" in run("ingest", str(source), code=1).output

    def test_a_kind_of_newer_change_that_only_a_later_api_knows_is_shown_as_it_is(
        self, run: Run, server: Gateway, source: Path
    ) -> None:
        newer = {"mosaic": "m", "id": "s1", "kind": "archive", "time": "2026-01-01T00:00:00Z"}
        done = {"status": "ignored", "changes": ["outdated"], "newer": [newer]}
        server.faults += [Fault(200, json.dumps({"outcomes": [done]}).encode())]
        output = run("ingest", "-", text=lines(item("s1"))).output
        assert "1 outdated (archive)" in output


class TestRefusals:
    """What an API, a gateway or a stranger may say instead."""

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (Fault(403, b'{"message":"Forbidden"}'), "leave out --token"),
            (Fault(403, b'{"message":"Signature expired"}'), "HTTP 403: Signature expired"),
            (Fault(500, detail("something went wrong here")), "something went wrong here"),
            (Fault(413, b'{"message":"Request Too Long"}'), "HTTP 413: Request Too Long"),
            (Fault(200, b"<html>Welcome"), "no livemosaic API at http"),
            (Fault(201, b"[]"), "no livemosaic API at http"),
            (Fault(201, b'{"id": "m"}'), "no livemosaic API at http"),
            (Fault(405, b"no"), "answers HTTP 405 and 'no'"),
            (Fault(301, b"", {"Location": "https://e.com/"}), "leads elsewhere (HTTP 301)"),
            (Fault(307, b"", {"Location": "https://e.com/other"}), "leads elsewhere (HTTP 307)"),
            (Fault(401, detail("no bearer token")), "no bearer token; --token or LIVEMOSAIC_TOKEN"),
        ],
        ids=lambda value: value if isinstance(value, str) else str(value.status),
    )
    def test_it_is_told_clearly(self, run: Run, server: Gateway, fault: Fault, says: str) -> None:
        server.faults += [fault]
        output = run("mosaics", "create", "m", code=1).output
        assert output.startswith("error: ")
        assert says in output
        assert len(server.seen) == 1

    @pytest.mark.parametrize(
        ("location", "says"),
        [
            ("http://e.com/mosaics", "in the clear"),
            ("https://e.com/other", "leads elsewhere (HTTP 307)"),
            ("", "leads elsewhere (HTTP 307)"),
        ],
    )
    def test_a_cdn_must_be_safe_and_have_the_same_path(
        self, run: Run, server: Gateway, location: str, says: str
    ) -> None:
        server.faults += [Fault(307, b"", {"Location": location})]
        assert says in run("mosaics", "list", code=1).output

    def test_a_cdn_that_leads_on_is_not_followed(self, run: Run, server: Gateway) -> None:
        server.faults += [Fault(307, b"", {"Location": f"{server.url}/mosaics"})] * 3
        assert "leads elsewhere (HTTP 307)" in run("mosaics", "list", code=1).output
        assert len(server.seen) == 2

    def test_an_api_that_stays_busy_is_given_up(self, run: Run, server: Gateway) -> None:
        server.faults += [BUSY] * 10
        output = run("mosaics", "list", code=1).output
        assert "HTTP 503: Service Unavailable (asked 5 times)" in output

    def test_the_details_of_what_stays_busy_are_told(self, run: Run, server: Gateway) -> None:
        server.faults += [Fault(503, detail("no DynamoDB table 'x'"))] * 10
        assert "no DynamoDB table 'x'" in run("mosaics", "list", code=1).output

    def test_another_server_is_told_from_an_older_api(self, run: Run, server: Gateway) -> None:
        unknown = Fault(404, b'{"message":"Not Found"}')
        server.faults += [unknown]
        assert "does not know this request" in run("mosaics", "list", code=1).output
        server.faults += [unknown, unknown]
        assert "there is no livemosaic API at" in run("mosaics", "list", code=1).output

    def test_a_wrong_token_is_the_servers_to_refuse(self, run: Run) -> None:
        output = run("mosaics", "create", "m", code=1, token="wrong").output
        assert "that bearer token is not this server's" in output

    def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        output = invoke("--api", url, "mosaics", "list", code=1).output
        assert f"nothing listens at {url} (Connection refused)" in output

    def test_a_host_that_does_not_exist(self) -> None:
        output = invoke("--api", "https://nowhere.invalid", "mosaics", "list", code=1).output
        assert "there is no host 'nowhere.invalid'" in output

    def test_a_server_without_tls(self, tmp_path: Path) -> None:
        with ObjectStore(tmp_path) as plain:
            url = plain.url.replace("http:", "https:")
            output = invoke("--api", url, "mosaics", "list", code=1).output
        assert "no safe connection to 'localhost:" in output
        assert "does not speak TLS" in output

    def test_a_proxy_that_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        output = invoke("--api", "https://example.com", "mosaics", "list", code=1).output
        assert "the proxy of HTTPS_PROXY does not lead to 'example.com'" in output

    def test_a_server_that_is_too_slow(
        self, server: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http, "_READ_S", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            output = invoke("--api", url, "mosaics", "list", code=1).output
        assert f"{url} did not answer (ReadTimeoutError) (asked 5 times)" in output

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("example.com", "use https://HOST"),
            ("ftp://example.com", "use https://HOST"),
            ("https://", "use https://HOST"),
            ("https://a:b@example.com", "no user or password"),
            ("https://example.com?a=b", "query"),
            ("https://example.com:x", "no URL"),
            ("http://example.com", "in the clear"),
            ("http://localhost.example.com", "in the clear"),
            ("http://10.0.0.1:8000", "in the clear"),
        ],
    )
    def test_a_url_that_cannot_be_is_refused_before_anything_is_sent(
        self, url: str, says: str
    ) -> None:
        assert says in invoke("--api", url, "mosaics", "list", code=1).output


@pytest.mark.parametrize(
    "url",
    ["http://localhost", "http://127.0.0.1:1", "http://[::1]:8000/", "http://a.localhost:80"],
)
def test_this_machine_needs_no_tls(url: str) -> None:
    assert http.check_url(url) == url.rstrip("/")


class TestOptions:
    def test_the_api_and_the_index_exclude_each_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index, api = ("--index", "sqlite:///x.db"), ("--api", "http://localhost:1")
        output = invoke(*index, *api, "mosaics", "list", code=1).output
        assert "--api and --index exclude each other" in output
        monkeypatch.setenv("LIVEMOSAIC_INDEX", index[1])
        monkeypatch.setenv("LIVEMOSAIC_API", api[1])
        output = invoke("mosaics", "list", code=1).output
        assert "LIVEMOSAIC_API and LIVEMOSAIC_INDEX exclude each other" in output

    def test_what_is_typed_goes_before_the_environment(
        self, server: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")
        invoke("--api", server.url, "mosaics", "list")
        assert server.lines == ["GET /mosaics"]
        monkeypatch.setenv("LIVEMOSAIC_API", "http://localhost:1")
        invoke("--index", f"sqlite:///{tmp_path}/index.db", "mosaics", "list")

    def test_the_environment_names_api_and_token(
        self, server: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LIVEMOSAIC_API", server.url)
        monkeypatch.setenv("LIVEMOSAIC_TOKEN", TOKEN)
        invoke("mosaics", "create", "m")
        assert server.lines == ["POST /mosaics"]

    @pytest.mark.parametrize("command", ["serve", "demo"])
    def test_what_works_on_this_machine_only_says_so(self, command: str) -> None:
        output = invoke("--api", "http://localhost:1", command, code=1).output
        assert f"`{command}` works on an index of its own machine" in output

    def test_the_allow_list_is_the_apis(self) -> None:
        words = ("--api", "http://localhost:1", "--allow", "s3://x", "mosaics", "list")
        assert "an allow-list of its own" in invoke(*words, code=1).output

    def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(self) -> None:
        words = ("--api", "http://localhost:1", "--token", "se\ncret", "mosaics", "list")
        output = invoke(*words, code=1).output
        assert "the token holds" in output
        assert "cret" not in output


SECRETS = {
    "AKIDENV": "of the environment",
    "AKIDPROFILE": "of a profile",
    "ASIAPROC": "of a process",
}


class TestSignatures:
    @pytest.fixture(autouse=True)
    def on_aws(self, server: Gateway, environment: None, tmp_path: Path) -> None:
        """The server takes signatures, and there are profiles to make them with."""
        server.keys = SECRETS
        issued = {
            "Version": 1,
            "AccessKeyId": "ASIAPROC",
            "SecretAccessKey": SECRETS["ASIAPROC"],
            "SessionToken": "a session",
        }
        (tmp_path / "issued.json").write_text(json.dumps(issued))
        (tmp_path / "config").write_text(
            f"[profile static]\nregion = eu-central-1\n"
            f"[profile elsewhere]\nregion = us-east-1\nsource_profile = static\n"
            f"[profile process]\nregion = eu-central-1\n"
            f"credential_process = cat {tmp_path}/issued.json\n"
            f"[profile broken]\nregion = eu-central-1\n"
            f"credential_process = sh -c 'echo hunter2 >&2; false'\n"
            f"[profile noregion]\n"
            f"[profile sso]\nsso_session = corp\nsso_account_id = 111122223333\n"
            f"sso_role_name = Admin\nregion = eu-central-1\n"
            f"[sso-session corp]\nsso_region = eu-central-1\n"
            f"sso_start_url = https://corp.awsapps.com/start\n"
        )
        static = "aws_access_key_id = AKIDPROFILE\naws_secret_access_key = of a profile\n"
        (tmp_path / "credentials").write_text(f"[static]\n{static}[noregion]\n{static}")

    def used(self, server: Gateway) -> str:
        return server.seen[-1][1]["authorization"].split("Credential=")[1].split("/")[0]

    def environ(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS["AKIDENV"])
        monkeypatch.setenv("AWS_REGION", "eu-central-1")

    def test_every_command_that_writes_is_signed_and_none_that_reads(
        self, run: Run, server: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.environ(monkeypatch)
        run("mosaics", "create", "m", token=None)
        assert "60 applied" in run("ingest", "-", text=lines(*many(60)), token=None).output
        run("ingest", "--mosaic", "m", "-", text=lines(item("ü/ö ")), token=None)
        run("mosaics", "show", "m", token=None)
        run("mosaics", "list", token=None)
        run("mosaics", "delete", "m", "--yes", token=None)
        for line, headers, _ in server.seen:
            assert ("authorization" in headers) != line.startswith("GET "), line

    def test_reading_needs_no_credentials(self, run: Run) -> None:
        run("mosaics", "list", token=None)

    @pytest.mark.parametrize("how", ["option", "environment"])
    @pytest.mark.parametrize(
        ("profile", "key"), [("static", "AKIDPROFILE"), ("process", "ASIAPROC")]
    )
    def test_a_profile_signs(
        self,
        run: Run,
        server: Gateway,
        monkeypatch: pytest.MonkeyPatch,
        how: str,
        profile: str,
        key: str,
    ) -> None:
        if how == "environment":
            monkeypatch.setenv("AWS_PROFILE", profile)
        words = ("--profile", profile) if how == "option" else ()
        run(*words, "mosaics", "create", "m", token=None)
        assert self.used(server) == key
        session = server.seen[-1][1].get("x-amz-security-token")
        assert session == ("a session" if profile == "process" else None)
        assert ("x-amz-security-token" in server.seen[-1][1]["authorization"]) == bool(session)

    def test_a_profile_that_is_typed_goes_before_keys_of_the_environment(
        self, run: Run, server: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.environ(monkeypatch)
        monkeypatch.setenv("AWS_DEFAULT_PROFILE", "process")
        run("--profile", "static", "mosaics", "create", "m", token=None)
        assert self.used(server) == "AKIDPROFILE"

    def test_every_attempt_is_signed_anew(
        self, run: Run, server: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.environ(monkeypatch)
        server.faults += [BUSY]
        real = AwsSignature.__call__
        calls: list[str] = []
        monkeypatch.setattr(AwsSignature, "__call__", lambda *a: [calls.append(a[2]), real(*a)][1])
        run("mosaics", "create", "m", token=None)
        assert len(calls) == len(server.seen) == 2

    @pytest.mark.parametrize(
        ("profile", "says"),
        [
            (None, "no AWS credentials were found: log in with `aws sso login`"),
            (None, "takes a --token"),
            ("nope", "there is no AWS profile 'nope'"),
            ("sso", "run `aws sso login --profile sso`"),
            ("broken", "of no use (CredentialRetrievalError): `aws sts get-caller-identity`"),
            ("noregion", "'127.0.0.1' does not say the region of its API: set AWS_REGION"),
            ("elsewhere", "execute-api:Invoke"),
        ],
    )
    def test_credentials_that_do_not_do_are_told_with_what_to_do(
        self, run: Run, server: Gateway, tmp_path: Path, profile: str | None, says: str
    ) -> None:
        if profile == "elsewhere":
            with (tmp_path / "credentials").open("a") as file:
                file.write("[elsewhere]\naws_access_key_id = AKIDPROFILE\n")
                file.write("aws_secret_access_key = of a profile\n")
        words = ("--profile", profile) if profile else ()
        output = run(*words, "mosaics", "create", "m", token=None, code=1).output
        assert says in output
        assert "hunter2" not in output
        assert len(server.seen) == (1 if profile == "elsewhere" else 0)

    @pytest.mark.parametrize(
        "path", ["/mosaics/m/items/a%20b%2Fc", "/mosaics/m/items/%C3%BC?collection=s2%23x&a=b"]
    )
    def test_paths_are_signed_as_they_are_sent(
        self, server: Gateway, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        self.environ(monkeypatch)
        api = ApiClient(server.url, AwsSignature())
        answer = api.ask("DELETE", path)
        api.close()
        assert server.lines == [f"DELETE {path.partition('?')[0]}"]
        assert (answer.status, answer.text("message")) == (404, None)

    @pytest.mark.parametrize(
        ("host", "region"),
        [
            ("abc123.execute-api.eu-west-3.amazonaws.com", "eu-west-3"),
            ("abc123.execute-api.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("abc123.execute-api.us-gov-west-1.api.aws", "us-gov-west-1"),
            ("maps.example.com", "eu-central-1"),
            ("execute-api.eu-west-3.amazonaws.com.example.com", "eu-central-1"),
        ],
    )
    def test_the_host_says_the_region_else_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, host: str, region: str
    ) -> None:
        self.environ(monkeypatch)
        signed = AwsSignature()("POST", f"https://{host}/items", {}, b"{}")
        assert f"/{region}/execute-api/aws4_request" in signed["Authorization"]


def test_a_token_goes_with_writes_only(run: Run, server: Gateway) -> None:
    run("mosaics", "create", "m")
    run("mosaics", "list")
    assert [headers.get("authorization") for _, headers, _ in server.seen] == [
        f"Bearer {TOKEN}",
        None,
    ]


def test_a_client_serves_threads(server: Gateway) -> None:
    api = ApiClient(server.url, Bearer(TOKEN))
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(api.ask("GET", "/health").status))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    api.close()
    assert statuses == [200] * 16
