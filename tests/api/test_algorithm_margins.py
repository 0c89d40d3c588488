"""An algorithm drops pixels on each side of what it is given; images have the size asked for."""

import io
from collections.abc import Iterator
from typing import Any

import morecantile
import numpy as np
import pytest
from rasterio.io import MemoryFile

from api.served import AUTHORIZED, EDGE, SIZE, WEB, Server, X, Y, Z, serving, tile_url
from items import box
from livemosaic.table.sqlite import SqliteTable

TMS = morecantile.tms.get("WorldCRS84Quad")
ACROSS = 2 * SIZE


@pytest.fixture(scope="module")
def hills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One scene on two tiles, from west to east; renders with another margin, and with none."""
    folder = tmp_path_factory.mktemp("hills")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        wide = {"algorithm": "hillshade", "algorithm_params": {"buffer": 40}}
        bare = {"algorithm": "hillshade", "algorithm_params": {"buffer": 0}}
        server.create(renders={"wide": wide, "bare": bare, "shade": {"algorithm": "hillshade"}})
        x, y = np.meshgrid(np.arange(ACROSS), np.arange(SIZE))
        heights = 900 * (np.sin(x / 40) * np.cos(y * y / 9000) + 1)
        server.publish("a", heights[None].astype("float32"), (0, 0, ACROSS, SIZE), nodata=-9999)
        yield server


def array(answer: Any) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    found: np.ndarray = np.load(io.BytesIO(answer.content))
    return found


def bbox(bounds: tuple[float, ...], size: str, suffix: str = "npy") -> str:
    return f"/mosaics/m/bbox/{','.join(map(repr, bounds))}/{size}.{suffix}"


METRES = {"coord_crs": "EPSG:3857"}
TWO_TILES = (EDGE.left, EDGE.bottom, 2 * EDGE.right - EDGE.left, EDGE.top)


@pytest.mark.parametrize("name", ["hillshade", "slope"])
def test_tiles_are_as_with_a_buffer_of_the_same_width(hills: Server, name: str) -> None:
    for tile in [(Z, X, Y), (Z, X + 1, Y), (Z - 1, X // 2, Y // 2), (Z - 4, X >> 4, Y >> 4)]:
        alone = hills.get(tile_url(".npy", tile=tile), algorithm=name)
        buffered = hills.get(tile_url(".npy", tile=tile), algorithm=name, buffer=3)
        assert array(alone).shape == (2, SIZE, SIZE)
        assert (array(alone) == array(buffered)).all()


def test_a_tile_of_another_tile_matrix_set_is_as_with_a_buffer(hills: Server) -> None:
    tile = TMS.tile(*TMS.lnglat(*WEB.lnglat(EDGE.right, (EDGE.bottom + EDGE.top) / 2)), 9)
    url = f"/mosaics/m/tiles/WorldCRS84Quad/9/{tile.x}/{tile.y}.npy"
    alone = array(hills.get(url, algorithm="hillshade"))
    assert alone.shape == (2, SIZE, SIZE)
    assert alone[-1].any()
    assert (alone == array(hills.get(url, algorithm="hillshade", buffer=3))).all()


@pytest.mark.parametrize("more", [{"tilesize": 512}, {"render": "wide"}, {"render": "bare"}])
def test_neighbours_make_one_image(hills: Server, more: dict[str, Any]) -> None:
    asked = {"algorithm": "hillshade"} | more if "render" not in more else more
    edge = more.get("tilesize", SIZE)
    tiles = [array(hills.get(tile_url(".npy", tile=(Z, X + n, Y)), **asked)) for n in (0, 1)]
    both = array(hills.get(bbox(TWO_TILES, f"{2 * edge}x{edge}"), **asked, **METRES))
    assert both.shape == (2, edge, 2 * edge)
    if more.get("render") == "bare":  # each has edges of its own
        inner = (slice(None), slice(1, -1), slice(1, edge - 1))
        assert (tiles[0][inner] == both[inner]).all()
    else:
        assert (np.concatenate(tiles, axis=2) == both).all()


def test_a_box_covers_exactly_its_bounds(hills: Server) -> None:
    answer = hills.get(bbox(TWO_TILES, "200x90", "tif"), algorithm="slope", **METRES)
    with MemoryFile(answer.content) as file, file.open() as image:
        assert (image.width, image.height) == (200, 90)
        assert image.bounds == pytest.approx(TWO_TILES, abs=1e-6)
    stated = [float(number) for number in answer.headers["Content-Bbox"].split(",")]
    assert stated == pytest.approx(TWO_TILES, abs=1e-6)


def test_other_images_have_their_size(hills: Server) -> None:
    place = ",".join(map(repr, TWO_TILES))
    asked = {"render": "shade"}
    answer = hills.get(
        "/mosaics/m/map", bbox=place, **{"bbox-crs": "EPSG:3857"}, crs="EPSG:3857",
        width=120, height=60, f="png", **asked,
    )  # fmt: skip
    assert _size(answer) == (120, 60)
    answer = hills.get(
        "/mosaics/m/wms", SERVICE="WMS", VERSION="1.3.0", REQUEST="GetMap", LAYERS="m",
        STYLES="shade", CRS="EPSG:3857", BBOX=place, WIDTH=120, HEIGHT=60, FORMAT="image/png",
    )  # fmt: skip
    assert _size(answer) == (120, 60)
    service = "/arcgis/rest/services/m/ImageServer/exportImage"
    answer = hills.get(
        service, bbox=place, bboxSR=3857, imageSR=3857, size="120,60", format="png", f="image",
        renderingRule='{"rasterFunction": "shade"}', adjustAspectRatio="false",
    )  # fmt: skip
    assert _size(answer) == (120, 60)


def test_an_image_of_a_feature_has_its_size(hills: Server) -> None:
    corners = hills.get("/mosaics/m").json()["bounds"]
    feature = {"type": "Feature", "properties": {}, "geometry": box(*corners)}
    url = "/mosaics/m/feature/120x60.npy"
    whole = array(hills.client.post(url, json=feature, params={"render": "shade"}))
    assert whole.shape == (2, 60, 120)


@pytest.mark.parametrize("asked", [{}, {"bidx": "1"}])
def test_an_empty_tile_has_the_same_size(hills: Server, asked: dict[str, Any]) -> None:
    for buffer, edge in ((None, SIZE), (0, SIZE - 6), (3, SIZE)):
        more = {} if buffer is None else {"buffer": buffer}
        url = tile_url(".npy", tile=(Z, X, Y + 40))
        empty = array(hills.get(url, algorithm="hillshade", **asked, **more))
        assert empty.shape[1:] == (edge, edge)
        assert not empty[-1].any()


def test_a_change_beside_a_tile_changes_its_etag(server: Server) -> None:
    """As pixels beside it decide what its edges show."""
    heights = np.indices((SIZE, SIZE)).sum(axis=0, dtype="float32")[None]
    server.publish("a", heights)
    first = server.tile(".npy", algorithm="hillshade")
    assert server.client.get(
        first.url, headers={"If-None-Match": first.headers["ETag"]}
    ).status_code == 304  # fmt: skip
    server.publish("b", heights * 3, (SIZE, 0, 2 * SIZE, SIZE))
    again = server.client.get(first.url, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 200
    assert (array(again)[0] != array(first)[0]).any()
    gone = server.client.delete("/mosaics/m/items/b?collection=s2&force=true", headers=AUTHORIZED)
    assert gone.status_code in (200, 204), gone.text
    assert (array(server.get(str(first.url))) == array(first)).all()


def _size(answer: Any) -> tuple[int, int]:
    assert answer.status_code == 200, answer.text
    with MemoryFile(answer.content) as file, file.open() as image:
        return image.width, image.height
