"""Both functions on one new index, with AWS's runtime client around them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from handlers.gateway import HttpApi
from handlers.runtime import Function, function


@dataclass(frozen=True)
class Deployed:
    """Functions that share an index and a folder of assets."""

    folder: Path
    tiler: Function
    ingest: Function

    @property
    def api(self) -> HttpApi:
        return HttpApi(self.tiler.invoke)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """One of both for all tests of a module, as starting them takes seconds."""
    folder = tmp_path_factory.mktemp("deployed")
    environment = {
        "LIVEMOSAIC_INDEX": f"sqlite:///{folder}/index.db",
        "LIVEMOSAIC_ALLOWED_PREFIXES": f"https://example.com/, {folder}/",
        "LIVEMOSAIC_CORS_ORIGINS": "https://maps.example.com, http://localhost:3000",
        "LIVEMOSAIC_MOSAIC_MAX_AGE_S": "0",
    }
    with (
        function("tiler.handler", folder, **environment) as tiler,
        function("ingest.handler", folder, **environment) as ingest,
    ):
        yield Deployed(folder, tiler, ingest)
