"""Where tables are made for a benchmark: files in a temporary folder, or the emulator."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from uuid import uuid4

from bench.servers import emulator
from livemosaic.table import Table
from livemosaic.table.dynamodb import DynamoTable, create_table, make_client
from livemosaic.table.sqlite import SqliteTable

REGION = "eu-central-1"


class Place(Protocol):
    """Somewhere to make tables."""

    def table(self) -> AbstractContextManager[Table]:
        """A new table, there while it is entered."""
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

    def new_file(self) -> Path:
        """A path that nothing is at."""
        return self.path / f"{uuid4()}.db"


@dataclass(frozen=True, slots=True)
class Emulator:
    """DynamoDB on this machine."""

    url: str

    @contextmanager
    def table(self) -> Iterator[Table]:
        client = make_client(REGION, self.url)
        name = f"bench-{uuid4()}"
        create_table(client, name)
        table = DynamoTable(client, name)
        try:
            yield table
        finally:
            client.delete_table(TableName=name)
            table.close()


@contextmanager
def open_places(names: Sequence[str]) -> Iterator[Mapping[str, Place]]:
    """`sqlite` and `dynamodb`, those that are named."""
    with ExitStack() as stack:
        places: dict[str, Place] = {}
        for name in names:
            if name == "dynamodb":
                places[name] = Emulator(stack.enter_context(emulator()))
            elif name == "sqlite":
                folder = stack.enter_context(TemporaryDirectory(prefix="livemosaic-bench-"))
                places[name] = Folder(Path(folder))
            else:
                raise SystemExit(f"there is no table {name!r}; there are sqlite and dynamodb")
        yield places
