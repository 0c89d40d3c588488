"""Pages of map clients from npm, beside the API."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from browser.conftest import Site, serving
from livemosaic.api.app import App


def packages() -> Path:
    given = os.environ.get("LIVEMOSAIC_TEST_NPM")
    return Path(given) if given else Path(__file__).parents[2] / "node_modules"


@contextmanager
def served(site: Site, html: str) -> Iterator[str]:
    """The URL of a page beside the API, with packages at `/npm`."""

    async def shown(_: object) -> HTMLResponse:
        return HTMLResponse(html)

    app = Starlette(
        routes=[
            Route("/map", shown),
            Mount("/npm", StaticFiles(directory=packages())),
            Mount("/", App(site.services)),
        ]
    )
    with serving(app) as url:
        yield f"{url}/map"
