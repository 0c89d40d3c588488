"""An import on an emulated DynamoDB, and what is no success."""

import gzip
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest

from livemosaic.load.importing import TableImport
from livemosaic.load.machine import LoadError
from livemosaic.table import Key
from livemosaic.table.attributes import to_json_line
from livemosaic.table.dynamodb import DynamoTable

pytestmark = pytest.mark.emulator
REGION = "eu-central-1"


@pytest.fixture
def client(dynamodb_endpoint: str | None, aws_credentials: None) -> Iterator[Callable[[str], Any]]:
    if dynamodb_endpoint is None:
        pytest.skip("makes tables, which is left to an emulator")
    made: list[Any] = []

    def make(service: str) -> Any:
        session = boto3.Session()
        made.append(session.client(service, region_name=REGION, endpoint_url=dynamodb_endpoint))
        return made[-1]

    yield make
    for each in made:
        each.close()


def put(client: Callable[[str], Any], lines: bytes) -> str:
    """A bucket with one object of an import."""
    s3, name = client("s3"), f"import-{uuid4()}"
    where = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    s3.put_object(Bucket=name, Key="a/data/0.json.gz", Body=gzip.compress(lines))
    return name


ROW = {"text": "ä", "bytes": b"\0\xff", "numbers": [1, 1.5, -1e-9], "none": None, "yes": True}


def test_rows_come_back_as_they_were_written(client: Callable[[str], Any]) -> None:
    name = put(client, to_json_line(Key("p", "s"), ROW))
    dynamodb = client("dynamodb")
    imported = TableImport(REGION, name, dynamodb)
    assert not imported.exists()
    seen: list[int] = []
    imported.follow(imported.begin(name, "a"), 1, seen.append)
    assert imported.exists()
    assert seen[-1] == 1
    assert DynamoTable(dynamodb, name).get(Key("p", "s")) == ROW


def test_an_import_that_lacks_rows_is_no_success(client: Callable[[str], Any]) -> None:
    good, bad = to_json_line(Key("p", "s"), ROW), b'{"Item":{"pk":{"S":"p"}}}\n'
    name = put(client, good + bad)
    imported = TableImport(REGION, name, client("dynamodb"))
    with pytest.raises(LoadError, match="ended as FAILED: 1 of 2 rows are there, 1 were refused"):
        imported.follow(imported.begin(name, "a"), 2, lambda _: None)
    other = put(client, good)
    lacking = TableImport(REGION, other, client("dynamodb"))
    with pytest.raises(LoadError, match="ended as COMPLETED: 1 of 2 rows are there"):
        lacking.follow(lacking.begin(other, "a"), 2, lambda _: None)


def test_a_table_that_is_there_is_named(client: Callable[[str], Any]) -> None:
    name = put(client, to_json_line(Key("p", "s"), ROW))
    imported = TableImport(REGION, name, client("dynamodb"))
    imported.follow(imported.begin(name, "a"), 1, lambda _: None)
    with pytest.raises(LoadError, match=r"import_table: .*already exists"):
        imported.begin(put(client, b""), "a")
