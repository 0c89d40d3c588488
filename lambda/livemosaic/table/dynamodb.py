"""The table in Amazon DynamoDB. Only this module of the package knows its API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

import livemosaic
from livemosaic.auth.credentials import advice
from livemosaic.errors import (
    ConditionFailedError,
    InvalidRequestError,
    LivemosaicError,
    TableBusyError,
    TableUnavailableError,
)
from livemosaic.table import (
    Delete,
    Equals,
    Expect,
    Item,
    Key,
    Page,
    Put,
    Row,
    check_key,
    check_transaction,
)
from livemosaic.table.attributes import from_item, to_attribute, to_key
from livemosaic.table.retry import Backoff

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_KEYS: Final = 100
"""Keys in one BatchGetItem call."""
BATCH_WRITES: Final = 25
"""Requests in one BatchWriteItem call."""

SCHEMA: Final[dict[str, Any]] = {
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
}
"""The arguments of CreateTable, except the name."""

_READS: Final = ("GetItem", "BatchGetItem", "Query", "Scan")
AWS_ERRORS: Final = (ClientError, BotoCoreError)
_USER_AGENT: Final = f"livemosaic/{livemosaic.__version__} Botocore/{botocore.__version__}"
PASSING_CODES: Final = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
}
PASSING_REASONS: Final = {
    "None",
    "ProvisionedThroughputExceeded",
    "ThrottlingError",
    "TransactionConflict",
}


class DynamoTable:
    """A `Table` in DynamoDB: strings `pk` and `sk` as key, TTL on `expires`.

    `batch_get` and `query` are eventually consistent unless `consistent`, at half the price.
    """

    def __init__(
        self, client: DynamoDBClient, name: str, *, backoff: Backoff | None = None
    ) -> None:
        self._client = client
        self._name = name
        self._backoff = backoff or Backoff()
        for operation in _READS:
            event = f"before-parse.dynamodb.{operation}"
            client.meta.events.register(event, _as_it_came, unique_id=f"livemosaic.{operation}")

    def close(self) -> None:
        """Close the connections of the client."""
        self._client.close()

    def get(self, key: Key) -> Item | None:
        """The row as of now, or None."""
        check_key(key)
        answer = self._call(
            self._client.get_item,
            {"TableName": self._name, "Key": to_key(key), "ConsistentRead": True},
        )
        return from_item(answer["Item"])[1] if "Item" in answer else None

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """The rows that exist; each key is read once, `BATCH_KEYS` in a call."""
        for key in keys:
            check_key(key)
        unique = list(dict.fromkeys(keys))
        chunks = (unique[i : i + BATCH_KEYS] for i in range(0, len(unique), BATCH_KEYS))
        return dict(row for chunk in chunks for row in self._batch([to_key(key) for key in chunk]))

    def _batch(self, pending: list[dict[str, Any]]) -> Iterable[tuple[Key, Item]]:
        # What does not fit into one answer (16 MB) comes back unprocessed too, not only throttles.
        for _ in self._backoff.attempts():
            request = {"RequestItems": {self._name: {"Keys": pending}}}
            answer = self._call(self._client.batch_get_item, request)
            yield from map(from_item, answer["Responses"].get(self._name, ()))
            pending = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
            if not pending:
                return
        raise TableBusyError(f"the table {self._name!r} left keys of a batch unread for too long")

    def query(
        self,
        pk: str,
        *,
        prefix: str = "",
        after: str | None = None,
        limit: int | None = None,
        consistent: bool = False,
    ) -> Page:
        """One page of a range, from one call."""
        check_key(Key(pk, after or prefix or "-"))
        if limit is not None and limit < 1:
            raise ValueError(f"a page holds at least one row, not {limit}")
        if after and not after.startswith(prefix):  # DynamoDB refuses to begin outside the range
            if after > prefix:
                return Page([], None)
            after = None
        request = _range(self._name, pk, prefix, after) | {"ConsistentRead": consistent}
        if limit is not None:
            request["Limit"] = limit
        answer = self._call(self._client.query, request)
        rows = [Row(*from_item(item)) for item in answer["Items"]]
        last = answer.get("LastEvaluatedKey")
        return Page(rows, last["sk"]["S"] if last else None)

    def scan(self, prefix: str) -> Iterator[Row]:
        """All rows of the partitions with a prefix, by reading the whole table, 1 MB a call."""
        request: dict[str, Any] = {
            "TableName": self._name,
            "FilterExpression": "begins_with(pk, :prefix)",
            "ExpressionAttributeValues": {":prefix": {"S": prefix}},
        }
        while True:
            answer = self._call(self._client.scan, request)
            yield from (Row(*from_item(item)) for item in answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        """Do all of it or nothing.

        Every attempt carries the same token, by which DynamoDB knows a transaction that it has
        committed already (for ten minutes, far beyond any deadline here). A single action without
        expectation needs no transaction, at half the price: repeated, it cannot fail on itself.
        """
        check_transaction(actions)
        if not actions:
            return
        if len(actions) == 1 and actions[0].expect is None:
            [(kind, write)] = self._action(actions[0]).items()
            client = self._client
            self._call(client.put_item if kind == "Put" else client.delete_item, write)
            return
        request = {
            "TransactItems": [self._action(action) for action in actions],
            "ClientRequestToken": str(uuid4()),
        }
        self._call(self._client.transact_write_items, request)

    def remove(self, keys: Sequence[Key]) -> None:
        """Remove rows, `BATCH_WRITES` in a call, each for what it would cost alone."""
        for key in keys:
            check_key(key)
        unique = list(dict.fromkeys(keys))
        for start in range(0, len(unique), BATCH_WRITES):
            chunk = unique[start : start + BATCH_WRITES]
            self._remove([{"DeleteRequest": {"Key": to_key(key)}} for key in chunk])

    def _remove(self, pending: list[Any]) -> None:
        for _ in self._backoff.attempts():
            request = {"RequestItems": {self._name: pending}}
            answer = self._call(self._client.batch_write_item, request)
            pending = answer.get("UnprocessedItems", {}).get(self._name, [])
            if not pending:
                return
        raise TableBusyError(f"the table {self._name!r} left rows of a batch there for too long")

    def _action(self, action: Put | Delete) -> dict[str, Any]:
        common = {"TableName": self._name} | _condition(action.expect)
        if isinstance(action, Delete):
            return {"Delete": common | {"Key": to_key(action.key)}}
        item = {name: to_attribute(value) for name, value in action.item.items()}
        return {"Put": common | {"Item": to_key(action.key) | item}}

    def _call(
        self, operation: Callable[..., Mapping[str, Any]], request: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The response to a request, repeated while the table is busy or does not respond."""
        busy: Exception | None = None
        for _ in self._backoff.attempts():
            try:
                return operation(**request)
            except AWS_ERRORS as error:
                if not _passes(error) or _is_nowhere(error, self._client):
                    raise _explain(error, self._client, self._name, request) from error
                busy = error
        raise TableBusyError(
            f"the table {self._name!r} has been busy for {self._backoff.deadline_s:g} s: "
            f"{_code(busy)}"
        ) from busy


def make_client(region: str, endpoint_url: str | None = None) -> DynamoDBClient:
    """A client with short timeouts, as `DynamoTable` itself retries until its deadline.

    Credentials come from where AWS tools look for them.
    """
    config = Config(
        connect_timeout=2,
        read_timeout=5,
        max_pool_connections=50,
        retries={"mode": "standard", "total_max_attempts": 2},
        parameter_validation=False,  # takes as long as the rest of the call; we validate
        user_agent=_USER_AGENT,  # botocore's own is put together anew for each call: a fifth of it
    )
    try:
        session = boto3.Session(region_name=region)  # boto3.client shares one, with credentials
        return session.client("dynamodb", endpoint_url=endpoint_url, config=config)
    except (BotoCoreError, ValueError) as error:
        name = type(error).__name__
        raise TableUnavailableError(
            f"no DynamoDB client for the region {region!r}: {advice(name) or name}"
        ) from error


def _as_it_came(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Parse the JSON of a response instead of botocore, whose parser walks its model of the API for
    each attribute of each row, which takes longer than all further work on the rows."""
    if response_dict["status_code"] != 200:
        return
    with suppress(ValueError):  # no JSON: botocore reports it
        customized_response_dict.update(json.loads(response_dict["body"]))
        response_dict["body"] = b"{}"


def create_table(client: DynamoDBClient, name: str) -> None:
    """Create the table, on demand and with TTL, and wait for it; an existing one is kept."""
    try:
        _create(client, name)
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 2})
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        if ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
            _expire(client, name)
    except AWS_ERRORS as error:
        raise _explain(error, client, name, {}) from error


def _create(client: DynamoDBClient, name: str) -> None:
    try:
        client.create_table(TableName=name, **SCHEMA)
    except ClientError as error:
        if _code(error) != "ResourceInUseException":
            raise


def _expire(client: DynamoDBClient, name: str) -> None:
    try:
        client.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
        )
    except ClientError as error:
        if "already enabled" not in str(error):  # by another process
            raise


def _range(name: str, pk: str, prefix: str, after: str | None) -> dict[str, Any]:
    """The arguments of Query for a range of keys."""
    values = {":pk": {"S": pk}}
    request = {"TableName": name, "KeyConditionExpression": "pk = :pk"}
    if prefix:  # DynamoDB rejects an empty one
        request["KeyConditionExpression"] += " AND begins_with(sk, :prefix)"
        values[":prefix"] = {"S": prefix}
    start = {"ExclusiveStartKey": to_key(Key(pk, after))} if after else {}
    return {**request, **start, "ExpressionAttributeValues": values}


def _condition(expect: Expect) -> dict[str, Any]:
    if expect is None:
        return {}
    if isinstance(expect, Equals):
        return {
            "ConditionExpression": "#attribute = :value",
            "ExpressionAttributeNames": {"#attribute": expect.attribute},
            "ExpressionAttributeValues": {":value": to_attribute(expect.value)},
        }
    return {"ConditionExpression": "attribute_not_exists(pk)"}


def _code(error: Exception | None) -> str:
    """DynamoDB's name for the error, or botocore's."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "unknown"))
    return type(error).__name__


def _reasons(error: ClientError) -> list[str]:
    """The reason code of each action of a cancelled transaction, in order."""
    return [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", ())]


def _passes(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    if not isinstance(error, ClientError):
        return isinstance(error, HTTPClientError | NoConnectionError)
    if _code(error) == "TransactionCanceledException":
        return PASSING_REASONS.issuperset(_reasons(error))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _code(error) in PASSING_CODES or status >= 500


def _is_nowhere(error: Exception, client: DynamoDBClient) -> bool:
    """Whether the region is probably misspelt; one newer than boto3 would respond."""
    if not isinstance(error, EndpointConnectionError):
        return False
    session, region = boto3.Session(), client.meta.region_name
    partitions = session.get_available_partitions()
    return not any(region in session.get_available_regions("dynamodb", p) for p in partitions)


def _explain(
    error: Exception, client: DynamoDBClient, name: str, request: Mapping[str, Any]
) -> LivemosaicError:
    """The error of ours for one of AWS, whose text may name roles and accounts."""
    code, region = _code(error), client.meta.region_name
    if isinstance(error, ClientError) and "ConditionalCheckFailed" in _reasons(error):
        return _condition_failed(error, request)
    if _is_nowhere(error, client):
        return TableUnavailableError(
            f"no DynamoDB answers in {region!r}, which is no region of AWS that this boto3 knows"
        )
    if _passes(error):
        return TableBusyError(f"the table {name!r} is busy: {code}")
    if code == "ResourceNotFoundException":
        return TableUnavailableError(
            f"no DynamoDB table {name!r} in {region}: deploy the stack, or make it with "
            f"`livemosaic --index dynamodb://{region}/{name} mosaics create --create-table …`"
        )
    if code == "AccessDeniedException":
        return TableUnavailableError(
            f"AWS denies access to the table {name!r} in {region}: grant it to this role"
        )
    if (what_to_do := advice(code)) is not None:
        return TableUnavailableError(
            f"AWS takes no request for the table {name!r} in {region} ({code}): {what_to_do}"
        )
    if isinstance(error, ClientError) and code == "ValidationException":
        return InvalidRequestError(f"DynamoDB refuses: {error.response['Error'].get('Message')}")
    return TableUnavailableError(f"DynamoDB refuses to serve the table {name!r}: {code}")


def _condition_failed(error: ClientError, request: Mapping[str, Any]) -> ConditionFailedError:
    action = request["TransactItems"][_reasons(error).index("ConditionalCheckFailed")]
    [write] = action.values()
    sk = write.get("Item", write.get("Key"))["sk"]["S"]
    return ConditionFailedError(f"the row {sk[:200]!r} is not as expected")
