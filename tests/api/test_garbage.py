"""Answers leave nothing of ours in cycles: megabytes of pixels would wait for a collection."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from api.overviews import build, document, make_scenes, with_overviews
from api.served import WEB, Server
from items import box

DEEP = 60
TILE = "/mosaics/m/tiles/WebMercatorQuad/{tile}"
BOX = "/mosaics/m/bbox/{box}"
MERCATOR = "coord_crs=EPSG:3857&dst_crs=EPSG:3857"
MAP = "SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&LAYERS=m&STYLES=&CRS=EPSG:3857&FORMAT=image/png"
PATHS = {
    "tile": f"{TILE}.png",
    "tile without overviews": f"{TILE}.png?overviews=false",
    "tile of all scenes": f"{TILE}.npy?operation=median&max_scenes=100",
    "tile in another order": f"{TILE}.png?method=center",
    "tile that is cut": f"{TILE}.png?max_scenes=1&overviews=false",
    "tile of values that are computed": f"{TILE}.npy?expression=b1*2",
    "tile by an algorithm": f"{TILE}.png?algorithm=hillshade&bidx=1",
    "tile of low zoom": "/mosaics/m/tiles/WebMercatorQuad/6/34/22.png",
    "tile of a derived mosaic": "/mosaics/derived/tiles/WebMercatorQuad/{tile}.png",
    "vector tile": "/mosaics/m/vector/WebMercatorQuad/{tile}.mvt",
    "box": f"{BOX}/64x64.png?{MERCATOR}",
    "GeoTIFF": f"{BOX}/64x64.tif?{MERCATOR}",
    "box that is too large": f"{BOX}/64000x64000.png?{MERCATOR}",
    "explained": f"{BOX}/assets?coord_crs=EPSG:3857",
    "map": f"/mosaics/m/wms?{MAP}&BBOX={{box}}&WIDTH=64&HEIGHT=64",
    "image service": "/arcgis/rest/services/m/ImageServer/exportImage"
    "?bbox={box}&size=64,64&f=image",
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server of a deep stack of scenes, and where their edge is."""
    with with_overviews(tmp_path_factory.mktemp("garbage")) as server:
        scene, beside = make_scenes(server.folder, 2)[:2]
        copies = [replace(scene, name=f"s{number:03}") for number in range(DEEP)]
        server.add(*map(document, (*copies, beside)))
        build(server)
        server.create("derived", sources=[{"mosaic": "m"}])
        left, bottom, _, top = scene.bounds
        at = WEB.tile(*WEB.lnglat(left, (bottom + top) / 2), 14)
        bounds = left - 1000, bottom, left + 1000, bottom + 2000
        yield server, {"tile": f"{at.z}/{at.x}/{at.y}", "box": ",".join(map(str, bounds))}


def collected(ask: Callable[[], None]) -> Counter[str]:
    """The objects of livemosaic's classes that a collection frees after each of ten times.

    What was in a cycle is freed by it each time; a thread that has not quite ended lets go later.
    """
    for attempt in range(10):
        gc.collect()
        gc.disable()
        try:
            ask()
            time.sleep(0.05 * attempt)
            before = ours()
            gc.collect()
            freed = before - ours()
        finally:
            gc.enable()
        if not freed:
            break
    return freed


def ours() -> Counter[str]:
    kinds = (type(each) for each in gc.get_objects())
    return Counter(kind.__qualname__ for kind in kinds if kind.__module__.startswith("livemosaic."))


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_an_answer_leaves_nothing_to_collect(
    places: tuple[Server, dict[str, str]], path: str
) -> None:
    server, where = places

    def ask() -> None:
        answer = server.client.get(path.format(**where))
        assert answer.status_code == (400 if "64000" in path else 200), answer.text

    assert collected(ask) == Counter()


def test_statistics_leave_nothing_to_collect(places: tuple[Server, dict[str, str]]) -> None:
    server, where = places
    left, bottom, right, top = map(float, where["box"].split(","))
    (west, south), (east, north) = WEB.lnglat(left, bottom), WEB.lnglat(right, top)
    area = {"type": "Feature", "properties": {}, "geometry": box(west, south, east, north)}

    def ask() -> None:
        answer = server.client.post("/mosaics/m/statistics", json=area)
        assert answer.status_code == 200, answer.text

    assert collected(ask) == Counter()
