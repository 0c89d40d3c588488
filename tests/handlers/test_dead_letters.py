"""What can never succeed is put aside at once, whole, with the reason."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.stub import Stubber

from conftest import REGION
from handlers.runtime import Function, function
from items import NOW, box, item, sqs_event
from livemosaic.errors import TableBusyError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest import sqs
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.dead_letters import MAX_BYTES, DeadLetter, DeadLetterQueue
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.table.sqlite import SqliteTable

BAD = json.dumps(item("bad", box(0, 88, 1, 91)))
SENT_MS = int(NOW.timestamp() * 1000)
pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def client(dynamodb_endpoint: str | None) -> Iterator[Any]:
    if dynamodb_endpoint is None:
        pytest.skip("makes queues, and no emulator is used")
    client = boto3.Session().client(
        "sqs",
        region_name=REGION,
        endpoint_url=dynamodb_endpoint,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    yield client
    client.close()


@pytest.fixture
def queue(client: Any) -> Iterator[str]:
    url = client.create_queue(
        QueueName=f"dead-{uuid4()}", Attributes={"MaximumMessageSize": str(MAX_BYTES)}
    )["QueueUrl"]
    yield url
    with suppress(client.exceptions.QueueDoesNotExist):
        client.delete_queue(QueueUrl=url)


def received(client: Any, queue: str) -> list[dict[str, Any]]:
    """All messages of a queue, with each attribute's text or bytes."""
    found: list[dict[str, Any]] = []
    while True:
        answer = client.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        if "Messages" not in answer:
            return found
        for one in answer["Messages"]:
            attributes = {
                name: value.get("StringValue", value.get("BinaryValue"))
                for name, value in one.get("MessageAttributes", {}).items()
            }
            found.append({"body": one["Body"], "attributes": attributes})


def letter(
    body: str = "{}", reason: str = "bad", attributes: Mapping[str, Any] | None = None
) -> DeadLetter:
    (record,) = sqs_event(body)["Records"]
    return DeadLetter(record | {"messageAttributes": dict(attributes or {})}, reason)


def text(value: str) -> dict[str, Any]:
    """A message attribute as Lambda hands it over."""
    return {"stringValue": value, "stringListValues": [], "binaryListValues": [],
            "dataType": "String"}  # fmt: skip


class TestFunction:
    """The deployed function, with the queue of its environment."""

    @pytest.fixture
    def ingest(self, tmp_path: Path, queue: str, dynamodb_endpoint: str) -> Iterator[Function]:
        index = tmp_path / "index.db"
        table = SqliteTable(index)
        Mosaics(table).create(Mosaic(id="m"))
        table.close()
        environment = {
            "LIVEMOSAIC_INDEX": f"sqlite:///{index}",
            "LIVEMOSAIC_DEAD_LETTERS": queue,
            "AWS_ENDPOINT_URL": dynamodb_endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        with function("ingest.handler", tmp_path, **environment) as made:
            yield made

    def test_a_message_that_can_never_succeed_is_done_with(
        self, ingest: Function, client: Any, queue: str
    ) -> None:
        event = sqs_event(
            json.dumps(item("a")), BAD, "rubbish", attributes=[{}, {"status": "created"}, {}]
        )
        assert ingest.invoke(event) == {"batchItemFailures": []}
        by_body = {one["body"]: one["attributes"] for one in received(client, queue)}
        assert set(by_body) == {BAD, "rubbish"}
        assert by_body[BAD]["status"] == "created"
        assert "latitude 91" in by_body[BAD]["livemosaic.reason"]
        assert by_body[BAD]["livemosaic.sent"] == str(SENT_MS)
        assert by_body["rubbish"]["livemosaic.reason"].startswith("not JSON")

    def test_where_the_queue_does_not_take_it_it_has_failed(
        self, ingest: Function, client: Any, queue: str
    ) -> None:
        client.delete_queue(QueueUrl=queue)
        event = sqs_event(BAD, json.dumps(item("a")))
        answer = ingest.invoke(event)
        assert answer == {
            "batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]
        }


class TestLetters:
    def test_one_is_as_it_was_sent_and_why(self, client: Any, queue: str) -> None:
        blob = {"binaryValue": base64.b64encode(b"\x00\xff").decode(), "dataType": "Binary"}
        given = {"status": text("created"), "blob": blob, "n": text("1") | {"dataType": "Number"}}
        one = letter("Ünïcode {}", f"lone \ud800, \0 and {'long' * 1000}", given)
        assert DeadLetterQueue(client, queue).send([one]) == {one.id}
        (found,) = received(client, queue)
        attributes = found["attributes"]
        assert found["body"] == "Ünïcode {}"
        assert (attributes["status"], attributes["blob"], attributes["n"]) == (
            "created",
            b"\x00\xff",
            "1",
        )
        assert attributes["livemosaic.reason"].startswith("lone \ufffd, \ufffd and longlong")
        assert len(attributes["livemosaic.reason"]) == 1000

    def test_one_that_comes_back_to_it_keeps_the_time_it_was_first_sent(
        self, client: Any, queue: str
    ) -> None:
        given = {"livemosaic.sent": text("1234567"), "livemosaic.reason": text("that time")}
        DeadLetterQueue(client, queue).send([letter(reason="this time", attributes=given)])
        (found,) = received(client, queue)
        assert found["attributes"] == {
            "livemosaic.reason": "this time",
            "livemosaic.sent": "1234567",
        }

    @pytest.mark.parametrize("size", [2, MAX_BYTES - 300, MAX_BYTES], ids=["2 B", "close", "1 MiB"])
    @pytest.mark.parametrize("count", [0, 8, 9, 10], ids=lambda count: f"{count} attributes")
    def test_where_there_is_no_room_for_the_reason_the_message_is_whole(
        self, client: Any, queue: str, size: int, count: int
    ) -> None:
        given = {f"name{n}": text("v") for n in range(count)}
        taken = sum(len(name) + len("String") + 1 for name in given)
        one = letter("x" * max(2, size - taken), "y" * 900, given)
        assert DeadLetterQueue(client, queue).send([one]) == {one.id}
        (found,) = received(client, queue)
        assert found["body"] == one.record["body"]
        assert given.keys() <= found["attributes"].keys()
        assert ("livemosaic.reason" in found["attributes"]) == (size == 2 and count <= 8)

    def test_many_go_in_requests_that_sqs_takes(self, client: Any, queue: str) -> None:
        sizes = [10] * 25 + [600_000] * 3
        letters = [
            DeadLetter(record | {"messageId": f"id-{n}"}, "bad")
            for n, size in enumerate(sizes)
            for record in sqs_event("x" * size)["Records"]
        ]
        assert DeadLetterQueue(client, queue).send(letters) == {f"id-{n}" for n in range(28)}
        assert sorted(len(one["body"]) for one in received(client, queue)) == sizes

    def test_only_those_that_are_in_the_queue_are_buried(self) -> None:
        """A request may succeed for some of its messages (SQS API Reference, SendMessageBatch)."""
        client = boto3.Session().client(
            "sqs", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
        )
        letters = [DeadLetter(record, "bad") for record in sqs_event("{}", "{}", "{}")["Records"]]
        answer = {
            "Successful": [
                {
                    "Id": n,
                    "MessageId": "new",
                    "MD5OfMessageBody": "99914b932bd37a50b983c5e7c90ae93b",
                }
                for n in ("0", "2")
            ],
            "Failed": [{"Id": "1", "SenderFault": False, "Code": "InternalError"}],
        }
        with Stubber(client) as stub:
            stub.add_response("send_message_batch", answer)
            buried = DeadLetterQueue(client, "https://sqs.invalid/1/q").send(letters)
        client.close()
        assert buried == {letters[0].id, letters[2].id}


class Busy(SqliteTable):
    """A table that takes no scene of the name `busy`."""

    def transact(self, actions: Sequence[Any]) -> None:
        if any(action.key.sk.endswith("#busy") for action in actions):
            raise TableBusyError("throttled")
        super().transact(actions)


class TestWhich:
    """Of a batch, which messages are buried and which come again."""

    @pytest.fixture
    def ingest(self, tmp_path: Path) -> Iterator[Ingest]:
        table = Busy(tmp_path / "index.db")
        with ThreadPoolExecutor(2) as pool:
            mosaics = Mosaics(table)
            mosaics.create(Mosaic(id="m"))
            yield Ingest(Index(table, mosaics, pool), AllowList(("https://",)))
        table.close()

    def test_what_may_succeed_later_comes_again(self, ingest: Ingest) -> None:
        buried: list[DeadLetter] = []

        def send_to_dead_letters(letters: Sequence[DeadLetter]) -> list[str]:
            buried.extend(letters)
            return [one.id for one in letters]

        event = sqs_event(json.dumps(item("busy")), BAD, json.dumps(item("a")))
        with ThreadPoolExecutor(2) as pool:
            answer = sqs.handler(ingest, pool, send_to_dead_letters)(event, None)
        names = [record["messageId"] for record in event["Records"]]
        assert answer == {"batchItemFailures": [{"itemIdentifier": names[0]}]}
        assert [one.id for one in buried] == [names[1]]

    def test_what_time_runs_out_for_comes_again_and_the_rest_is_done(self, ingest: Ingest) -> None:
        event = sqs_event(*(json.dumps(item(f"item-{n}")) for n in range(6)))
        names = [record["messageId"] for record in event["Records"]]
        with ThreadPoolExecutor(1) as pool:
            answer = sqs.handler(ingest, pool)(event, Context(10_000, 8_000, 2_001, 1_999))
        mosaic = ingest.index.mosaics.get("m")
        listed, _ = ingest.index.list_scenes(mosaic, limit=10)
        assert sorted(scene.id for scene in listed) == ["item-0", "item-1"]
        assert answer == {"batchItemFailures": [{"itemIdentifier": name} for name in names[2:]]}

    @pytest.mark.parametrize(
        ("first", "wins"),
        [
            pytest.param(str(SENT_MS - 5000), False, id="before the other"),
            pytest.param(str(SENT_MS + 5000), True, id="after it was sent back"),
            pytest.param("yesterday", True, id="no time"),
            pytest.param("9" * 40, True, id="no time that could be"),
        ],
    )
    def test_one_that_was_sent_back_is_as_old_as_it_was(
        self, ingest: Ingest, first: str, wins: bool
    ) -> None:
        """Its Item has no `updated`, so that time is its version; nobody makes it newer thereby."""
        with ThreadPoolExecutor(1) as pool:
            handle = sqs.handler(ingest, pool)
            handle(sqs_event(json.dumps(item("a", href="https://example.com/new.tif"))), None)
            event = sqs_event(
                json.dumps(item("a", href="https://example.com/sent-back.tif")),
                attributes=[{"livemosaic.sent": first}],
            )
            event["Records"][0]["attributes"]["SentTimestamp"] = str(SENT_MS + 1000)
            assert handle(event, None) == {"batchItemFailures": []}
        scene = ingest.index.scene(ingest.index.mosaics.get("m"), "s2#a")
        assert scene.assets["visual"].endswith("sent-back.tif") == wins
        assert not scene.version.startswith("2026-03-01T12:00:05")


class Context:
    """Of a run, in which so many milliseconds are left each time that somebody asks."""

    def __init__(self, *left: int) -> None:
        self._left = list(left)

    def get_remaining_time_in_millis(self) -> int:
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]
