"""TiTiler over a live mosaic: `python backend_app.py PORT PACKAGES…`, where titiler.mosaic is.

`PACKAGES` are folders of packages that livemosaic needs and that environment lacks.
"""

import site
import sys

import uvicorn
from fastapi import FastAPI
from titiler.core.errors import DEFAULT_STATUS_CODES, add_exception_handlers
from titiler.mosaic.errors import MOSAIC_STATUS_CODES
from titiler.mosaic.factory import MosaicTilerFactory


def _app() -> FastAPI:
    import livemosaic

    app = FastAPI()
    factory = MosaicTilerFactory(backend=livemosaic.MosaicBackend, add_part=True)
    app.include_router(factory.router)
    wrong = {livemosaic.InvalidRequestError: 400, livemosaic.NotFoundError: 404}
    add_exception_handlers(app, {**DEFAULT_STATUS_CODES, **MOSAIC_STATUS_CODES, **wrong})
    return app


if __name__ == "__main__":
    for folder in sys.argv[2:]:
        site.addsitedir(folder)  # at the end: packages of the environment itself come first
    uvicorn.run(
        _app(),
        port=int(sys.argv[1]),
        log_level="warning",
        loop="asyncio",
        http="h11",
        timeout_keep_alive=75,  # more than the 5 s within which httpx may use a connection again
    )
