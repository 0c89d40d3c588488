"""Every reader of a derived mosaic has what it has of one mosaic with all of the scenes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livemosaic
from api.served import AUTHORIZED, LEFT, RIGHT, WHOLE, Server, footprint, on_socket, serving
from livemosaic.table.sqlite import SqliteTable

BOX = "861986,5714820,899122,5751956"
WMS = "service=WMS&version=1.3.0&styles=&crs=EPSG:3857&width=64&height=64&format=image/png"
IMAGES = {
    "tile": "/mosaics/{m}/tiles/WebMercatorQuad/11/1068/731.png",
    "tile of another grid": "/mosaics/{m}/tiles/WGS1984Quad/10/1069/251.png",
    "box": "/mosaics/{m}/bbox/7.75,45.6,8.05,45.8/64x64.png",
    "OGC map": "/mosaics/{m}/map?f=png&width=64&height=64",
    "GetMap": f"/mosaics/{{m}}/wms?request=GetMap&layers={{m}}&bbox={BOX}&{WMS}",
    "GetMap of all": f"/wms?request=GetMap&layers={{m}}&bbox={BOX}&{WMS}",
    "exportImage": f"/arcgis/rest/services/{{m}}/ImageServer/exportImage?f=image&bbox={BOX}"
    "&bboxSR=3857&size=64,64&format=png",
}
ITEMS = {
    "items": "/mosaics/{m}/items?bbox=7.7,45.6,8.1,45.8",
    "all items": "/mosaics/{m}/items",
    "STAC search": "/search?collections={m}&bbox=7.7,45.6,8.1,45.8",
    "STAC items": "/collections/{m}/items",
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`one` has four scenes; `d` has two sources, each with two of them."""
    folder = tmp_path_factory.mktemp("assets")
    rng = np.random.default_rng(3)
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        for name in ("one", "a", "b"):
            server.create(name, properties=["gsd"])
        for n, (source, part) in enumerate(zip("abab", (WHOLE, LEFT, RIGHT, LEFT), strict=True)):
            shape = 1, part[3] - part[1], part[2] - part[0]
            values = rng.integers(1, 250, shape).astype("uint8")
            values[:, n * 20 : n * 20 + 40] = 0
            for mosaic in ("one", source):
                server.publish(f"s{n}", values, part, day=n + 1, mosaic=mosaic, nodata=0)
        server.create("d", sources=[{"mosaic": "a"}, {"mosaic": "b"}])
        yield server


def pair(server: Server, path: str) -> list[Any]:
    found = [server.get(path.format(m=name)) for name in ("d", "one")]
    assert [each.status_code for each in found] == [200, 200], found[0].text
    return found


@pytest.mark.parametrize("path", IMAGES.values(), ids=IMAGES)
def test_images(both: Server, path: str) -> None:
    derived, one = pair(both, path)
    assert derived.content == one.content
    assert derived.headers.get("X-Scenes") == one.headers.get("X-Scenes")


@pytest.mark.parametrize("path", ITEMS.values(), ids=ITEMS)
def test_items(both: Server, path: str) -> None:
    derived, one = (
        [(each["id"], each["geometry"], each["assets"].keys()) for each in found.json()["features"]]
        for found in pair(both, path)
    )
    assert sorted(map(repr, derived)) == sorted(map(repr, one))
    if "all" not in path and path != ITEMS["STAC items"] and path != ITEMS["all items"]:
        assert derived == one


def test_every_page_of_items_is_reached_once(both: Server) -> None:
    for start in ("/mosaics/d/items?limit=1", "/search?collections=d&limit=1"):
        names, url = [], start
        while url:
            page = both.get(url).json()
            names += [each["id"] for each in page["features"]]
            url = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
        assert sorted(names) == ["s0", "s1", "s2", "s3"]


@pytest.mark.parametrize("z_orders", [(0, 0), (0, 5)], ids=str)
def test_every_page_of_a_mosaic_that_is_two_sources_is_reached_once(
    both: Server, z_orders: tuple[int, int]
) -> None:
    name = f"twice{z_orders[1]}"
    filters = [f"id IN ('s{n}', 's{n + 1}', 's{n + 2}')" for n in (1, 0)]
    given = [
        {"mosaic": "one", "z_order": z_order, "filter": each}
        for z_order, each in zip(z_orders, filters, strict=True)
    ]
    both.create(name, sources=given)
    names: list[str] = []
    url = f"/search?collections={name}&limit=1"
    while url and len(names) < 9:
        page = both.get(url).json()
        names += [each["id"] for each in page["features"]]
        url = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    assert sorted(names) == ["s0", "s1", "s2", "s3"]


def test_values(both: Server) -> None:
    for operation in ("first", "mean", "max"):
        query = f"operation={operation}"
        derived, one = pair(both, f"/mosaics/{{m}}/point/7.8,45.7?{query}")
        assert derived.json()["values"] == one.json()["values"]
        bodies = [
            both.client.post(f"/mosaics/{name}/statistics?{query}", json=feature()).json()
            for name in ("d", "one")
        ]
        assert bodies[0] == bodies[1]


def feature() -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": footprint((20, 20, 200, 200))}


def test_documents(both: Server) -> None:
    derived, one = (
        {
            cell: [Path(href).stem.partition("-")[0] for href in hrefs]
            for cell, hrefs in each.json()["tiles"].items()
        }
        for each in pair(both, "/mosaics/{m}/mosaic.json")
    )
    assert derived == one
    derived, one = (
        each.json() for each in pair(both, "/mosaics/{m}/tiles/WebMercatorQuad/tilejson.json")
    )
    for key in ("bounds", "minzoom", "maxzoom", "shown_assets"):
        assert derived[key] == one[key]


def test_object_ids_are_those_of_the_source(both: Server) -> None:
    path = "/arcgis/rest/services/{m}/ImageServer/query?f=json&where=1=1&outFields=*"
    derived, one = (
        sorted(
            (f["attributes"]["Name"], f["attributes"]["OBJECTID"]) for f in each.json()["features"]
        )
        for each in pair(both, path)
    )
    assert derived == one
    number = derived[0][1]
    asked = f"/arcgis/rest/services/d/ImageServer/{number}?f=json"
    assert both.get(asked).status_code == 200


def test_python(both: Server) -> None:
    index = f"sqlite:///{both.folder / 'table.db'}"
    with (
        on_socket(both) as url,
        livemosaic.open(index, allow=[str(both.folder)]) as here,
        livemosaic.open(url) as there,
    ):
        images = [
            place[name].tile(534, 365, 10) for place in (here, there) for name in ("d", "one")
        ]
        for image in images:
            assert (image.array == images[0].array).all()
        here.create("made", sources=[{"mosaic": "a", "z_order": -1}, {"mosaic": "b"}])
        assert (there["made"].tile(534, 365, 10).array.mask == images[0].array.mask).all()
        with pytest.raises(livemosaic.LivemosaicError, match="made"):
            here.delete("a")
        here.delete("made")


def test_no_list_names_a_mosaic_whose_source_is_private(both: Server) -> None:
    lists = ("/mosaics", "/collections", "/wms?service=WMS&request=GetCapabilities",
             "/arcgis/rest/services?f=json")  # fmt: skip
    both.create("secret", sources=[{"mosaic": "b"}], title="shows b")
    both.create("further", sources=[{"mosaic": "secret"}], title="shows secret")
    for access, is_listed in (("private", False), ("public", True)):
        both.client.patch("/mosaics/b", json={"access": access}, headers=AUTHORIZED)
        for path in lists:
            text = both.get(path).text
            assert ("secret" in text, "further" in text) == (is_listed, is_listed), path
        for path in (*IMAGES.values(), *ITEMS.values()):
            for name in ("d", "further"):
                answer = both.get(path.format(m=name))
                shows = answer.status_code == 200 and b"s1" in answer.content
                if path in IMAGES.values():
                    assert (answer.headers.get("content-type") == "image/png") == is_listed, path
                assert is_listed or not shows
