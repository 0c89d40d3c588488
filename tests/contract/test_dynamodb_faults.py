"""What the DynamoDB adapter makes of throttles, conflicts, lost answers and refusals."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
)

from conftest import REAL_TABLE, REGION, dummy_credentials
from livemosaic.errors import (
    ConditionFailedError,
    InvalidRequestError,
    TableBusyError,
    TableUnavailableError,
)
from livemosaic.table import ABSENT, Delete, Equals, Key, Page, Put
from livemosaic.table.dynamodb import DynamoTable, create_table, make_client
from livemosaic.table.retry import Backoff

pytestmark = pytest.mark.emulator

KEY, OTHER = Key("p", "s"), Key("p", "other")
PAIR = [Put(KEY, {"a": 1}), Put(OTHER, {"a": 1})]

Fault = Callable[[Any], AWSResponse | None]


@dataclass
class Line:
    """The line to the server: each request meets the next fault, or goes through."""

    client: Any
    faults: Iterator[Fault | None] = field(default_factory=lambda: iter(()))
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client.meta.events.register("before-send.dynamodb", self.send)

    def meets(self, *faults: Fault | None) -> None:
        self.faults = iter(faults)

    def always_meets(self, fault: Fault) -> None:
        self.faults = itertools.repeat(fault)

    def send(self, request: Any, **_: Any) -> AWSResponse | None:
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        self.requests.append((operation, json.loads(request.body)))
        fault = next(self.faults, None)
        return fault(request) if fault else None

    def lose_answer(self, request: Any) -> None:
        """The server does as it was told, but its answer does not come back."""
        assert self.client._endpoint.http_session.send(request).status_code == 200
        raise ConnectionClosedError(endpoint_url=request.url)

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.requests]


@dataclass(frozen=True)
class Body:
    content: bytes

    def stream(self) -> Iterable[bytes]:
        yield self.content


def answer(status: int, body: dict[str, Any]) -> Fault:
    content = Body(json.dumps(body).encode())
    return lambda request: AWSResponse(request.url, status, {}, content)


def refuse(code: str, status: int = 400, **body: Any) -> Fault:
    return answer(status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **body})


def cancel(*reasons: str) -> Fault:
    return refuse(
        "TransactionCanceledException", CancellationReasons=[{"Code": code} for code in reasons]
    )


def fail(kind: type[Exception], **evidence: str) -> Fault:
    def fault(request: Any) -> None:
        raise kind(endpoint_url=request.url, **evidence)

    return fault


@dataclass
class Clock:
    """Time that passes only by sleeping."""

    now: float = 0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, pause: float) -> None:
        self.pauses.append(pause)
        self.now += pause

    def backoff(self) -> Backoff:
        return Backoff(sleep=self.sleep, clock=lambda: self.now)


PASSING = {
    "throttled": refuse("ThrottlingException"),
    "partition throttled": refuse("ProvisionedThroughputExceededException"),
    "account throttled": refuse("RequestLimitExceeded"),
    "in conflict": refuse("TransactionConflictException"),
    "internal error": refuse("InternalServerError", 500),
    "unavailable": answer(503, {}),
    "no connection": fail(ConnectTimeoutError),
    "no answer": fail(ReadTimeoutError),
    "half an answer": fail(HTTPClientError, error="IncompleteRead"),
}
PASSING_TRANSACTIONS = PASSING | {
    "conflict": cancel("None", "TransactionConflict"),
    "throttled action": cancel("ThrottlingError", "None"),
    "throttled partition": cancel("ProvisionedThroughputExceeded", "TransactionConflict"),
    "in progress": refuse("TransactionInProgressException"),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(dynamodb_endpoint: str | None) -> Iterator[Line]:
    """With a client that retries nothing itself, so that each fault meets the adapter."""
    with pytest.MonkeyPatch.context() as patch:
        if dynamodb_endpoint:
            dummy_credentials(patch)
        client = boto3.Session(region_name=REGION).client(
            "dynamodb",
            endpoint_url=dynamodb_endpoint,
            config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
        )
    yield Line(client)
    client.close()


@pytest.fixture
def faulty(line: Line, dynamo_table_name: str, clock: Clock) -> Iterator[DynamoTable]:
    """A table at the other end of the line."""
    table = DynamoTable(line.client, dynamo_table_name, backoff=clock.backoff())
    yield table
    line.meets()
    if REAL_TABLE:
        table.transact([Delete(KEY), Delete(OTHER)])


def each(faults: dict[str, Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults.values(), ids=faults.keys())


class TestPassingFaults:
    @each(PASSING_TRANSACTIONS)
    def test_a_transaction_outlasts_it(
        self, line: Line, faulty: DynamoTable, clock: Clock, fault: Fault
    ) -> None:
        line.meets(fault, fault)
        faulty.transact(PAIR)
        assert line.operations == ["TransactWriteItems"] * 3
        assert len(clock.pauses) == 2
        assert faulty.get(KEY) == {"a": 1}

    @each(PASSING)
    def test_a_lone_write_outlasts_it(
        self, line: Line, faulty: DynamoTable, clock: Clock, fault: Fault
    ) -> None:
        line.meets(fault)
        faulty.transact([Put(KEY, {"a": 1})])
        assert len(clock.pauses) == 1
        assert faulty.get(KEY) == {"a": 1}

    @each(PASSING)
    def test_reads_outlast_it(
        self, line: Line, faulty: DynamoTable, clock: Clock, fault: Fault
    ) -> None:
        line.meets(fault, None, fault, None, fault, None)
        assert faulty.get(KEY) is None
        assert faulty.batch_get([KEY]) == {}
        assert faulty.query("p") == Page([], None)
        assert len(clock.pauses) == 3

    @each(PASSING_TRANSACTIONS)
    def test_a_table_where_it_never_passes_is_busy(
        self, line: Line, faulty: DynamoTable, fault: Fault
    ) -> None:
        line.always_meets(fault)
        with pytest.raises(TableBusyError, match="busy for 10 s") as caught:
            faulty.transact(PAIR)
        assert caught.value.__cause__ is not None
        line.meets()
        assert faulty.get(KEY) is None

    def test_pauses_are_random_and_grow_to_a_bound_and_end_at_the_deadline(
        self, line: Line, faulty: DynamoTable, clock: Clock
    ) -> None:
        line.always_meets(refuse("ThrottlingException"))
        with pytest.raises(TableBusyError):
            faulty.get(KEY)
        bounds = [min(0.02 * 2**i, 1) for i in range(len(clock.pauses))]
        assert all(0 <= pause <= bound for pause, bound in zip(clock.pauses, bounds, strict=True))
        assert len({p / bound for p, bound in zip(clock.pauses, bounds, strict=True)}) > 5
        assert sum(clock.pauses) == pytest.approx(10)
        assert len(line.requests) == len(clock.pauses) + 1

    def test_a_failed_condition_is_not_tried_again_even_beside_a_conflict(
        self, line: Line, faulty: DynamoTable, clock: Clock
    ) -> None:
        line.meets(cancel("TransactionConflict", "ConditionalCheckFailed"))
        with pytest.raises(ConditionFailedError, match="'other' is not as expected"):
            faulty.transact(PAIR)
        assert clock.pauses == []


class TestLostAnswers:
    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize(
        ("before", "actions", "after"),
        [
            (None, [Put(KEY, {"v": 1}, ABSENT)], {"v": 1}),
            ({"v": 1}, [Put(KEY, {"v": 2}, Equals("v", 1))], {"v": 2}),
            ({"v": 1}, [Delete(KEY, Equals("v", 1))], None),
            ({"v": 1}, [Put(OTHER, {}, ABSENT), Delete(KEY, Equals("v", 1))], None),
            (None, [Put(KEY, {"v": 1})], {"v": 1}),
            ({"v": 1}, [Delete(KEY)], None),
        ],
        ids=["put absent", "put equals", "delete", "two actions", "put", "delete blindly"],
    )
    def test_a_write_whose_answer_is_lost_does_not_fail_on_itself(
        self, line: Line, faulty: DynamoTable, times: int, before: Any, actions: Any, after: Any
    ) -> None:
        if before:
            faulty.transact([Put(KEY, before)])
        line.requests.clear()
        line.meets(*[line.lose_answer] * times)
        faulty.transact(actions)
        assert len(line.requests) == times + 1
        assert faulty.get(KEY) == after

    def test_a_write_that_another_overwrote_meanwhile_is_not_done_again(
        self, line: Line, faulty: DynamoTable, dynamo_client: Any, dynamo_table_name: str
    ) -> None:
        def lose_answer_while_another_writes(request: Any) -> None:
            other = DynamoTable(dynamo_client, dynamo_table_name)
            try:
                line.lose_answer(request)
            finally:
                other.transact([Put(KEY, {"v": "newer"}, Equals("v", "ours"))])

        line.meets(lose_answer_while_another_writes)
        faulty.transact([Put(KEY, {"v": "ours"}, ABSENT)])
        assert faulty.get(KEY) == {"v": "newer"}

    def test_attempts_share_a_token_and_transactions_do_not(
        self, line: Line, faulty: DynamoTable
    ) -> None:
        line.meets(line.lose_answer, cancel("TransactionConflict", "None"))
        faulty.transact(PAIR)
        faulty.transact(PAIR)
        tokens = [body["ClientRequestToken"] for _, body in line.requests]
        assert tokens[0] == tokens[1] == tokens[2] != tokens[3]

    def test_only_a_lone_write_without_expectation_goes_at_half_the_price(
        self, line: Line, faulty: DynamoTable
    ) -> None:
        faulty.transact([Put(KEY, {"v": 1})])
        faulty.transact([Delete(KEY)])
        faulty.transact([Put(KEY, {"v": 1}, ABSENT)])
        faulty.transact([Delete(KEY, Equals("v", 1))])
        expected = ["PutItem", "DeleteItem", "TransactWriteItems", "TransactWriteItems"]
        assert line.operations == expected


class TestShortAnswers:
    def test_keys_left_unread_are_asked_for_again(
        self, line: Line, faulty: DynamoTable, clock: Clock, dynamo_table_name: str
    ) -> None:
        faulty.transact(PAIR)
        keys = [{"pk": {"S": key.pk}, "sk": {"S": key.sk}} for key in (KEY, OTHER)]
        left = {"UnprocessedKeys": {dynamo_table_name: {"Keys": keys[1:]}}}
        first = {dynamo_table_name: [keys[0] | {"a": {"N": "1"}}]}
        line.meets(
            refuse("ThrottlingException"),
            answer(200, {"Responses": {}, **left}),
            answer(200, {"Responses": first, **left}),
        )
        assert faulty.batch_get([KEY, OTHER]) == {KEY: {"a": 1}, OTHER: {"a": 1}}
        asked = [body["RequestItems"][dynamo_table_name]["Keys"] for _, body in line.requests[1:]]
        assert asked == [keys, keys, keys[1:], keys[1:]]
        assert len(clock.pauses) == 3

    def test_keys_left_unread_for_ever_are_a_busy_table(
        self, line: Line, faulty: DynamoTable, dynamo_table_name: str
    ) -> None:
        left = {dynamo_table_name: {"Keys": [{"pk": {"S": "p"}, "sk": {"S": "s"}}]}}
        line.always_meets(answer(200, {"Responses": {}, "UnprocessedKeys": left}))
        with pytest.raises(TableBusyError, match="left keys of a batch unread"):
            faulty.batch_get([KEY])

    def test_rows_left_unremoved_are_removed_by_another_request(
        self, line: Line, faulty: DynamoTable, dynamo_table_name: str
    ) -> None:
        faulty.transact(PAIR)
        keys = [{"pk": {"S": key.pk}, "sk": {"S": key.sk}} for key in (KEY, OTHER)]
        asked = [{"DeleteRequest": {"Key": key}} for key in keys]
        left = {"UnprocessedItems": {dynamo_table_name: asked[1:]}}
        line.meets(refuse("ThrottlingException"), answer(200, left))
        faulty.remove([KEY, OTHER])
        sent = [body["RequestItems"][dynamo_table_name] for _, body in line.requests[1:]]
        assert sent == [asked, asked, asked[1:]]

    def test_rows_left_unremoved_for_ever_are_a_busy_table(
        self, line: Line, faulty: DynamoTable, dynamo_table_name: str
    ) -> None:
        request = {"DeleteRequest": {"Key": {"pk": {"S": KEY.pk}, "sk": {"S": KEY.sk}}}}
        line.always_meets(answer(200, {"UnprocessedItems": {dynamo_table_name: [request]}}))
        with pytest.raises(TableBusyError, match="left rows of a batch there"):
            faulty.remove([KEY])

    def test_an_empty_page_may_have_more_behind_it(self, line: Line, faulty: DynamoTable) -> None:
        faulty.transact(PAIR)
        last = {"pk": {"S": "p"}, "sk": {"S": "other"}}
        line.meets(answer(200, {"Items": [], "Count": 0, "LastEvaluatedKey": last}))
        assert faulty.query("p", consistent=True) == Page([], "other")
        page = faulty.query("p", after="other", consistent=True)
        assert [row.key.sk for row in page.rows] == ["s"]

    def test_numbers_are_read_in_every_notation(self, line: Line, faulty: DynamoTable) -> None:
        values = {"a": {"N": "1E-7"}, "b": {"N": "-0.00005"}, "c": {"N": "1" + "0" * 22}}
        line.meets(answer(200, {"Item": {"pk": {"S": "p"}, "sk": {"S": "s"}, **values}}))
        assert faulty.get(KEY) == {"a": 1e-7, "b": -5e-5, "c": 1e22}


class TestRefusals:
    SECRET = "arn:aws:iam::123456789012:role/secret"

    @pytest.mark.parametrize(
        ("code", "error", "text"),
        [
            ("AccessDeniedException", TableUnavailableError, "AWS denies access .* grant it"),
            ("ExpiredTokenException", TableUnavailableError, "credentials have expired"),
            ("UnrecognizedClientException", TableUnavailableError, "credentials are of no use"),
            ("KMSAccessDeniedException", TableUnavailableError, "KMSAccessDeniedException"),
        ],
    )
    def test_a_refusal_is_not_tried_again_and_leaks_nothing(
        self,
        line: Line,
        faulty: DynamoTable,
        clock: Clock,
        dynamo_table_name: str,
        code: str,
        error: type[Exception],
        text: str,
    ) -> None:
        line.meets(refuse(code, message=f"User: {self.SECRET} with key AKIA is not authorized"))
        with pytest.raises(error, match=text) as caught:
            faulty.get(KEY)
        assert clock.pauses == []
        assert dynamo_table_name in str(caught.value)
        assert "AKIA" not in str(caught.value)
        assert self.SECRET not in str(caught.value)

    def test_a_request_that_dynamodb_finds_invalid_is_said_in_its_words(
        self, line: Line, faulty: DynamoTable
    ) -> None:
        line.meets(refuse("ValidationException", message="The key does not match the schema"))
        with pytest.raises(InvalidRequestError, match="refuses: The key does not match"):
            faulty.get(KEY)

    def test_missing_credentials_are_named(
        self, monkeypatch: pytest.MonkeyPatch, dynamodb_endpoint: str | None
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, "none")
        table = DynamoTable(make_client("eu-central-1", dynamodb_endpoint), "mosaics")
        with pytest.raises(TableUnavailableError, match=r"'mosaics' .*\(NoCredentialsError\)"):
            table.get(KEY)
        table.close()

    def test_a_table_cannot_be_made_where_aws_denies_it(self, line: Line) -> None:
        line.meets(refuse("AccessDeniedException", message=self.SECRET))
        with pytest.raises(TableUnavailableError, match="denies access to the table 'new'"):
            create_table(line.client, "new")

    @pytest.mark.skipif(bool(REAL_TABLE), reason="makes a table, which is left to an emulator")
    def test_a_table_that_another_makes_at_the_same_time_is_taken(self, line: Line) -> None:
        create_table(line.client, "shared")
        ttl = {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
        enabled = refuse("ValidationException", message="TimeToLive is already enabled")
        line.meets(None, None, answer(200, ttl), enabled)
        create_table(line.client, "shared")


def test_the_client_of_the_handlers_outlasts_a_fault_too(
    dynamodb_endpoint: str | None, dynamo_table_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own retry and the adapter's are nested, and a transaction is still done once."""
    if dynamodb_endpoint:
        dummy_credentials(monkeypatch)
    line = Line(make_client(REGION, dynamodb_endpoint))
    table = DynamoTable(line.client, dynamo_table_name, backoff=Clock().backoff())
    line.meets(*[line.lose_answer] * 3)
    table.transact([Put(KEY, {"v": 1}, ABSENT)])
    assert len({body["ClientRequestToken"] for _, body in line.requests}) == 1
    assert len(line.requests) == 4
    table.transact([Delete(KEY)])
    table.close()
