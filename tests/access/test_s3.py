"""S3 behind a way in: anonymous, requester pays, a region, an endpoint, keys, a role."""

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from access.fakes import BODY, Answer, Asked, Fake, ranged
from livemosaic.ingest.sources.open import open_names
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.objects import ObjectError
from livemosaic.storage.stores import Stores
from livemosaic_cdk.tools.emulator import emulator

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROLE = "arn:aws:iam::111122223333:role/reader"
SECRET = "hunter2hunter2"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "EARTHDATA_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """An S3 that gives everything to everyone, and notes how it was asked."""
    with Fake(ranged) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL", fake.url)
        yield fake


def read(stores: Stores, href: str) -> bytes:
    return stores.open(href).read_blocking(0, 10)


def scope(asked: Asked) -> tuple[str, str] | None:
    """Access key and region of a signature."""
    parts = asked.headers.get("Authorization", "").partition("Credential=")[2].split("/")
    return (parts[0], parts[2]) if len(parts) > 2 else None


def test_each_prefix_has_its_own_way(s3: Fake, keys: None) -> None:
    stores = Stores(
        AllowList(
            [
                "s3://",
                "s3://public/ anonymous",
                "s3://paid/ requester-pays region=us-west-2",
                "s3://paid/free/ anonymous region=eu-west-1",
            ]
        )
    )
    for href in ("other/a", "public/a", "paid/a", "paid/free/a", "paid/freedom/a"):
        assert read(stores, f"s3://{href}") == BODY
    assert [scope(asked) for asked in s3.asked] == [
        ("AKIDENV", "us-east-1"),
        None,
        ("AKIDENV", "us-west-2"),
        None,
        ("AKIDENV", "us-west-2"),
    ]
    payers = [asked.headers.get("x-amz-request-payer") for asked in s3.asked]
    assert payers == [None, None, "requester", None, "requester"]


def test_who_pays_signs_though_nothing_else_is_signed(
    s3: Fake, keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    stores = Stores(AllowList(["s3://", "s3://paid/ requester-pays"]))
    read(stores, "s3://paid/a")
    read(stores, "s3://other/a")
    assert [scope(asked) for asked in s3.asked] == [("AKIDENV", "us-east-1"), None]


def test_anonymous_looks_for_no_credentials(s3: Fake) -> None:
    assert read(Stores(AllowList(["s3://public/ anonymous"])), "s3://public/a.tif") == BODY


class TestEndpoint:
    def test_it_is_addressed_by_path_with_keys_of_its_own(
        self, s3: Fake, keys: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CDSE", f"MYID:{SECRET}")
        with Fake(ranged) as other:
            line = f"s3://eodata/ endpoint={other.url} keys=env:CDSE region=default"
            stores = Stores(AllowList(["s3://", line]))
            assert read(stores, "s3://eodata/S2/a.tif") == BODY
            assert read(stores, "s3://bucket/a.tif") == BODY
            assert [a.path for a in other.asked] == ["/eodata/S2/a.tif"]
            assert [a.path for a in s3.asked] == ["/bucket/a.tif"]
            assert scope(other.asked[0]) == ("MYID", "default")

    @pytest.mark.parametrize(
        ("secret", "token"),
        [
            (f"MYID:{SECRET}:with/colon", None),
            (json.dumps({"access_key_id": "MYID", "secret_access_key": SECRET, "token": "t"}), "t"),
        ],
    )
    def test_keys_have_two_forms(
        self, s3: Fake, secret: str, token: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KEYS", secret)
        assert read(Stores(AllowList(["s3://b-c/ keys=env:KEYS"])), "s3://b-c/a") == BODY
        assert scope(s3.asked[0]) == ("MYID", "us-east-1")
        assert s3.asked[0].headers.get("x-amz-security-token") == token

    @pytest.mark.parametrize("secret", [SECRET, "{}", f'{{"access_key_id": "{SECRET}"'])
    def test_keys_of_another_form_are_not_shown(
        self, s3: Fake, secret: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KEYS", secret)
        with pytest.raises(ObjectError, match="neither ID:SECRET nor JSON") as caught:
            read(Stores(AllowList(["s3://b-c/ keys=env:KEYS"])), "s3://b-c/a")
        assert SECRET not in str(caught.value)
        assert "env:KEYS" in str(caught.value)


class Sts:
    """AWS STS, which lets a role be assumed."""

    def __init__(self) -> None:
        self.roles = 0
        self.lasts = timedelta(hours=1)
        self.refuses = False

    def __call__(self, asked: Asked) -> Answer:
        form = {k: v[0] for k, v in parse_qs(asked.body.decode()).items()}
        if self.refuses:
            code = "<Code>AccessDenied</Code><Message>hunter2 may not</Message>"
            body = f"<ErrorResponse><Error><Type>Sender</Type>{code}</Error></ErrorResponse>"
            return Answer(403, body.encode())
        self.roles += 1
        end = (datetime.now(UTC) + self.lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
        key = f"ASIA{self.roles}{form.get('ExternalId', '')}"
        body = (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<AssumeRoleResult><Credentials><AccessKeyId>{key}</AccessKeyId>"
            f"<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
            f"<Expiration>{end}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        return Answer(200, body.encode(), {"Content-Type": "text/xml"})


class TestRole:
    @pytest.fixture
    def sts(self, keys: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
        sts = Sts()
        with Fake(sts) as fake:
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
            yield sts

    def test_its_keys_sign_and_are_shared(self, sts: Sts, s3: Fake) -> None:
        line = f"role={ROLE} external-id=XY"
        stores = Stores(AllowList(["s3://", f"s3://one/ {line}", f"s3://two/ {line}"]))
        with ThreadPoolExecutor(8) as pool:
            hrefs = [f"s3://{name}/{n}" for name in ("one", "two") for n in range(8)]
            objects = [stores.open(href) for href in hrefs]  # which one thread does
            assert set(pool.map(lambda found: found.read_blocking(0, 10), objects)) == {BODY}
        assert {scope(asked) for asked in s3.asked} == {("ASIA1XY", "us-east-1")}
        read(stores, "s3://other/a")
        assert scope(s3.asked[-1]) == ("AKIDENV", "us-east-1")
        assert sts.roles == 1

    def test_it_is_assumed_again_before_its_keys_end(
        self, sts: Sts, s3: Fake, pass_s: Callable[[float], None]
    ) -> None:
        sts.lasts = timedelta(minutes=4)
        stores = Stores(AllowList([f"s3://one/ role={ROLE}"]))
        read(stores, "s3://one/a")
        pass_s(150)
        time.sleep(0.2)  # obstore asks ten times a second at most
        read(stores, "s3://one/b")
        assert [scope(asked)[0] for asked in s3.asked if scope(asked)] == ["ASIA1", "ASIA2"]

    def test_a_role_that_may_not_be_assumed_is_named(self, sts: Sts, s3: Fake) -> None:
        sts.refuses = True
        with pytest.raises(ObjectError) as caught:
            read(Stores(AllowList([f"s3://one/ role={ROLE}"])), "s3://one/a")
        assert f"the role {ROLE} cannot be assumed (AccessDenied)" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert s3.asked == []


@pytest.mark.emulator
def test_on_an_emulated_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role by STS, keys of Secrets Manager and of Systems Manager."""
    with emulator() as aws:
        for name, value in aws.environment.items():
            if name.startswith("AWS_"):
                monkeypatch.setenv(name, value)
        client = aws.client("s3")
        region = {"LocationConstraint": aws.environment["AWS_REGION"]}
        client.create_bucket(Bucket="scenes", CreateBucketConfiguration=region)
        client.put_object(Bucket="scenes", Key="a.tif", Body=BODY)
        value = "test:test"
        secret = aws.client("secretsmanager").create_secret(Name="keys", SecretString=value)["ARN"]
        aws.client("ssm").put_parameter(Name="/lm/keys", Value=value, Type="SecureString")
        account = secret.split(":")[4]
        parameter = f"arn:aws:ssm:{aws.environment['AWS_REGION']}:{account}:parameter/lm/keys"
        trust = {"Version": "2012-10-17", "Statement": []}
        made = aws.client("iam").create_role(
            RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust)
        )
        for way in (f"role={made['Role']['Arn']}", f"keys={secret}", f"keys={parameter}"):
            assert read(Stores(AllowList([f"s3://scenes/ {way}"])), "s3://scenes/a.tif") == BODY
        gone = f"keys={parameter}-gone"
        with pytest.raises(ObjectError, match=r"cannot be read \(ParameterNotFound\)"):
            read(Stores(AllowList([f"s3://scenes/ {gone}"])), "s3://scenes/a.tif")


def test_a_bucket_of_items_is_read_in_the_way_that_its_prefix_names(
    s3: Fake, keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`livemosaic ingest s3://paid/items/`, whose prefix need not be allowed for assets."""
    listing = (
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>paid</Name>'
        "<Prefix>items/</Prefix><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents>"
        "<Key>items/a.json</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        '<ETag>"x"</ETag><Size>2</Size></Contents></ListBucketResult>'
    )

    def respond(asked: Asked) -> Answer:
        if "list-type" in asked.query:
            return Answer(200, listing.encode())
        headers = {"ETag": '"x"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        return Answer(200, b"{}", headers)

    s3.respond = respond
    allow = AllowList(["s3://paid/ requester-pays region=us-west-2"])
    reading = open_names(["s3://paid/items/"], allow)
    entries = [entry for source in reading.sources for entry in source.read(NOW, None)]
    assert [entry.source for entry in entries] == ["s3://paid/items/a.json"]
    assert {asked.headers.get("x-amz-request-payer") for asked in s3.asked} == {"requester"}
    assert {scope(asked) for asked in s3.asked} == {("AKIDENV", "us-west-2")}
