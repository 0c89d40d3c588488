"""DynamoDB emulated by dynalite, for what only reads.

It knows no transactions, so tables are copied into it. A query takes it as long in a partition of a
thousand rows as in one of ten, as in DynamoDB; ministack looks through all of them.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.servers import started
from livemosaic.table import Put, Table
from livemosaic.table.dynamodb import SCHEMA, DynamoTable
from livemosaic_cdk.tools.emulator import free_port

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SCRIPT: Final = Path(__file__).parent.parent / "node_modules" / "dynalite" / "cli.js"
_WRITERS: Final = 8


class DynaliteError(Exception):
    """Dynalite is unavailable; the message gives the reason."""


@contextmanager
def dynalite() -> Iterator[str]:
    """One on a free port, gone afterwards with all that it holds; gives its URL."""
    if not _SCRIPT.exists():
        raise DynaliteError("dynalite is not installed: run `make setup`")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ("--host", "127.0.0.1", "--port", str(port), "--createTableMs", "0")
    with started("dynalite", ["node", str(_SCRIPT), *options], url):
        yield url


def copied(source: Table, client: "DynamoDBClient", name: str) -> None:
    """Make a table with the rows of another one."""
    client.create_table(TableName=name, **SCHEMA)  # without TTL, which dynalite has none of
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    table = DynamoTable(client, name)
    with ThreadPoolExecutor(_WRITERS) as pool:
        puts = (pool.submit(table.transact, [Put(row.key, row.item)]) for row in source.scan(""))
        for put in list(puts):
            put.result()
