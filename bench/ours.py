"""livemosaic's API on a table that counts: `python -m bench.ours PORT STORE_URL TABLE`.

TABLE is `sqlite:///FILE` or `dynamodb://TABLE?ENDPOINT`. The application is the one that is served
everywhere, with one route more.
"""

import sys
from typing import Any

import uvicorn

from bench.meter import Metered
from bench.places import NOBODY, REGION, aws_environment
from livemosaic import allocator
from livemosaic.api.app import create_app
from livemosaic.services import build
from livemosaic.settings import Settings
from livemosaic.table import Table
from livemosaic.table.dynamodb import DynamoTable, make_client
from livemosaic.table.open import open_table


def _table(where: str) -> Table:
    scheme, _, rest = where.partition("://")
    if scheme == "sqlite":
        return open_table(where)
    name, _, endpoint = rest.partition("?")
    with aws_environment(NOBODY):
        return DynamoTable(make_client(REGION, endpoint), name)


def _app(store_url: str, where: str) -> Any:
    meter = Metered(_table(where))
    app = create_app(build(Settings.model_construct(allowed_prefixes=(store_url,)), meter))

    @app.get("/_usage")
    async def usage() -> dict[str, float]:
        used = meter.take()
        return {"calls": used.gets + used.queries, "rows": used.rows_read}

    return app


if __name__ == "__main__":
    _, port, store_url, where = sys.argv
    allocator.keep_freed()
    app = _app(store_url, where)
    uvicorn.run(
        app, port=int(port), log_level="warning", loop="asyncio", http="h11", timeout_keep_alive=600
    )
