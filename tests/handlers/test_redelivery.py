"""A reference to what is not there yet is delivered again soon, for some minutes, by the queue."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from conftest import REGION
from items import item, sqs_event
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest import redelivery, sqs
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.dead_letters import DeadLetter
from livemosaic.ingest.redelivery import Redelivery
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.fetch import Fetcher
from livemosaic.table.sqlite import SqliteTable
from objectstore import ObjectStore

PATH = "/collections/s2/items/late"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    (tmp_path / "api").mkdir()
    with ObjectStore(tmp_path / "api") as found:
        yield found


@pytest.fixture
def ingest(tmp_path: Path, store: ObjectStore) -> Iterator[Ingest]:
    allow = AllowList(["https://", store.url])
    with (
        closing(SqliteTable(tmp_path / "index.db")) as table,
        ThreadPoolExecutor(2) as pool,
    ):
        Mosaics(table).create(Mosaic(id="m"))
        yield Ingest(Index(table, Mosaics(table), pool), allow, fetch=Fetcher(allow))


def announced(store: ObjectStore, *, age_s: float = 0, received: int = 1) -> dict[str, Any]:
    """An event of an API, as its queue delivers it; it was delivered first so long ago."""
    body = {
        "specversion": "1.0",
        "id": "1",
        "type": "org.ogc.api.collection.item.create",
        "source": store.url,
        "data": {"id": "late", "collection": "s2"},
    }
    event = sqs_event(json.dumps(body))
    (record,) = event["Records"]
    first = str(round((time.time() - age_s) * 1000))
    record["attributes"] |= {
        "SentTimestamp": first,
        "ApproximateFirstReceiveTimestamp": first,
        "ApproximateReceiveCount": str(received),
    }
    return event


class Client:
    """A client of SQS that records what it is asked."""

    def __init__(self) -> None:
        self.pauses: list[int] = []
        self.lookups = 0

    def get_queue_url(self, **names: str) -> dict[str, str]:
        self.lookups += 1
        assert names == {"QueueName": "livemosaic", "QueueOwnerAWSAccountId": "123456789012"}
        return {"QueueUrl": "https://sqs.example.com/q"}

    def change_message_visibility(self, **request: Any) -> None:
        assert request["QueueUrl"] == "https://sqs.example.com/q"
        assert request["ReceiptHandle"] == "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a"
        self.pauses.append(request["VisibilityTimeout"])


def shown(ingest: Ingest) -> list[str]:
    return [scene.id for scene in ingest.index.list_scenes(mosaic(ingest), limit=9)[0]]


def mosaic(ingest: Ingest) -> Mosaic:
    return ingest.index.mosaics.get("m")


class TestReference:
    def test_is_shown_once_the_api_has_it(self, ingest: Ingest, store: ObjectStore) -> None:
        client, letters = Client(), list[DeadLetter]()
        with ThreadPoolExecutor(2) as pool:
            handle = sqs.handler(ingest, pool, keeping(letters), Redelivery(client).soon)
            for received, age_s in ((1, 0), (2, 20), (3, 60), (4, 140)):
                event = announced(store, age_s=age_s, received=received)
                (failed,) = handle(event, None)["batchItemFailures"]
                assert failed["itemIdentifier"] == event["Records"][0]["messageId"]
            assert (client.pauses, client.lookups) == ([20, 40, 80, 160], 1)
            place = store.root / PATH.lstrip("/")
            place.parent.mkdir(parents=True)
            place.write_text(json.dumps(item("late")))
            late = announced(store, age_s=300, received=5)
            assert handle(late, None) == {"batchItemFailures": []}
        assert (shown(ingest), letters) == (["late"], [])

    def test_is_a_dead_letter_with_the_reason_after_some_minutes(
        self, ingest: Ingest, store: ObjectStore
    ) -> None:
        client, letters = Client(), list[DeadLetter]()
        with ThreadPoolExecutor(2) as pool:
            handle = sqs.handler(ingest, pool, keeping(letters), Redelivery(client).soon)
            late = announced(store, age_s=300, received=5)
            assert handle(late, None) == {"batchItemFailures": []}
        assert client.pauses == []
        assert "is missing" in letters[0].reason

    def test_other_failures_wait_for_the_queue(self, ingest: Ingest, store: ObjectStore) -> None:
        client = Client()
        store.statuses[PATH] = 503
        with ThreadPoolExecutor(2) as pool:
            handle = sqs.handler(ingest, pool, None, Redelivery(client).soon)
            assert len(handle(announced(store), None)["batchItemFailures"]) == 1
        assert client.pauses == []


def keeping(letters: list[DeadLetter]) -> Any:
    def send(given: list[DeadLetter]) -> list[str]:
        letters.extend(given)
        return [letter.id for letter in given]

    return send


class TestRedelivery:
    def test_a_queue_that_cannot_be_reached_shows_it_in_its_own_time(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Away(Client):
            def get_queue_url(self, **_: str) -> dict[str, str]:
                raise EndpointConnectionError(endpoint_url="https://sqs.example.com")

        Redelivery(Away()).soon(sqs_event("{}")["Records"][0])
        assert "message not shown again soon" in caplog.text

    @pytest.mark.emulator
    def test_a_queue_shows_the_message_again(
        self, dynamodb_endpoint: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if dynamodb_endpoint is None:
            pytest.skip("makes a queue, and no emulator is used")
        monkeypatch.setattr(redelivery, "_FIRST_S", 0)
        client = boto3.Session().client(
            "sqs",
            region_name=REGION,
            endpoint_url=dynamodb_endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        url = client.create_queue(QueueName=f"events-{uuid4()}")["QueueUrl"]
        names = ["QueueArn"]
        arn = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        client.send_message(QueueUrl=url, MessageBody="{}")
        (message,) = client.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]
        assert "Messages" not in client.receive_message(QueueUrl=url)
        record = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "eventSourceARN": arn["QueueArn"],
        }
        Redelivery(client).soon(record)
        assert len(client.receive_message(QueueUrl=url)["Messages"]) == 1
        client.delete_queue(QueueUrl=url)
        client.close()
