"""The command `livemosaic token`, and what else it takes to see private mosaics."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jwt
import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.gateway import TOKEN, Gateway, gateway
from items import box, item
from livemosaic.cli import app

Run = Callable[..., Result]
KEYS = {"AKIDENV": "a secret"}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path) -> Iterator[None]:
    """Nothing of this machine's, and no AWS credentials."""
    with mock.patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith(("AWS_", "LIVEMOSAIC_")) or name.upper().endswith("_PROXY"):
                del os.environ[name]
        nowhere = str(tmp_path / "nowhere")
        os.environ |= {
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            "COLUMNS": "300",
        }
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as made:
        yield made


def invoke(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def behind_cdn(tmp_path: Path) -> Iterator[Gateway]:
    """A server that sends whoever shows no secret to another one on its index."""
    secret = tmp_path / "origin-secret"
    secret.write_text("s" * 40)
    with (
        gateway(tmp_path) as cdn,
        gateway(tmp_path, origin_secret=str(secret), public_url=cdn.url) as made,
    ):
        yield made
        assert all(line.startswith("GET ") for line in cdn.lines)


@pytest.fixture(params=["index", "a server", "AWS", "AWS behind a CDN"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on an index, and on an API in front of one with either kind of credential."""
    if request.param == "index":
        where: tuple[str, ...] = ("--index", f"sqlite:///{tmp_path}/index.db")
    else:
        kind = "behind_cdn" if request.param == "AWS behind a CDN" else "server"
        server: Gateway = request.getfixturevalue(kind)
        where = ("--api", server.url)
        if request.param.startswith("AWS"):
            server.keys = KEYS
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["AKIDENV"])
            monkeypatch.setenv("AWS_REGION", "eu-central-1")
        else:
            where += ("--token", TOKEN)
    return lambda *words, code=0: invoke(*where, *words, code=code)


def listed(result: Result) -> list[str]:
    return [mosaic["id"] for mosaic in json.loads(result.stdout)]


def claims(token: str) -> dict[str, Any]:
    made: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return made


class TestToken:
    def test_it_is_all_that_is_printed_and_its_end_is_said_beside(self, run: Run) -> None:
        run("mosaics", "create", "alps", "--private")
        result = run("token", "alps", "--for", "7d")
        made = claims(result.stdout.removesuffix("\n"))
        assert made["aud"].startswith("alps/")
        assert made["exp"] - made["iat"] == 7 * 24 * 3600
        assert "opens alps until 20" in result.stderr

    @pytest.mark.parametrize(
        ("time", "seconds"), [("30m", 1800), ("12h", 43_200), ("90s", 90), (None, 86_400)]
    )
    def test_how_long_is_a_number_and_a_unit(
        self, tmp_path: Path, time: str | None, seconds: int
    ) -> None:
        index = ("--index", f"sqlite:///{tmp_path}/index.db")
        invoke(*index, "mosaics", "create", "m")
        given = ("--for", time) if time else ()
        made = claims(invoke(*index, "token", "m", *given).stdout.strip())
        assert made["exp"] - made["iat"] == seconds

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("token", "x"), "there is no mosaic 'x'"),
            (("token", "m", "--for", "7 days"), "--for '7 days' is no time: write it like 30m"),
            (("token", "m", "--for", "٣d"), "is no time"),
            (("token", "m", "--for", "0d"), "is no time"),
            (("token", "m", "--for", "91d"), "only for 1 to 7776000"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_what_cannot_be_is_said(self, run: Run, words: tuple[str, ...], says: str) -> None:
        run("mosaics", "create", "m")
        assert says in run(*words, code=1).output

    def test_a_key_that_is_too_short_is_not_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LIVEMOSAIC_SIGNING_KEYS", str(tmp_path / "keys"))
        index = ("--index", f"sqlite:///{tmp_path}/index.db")
        invoke(*index, "mosaics", "create", "m", "--private")
        (tmp_path / "keys").write_text("short\n")
        output = invoke(*index, "token", "m", code=1).output
        assert "a signing key has 5 bytes and needs 32" in output
        assert "short" not in output


class TestPrivateMosaics:
    def test_they_are_shown_and_filled_by_who_may_write(self, run: Run, tmp_path: Path) -> None:
        run("mosaics", "create", "alps", "--private")
        assert json.loads(run("mosaics", "show", "alps").stdout)["access"] == "private"
        (tmp_path / "a.json").write_text(json.dumps(item("a")))
        assert "1 applied" in run("ingest", "--mosaic", "alps", str(tmp_path / "a.json")).output
        assert listed(run("mosaics", "list", "--json", "--private")) == ["alps"]
        run("mosaics", "delete", "alps", "--yes")
        assert listed(run("mosaics", "list", "--json", "--private")) == []

    def test_one_is_made_public_and_private_again_and_is_else_as_it_was(self, run: Run) -> None:
        how = ("--title", "Alps", "--filter", "eo:cloud_cover < 10", "--maxzoom", "16")
        before = json.loads(run("mosaics", "create", "alps", "--private", *how).stdout)
        for access in ("public", "private"):
            after = json.loads(run("mosaics", "access", "alps", access).stdout)
            assert after | {"revision": 1} == before | {"access": access}
        assert "'hidden'" in run("mosaics", "access", "alps", "hidden", code=2).output
        assert "there is no mosaic 'x'" in run("mosaics", "access", "x", "public", code=1).output

    def test_the_assets_to_show_are_changed_and_nothing_else_is(self, run: Run) -> None:
        before = json.loads(run("mosaics", "create", "alps", "--private", "--title", "T").stdout)
        for assets in (["red", "green", "blue"], []):
            after = json.loads(run("mosaics", "default-assets", "alps", *assets).stdout)
            changed = {"default_assets", "shown_assets", "revision"}
            assert {k for k, v in after.items() if before[k] != v} <= changed
            assert after["default_assets"] == after["shown_assets"] == assets

    def test_what_an_update_names_changes_and_nothing_else(self, run: Run) -> None:
        how = ("--title", "T", "--filter", "a < 1", "--render", "a=bidx=1", "--render", "b=bidx=2")
        before = json.loads(run("mosaics", "create", "alps", "--private", *how).stdout)
        new = ("--title", "The Alps", "--render", "a=", "--render", "c=bidx=3", "--max-age", "60")
        after = json.loads(run("mosaics", "update", "alps", *new, "--reset", "filter").stdout)
        renders = {"b": {"bidx": [2]}, "c": {"bidx": [3]}}
        changed = {"title": "The Alps", "filter": None, "renders": renders, "max_age_s": 60}
        assert after == before | changed | {"revision": 2}
        rule = json.loads(run("mosaics", "update", "alps", "--public", "--rule", "ids=a").stdout)
        assert rule["rules"] == before["rules"] | {"default": {"ids": ["a"]}}
        assert rule["access"] == "public"

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("--reset", "titel"), "'titel' is not a setting of a mosaic: title, access"),
            (("--reset", "title", "--title", "T"), "title is given and reset"),
            (("--max-age", "-1"), "max_age_s: Input should be greater than or equal to 0"),
            (("--render", "a"), "--render 'a' must be NAME=QUERY"),
        ],
    )
    def test_an_update_that_makes_no_sense_is_refused(
        self, run: Run, words: tuple[str, ...], says: str
    ) -> None:
        run("mosaics", "create", "alps", "--private")
        assert says in run("mosaics", "update", "alps", *words, code=1).output
        assert json.loads(run("mosaics", "show", "alps").stdout)["revision"] == 1

    def test_nobody_else_is_told_of_them(self, server: Gateway) -> None:
        invoke("--api", server.url, "--token", TOKEN, "mosaics", "create", "a", "--private")
        assert listed(invoke("--api", server.url, "mosaics", "list", "--json")) == []
        told = invoke("--api", server.url, "mosaics", "show", "a", code=1).output
        assert "there is no mosaic 'a' that everybody may see" in told
        refused = invoke("--api", server.url, "mosaics", "list", "--private", code=1).output
        assert "no AWS credentials were found" in refused
        wrong = ("--api", server.url, "--token", "wrong")
        assert "bearer token" in invoke(*wrong, "mosaics", "list", "--private", code=1).output
        assert "there is no mosaic 'a'" in invoke(*wrong, "mosaics", "show", "a", code=1).output


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
