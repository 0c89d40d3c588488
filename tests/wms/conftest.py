"""Web Map Services of mosaics, as a client asks them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.served import EDGE, LEFT, SIZE, Server, serving
from livemosaic.table.sqlite import SqliteTable

RENDERS = {
    "ramp": {
        "title": "Heat & <light>",
        "assets": ["visual"],
        "bidx": [1],
        "rescale": [[0, 200]],
        "colormap_name": "viridis",
    },
    "stretched": {"assets": ["visual"], "rescale": [[0, 100]]},
}
BBOX = ",".join(map(str, (EDGE.left, EDGE.bottom, EDGE.right, EDGE.top)))


@dataclass
class Service:
    """The service of a mosaic."""

    server: Server
    path: str = "/mosaics/m/wms"
    layer: str = "m"

    def get(self, **query: Any) -> Any:
        return self.server.get(self.path, **query)

    def map(self, **changed: Any) -> Any:
        """The tile of all tests, in 1.3.0; None leaves a parameter out."""
        usual = {
            "SERVICE": "WMS",
            "REQUEST": "GetMap",
            "VERSION": "1.3.0",
            "LAYERS": self.layer,
            "STYLES": "",
            "CRS": "EPSG:3857",
            "BBOX": BBOX,
            "WIDTH": SIZE,
            "HEIGHT": SIZE,
            "FORMAT": "image/png",
            "TRANSPARENT": "TRUE",
        }
        return self.get(**{n: v for n, v in (usual | changed).items() if v is not None})

    def info(self, **changed: Any) -> Any:
        asked = {"REQUEST": "GetFeatureInfo", "QUERY_LAYERS": self.layer, "I": 5, "J": 7}
        return self.map(**(asked | changed))


@pytest.fixture(scope="module")
def wms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service of a mosaic with a scene on the left half of the tile, and an older one below."""
    folder = tmp_path_factory.mktemp("wms")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        server.create(title="The 'first' & best", renders=RENDERS)
        random = np.random.default_rng(21)
        values = random.integers(1, 200, (3, 256, 128)).astype("uint8")
        server.publish("new", values, LEFT, day=3)
        server.publish("old", [10, 20, 30], (0, 0, 192, 256), day=1)
        server.create("coarse", minzoom=8, maxzoom=12, quadkey_zoom=12)
        server.publish("new", values, LEFT, mosaic="coarse")
        server.create("floats")
        server.publish("new", 1.5, mosaic="floats", dtype="float32")
        server.create("hidden", access="private")
        server.publish("new", 7, mosaic="hidden")
        yield Service(server)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")
