"""From a URL to a table."""

import os
import subprocess
import sys
from contextlib import closing
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


class TestCredentials:
    @pytest.fixture(autouse=True)
    def nothing_of_this_machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("AWS_PROFILE", "p")

    @pytest.mark.parametrize(
        ("lines", "says"),
        [
            ((), "there is no AWS profile 'p'"),
            (("region = eu-west-3",), "no AWS credentials were found"),
            (("aws_access_key_id = AKIA",), "of no use"),
            (("credential_process = sh -c 'echo hunter2 >&2; exit 1'",), "of no use"),
            (
                (
                    *("sso_session = corp", "sso_account_id = 1234", "sso_role_name = Admin"),
                    *("[sso-session corp]", "sso_region = eu-central-1"),
                    "sso_start_url = https://corp.awsapps.com/start",
                ),
                "run `aws sso login --profile p`",
            ),
        ],
        ids=["no profile", "no credentials", "half a key", "failing process", "not logged in"],
    )
    def test_what_is_wrong_is_said_at_once_with_what_to_do(
        self, tmp_path: Path, lines: tuple[str, ...], says: str
    ) -> None:
        (tmp_path / "config").write_text("\n".join(["[profile p]", *lines]) if lines else "")
        with (
            pytest.raises(TableUnavailableError, match=says) as caught,
            closing(open_table("dynamodb://eu-central-1/mosaics")) as table,
        ):
            table.get(KEY)
        assert "hunter2" not in str(caught.value)

    def test_a_region_that_does_not_exist_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        (tmp_path / "config").write_text("[profile p]")
        table = open_table("dynamodb://eu-nowhere-1/mosaics")
        with (
            closing(table),
            pytest.raises(TableUnavailableError, match=r"'eu-nowhere-1'.*no region"),
        ):
            table.get(KEY)


def test_no_adapter_is_imported_before_it_is_needed() -> None:
    script = (
        "import sys, livemosaic.table.open\n"
        "assert not {'boto3', 'botocore', 'sqlite3', 'msgpack'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
