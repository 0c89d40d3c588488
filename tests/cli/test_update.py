"""The command `livemosaic mosaics update`."""

import json

import pytest

from cli.everywhere import Run, behind_cdn, environment, run, server

__all__ = ["behind_cdn", "environment", "run", "server"]


def test_what_an_update_names_changes_and_nothing_else(run: Run) -> None:
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
        (
            ("--reset", "titel"),
            "'titel' is not a setting of a mosaic: title, attribution, license, access",
        ),
        (("--reset", "title", "--title", "T"), "title is given and reset"),
        (("--max-age", "-1"), "max_age_s: Input should be greater than or equal to 0"),
        (("--render", "a"), "--render 'a' must be NAME=QUERY"),
    ],
)
def test_an_update_that_makes_no_sense_is_refused(
    run: Run, words: tuple[str, ...], says: str
) -> None:
    run("mosaics", "create", "alps", "--private")
    assert says in run("mosaics", "update", "alps", *words, code=1).output
    assert json.loads(run("mosaics", "show", "alps").stdout)["revision"] == 1
