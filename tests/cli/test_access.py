"""The command `livemosaic token`, and what else it takes to see private mosaics."""

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import Result

from cli.everywhere import Run, behind_cdn, environment, invoke, run, server
from cli.gateway import TOKEN, Gateway
from items import item

__all__ = ["behind_cdn", "environment", "run", "server"]


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
        for_programs = json.loads(run("token", "alps", "--for", "7d", "--json").stdout)
        assert claims(for_programs["access_token"])["aud"] == made["aud"]
        assert for_programs["expires"].startswith("20")

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
