"""titiler.mosaic over mosaics of cogeo-mosaic, as TiTiler's application has it, without middleware.

`python titiler_mosaic.py PORT [DYNAMODB_URL]`, in the environment of `titiler.txt`. `url=` names
the mosaic: a file, which the backend reads once and keeps, or `dynamodb://REGION/TABLE:MOSAIC`.
Assets are COGs under `/cog`, STAC Items under `/stac`.
"""

import sys
from dataclasses import dataclass
from typing import Any

import boto3
import uvicorn
from cogeo_mosaic.backends.dynamodb import DynamoDBBackend
from cogeo_mosaic.backends.file import FileBackend
from fastapi import FastAPI
from rio_tiler.io import Reader, STACReader
from titiler.core.dependencies import AssetsExprParams, DefaultDependency
from titiler.core.errors import DEFAULT_STATUS_CODES, add_exception_handlers
from titiler.mosaic.errors import MOSAIC_STATUS_CODES
from titiler.mosaic.factory import MosaicTilerFactory

_calls = {"calls": 0}


def _count(**_: Any) -> None:
    _calls["calls"] += 1


def _resource(url: str) -> Any:
    """One for all requests: without it, the backend would make one, and a session, at each."""
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
    made = session.resource("dynamodb", region_name="eu-central-1", endpoint_url=url)
    made.meta.client.meta.events.register("before-call.dynamodb", _count)
    return made


def _app(dynamodb: str | None) -> FastAPI:
    shared = {"client": _resource(dynamodb)} if dynamodb else {}

    @dataclass
    class BackendParams(DefaultDependency):
        def as_dict(self, exclude_none: bool = True) -> dict[str, Any]:  # noqa: ARG002
            return shared

    app = FastAPI()
    backend = DynamoDBBackend if dynamodb else FileBackend
    cogs = MosaicTilerFactory(
        backend=backend, backend_dependency=BackendParams, dataset_reader=Reader
    )
    items = MosaicTilerFactory(
        backend=backend,
        backend_dependency=BackendParams,
        dataset_reader=STACReader,
        layer_dependency=AssetsExprParams,
    )
    app.include_router(cogs.router, prefix="/cog")
    app.include_router(items.router, prefix="/stac")
    add_exception_handlers(app, {**DEFAULT_STATUS_CODES, **MOSAIC_STATUS_CODES})

    @app.get("/_usage")
    async def usage() -> dict[str, int | None]:
        taken, _calls["calls"] = _calls["calls"], 0
        return {"calls": taken if dynamodb else None, "rows": None}

    return app


if __name__ == "__main__":
    port, *dynamodb = sys.argv[1:]
    app = _app(next(iter(dynamodb), None))
    uvicorn.run(
        app, port=int(port), log_level="warning", loop="asyncio", http="h11", timeout_keep_alive=600
    )
