"""Pictures of mosaics, algorithms and TileMatrixSets on pages, and of links to maps."""

import re
from html import unescape
from xml.etree import ElementTree

import pytest
from starlette.testclient import TestClient

from api.served import AUTHORIZED, JSON, Server, raster, scene
from livemosaic.geo.tms import tms_ids

BROWSER = {"Accept": "text/html"}


def _previews(client: TestClient, **headers: str) -> list[str]:
    text = client.get("/", headers={**BROWSER, **headers}).text
    return [unescape(source) for source in re.findall(r'<img src="(mosaics/[^"]+)"', text)]


def _meta(server: Server, path: str) -> dict[str, str]:
    text = server.client.get(path, headers=BROWSER).text
    found = re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', text)
    return {name: unescape(value) for name, value in found}


def test_cards_have_previews_that_the_server_draws(server: Server) -> None:
    server.create("shown")
    path = raster(server.folder / "shown.tif", 100)
    assert server.post(scene("s", str(path)), "shown").status_code == 200
    sources = _previews(server.client)
    assert any("/shown/" in source for source in sources)
    for source in sources:
        image = server.client.get(f"/{source}")
        assert image.status_code == 200, image.text
        assert image.headers["Content-Type"] == "image/png"


@pytest.mark.parametrize(
    ("settings", "is_shown"),
    [({}, True), ({"minzoom": 14}, False), ({"minzoom": 9}, True), ({"access": "private"}, False)],
    ids=["usual", "drawn from a higher zoom", "drawn from its zoom", "private"],
)
def test_a_mosaic_has_a_preview_where_it_is_drawn_and_may_be_seen(
    server: Server, settings: dict[str, object], is_shown: bool
) -> None:
    name = f"preview-{'-'.join(map(str, settings.values()))}"
    made = server.client.post("/mosaics", json={"id": name, **settings}, headers=JSON)
    assert made.status_code == 201, made.text
    path = raster(server.folder / f"{name}.tif", 100)
    server.client.post(f"/mosaics/{name}/items", json=scene("p", str(path)), headers=JSON)
    shown = [source for source in _previews(server.client) if f"/{name}/" in source]
    assert bool(shown) is is_shown
    page = f"/mosaics/{name}/map.html?rescale=0,10"
    if settings.get("access") != "private":
        image = _meta(server, page).get("image")
        assert bool(image) is is_shown
        if image:
            assert image.endswith("&rescale=0,10")
            assert server.client.get(image).status_code == 200
    server.client.delete(f"/mosaics/{name}", headers=AUTHORIZED)


def test_a_link_to_a_map_is_shown_by_its_title(server: Server) -> None:
    settings = {"id": "shared", "title": 'The "Alps" <live>'}
    server.client.post("/mosaics", json=settings, headers=JSON)
    found = _meta(server, "/mosaics/shared/map.html")
    assert found["title"] == 'The "Alps" <live>'
    assert "image" not in found
    server.client.delete("/mosaics/shared", headers=AUTHORIZED)


def test_each_algorithm_has_an_example(server: Server) -> None:
    listed = server.client.get("/algorithms").json()["algorithms"]
    page = server.client.get("/algorithms", headers=BROWSER).text
    for name in (one["id"] for one in listed):
        assert f'src="algorithms/{name}?f=png"' in page
        image = server.client.get(f"/algorithms/{name}?f=png")
        assert image.content.startswith(b"\x89PNG"), name


@pytest.mark.parametrize("name", [*tms_ids()[::48], "WebMercatorQuad", "CanadianNAD83_LCC"])
def test_a_tile_matrix_set_has_a_picture_of_its_tiles(server: Server, name: str) -> None:
    image = server.client.get(f"/tileMatrixSets/{name}?f=svg")
    assert image.headers["Content-Type"] == "image/svg+xml"
    path = ElementTree.fromstring(image.text)[-1].attrib["d"]
    numbers = [float(text) for text in re.findall(r"-?\d+\.\d", path)]
    assert len(numbers) > 50
    assert all(abs(number) <= 180 for number in numbers)


def test_edges_of_web_mercator_are_meridians_and_parallels(server: Server) -> None:
    path = ElementTree.fromstring(server.client.get("/tileMatrixSets/WebMercatorQuad?f=svg").text)
    edges = path[-1].attrib["d"]
    for edge in ("-180.0", "-90.0", "0.0", "90.0", "180.0", "-66.5", "66.5"):
        assert edge in edges


@pytest.mark.parametrize("path", ["/algorithms/nonesuch", "/tileMatrixSets/nonesuch"])
@pytest.mark.parametrize("form", ["png", "svg", "html", "xyz"])
def test_what_does_not_exist_has_no_picture(server: Server, path: str, form: str) -> None:
    assert server.client.get(f"{path}?f={form}").status_code in (400, 404)
