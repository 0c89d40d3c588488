"""Tables to test on: a new SQLite file, and DynamoDB in an emulator that is started here.

LIVEMOSAIC_TEST_DYNAMODB_ENDPOINT names another emulator to use instead, and
LIVEMOSAIC_TEST_DYNAMODB_TABLE a real table (with AWS_REGION and credentials as AWS tools find
them), in which each test then keeps to partitions of its own and deletes what it wrote.
"""

import asyncio
import gc
import os
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import rasterio.session
import typer.testing
import urllib3
import uvicorn.server
from botocore.loaders import JSONFileLoader
from hypothesis import settings

from livemosaic.table import Delete, Item, Key, Page, Put, Row, Table, sqlite
from livemosaic.table.dynamodb import DynamoTable, create_table, make_client
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.tools.emulator import emulator

REAL_TABLE = os.environ.get("LIVEMOSAIC_TEST_DYNAMODB_TABLE")
REGION = os.environ.get("AWS_REGION", "eu-central-1") if REAL_TABLE else "eu-central-1"


gc.disable()
"""Until all is collected: it looked at each test many times, a fifth of the collection."""

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


_LONG = (
    *("packaged", "e2e", "infra", "browser", "peers", "clients", "proof", "corpus", "handlers"),
    *("load", "bench", "fuzz", "cli"),
)
"""Folders of few tests that take long."""
_TOGETHER = ("packaged", "e2e", "infra", "peers")
"""Folders whose tests share what takes long to make, once in a process."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each file, or folder of `_TOGETHER`, to one process, in the order of collection."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = _folder(nodeid)
            return folder if folder in _TOGETHER else str(super()._split_scope(nodeid))

    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse names of tests that are others in each process, with which pytest-xdist runs none.

    Its processes begin with what takes long, so that none waits for another in the end.
    """
    for item in items:
        callspec = getattr(item, "callspec", None)
        for value in callspec.params.values() if callspec else ():
            if isinstance(value, set | frozenset) and len(value) > 1 and str(value) in item.name:
                raise pytest.UsageError(f"{item.nodeid}: a set has no order; give a list")
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        line = dict(zip(_LONG, count(), strict=False))

        def place(item: pytest.Item) -> tuple[int, bool, int]:
            folder = line.get(_folder(item.nodeid), len(line))
            return folder, item.path not in slow, -tests[item.path]

        items.sort(key=place)


def _folder(nodeid: str) -> str:
    return nodeid.split("/")[1]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Let the garbage collector begin, but look at no test and no module: it took 5 % of a run."""
    gc.collect()
    gc.freeze()
    gc.enable()


def dummy_credentials(patch: pytest.MonkeyPatch) -> None:
    """Credentials that open nothing, whatever this machine has."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        patch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        patch.setenv(name, "testing")


@pytest.fixture(scope="session", autouse=True)
def read_models_of_aws_once() -> Iterator[None]:
    """Keep botocore's descriptions of AWS, which each session of boto3 parses anew: 70 ms."""
    parse = JSONFileLoader.load_file
    parsed: dict[str, Any] = {}

    def load_file(loader: JSONFileLoader, path: str) -> Any:
        if path not in parsed:
            parsed[path] = parse(loader, path)
        return parsed[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", load_file)
        yield


@pytest.fixture(scope="session", autouse=True)
def let_rasterio_make_no_sessions() -> Iterator[None]:
    """As in functions and servers (`livemosaic.process`)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rasterio.session, "boto3", None)
        yield


@pytest.fixture(scope="session", autouse=True)
def wait_for_no_disk() -> Iterator[None]:
    """Let SQLite in this process not wait for the disk: no test cuts the power.

    What a process committed is there when it is killed, too.
    """
    connect = sqlite._connect

    def connect_at_once(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "_connect", connect_at_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def read_options_of_the_command_once() -> Iterator[None]:
    """Keep what Typer makes of the command's functions for each run of it anew: 12 of its 20 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", cache(typer.testing._get_command))
        yield


class _Hasty:
    """asyncio in which nobody sleeps for long."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


@pytest.fixture(scope="session", autouse=True)
def end_servers_at_once() -> Iterator[None]:
    """Let servers of this process look often whether they should end: that took 0.2 s of each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", _Hasty())
        yield


@pytest.fixture(scope="session", autouse=True)
def stay_on_this_machine() -> Iterator[None]:
    """Let no name but `localhost` be known, and wait for nothing before asking again.

    Most hrefs of tests are of no file, and ingestion asks for each; a name server takes its time.
    """
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *how: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host or "localhost"
        if name.rpartition(".")[2] != "localhost" and not _is_address(name):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *how, **more)

    with pytest.MonkeyPatch.context() as patch:
        if not REAL_TABLE:
            patch.setattr(socket, "getaddrinfo", getaddrinfo)
        patch.setattr(urllib3.Retry, "get_backoff_time", lambda _: 0.0)
        yield


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dummy credentials for a test that makes clients itself."""
    dummy_credentials(monkeypatch)


@pytest.fixture(scope="session")
def dynamodb_endpoint() -> Iterator[str | None]:
    """Where DynamoDB answers; None stands for AWS itself. Each xdist worker starts its own."""
    if REAL_TABLE or "LIVEMOSAIC_TEST_DYNAMODB_ENDPOINT" in os.environ:
        yield None if REAL_TABLE else os.environ["LIVEMOSAIC_TEST_DYNAMODB_ENDPOINT"]
        return
    with emulator() as aws:
        yield aws.url


@pytest.fixture(scope="session")
def dynamo_client(dynamodb_endpoint: str | None) -> Iterator[Any]:
    """A client such as the handlers make."""
    with pytest.MonkeyPatch.context() as patch:
        if dynamodb_endpoint:
            dummy_credentials(patch)
        client = make_client(REGION, dynamodb_endpoint)
    yield client
    client.close()


@pytest.fixture
def dynamo_table_name(dynamo_client: Any) -> Iterator[str]:
    """A new table; the one that is named for us, where that is a real one."""
    if REAL_TABLE:
        yield REAL_TABLE
        return
    name = f"test-{uuid4()}"
    create_table(dynamo_client, name)
    yield name
    dynamo_client.delete_table(TableName=name)


@pytest.fixture
def dynamo_table(dynamo_client: Any, dynamo_table_name: str) -> Iterator[Table]:
    """An empty table in DynamoDB."""
    table = DynamoTable(dynamo_client, dynamo_table_name)
    if not REAL_TABLE:
        yield table
        return
    own = OwnPartitions(table, f"{uuid4()}#")
    yield own
    own.delete_all()


@pytest.fixture
def sqlite_table(tmp_path: Path) -> Iterator[SqliteTable]:
    """An empty table in a new file."""
    table = SqliteTable(tmp_path / "table.db")
    yield table
    table.close()


@pytest.fixture(
    params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.emulator)],
)
def table(request: pytest.FixtureRequest) -> Table:
    """An empty table, on each adapter in turn."""
    name = {"sqlite": "sqlite_table", "dynamodb": "dynamo_table"}[request.param]
    found: Table = request.getfixturevalue(name)
    return found


@dataclass
class OwnPartitions:
    """A table within a shared one: every partition key begins with a prefix of its own."""

    shared: Table
    prefix: str
    written: set[Key] = field(default_factory=set)

    def get(self, key: Key) -> Item | None:
        return self.shared.get(self._in(key))

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        found = self.shared.batch_get([self._in(key) for key in keys])
        return {self._out(key): item for key, item in found.items()}

    def query(self, pk: str, **kwargs: Any) -> Page:
        page = self.shared.query(self.prefix + pk, **kwargs)
        return Page([Row(self._out(row.key), row.item) for row in page.rows], page.next)

    def scan(self, prefix: str) -> Iterator[Row]:
        for row in self.shared.scan(self.prefix + prefix):
            yield Row(self._out(row.key), row.item)

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        own = [replace(action, key=self._in(action.key)) for action in actions]
        self.shared.transact(own)
        self.written.update(action.key for action in own)

    def remove(self, keys: Sequence[Key]) -> None:
        self.shared.remove([self._in(key) for key in keys])

    def delete_all(self) -> None:
        for key in self.written:
            self.shared.transact([Delete(key)])

    def close(self) -> None:
        """The client is shared too."""

    def _in(self, key: Key) -> Key:
        return Key(self.prefix + key.pk if key.pk else "", key.sk)

    def _out(self, key: Key) -> Key:
        return Key(key.pk.removeprefix(self.prefix), key.sk)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the steps of the deployment and the time that each took."""
    reports = terminalreporter.getreports("")
    steps = [step for r in reports for name, step in r.user_properties if name == "step"]
    if steps:
        terminalreporter.section("deployment on an emulated AWS")
    for what, seconds in steps:
        terminalreporter.line(f"{seconds:7.1f} s  {what}")
