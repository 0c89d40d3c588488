"""What the emulator of DynamoDB takes by itself, so that it is not mistaken for livemosaic's."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from uuid import uuid4

from bench.places import NOBODY, REGION, aws_environment
from livemosaic.table import Key, Put
from livemosaic.table.dynamodb import DynamoTable, create_table, make_client

_ROWS = 10
_TIMES = 20
_AT_ONCE = 50


def query_ms(url: str, sizes: Sequence[int]) -> Mapping[int, float]:
    """Median of a query for a few rows, by the number of rows in their partition."""
    with aws_environment(NOBODY):
        client = make_client(REGION, url)
    name = f"bench-{uuid4()}"
    create_table(client, name)
    table = DynamoTable(client, name)
    try:
        for size in sizes:
            _fill(table, size)
        return {size: median(_timed(table, size) for _ in range(_TIMES)) for size in sizes}
    finally:
        client.delete_table(TableName=name)
        table.close()


def _fill(table: DynamoTable, size: int) -> None:
    puts = [Put(Key(f"of-{size}", f"{n:06}"), {"filler": "x" * 500}) for n in range(size)]
    for first in range(0, size, _AT_ONCE):
        table.transact(puts[first : first + _AT_ONCE])


def _timed(table: DynamoTable, size: int) -> float:
    start = time.perf_counter()
    table.query(f"of-{size}", limit=_ROWS)
    return 1000 * (time.perf_counter() - start)
