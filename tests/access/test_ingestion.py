"""Items whose assets are behind a login, as they come in."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from access.fakes import Answer, Asked, Fake, ranged
from items import item, message
from livemosaic.cli import app
from livemosaic.ingest.batch import Outcome
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import scene_key
from livemosaic.services import Services, running
from livemosaic.settings import Settings

LATER = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
CLOUDFRONT = "Expires=4102444800&Signature=hunter2&Key-Pair-Id=K"
BLOBS = "https://*.blob.core.windows.net/ planetary-computer"

Open = Callable[..., Services]


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Services on an index of their own, which has one mosaic of everything."""
    for name in [n for n in os.environ if n.startswith(("AWS_", "EARTHDATA_", "PC_SDK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    opened: list[Any] = []

    def make(*prefixes: str) -> Services:
        settings = Settings(index=f"sqlite:///{tmp_path}/index.db", allowed_prefixes=prefixes)
        manager = running(settings)
        made = manager.__enter__()
        opened.append(manager)
        if not made.mosaics.all():
            made.mosaics.create(Mosaic(id="m"))
        return made

    yield make
    for manager in opened:
        manager.__exit__(None, None, None)


def ingest(services: Services, document: dict[str, Any], seconds: float = 0) -> Outcome:
    [outcome] = services.ingest.batch([message(document, seconds)])
    return outcome


def stored(services: Services, item_id: str = "a") -> dict[str, str]:
    mosaic = services.mosaics.get("m")
    return dict(services.index.scene(mosaic, scene_key("s2", item_id)).assets)


def sas(signature: str) -> str:
    return f"st=2026-01-01T00%3A00%3A00Z&se={LATER}&sp=rl&sv=2024-05-04&sr=c&sig={signature}"


def test_an_item_that_is_signed_anew_is_the_same_version(services: Open) -> None:
    """Catalogues like the Planetary Computer's sign each Item that they give, for an hour."""
    opened = services(BLOBS, "https://")
    href = "https://a.blob.core.windows.net/c/x.tif"
    first = ingest(opened, item(href=f"{href}?{sas('one')}"))
    second = ingest(opened, item(href=f"{href}?{sas('two')}"), 60)
    plain = ingest(opened, item(href=href), 120)
    assert [outcome.status for outcome in (first, second, plain)] == ["done"] * 3
    assert stored(opened) == {"visual": href}
    table = Path(opened.settings.index.removeprefix("sqlite:///"))
    files = table.parent.glob("index.db*")
    assert not any(b"sig=" in file.read_bytes() for file in files)


def test_with_one_time_of_its_own_it_changes_nothing(services: Open) -> None:
    opened = services(BLOBS, "https://")
    href = "https://a.blob.core.windows.net/c/x.tif"
    at = "2026-02-01T00:00:00Z"
    changes = [
        ingest(opened, item(href=f"{href}?{sas(s)}", updated=at)).changes[0].change
        for s in ("one", "two")
    ]
    assert changes == ["applied", "unchanged"]


def test_a_signature_that_stays_is_reported_with_its_end(services: Open) -> None:
    opened = services("https://")
    outcome = ingest(opened, item(href=f"https://example.com/x.tif?{CLOUDFRONT}"))
    assert outcome.status == "done"
    assert "expires at 2100-01-01T00:00:00Z" in str(outcome.warnings)
    assert "hunter2" not in str(outcome.warnings)


def test_a_granule_of_nasa_is_refused_without_a_login_and_taken_with_one(services: Open) -> None:
    """As CMR gives it: no media types, keys `data` and `data1`."""
    granule = item(
        assets={
            key: {"title": name, "href": f"https://data.example.gov/lp-prod-protected/{name}.tif"}
            for key, name in (("data", "B11"), ("data1", "B04"))
        }
    )
    refused = ingest(services("https://", "s3://"), granule)
    assert refused.status == "rejected"
    assert "https://data.example.gov/ earthdata" in refused.reason
    opened = services("https://data.example.gov/ earthdata")
    assert ingest(opened, granule).status == "done"
    assert set(stored(opened).values()) == {a["href"] for a in granule["assets"].values()}


def test_the_alternate_that_can_be_read_is_taken(services: Open) -> None:
    landsat = item(
        assets={
            "red": {
                "href": "https://landsatlook.usgs.gov/data/x_B4.TIF",
                "type": "image/tiff",
                "alternate": {"s3": {"href": "s3://usgs-landsat/collection02/x_B4.TIF"}},
            }
        }
    )
    refused = ingest(services("https://", "s3://"), landsat)
    assert refused.status == "rejected"
    assert "s3://usgs-landsat/ requester-pays region=us-west-2" in refused.reason
    opened = services("https://", "s3://usgs-landsat/ requester-pays")
    assert ingest(opened, landsat).status == "done"
    assert stored(opened) == {"red": "s3://usgs-landsat/collection02/x_B4.TIF"}


class TestProbe:
    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (Answer(401), "without a login (HTTP 401)"),
            (Answer(302, headers={"Location": "https://login.example.com/"}), "HTTP 302"),
            (Answer(307, headers={"Location": "https://login.example.com/"}), "HTTP 307"),
        ],
    )
    def test_a_server_that_asks_for_a_login_is_refused(
        self, services: Open, answer: Answer, says: str
    ) -> None:
        with Fake(lambda _: answer) as closed:
            opened = services(f"{closed.url}/")
            outcome = ingest(opened, item(href=f"{closed.url}/in/x.tif"))
            assert outcome.status == "rejected"
            assert says in outcome.reason
            assert f"'{closed.url}/in/ bearer=env:VARIABLE'" in outcome.reason

    @pytest.mark.parametrize("status", [403, 404, 409, 429, 500, 503])
    def test_an_answer_that_may_change_refuses_nothing(self, services: Open, status: int) -> None:
        with Fake(lambda _: Answer(status)) as store:
            outcome = ingest(services(f"{store.url}/"), item(href=f"{store.url}/x.tif"))
        assert outcome.status == "done"

    def test_a_server_that_is_down_refuses_nothing(self, services: Open) -> None:
        with Fake(ranged) as store:
            url = store.url
        assert ingest(services(f"{url}/"), item(href=f"{url}/x.tif")).status == "done"

    def test_a_place_that_is_open_is_asked_once(self, services: Open) -> None:
        with Fake(ranged) as store:
            opened = services(f"{store.url}/")
            for number in range(5):
                document = item(str(number), href=f"{store.url}/in/{number}.tif")
                assert ingest(opened, document).status == "done"
        bytes_asked = [asked.headers["Range"] for asked in store.asked]
        assert bytes_asked.count("bytes=0-0") == 1

    def test_one_file_that_moved_keeps_no_other_out(self, services: Open) -> None:
        def respond(asked: Asked) -> Answer:
            return Answer(302) if asked.path == "/moved.tif" else ranged(asked)

        with Fake(respond) as store:
            opened = services(f"{store.url}/")
            statuses = [
                ingest(opened, item(name, href=f"{store.url}/{name}.tif")).status
                for name in ("moved", "here", "moved")
            ]
        assert statuses == ["rejected", "done", "rejected"]

    def test_a_place_with_a_way_in_is_not_asked(self, services: Open) -> None:
        """The tiler may have a token that this process lacks."""
        with Fake(lambda _: Answer(401)) as closed:
            opened = services(f"{closed.url}/ bearer=env:NOT_HERE")
            assert ingest(opened, item(href=f"{closed.url}/x.tif")).status == "done"
        assert closed.asked == []


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, words)


def test_the_command_takes_ways_in(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "item.json"
    file.write_text(json.dumps(item(href="s3://usgs-landsat/x.TIF")))
    assert run("mosaics", "create", "m").exit_code == 0
    refused = run("ingest", str(file))
    assert refused.exit_code == 1
    assert "s3://usgs-landsat/ requester-pays region=us-west-2" in refused.output
    paid = run("--allow", "s3://usgs-landsat/ requester-pays", "ingest", str(file))
    assert (paid.exit_code, "1 applied" in paid.output) == (0, True)


def test_a_token_in_the_option_is_not_repeated(run: Callable[..., Result]) -> None:
    refused = run("--allow", "https://a.com/ bearer=eyJhbGciOi", "mosaics", "list")
    assert refused.exit_code == 1
    assert "never the secret itself" in refused.output
    assert "eyJ" not in refused.output
