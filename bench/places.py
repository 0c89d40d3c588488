"""Where tables are made for a benchmark: files in a temporary folder, or the emulator."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from uuid import uuid4

from bench.processes import cpu_s, family
from livemosaic.table import Table
from livemosaic.table.dynamodb import DynamoTable, create_table, make_client
from livemosaic.table.retry import Backoff
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.tools.emulator import emulator

REGION = "eu-central-1"
_PATIENCE_S = 120
"""The emulator keeps a row as a hundred objects of Python: at some 80,000 scenes it was seen to
stand still for more than 10 s, which ends a client's usual patience."""
NOBODY = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
"""Credentials for the emulator, in the environment only while a client is made. Where rasterio
finds some, as on Lambda, it makes a session of boto3 at each use: that costs the peers 10 ms."""


class Place(Protocol):
    """Somewhere to make tables."""

    def table(self) -> AbstractContextManager[Table]:
        """A new table, there while it is entered."""
        ...

    def cpu_s(self) -> float:
        """CPU seconds used by the server of the tables, outside this process."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """SQLite files."""

    path: Path

    @contextmanager
    def table(self) -> Iterator[Table]:
        table = SqliteTable(self.new_file())
        try:
            yield table
        finally:
            table.close()

    def cpu_s(self) -> float:
        return 0.0

    def new_file(self) -> Path:
        """A path that nothing is at."""
        return self.path / f"{uuid4()}.db"


@dataclass(frozen=True, slots=True)
class Emulator:
    """DynamoDB on this machine."""

    url: str
    processes: tuple[int, ...]

    def cpu_s(self) -> float:
        return sum(map(cpu_s, self.processes))

    @contextmanager
    def table(self) -> Iterator[Table]:
        with aws_environment(NOBODY):
            client = make_client(REGION, self.url)
        name = f"bench-{uuid4()}"
        create_table(client, name)
        table = DynamoTable(client, name, backoff=Backoff(deadline_s=_PATIENCE_S))
        try:
            yield table
        finally:
            client.delete_table(TableName=name)
            table.close()


@contextmanager
def aws_environment(values: Mapping[str, str]) -> Iterator[None]:
    """What the environment says of AWS, these values and no others."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    _replace(kept, values)
    try:
        yield
    finally:
        _replace(values, kept)


def _replace(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    for name in old:
        del os.environ[name]
    os.environ.update(new)


@contextmanager
def open_places(names: Sequence[str]) -> Iterator[Mapping[str, Place]]:
    """The named places among `sqlite` and `dynamodb`."""
    with ExitStack() as stack:
        stack.enter_context(aws_environment({}))
        places: dict[str, Place] = {}
        for name in names:
            if name == "dynamodb":
                before = set(family(os.getpid()))
                url = stack.enter_context(emulator()).url
                places[name] = Emulator(url, tuple(set(family(os.getpid())) - before))
            elif name == "sqlite":
                folder = stack.enter_context(TemporaryDirectory(prefix="livemosaic-bench-"))
                places[name] = Folder(Path(folder))
            else:
                raise SystemExit(f"there is no table {name!r}; there are sqlite and dynamodb")
        yield places
