"""Objects of S3 are read with the credentials that the AWS CLI would find."""

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from livemosaic.storage import stores
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.objects import ObjectError
from livemosaic.storage.stores import Stores

BODY = b"0123456789"


class Bucket:
    """A bucket that gives ten bytes to who signs with one of some access keys."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys
        self.seen: list[tuple[str | None, str | None, str | None]] = []
        """Access key, region and session token of each request."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        bucket: Bucket = self.server.bucket  # type: ignore[attr-defined]
        scope = self.headers.get("Authorization", "").partition("Credential=")[2].split("/")
        key, region = (scope[0], scope[2]) if len(scope) > 2 else (None, None)
        bucket.seen.append((key, region, self.headers.get("X-Amz-Security-Token")))
        good = key in bucket.keys
        self.send_response(206 if good else 403)
        self.send_header("Content-Length", str(len(BODY) if good else 0))
        self.send_header("Content-Range", "bytes 0-9/10")
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(BODY if good else b"")


@contextmanager
def serving(bucket: Bucket) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.bucket = bucket  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket, and nothing but a profile file by which to get in."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Bucket()
    with serving(made) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield made


def profile(folder: Path, name: str, *lines: str) -> None:
    with (folder / "config").open("a") as file:
        file.write("\n".join([f"[profile {name}]", *lines, ""]))


def issue(folder: Path, key: str, minutes: float | None = None) -> None:
    """What the credential_process of the profile `process` gives from now on."""
    document = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "s", "SessionToken": "session"}
    if minutes is not None:
        expiry = datetime.now(UTC) + timedelta(minutes=minutes)
        document["Expiration"] = expiry.isoformat()
    (folder / "issued.json").write_text(json.dumps(document))


def process(folder: Path, key: str, minutes: float | None = None) -> None:
    issue(folder, key, minutes)
    profile(
        folder, "process", "region = eu-west-3", f"credential_process = cat {folder}/issued.json"
    )


def read(stores: Stores | None = None, href: str = "s3://bucket/a.tif") -> bytes:
    return (stores or Stores(AllowList())).open(href).read_blocking(0, 10)


def test_a_profile_with_a_credential_process_reads(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(tmp_path, "ASIAONE")
    monkeypatch.setenv("AWS_PROFILE", "process")
    bucket.keys = ("ASIAONE",)
    assert read() == BODY
    assert asyncio.run(_read_async()) == BODY
    assert set(bucket.seen) == {("ASIAONE", "eu-west-3", "session")}


async def _read_async() -> bytes:
    return bytes(await Stores(AllowList()).open("s3://bucket/a.tif").read(0, 10))


def test_the_region_of_the_environment_goes_before_that_of_the_profile(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(tmp_path, "ASIAONE")
    monkeypatch.setenv("AWS_PROFILE", "process")
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    bucket.keys = ("ASIAONE",)
    read()
    assert bucket.seen[0][1] == "ap-south-1"


def test_keys_that_end_are_replaced(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for again with each read here, as what ends within five minutes is not kept."""
    process(tmp_path, "ASIAONE", minutes=9)
    monkeypatch.setenv("AWS_PROFILE", "process")
    monkeypatch.setattr(stores, "KEYS_LAST", timedelta(minutes=1))
    bucket.keys = ("ASIAONE", "ASIATWO")
    opened = Stores(AllowList())
    read(opened)
    issue(tmp_path, "ASIATWO", minutes=60)
    time.sleep(0.2)  # obstore asks ten times a second at most
    read(opened)
    issue(tmp_path, "ASIATHREE", minutes=60)
    read(opened, "s3://another/a.tif")
    assert [key for key, _, _ in bucket.seen] == ["ASIAONE", "ASIATWO", "ASIATWO"]


def test_keys_of_the_environment_need_no_boto3(bucket: Bucket) -> None:
    bucket.keys = ("AKIDENV",)
    script = (
        "import sys\n"
        "from livemosaic.storage.stores import Stores\n"
        "from livemosaic.storage.allowlist import AllowList\n"
        "print(Stores(AllowList()).open('s3://bucket/a.tif').read_blocking(0, 10))\n"
        "assert 'boto3' not in sys.modules"
    )
    env = os.environ | {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "s"}
    env |= {"AWS_PROFILE": "nope"}
    subprocess.run([sys.executable, "-c", script], env=env, check=True)
    assert bucket.seen[0][0] == "AKIDENV"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (None, "there is no AWS profile 'p'"),
        (["region = eu-west-3"], "no AWS credentials were found"),
        (["credential_process = sh -c 'echo hunter2 >&2; exit 1'"], "of no use"),
        (
            [
                *("sso_session = corp", "sso_account_id = 111122223333", "sso_role_name = Admin"),
                *("[sso-session corp]", "sso_region = eu-central-1"),
                "sso_start_url = https://corp.awsapps.com/start",
            ],
            "run `aws sso login --profile p`",
        ),
    ],
    ids=["no profile", "nothing", "failing process", "not logged in"],
)
def test_what_is_wrong_with_credentials_is_said(
    tmp_path: Path,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    lines: Sequence[str] | None,
    says: str,
) -> None:
    if lines:
        profile(tmp_path, "p", *lines)
    monkeypatch.setenv("AWS_PROFILE", "p")
    opened = Stores(AllowList())
    for _ in range(2):
        with pytest.raises(ObjectError) as caught:
            read(opened)
        assert str(caught.value).startswith("may not be read: ")
        assert says in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert "AWS_NO_SIGN_REQUEST=YES" in str(caught.value)
    assert bucket.seen == []


def test_a_login_that_was_missing_is_noticed(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "LOST_S", 0)
    monkeypatch.setenv("AWS_PROFILE", "process")
    opened = Stores(AllowList())
    with pytest.raises(ObjectError):
        read(opened)
    process(tmp_path, "ASIAONE")
    bucket.keys = ("ASIAONE",)
    assert read(opened) == BODY


def test_a_metadata_service_that_is_not_there_is_waited_for_once(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a laptop nothing answers at its address; here, what listens says nothing."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
        silent.setblocking(False)
        opened = Stores(AllowList())
        asked: list[int] = []
        for _ in range(2):
            with pytest.raises(ObjectError, match="no AWS credentials were found"):
                read(opened)
            asked.append(_connections(silent))
    assert asked[0] > 0 == asked[1]


def _connections(listener: socket.socket) -> int:
    """How many clients have connected since this was asked last."""
    for count in itertools.count():
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
    raise AssertionError
