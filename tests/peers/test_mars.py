"""Values of a mosaic on Mars are those of titiler.mosaic with planetcantile's TileMatrixSets."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from cogeo_mosaic.mosaic import MosaicJSON
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from api.served import Server, serving
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.table.sqlite import SqliteTable
from peers.conftest import running
from planets.mars import DEGREES, EQUIRECTANGULAR, JEZERO, MERCATOR, ctx

OWN = "MarsMercatorSphere"
ASSETS = ("dtm", "orthoimage", "hillshade")
SCENES = {"N03": EQUIRECTANGULAR, "P02": MERCATOR, "P18": EQUIRECTANGULAR}
"""CRS of each scene, the newest first, which is the order of both."""
ZOOMS = range(9, 13)

pytestmark = pytest.mark.skipif(
    find_spec("planetcantile") is None, reason="planetcantile has the TileMatrixSets"
)


@dataclass(frozen=True)
class OnMars:
    """A mosaic an asset at both servers."""

    ours: Server
    titiler: httpx.Client
    files: dict[str, str]
    """mosaic.json by asset."""

    def both(self, asset: str, path: str, **query: str) -> list[httpx.Response]:
        asked = {"url": self.files[asset], **query}
        theirs = self.titiler.get(f"/cog{path}", params=asked)
        return [self.ours.get(f"/mosaics/{asset}{path}", **query), theirs]


@pytest.fixture(scope="module")
def mars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnMars]:
    folder = tmp_path_factory.mktemp("mars")
    [package] = find_spec("planetcantile").submodule_search_locations
    sets = Path(package) / "data" / "v4"
    items = [ctx(folder, name, crs) for name, crs in SCENES.items()]
    with (
        serving(SqliteTable(folder / "table.db"), folder) as server,
        running(TILEMATRIXSET_DIRECTORY=str(sets), PROJ_IGNORE_CELESTIAL_BODY="YES") as url,
        httpx.Client(base_url=url, timeout=60) as titiler,
    ):
        for asset in ASSETS:
            server.create(asset, tms=OWN, assets=[asset], minzoom=9, maxzoom=14, quadkey_zoom=9)
            server.add(*items, mosaic=asset)
        yield OnMars(server, titiler, {a: str(mosaic_json(folder, a, items)) for a in ASSETS})


def mosaic_json(folder: Path, asset: str, items: list[Any]) -> Path:
    paths = [item["assets"][asset]["href"] for item in items]
    features = [
        {"type": "Feature", "geometry": item["geometry"], "properties": {"path": path}}
        for item, path in zip(items, paths, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of morecantile, about degrees that are not the Earth's
        made = MosaicJSON.from_features(
            features,
            minzoom=9,
            maxzoom=14,
            quadkey_zoom=9,
            quiet=True,
            tilematrixset=tile_matrix_set(OWN),
        )
    path = folder / f"{asset}.mosaic.json"
    path.write_text(made.model_dump_json(exclude_none=True))
    return path


def pixels(answer: httpx.Response) -> NDArray[Any]:
    """Values of the first band; where there are none the nodata value of the source."""
    assert answer.status_code == 200, answer.text
    with MemoryFile(answer.content) as file, file.open() as image:
        return image.read(1)


@pytest.mark.parametrize("asset", ASSETS)
@pytest.mark.parametrize("place", [JEZERO, (77.62, 18.9), (77.75, 18.6), (77.3, 18.95)])
def test_a_point_has_the_same_values(mars: OnMars, asset: str, place: tuple[float, float]) -> None:
    ours, theirs = mars.both(asset, f"/point/{place[0]},{place[1]}", coord_crs=DEGREES)
    assert ours.status_code == theirs.status_code == 200, (ours.text, theirs.text)
    assert values(ours.json()) == values(theirs.json())


def values(document: Any) -> list[Any]:
    return [asset["values"] for asset in document["assets"]]


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("asset", ASSETS)
@pytest.mark.parametrize("tms", [OWN, "MarsEquidistantCylindricalSphere"])
def test_a_tile_has_the_same_values(mars: OnMars, tms: str, asset: str, zoom: int) -> None:
    tile = tile_matrix_set(tms).tile(*JEZERO, zoom, geographic_crs=None)
    ours, theirs = map(pixels, mars.both(asset, f"/tiles/{tms}/{zoom}/{tile.x}/{tile.y}.tif"))
    assert len(np.unique(ours)) > 10
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)
