"""Low zooms of derived mosaics: the cells of their sources, one over the other."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from api.overviews import Tile, build, document, make_scenes, tiles_over, with_overviews
from api.served import AUTHORIZED, Server, tile_url

pytestmark = pytest.mark.slow

ACROSS = 10


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Tile]]]:
    """`top` has the western scenes, `below` has all of them; both have overviews."""
    with with_overviews(tmp_path_factory.mktemp("derived")) as server:
        tiles = make_scenes(server.folder, ACROSS)
        dark = make_scenes(dark_folder(server), ACROSS)
        for mosaic in ("top", "below"):
            server.create(mosaic, collections=[mosaic], overviews={}, properties=["gsd"])
        server.add(*[own(tile, "below") for tile in tiles], mosaic="below")
        server.add(*[own(tile, "top") for tile in dark[: len(dark) // 2]], mosaic="top")
        build(server, "top")
        build(server, "below")
        yield server, tiles


def dark_folder(server: Server) -> Any:
    folder = server.folder / "dark"
    folder.mkdir()
    return folder


def own(tile: Tile, collection: str) -> dict[str, Any]:
    return {**document(tile), "id": f"{collection}-{tile.name}", "collection": collection}


def derive(server: Server, name: str, **more: Any) -> None:
    top, below = {"mosaic": "top", "z_order": -1}, {"mosaic": "below"}
    server.create(name, sources=[{**top, **more.pop("top", {})}, below], **more)


def over(tiles: list[Tile], zoom: int) -> Any:
    found = tiles_over(tiles, zoom)
    return found[len(found) // 2]


@pytest.mark.parametrize("zoom", [0, 3, 5, 8, 9, 10])
def test_cells_of_the_upper_source_lie_over_those_of_the_lower(
    sources: tuple[Server, list[Tile]], zoom: int
) -> None:
    """Each pixel is that of the upper source where it has one, exactly."""
    server, tiles = sources
    derive(server, f"d{zoom}")
    tile = over(tiles, zoom)
    at = tile.z, tile.x, tile.y
    made, top, below = (
        server.picture(tile_url(mosaic=name, tile=at)) for name in (f"d{zoom}", "top", "below")
    )
    for picture in (made, top, below):
        assert "X-Overview" in picture.headers
        assert "X-Truncated" not in picture.headers
    assert (made.valid == (top.valid | below.valid)).all()
    assert (made.data == np.where(top.valid, top.data, below.data)).all()
    assert (top.valid & made.valid).any()


def test_a_source_with_a_filter_shows_scenes_over_the_cells_of_others(
    sources: tuple[Server, list[Tile]],
) -> None:
    server, tiles = sources
    derive(server, "filtered", top={"filter": "id = 'top-s005'"})
    tile = over(tiles, 8)
    url = tile_url(mosaic="filtered", tile=(tile.z, tile.x, tile.y))
    made = server.picture(url)
    assert "X-Overview" in made.headers
    assert made.scenes == ["top-s005"]
    below = server.picture(tile_url(mosaic="below", tile=(tile.z, tile.x, tile.y)))
    assert (made.valid >= below.valid).all()
    assert (made.data != below.data).any()


def test_sources_of_one_stack_show_scenes_and_say_what_is_left_out(
    sources: tuple[Server, list[Tile]],
) -> None:
    server, tiles = sources
    derive(server, "stack", top={"z_order": 0})
    tile = over(tiles, 9)
    made = server.picture(tile_url(mosaic="stack", tile=(tile.z, tile.x, tile.y)))
    assert "X-Overview" not in made.headers
    assert made.headers["X-Truncated"]


@pytest.mark.parametrize(
    "query", [{"operation": "mean"}, {"sortby": "datetime"}, {"overviews": "false"}], ids=str
)
def test_what_cells_do_not_keep_is_of_scenes(
    sources: tuple[Server, list[Tile]], query: dict[str, str]
) -> None:
    server, tiles = sources
    name = "q-" + "-".join(query)
    derive(server, name)
    tile = over(tiles, 5)
    made = server.picture(tile_url(mosaic=name, tile=(tile.z, tile.x, tile.y)), **query)
    assert "X-Overview" not in made.headers


def test_assets_by_other_names_have_cells_too(sources: tuple[Server, list[Tile]]) -> None:
    server, tiles = sources
    server.create(
        "renamed",
        sources=[{"mosaic": name, "z_order": n, "assets": {"rgb": "visual"}} for n, name in
                 enumerate(("top", "below"))],
    )  # fmt: skip
    derive(server, "plain")
    tile = over(tiles, 5)
    at = tile.z, tile.x, tile.y
    one = server.picture(tile_url(mosaic="renamed", tile=at), expression="rgb_b1*2;rgb_b3")
    other = server.picture(tile_url(mosaic="plain", tile=at), expression="visual_b1*2;visual_b3")
    assert "X-Overview" in one.headers
    assert (one.data == other.data).all()


def test_an_etag_is_of_the_cells(sources: tuple[Server, list[Tile]]) -> None:
    server, tiles = sources
    derive(server, "tagged")
    tile = over(tiles, 5)
    url = f"{tile_url(mosaic='tagged', tile=(tile.z, tile.x, tile.y))}.png"
    tag = server.get(url).headers["ETag"]

    def status() -> int:
        code: int = server.client.get(url, headers={"If-None-Match": tag}).status_code
        return code

    assert status() == 304
    swapped = [{"mosaic": "top", "z_order": 1}, {"mosaic": "below"}]
    server.client.patch("/mosaics/tagged", json={"sources": swapped}, headers=AUTHORIZED)
    assert status() == 200
