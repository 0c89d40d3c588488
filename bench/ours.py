"""livemosaic's API on a table that counts: `python -m bench.ours PORT STORE_URL TABLE [GAP]`.

TABLE is `sqlite:///FILE` or `dynamodb://TABLE?ENDPOINT`, GAP `LIVEMOSAIC_COALESCE_GAP_BYTES`. The
application is the one that is served everywhere, with one route more.
"""

import sys
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from bench import shelf
from bench.meter import Metered
from bench.places import NOBODY, REGION, aws_environment
from livemosaic.cli.serve.server import application
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


def _app(store_url: str, where: str, *gap: str) -> Any:
    meter = Metered(_table(where))
    given: dict[str, Any] = {"coalesce_gap_bytes": int(gap[0])} if gap else {}
    settings = Settings.model_construct(
        allowed_prefixes=(store_url,), overview_store=shelf.URL, **given
    )
    app = application(build(settings, meter))

    async def usage(_: Request) -> JSONResponse:
        used = meter.take()
        calls = used.queries + used.batches + used.gets - used.of_mosaics
        return JSONResponse({"calls": calls, "own": used.of_mosaics, "rows": used.rows_read})

    return Starlette(routes=[Route("/_usage", usage), Mount("/", app)])


if __name__ == "__main__":
    _, port, store_url, where, *gap = sys.argv
    app = _app(store_url, where, *gap)
    uvicorn.run(
        app, port=int(port), log_level="warning", loop="asyncio", http="h11", timeout_keep_alive=600
    )
