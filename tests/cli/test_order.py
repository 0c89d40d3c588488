"""Corrections, deletions and reloads by the command and by events: the later one shows.

After reports of users: Items with the same `updated`, put back as they were, stamped by their API.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import boto3
import pytest
from click.testing import Result
from typer.testing import CliRunner

from items import item, sqs_event
from livemosaic.cli import app
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.sqs import handler
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.table.sqlite import SqliteTable
from sources.catalogue import Catalogue
from sources.parquet import write

Run = Callable[..., Result]
Handle = Callable[..., None]
DELETED = {"op": "delete", "collection": "s2", "id": "a"}
TRUNCATED = {"type": "action", "command": "truncate", "collection": "s2"}


@pytest.fixture
def table(tmp_path: Path) -> Iterator[SqliteTable]:
    """With a mosaic `m` in it."""
    table = SqliteTable(tmp_path / "index.db")
    Mosaics(table).create(Mosaic(id="m"))
    yield table
    table.close()


@pytest.fixture
def run(table: SqliteTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `ingest` on that table."""
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")

    def command(*words: str, text: str | None = None) -> Result:
        result = CliRunner().invoke(app, ("ingest", *words), input=text)
        assert result.exit_code == 0, result.output
        return result

    return command


@pytest.fixture
def handle(table: SqliteTable) -> Iterator[Handle]:
    """The function that Lambda calls, with SNS notifications as SQS has them."""
    with ThreadPoolExecutor(2) as pool:
        function = handler(Ingest(Index(table, Mosaics(table), pool), AllowList()), pool)

        def received(*bodies: Any) -> None:
            assert function(sqs_event(*map(json.dumps, bodies)), None) == {"batchItemFailures": []}

        yield received


def notification(body: Any, time: datetime) -> dict[str, Any]:
    text, moment = json.dumps(body), time.isoformat()
    return {"Type": "Notification", "Message": text, "Timestamp": moment, "MessageAttributes": {}}


def picture(name: str, item_id: str = "a", updated: str | None = "2026-01-02T00:00:00Z") -> Any:
    return item(item_id, href=f"https://example.com/{name}.tif", updated=updated)


def shown(table: SqliteTable) -> dict[str, str]:
    """File names of assets by scene."""
    with ThreadPoolExecutor(1) as pool:
        index = Index(table, Mosaics(table), pool)
        scenes, _ = index.list_scenes(index.mosaics.get("m"), limit=100)
    return {scene.id: Path(scene.assets["visual"]).stem for scene in scenes}


def lines(path: Path, *documents: Any, age: float = 0) -> str:
    """A file that was written so many seconds ago."""
    path.write_text("".join(f"{json.dumps(document)}\n" for document in documents))
    then = datetime.now(UTC).timestamp() - age
    os.utime(path, (then, then))
    return str(path)


def corrected(count: int = 20) -> list[Any]:
    """Items, and the same again with other hrefs and the same `updated`."""
    return [picture(f"{name}{n}", f"s{n}") for name in ("old", "new") for n in range(count)]


class TestFiles:
    """As in a file of events, the later line is the later change."""

    WANTED: ClassVar = {f"s{n}": f"new{n}" for n in range(20)}

    def test_corrections_with_the_same_updated_show(
        self, run: Run, table: SqliteTable, tmp_path: Path
    ) -> None:
        output = run(lines(tmp_path / "items.ndjson", *corrected())).output
        assert shown(table) == self.WANTED
        assert "contested" not in output

    def test_they_do_by_standard_input(self, run: Run, table: SqliteTable) -> None:
        run("-", text="\n".join(map(json.dumps, corrected())))
        assert shown(table) == self.WANTED

    def test_they_do_in_a_second_file_of_the_same_time(
        self, run: Run, table: SqliteTable, tmp_path: Path
    ) -> None:
        files = [
            lines(tmp_path / f"{n}.ndjson", *corrected()[20 * n : 20 * n + 20]) for n in (0, 1)
        ]
        for file in files:
            os.utime(file, (1_700_000_000, 1_700_000_000))
        run(*files)
        assert shown(table) == self.WANTED

    def test_a_scene_that_is_put_back_shows(
        self, run: Run, table: SqliteTable, tmp_path: Path
    ) -> None:
        run(lines(tmp_path / "items.ndjson", picture("1"), DELETED, picture("1")))
        assert shown(table) == {"a": "1"}
        run(lines(tmp_path / "items.ndjson", DELETED))
        assert shown(table) == {}
        run(lines(tmp_path / "items.ndjson", picture("1")))
        assert shown(table) == {"a": "1"}

    def test_a_file_of_before_an_event_does_not_cover_it(
        self, run: Run, handle: Handle, table: SqliteTable, tmp_path: Path
    ) -> None:
        handle(notification(picture("event"), datetime(2026, 2, 27, tzinfo=UTC)))
        old = picture("old", updated="2026-02-28T00:00:00Z")
        age = datetime.now(UTC).timestamp() - datetime(2026, 2, 20, tzinfo=UTC).timestamp()
        run(lines(tmp_path / "items.ndjson", old, age=age))
        assert shown(table) == {"a": "event"}


class TestEvents:
    def test_a_collection_that_is_truncated_and_loaded_again_shows(
        self, handle: Handle, table: SqliteTable
    ) -> None:
        day = datetime(2026, 2, 20, tzinfo=UTC)
        handle(notification({"record": picture("1")}, day))
        handle(notification(TRUNCATED, day + timedelta(days=7)))
        assert shown(table) == {}
        handle(notification({"record": picture("1")}, day + timedelta(days=7, hours=1)))
        assert shown(table) == {"a": "1"}

    def test_an_earlier_updated_of_a_later_event_is_believed_and_warned_of(
        self, handle: Handle, table: SqliteTable, caplog: pytest.LogCaptureFixture
    ) -> None:
        day = datetime(2026, 2, 20, tzinfo=UTC)
        handle(notification(picture("1", updated="2026-02-19T00:00:00Z"), day))
        assert not caplog.records
        handle(notification(picture("2", updated="2026-02-18T00:00:00Z"), day + timedelta(days=1)))
        assert shown(table) == {"a": "2"}
        assert "replaced a version whose updated is later" in caplog.text


class TestSnapshots:
    def test_the_event_after_a_backfill_shows_whatever_the_api_stamped(
        self, run: Run, handle: Handle, table: SqliteTable
    ) -> None:
        """As of stac-server, whose `updated` is when it took the Item in."""
        now = datetime.now(UTC)
        stamped = picture("1", updated=(now - timedelta(hours=2)).isoformat())
        with Catalogue([stamped]) as api:
            run("--stac", api.url)
        assert shown(table) == {"a": "1"}
        event = picture("2", updated=(now - timedelta(days=1)).isoformat())
        _received_now(table, notification({"record": event}, now - timedelta(hours=1)))
        assert shown(table) == {"a": "2"}

    def test_a_snapshot_brings_nothing_back_and_covers_no_event(
        self, run: Run, handle: Handle, table: SqliteTable, tmp_path: Path
    ) -> None:
        day = datetime(2026, 2, 20, tzinfo=UTC)
        handle(
            notification(picture("event", "a"), day),
            notification({**DELETED, "id": "b"}, day),
        )
        old = [picture("old", name, updated="2026-02-19T00:00:00Z") for name in "abc"]
        with Catalogue(old) as api:
            run("--stac", api.url)
        assert shown(table) == {"a": "event", "c": "old"}
        run(str(write(tmp_path / "items.parquet", old)))
        assert shown(table) == {"a": "event", "c": "old"}


def _received_now(table: SqliteTable, body: Any) -> None:
    event = sqs_event(json.dumps(body))
    sent = str(int(datetime.now(UTC).timestamp() * 1000))
    for record in event["Records"]:
        record["attributes"] |= {"SentTimestamp": sent, "ApproximateFirstReceiveTimestamp": sent}
    with ThreadPoolExecutor(2) as pool:
        function = handler(Ingest(Index(table, Mosaics(table), pool), AllowList()), pool)
        assert function(event, None) == {"batchItemFailures": []}


@pytest.mark.emulator
def test_an_object_whose_updated_is_ahead_is_gone_when_it_is_removed(
    run: Run,
    table: SqliteTable,
    dynamodb_endpoint: str | None,
    aws_credentials: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if dynamodb_endpoint is None:
        pytest.skip("makes buckets, which is left to an emulator")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", dynamodb_endpoint)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    client: Any = boto3.client("s3", region_name="eu-central-1")
    name = f"items-{uuid4()}"
    client.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    ahead = (datetime.now(UTC) + timedelta(hours=10)).strftime("%Y-%m-%dT%H:%M:%S")
    body = json.dumps(picture("ahead", updated=ahead)).encode()
    client.put_object(Bucket=name, Key="a.json", Body=body)
    client.close()
    run(f"s3://{name}/")
    assert shown(table) == {"a": "ahead"}
    record = {
        "eventName": "ObjectRemoved:Delete",
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "s3": {
            "bucket": {"name": name},
            "object": {"key": "a.json", "sequencer": "0055AED6DCD90281E6"},
        },
    }
    _received_now(table, {"Records": [record]})
    assert shown(table) == {}
