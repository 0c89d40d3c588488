"""titiler.mosaic as a server: `python titiler_app.py PORT`, in the environment of `titiler.txt`.

The routers are those of TiTiler's application, with everything that the factory can do turned on.
`/cog` reads COGs, `/stac` STAC Items; `url=` names a file with a MosaicJSON;
below `/http` it is a URL.
"""

import sys

import uvicorn
from cogeo_mosaic.backends.file import FileBackend
from cogeo_mosaic.backends.web import HttpBackend
from fastapi import FastAPI
from rio_tiler.io import Reader, STACReader
from titiler.core.dependencies import AssetsExprParams
from titiler.core.errors import DEFAULT_STATUS_CODES, add_exception_handlers
from titiler.core.factory import AlgorithmFactory, ColorMapFactory, TMSFactory
from titiler.core.resources.enums import OptionalHeader
from titiler.mosaic.errors import MOSAIC_STATUS_CODES
from titiler.mosaic.extensions.mosaicjson import MosaicJSONExtension
from titiler.mosaic.extensions.wmts import wmtsExtension
from titiler.mosaic.factory import MosaicTilerFactory


def _app() -> FastAPI:
    app = FastAPI()
    for prefix, how in {
        "/cog": {"dataset_reader": Reader},
        "/stac": {"dataset_reader": STACReader, "layer_dependency": AssetsExprParams},
    }.items():
        factory = MosaicTilerFactory(
            backend=FileBackend,
            router_prefix=prefix,
            add_part=True,
            add_statistics=True,
            add_ogc_maps=True,
            optional_headers=[OptionalHeader.server_timing, OptionalHeader.x_assets],
            extensions=[MosaicJSONExtension(), wmtsExtension()],
            **how,
        )
        app.include_router(factory.router, prefix=prefix)
    over_http = MosaicTilerFactory(backend=HttpBackend, router_prefix="/http")
    app.include_router(over_http.router, prefix="/http")
    for catalogue in (TMSFactory(), AlgorithmFactory(), ColorMapFactory()):
        app.include_router(catalogue.router)
    add_exception_handlers(app, {**DEFAULT_STATUS_CODES, **MOSAIC_STATUS_CODES})
    return app


if __name__ == "__main__":
    uvicorn.run(
        _app(),
        port=int(sys.argv[1]),
        log_level="warning",
        loop="asyncio",
        http="h11",
        timeout_keep_alive=75,  # more than the 5 s within which httpx may use a connection again
    )
