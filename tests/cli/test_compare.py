"""`livemosaic verify --stac`: a mosaic becomes what a catalogue has, in content, beside events."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from items import box, deletion, item, later, notification
from livemosaic.cli import app
from livemosaic.cog.headers import HeaderKeeper
from sources.catalogue import Catalogue

Run = Callable[..., Result]
Json = dict[str, Any]
BUCKET = "scenes"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on an index of its own, with a mosaic `m` that keeps two properties."""
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")
    monkeypatch.setenv("COLUMNS", "200")
    allowed = f"s3://{BUCKET}/ anonymous region=eu-central-1,https://,s3://"
    monkeypatch.setenv("LIVEMOSAIC_ALLOWED_PREFIXES", allowed)
    monkeypatch.setattr(HeaderKeeper, "keep", lambda *_: None)  # nothing is there to be read

    def command(*words: str, text: str | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(app, words, input=text)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    kept = ("--property", "eo:cloud_cover", "--property", "start", "--sortby", "eo:cloud_cover")
    command("mosaics", "create", "m", "--collection", "s2", *kept)
    return command


def give(run: Run, *documents: Any) -> None:
    run("ingest", "-", text="\n".join(map(json.dumps, documents)))


def ago(hours: float) -> str:
    return later(-hours)


def come(run: Run, *documents: Json, hours: float = 2) -> None:
    """Events of some hours ago."""
    give(run, *(notification(document, ago(hours)) for document in documents))


def compare(run: Run, api: Catalogue, *words: str, lag: float = 60, code: int = 0) -> Json:
    words = ("verify", "m", "--stac", api.url, "--lag", str(lag), "--json", *words)
    found: Json = json.loads(run(*words, code=code).stdout)
    return found


def details(found: Json) -> dict[str, str]:
    """Kind and detail by id."""
    return {
        one["scene"].partition("#")[2]: f"{one['kind']}: {one['detail']}".removesuffix(": ")
        for one in found["differences"]
    }


def an_item(name: str, **changes: Any) -> Json:
    """An Item as its events have it, with whatever an API may write in another way."""
    properties = {
        "eo:cloud_cover": 20,
        "start": "2026-01-01T00:00:00Z",
        "created": "2026-01-02T00:00:00Z",
        "other": 1,
        **changes.pop("properties", {}),
    }
    band = {"nodata": 0, "raster:scale": 0.0001, "raster:offset": -1}
    assets = {
        "red": {"href": "https://example.com/red.tif", "type": "image/tiff", "bands": [band]},
        "nir": {"href": f"s3://{BUCKET}/nir.tif", "type": "image/tiff"},
    }
    fields = {"updated": "2026-01-03T00:00:00Z", "assets": assets, "properties": properties}
    ring = [[7.123456789, 45], [8, 45], [8, 46], [7, 46], [7.123456789, 45]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return item(name, changes.pop("geometry", geometry), **(fields | changes))


def turned(value: Any) -> Any:
    """The members of all objects in the opposite order."""
    if isinstance(value, Mapping):
        return {name: turned(value[name]) for name in reversed(list(value))}
    return [turned(one) for one in value] if isinstance(value, list) else value


def change(document: Json, path: str, value: Any) -> Json:
    copy: Json = json.loads(json.dumps(document))
    *holders, name = path.split("/")
    held: Any = copy
    for holder in holders:
        held = held[int(holder)] if isinstance(held, list) else held[holder]
    held[int(name) if isinstance(held, list) else name] = value
    return copy


SIGNED = (
    f"https://{BUCKET}.s3.eu-central-1.amazonaws.com/nir.tif?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIA%2F20260101%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Expires=3600"
    "&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=abc"
)
SAME: Mapping[str, Callable[[Json], Json]] = {
    "as it is": lambda one: one,
    "keys in another order": turned,
    "links": lambda one: change(one, "links", [{"rel": "self", "href": "https://example.com/x"}]),
    "extensions": lambda one: change(one, "stac_extensions", ["https://example.com/b", "a"]),
    "a stamp of the API": lambda one: change(one, "properties/updated", "2026-05-05T05:05:05Z"),
    "two stamps of the API": lambda one: change(
        change(one, "properties/updated", "2026-05-05T05:05:05.123Z"),
        "properties/created",
        "2026-05-05T05:05:05.123Z",
    ),
    "a number with a point": lambda one: change(one, "properties/eo:cloud_cover", 20.0),
    "nodata with a point": lambda one: change(one, "assets/red/bands/0/nodata", 0.0),
    "an offset with a point": lambda one: change(one, "assets/red/bands/0/raster:offset", -1.0),
    "a time with milliseconds": lambda one: change(
        one, "properties/datetime", "2026-01-01T00:00:00.000Z"
    ),
    "a time with an offset": lambda one: change(
        one, "properties/start", "2026-01-01T01:00:00+01:00"
    ),
    "fewer digits": lambda one: change(one, "geometry/coordinates/0/0/0", 7.1234568),
    "a bbox": lambda one: one | {"bbox": [7, 45, 8, 46]},
    "a property that is not kept": lambda one: change(one, "properties/other", 2),
    "a title": lambda one: change(one, "assets/red/title", "Red"),
    "a signature": lambda one: change(one, "assets/nir/href", SIGNED),
}
DIFFERENT: Mapping[str, tuple[Callable[[Json], Json], str]] = {
    "an href": (lambda one: change(one, "assets/red/href", "https://x.org/r.tif"), "assets"),
    "an asset more": (
        lambda one: change(one, "assets/blue", {"href": "https://x.org/b.tif"}),
        "assets",
    ),
    "an asset less": (
        lambda one: one | {"assets": {"red": one["assets"]["red"]}},
        "assets",
    ),
    "a footprint": (lambda one: one | {"geometry": box(7, 45, 8, 46.00001)}, "footprint"),
    "a time": (lambda one: change(one, "properties/datetime", "2026-01-02T00:00:00Z"), "datetime"),
    "a kept property": (
        lambda one: change(one, "properties/start", "2026-01-01T00:00:01Z"),
        "properties",
    ),
    "the order": (
        lambda one: change(one, "properties/eo:cloud_cover", 21),
        "properties, rank",
    ),
    "a processing": (
        lambda one: change(one, "properties/processing:datetime", "2026-02-01T00:00:00Z"),
        "rank",
    ),
    "nodata": (lambda one: change(one, "assets/red/bands/0/nodata", 255), "encodings"),
}


class TestContent:
    def test_another_way_to_write_the_same_is_no_difference(self, run: Run) -> None:
        come(run, *map(an_item, SAME))
        with Catalogue([write(an_item(name)) for name, write in SAME.items()]) as api:
            found = compare(run, api)
        assert (details(found), found["recent"]) == ({}, 0)

    def test_what_the_mosaic_keeps_is_compared_and_repaired(self, run: Run) -> None:
        """All with the `updated` that they had before."""
        come(run, *map(an_item, DIFFERENT))
        items = [write(an_item(name)) for name, (write, _) in DIFFERENT.items()]
        wanted = {name: f"differs: {parts}" for name, (_, parts) in DIFFERENT.items()}
        with Catalogue(items) as api:
            found = compare(run, api, code=1)
            assert details(found) == wanted
            assert compare(run, api, "--repair")["mended"] == len(DIFFERENT)
            assert details(compare(run, api, lag=1)) == {}

    def test_a_newer_version_that_was_missed_is_older_here(self, run: Run) -> None:
        come(run, an_item("a"))
        newer = change(an_item("a", updated=ago(1)), "assets/red/href", "https://x.org/r.tif")
        with Catalogue([newer]) as api:
            assert details(compare(run, api, code=1)) == {"a": "older: assets"}


class TestHidden:
    def test_what_was_deleted_or_truncated_although_it_is_there_comes_back(self, run: Run) -> None:
        come(run, an_item("deleted"), an_item("truncated"), hours=3)
        time = ago(2)
        give(run, {"op": "truncate", "collection": "s2", "time": time})
        give(run, deletion("deleted", time=ago(1)))
        names = ("deleted", "truncated", "never")
        with Catalogue([*map(an_item, names)]) as api:
            found = details(compare(run, api, code=1))
            assert found["never"] == found["truncated"] == f"absent: truncated {time}"
            assert found["deleted"].startswith("absent: deleted ")
            assert compare(run, api, "--repair")["mended"] == 3
            assert compare(run, api, lag=1)["found"] == {}

    def test_what_the_catalogue_deleted_goes(self, run: Run) -> None:
        come(run, an_item("a"), an_item("b"))
        with Catalogue([an_item("a")]) as api:
            assert details(compare(run, api, "--repair")) == {"b": "gone"}
            assert compare(run, api, lag=1)["found"] == {}


class TestLag:
    def test_what_changed_since_is_not_judged(self, run: Run) -> None:
        """Not a version, a deletion, a truncation or a new scene, with repair or without."""
        come(run, an_item("deleted"), an_item("changed"), hours=3)
        with Catalogue([an_item("deleted"), an_item("changed")]) as api:
            moved = change(an_item("changed"), "assets/red/href", "https://x.org/r.tif")
            come(run, moved, an_item("new"), hours=0.5)
            give(run, deletion("deleted", time=ago(0.5)))
            found = compare(run, api, "--repair", lag=3600)
            assert (found["found"], found["recent"]) == ({}, 3)
            assert set(details(compare(run, api, lag=60, code=1))) == {"deleted", "changed", "new"}

    def test_an_event_that_came_late_wins_over_a_repair(self, run: Run) -> None:
        """The catalogue does not have the event yet, and its message is still on the way."""
        come(run, an_item("a"), hours=2)
        with Catalogue([an_item("b"), change(an_item("a"), "properties/start", "x")]) as api:
            assert compare(run, api, "--repair", lag=3600)["mended"] == 2
            late = [change(an_item(n), "assets/red/href", "https://x.org/r.tif") for n in "ab"]
            come(run, *late, hours=0.5)
        with Catalogue(late) as api:
            assert compare(run, api, lag=60)["found"] == {}

    def test_what_users_insisted_on_is_judged_when_it_is_as_old(self, run: Run) -> None:
        come(run, an_item("a"))
        run(
            "ingest", "--force", "-", text=json.dumps(change(an_item("a"), "properties/start", "x"))
        )
        with Catalogue([an_item("a")]) as api:
            assert compare(run, api)["recent"] == 1
            assert compare(run, api, lag=0, code=1)["found"] == {"differs": 1}


class TestPages:
    """Pages of a search may be behind, lose Items and show them twice: each is asked for alone."""

    def test_items_that_are_behind_on_pages_are_no_differences(self, run: Run) -> None:
        come(run, an_item("a"), an_item("lost"))
        stale = change(an_item("a"), "assets/red/href", "https://x.org/r.tif")
        with Catalogue([an_item("a"), an_item("lost")]) as api:
            api.listed = [stale, an_item("deleted since")]
            assert compare(run, api, "--repair")["found"] == {}

    def test_an_api_with_a_search_alone_is_enough(self, run: Run) -> None:
        come(run, an_item("a"), an_item("gone"))
        new = change(an_item("a"), "assets/red/href", "https://x.org/r.tif")
        for paging in ("merge", "get"):
            with Catalogue([new, an_item("b")], features=False, paging=paging) as api:
                found = details(compare(run, api, code=1))
                assert found == {"a": "differs: assets", "b": "absent", "gone": "gone"}

    def test_where_an_item_cannot_be_read_nothing_more_is_done(self, run: Run) -> None:
        come(run, an_item("a"))
        with Catalogue([], features=False, faults=[None, 400, 400, 400]) as api:
            words = ("verify", "m", "--stac", api.url, "--repair", "--lag", "60")
            assert "cannot read" in run(*words, code=1).stderr
        with Catalogue([an_item("a")]) as api:
            assert compare(run, api)["found"] == {}
