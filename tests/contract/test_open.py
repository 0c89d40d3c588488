"""From a URL to a table."""

import subprocess
import sys
from pathlib import Path

import pytest

from livemosaic.errors import InvalidRequestError, TableUnavailableError
from livemosaic.table import Key, Put
from livemosaic.table.dynamodb import DynamoTable, create_table
from livemosaic.table.open import open_table
from livemosaic.table.sqlite import SqliteTable

KEY = Key("p", "s")


def test_three_slashes_begin_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = open_table("sqlite:///table.db")
    table.close()
    assert isinstance(table, SqliteTable)
    assert (tmp_path / "table.db").exists()


def test_four_slashes_begin_an_absolute_path(tmp_path: Path) -> None:
    open_table(f"sqlite:///{tmp_path}/with space.db").close()
    assert (tmp_path / "with space.db").exists()


@pytest.mark.emulator
class TestDynamodb:
    @pytest.fixture(autouse=True)
    def endpoint(
        self,
        monkeypatch: pytest.MonkeyPatch,
        aws_credentials: None,
        dynamodb_endpoint: str | None,
    ) -> None:
        if dynamodb_endpoint is None:
            pytest.skip("makes tables, which is left to an emulator")
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_endpoint)

    def test_a_table_that_is_missing_is_named_with_the_fix(self) -> None:
        table = open_table("dynamodb://eu-central-1/none")
        expected = (
            r"no DynamoDB table 'none' in eu-central-1: .*"
            r"--index dynamodb://eu-central-1/none mosaics create --create-table"
        )
        for call in (
            lambda: table.get(KEY),
            lambda: table.batch_get([KEY]),
            lambda: table.query("p"),
            lambda: table.transact([Put(KEY, {})]),
            lambda: table.transact([Put(KEY, {}), Put(Key("p", "t"), {})]),
        ):
            with pytest.raises(TableUnavailableError, match=expected):
                call()
        table.close()

    def test_a_table_that_is_missing_is_created_where_that_is_asked(self) -> None:
        table = open_table("dynamodb://eu-central-1/new-table", create=True)
        assert isinstance(table, DynamoTable)
        table.transact([Put(KEY, {"a": 1})])
        table.close()
        again = open_table("dynamodb://eu-central-1/new-table", create=True)
        assert again.get(KEY) == {"a": 1}
        again.close()

    def test_a_created_table_is_on_demand_with_ttl(self, dynamo_client) -> None:
        create_table(dynamo_client, "plain")
        create_table(dynamo_client, "plain")
        table = dynamo_client.describe_table(TableName="plain")["Table"]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert table["KeySchema"] == [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ]
        ttl = dynamo_client.describe_time_to_live(TableName="plain")["TimeToLiveDescription"]
        assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "table.db",
        "/data/table.db",
        "sqlite://table.db",
        "sqlite:///",
        "sqlite:///table.db?mode=ro",
        "dynamodb://table",
        "dynamodb:///table",
        "dynamodb://eu-central-1/",
        "dynamodb://eu-central-1/ab",
        "dynamodb://eu-central-1/table/more",
        "dynamodb://EU/table",
        "postgres://host/table",
    ],
)
def test_a_url_of_another_form_is_refused_with_the_forms_there_are(url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        open_table(url)
    for part in (repr(url), "sqlite:///FILE", "dynamodb://REGION/TABLE"):
        assert part in str(caught.value)


def test_a_region_that_cannot_be_is_refused(aws_credentials: None) -> None:
    with pytest.raises(TableUnavailableError, match="no DynamoDB client for the region '-'"):
        open_table("dynamodb://-/table")


def test_no_adapter_is_imported_before_it_is_needed() -> None:
    script = (
        "import sys, livemosaic.table.open\n"
        "assert not {'boto3', 'botocore', 'sqlite3', 'msgpack'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
