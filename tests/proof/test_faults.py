"""The ingestion function beside twenty others, on a line to DynamoDB that fails at times.

What failed comes again, as from SQS. In the end nothing is lost and nothing is there twice.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from conftest import REGION, dummy_credentials
from contract.test_dynamodb_faults import PASSING_TRANSACTIONS, Fault, Line, answer
from items import box, deletion, item, notification, sqs_event
from livemosaic.errors import SourceUnavailableError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest import sqs
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.dead_letters import DeadLetter
from livemosaic.ingest.sqs import Handler
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.fetch import FetchError, MissingError
from livemosaic.table import Table
from livemosaic.table.dynamodb import DynamoTable
from livemosaic.table.retry import Backoff
from livemosaic.tiler.views import area_of
from proof.scenes import ALLOW

WORKERS = 20
SCENES = 12
BATCH = 4


def losing(line: Line) -> Fault:
    """The server does as it was told, whatever that led to, and nobody hears of it."""

    def lose(request: Any) -> None:
        line.client._endpoint.http_session.send(request)
        raise ConnectionClosedError(endpoint_url=request.url)

    return lose


def cutting(line: Line) -> Fault:
    """Pages end after their first row, and batches leave all keys but one unread."""

    def cut(request: Any) -> AWSResponse | None:
        response = line.client._endpoint.http_session.send(request)
        body = json.loads(response.content)
        if len(body.get("Items", ())) > 1:
            first = body["Items"][0]
            body |= {"Items": [first], "Count": 1, "LastEvaluatedKey": _key(first)}
        for table, rows in body.get("Responses", {}).items():
            left = {"Keys": [_key(row) for row in rows[1:]]}
            body["Responses"][table] = rows[:1]
            body |= {"UnprocessedKeys": {table: left}} if left["Keys"] else {}
        return answer(response.status_code, body)(request)

    return cut


def _key(row: dict[str, Any]) -> dict[str, Any]:
    return {"pk": row["pk"], "sk": row["sk"]}


@pytest.fixture
def line(dynamodb_endpoint: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    if dynamodb_endpoint:
        dummy_credentials(monkeypatch)
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=2 * WORKERS
    )
    client = boto3.Session(region_name=REGION).client(
        "dynamodb", endpoint_url=dynamodb_endpoint, config=config
    )
    yield Line(client)
    client.close()


def working(table: Table, pool: ThreadPoolExecutor, **parts: Any) -> Handler:
    ingest = Ingest(Index(table, Mosaics(table), pool), ALLOW, fetch=parts.pop("fetch", None))
    return sqs.handler(ingest, pool, **parts)


def events() -> list[str]:
    """Of each scene a creation, a move, and of every third a deletion; each twice, shuffled."""
    bodies = []
    for n in range(SCENES):
        made = {"href": f"https://example.com/{n}.tif"}
        first = item(f"s{n}", box(7, 45, 8, 46), **made)
        bodies.append(notification(first, "2026-02-01T00:00:00Z"))
        moved = box(7.2, 45, 8.5, 46)
        day = f"2026-01-{n + 1:02}T00:00:00Z"
        later = item(f"s{n}", moved, datetime=day, **made)
        bodies.append(notification(later, "2026-02-02T00:00:00Z"))
        if n % 3 == 0:
            bodies.append(deletion(f"s{n}", time="2026-02-03T00:00:00Z"))
    shuffled = [json.dumps(body) for body in bodies] * 2
    random.Random(7).shuffle(shuffled)
    return shuffled


def deliver(handle: Handler, bodies: Sequence[str]) -> None:
    """Deliver them until none fails, by many workers at once."""
    left = dict(enumerate(bodies))
    for rounds in itertools.count(1):
        batches = [list(left)[n : n + BATCH] for n in range(0, len(left), BATCH)]
        with ThreadPoolExecutor(WORKERS) as workers:
            failed = list(workers.map(partial(_invoke, handle, bodies=left), batches))
        left = {n: left[n] for again in failed for n in again}
        if not left:
            return
        assert rounds < 100, f"{len(left)} messages never succeed"


def _invoke(handle: Handler, batch: Sequence[int], bodies: dict[int, str]) -> list[int]:
    event = sqs_event(*(bodies[n] for n in batch))
    for record, n in zip(event["Records"], batch, strict=True):
        record["messageId"] = str(n)
    failures = handle(event, None)["batchItemFailures"]
    return [int(failure["itemIdentifier"]) for failure in failures]


@pytest.mark.emulator
def test_nothing_is_lost_or_doubled_by_twenty_workers_on_a_bad_line(
    line: Line, dynamo_table_name: str
) -> None:
    backoff = Backoff(deadline_s=0.1, first_s=0.001, longest_s=0.01)  # soon busy, so it comes again
    table = DynamoTable(line.client, dynamo_table_name, backoff=backoff)
    mosaic = Mosaics(table).create(Mosaic(id="m"))
    faults = [*PASSING_TRANSACTIONS.values(), *[losing(line)] * 8, *[cutting(line)] * 8]
    sequence = [*faults, *[None] * 2 * len(faults)]
    random.Random(3).shuffle(sequence)
    line.faults = itertools.cycle(sequence)
    with ThreadPoolExecutor(WORKERS) as pool:
        deliver(working(table, pool), events())
        assert len(line.requests) > len(sequence)  # so each fault was met
        line.faults = itertools.cycle([cutting(line)])
        patient = DynamoTable(line.client, dynamo_table_name)
        index = Index(patient, Mosaics(patient), pool)
        mosaic = Mosaics(patient).get("m")
        found = list(index.find(mosaic, area_of(mosaic, (7.4, 45.4, 7.5, 45.5))))
        listed, _ = index.list_scenes(mosaic, limit=100)
        there = [f"s{n}" for n in reversed(range(SCENES)) if n % 3]
        assert [f.id for f in found] == there  # the latest day on top
        assert sorted(scene.id for scene in listed) == sorted(there)
        assert {scene.version[:10] for scene in listed} == {"2026-02-02"}
        batched = index.scenes(mosaic, [scene.key for scene in listed])
        assert sorted(scene.id for scene in batched) == sorted(there)


ITEM = json.dumps(item("a")).encode()
REFERENCE = json.dumps({"href": "https://example.com/items/a.json"})


class TestFetchFaults:
    @pytest.mark.parametrize(
        ("fails", "says"),
        [
            (MissingError("there is nothing"), "there is nothing"),
            (FetchError("is forbidden (403)"), "forbidden"),
            (b'{"type": "Feat', "not JSON"),
            (b"\xff\xfe\x00", "not JSON"),
            (b'{"type": "FeatureCollection", "features": []}', "FeatureCollection"),
        ],
        ids=["404", "403", "corrupt", "not text", "no item"],
    )
    def test_what_can_never_be_had_is_put_aside_with_the_reason(
        self, sqlite_table: Table, fails: Exception | bytes, says: str
    ) -> None:
        letters: list[DeadLetter] = []

        def send_to_dead_letters(given: Sequence[DeadLetter]) -> list[str]:
            letters.extend(given)
            return [letter.record["messageId"] for letter in given]

        assert self.send(sqlite_table, [fails], send_to_dead_letters) == 0
        assert says in letters[0].reason
        assert scenes(sqlite_table) == []

    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize("what", ["answered after 30 s", "cut", "503"])
    def test_what_may_be_had_later_comes_again(
        self, sqlite_table: Table, what: str, times: int
    ) -> None:
        fails = [SourceUnavailableError(what)] * times
        assert self.send(sqlite_table, [*fails, ITEM]) == times
        assert scenes(sqlite_table) == ["a"]

    def test_an_object_that_is_gone_when_its_event_comes_is_no_scene(
        self, sqlite_table: Table
    ) -> None:
        thing = {"key": "a.json", "sequencer": "0055AED6DCD90281E5"}
        record = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "eventTime": "2026-03-01T12:00:00.000Z",
            "s3": {"bucket": {"name": "items"}, "object": thing},
        }
        body = json.dumps({"Records": [record]})
        assert self.send(sqlite_table, [ITEM], body=body) == 0
        assert scenes(sqlite_table) == ["a"]
        assert self.send(sqlite_table, [MissingError("gone")], body=body) == 0
        assert scenes(sqlite_table) == []

    def send(
        self,
        table: Table,
        answers: Sequence[Exception | bytes],
        send_to_dead_letters: Callable[..., Any] | None = None,
        body: str = REFERENCE,
    ) -> int:
        """Deliver until it succeeds, with one answer to each fetch; how often it failed."""
        if not Mosaics(table).all():
            Mosaics(table).create(Mosaic(id="m"))
        left = iter(answers)

        def fetch(_href: str) -> bytes:
            said = next(left)
            if isinstance(said, Exception):
                raise said
            return said

        with ThreadPoolExecutor(2) as pool:
            handle = working(table, pool, fetch=fetch, send_to_dead_letters=send_to_dead_letters)
            return sum(1 for _ in iter(lambda: _invoke(handle, [0], {0: body}), []))


def scenes(table: Table) -> list[str]:
    with ThreadPoolExecutor(1) as pool:
        index = Index(table, Mosaics(table), pool)
        listed, _ = index.list_scenes(index.mosaics.get("m"), limit=10)
    return [scene.id for scene in listed]
