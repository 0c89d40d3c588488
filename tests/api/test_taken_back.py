"""Items that a mosaic answers are taken by another mosaic as the originals were by the first."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from api.served import Server, serving
from items import item, message
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene
from livemosaic.table.sqlite import SqliteTable
from tests.api.test_never_mixed import pair, published
from tests.unit.ingest.shapes import SHAPES, Shape
from tests.unit.ingest.test_choice import SHARED


@pytest.fixture
def server(sqlite_table: SqliteTable, folder: Path) -> Iterator[Server]:
    with serving(sqlite_table, folder, href="https://") as made:
        yield made


def put_in(server: Server, documents: Sequence[Any], mosaic: str) -> int:
    ingest = replace(server.services.ingest, keep_headers=None)  # nothing is there to be read
    only = server.services.mosaics.get(mosaic)
    outcomes = ingest.batch([*map(message, documents)], only=only)
    return sum(outcome.status == "done" for outcome in outcomes)


def answered(server: Server, mosaic: str) -> list[dict[str, Any]]:
    """All Items of a mosaic, without what the answer says of its own."""
    found, url = [], f"/mosaics/{mosaic}/items?limit=100"
    while url:
        page = server.get(url).json()
        found += page["features"]
        links = {link["rel"]: link["href"] for link in page["links"]}
        url = links.get("next", "")
    return found


def known(server: Server, mosaic: str) -> tuple[dict[str, Scene], Mosaic]:
    """Scenes by key, and the mosaic; without their versions, and the mosaic's own name."""
    found = server.services.mosaics.get(mosaic)
    scenes, token = {}, ""
    while True:
        page, token = server.services.index.list_scenes(found, limit=500, token=token)
        scenes |= {scene.key: replace(scene, version="") for scene in page}
        if not token:
            return scenes, found


def check(
    server: Server,
    documents: Sequence[Any],
    one: str = "first",
    other: str = "second",
    **settings: Any,
) -> int:
    """What a second mosaic knows of the first one's Items is what the first knows of documents."""
    for mosaic in (one, other):
        server.create(mosaic, **settings)
    count = put_in(server, documents, one)
    assert put_in(server, answered(server, one), other) == count
    (ours, first), (theirs, second) = known(server, one), known(server, other)
    assert theirs.keys() == ours.keys()
    for key, scene in ours.items():
        for field in fields(Scene):
            if field.compare:
                name = field.name
                assert getattr(theirs[key], name) == getattr(scene, name), (key, name)
    assert {*second.known_assets} == {*first.known_assets}
    assert second.meanings == first.meanings
    assert second.levels == first.levels
    return count


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.label)
def test_items_of_a_catalogue(server: Server, shape: Shape) -> None:
    assert check(server, pair(shape.item)) == 2


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_real_items_of_each_collection(server: Server) -> None:
    collections: dict[str, list[Any]] = {}
    for document in published():
        collections.setdefault(document.get("collection", ""), []).append(document)
    count = 0
    for n, documents in enumerate(collections.values()):
        count += check(server, documents, f"first{n}", f"second{n}")
    assert count > 150


BANDS: dict[str, dict[str, Any]] = {
    "an encoding a band": {
        "bands": [
            {"eo:common_name": "red", "nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1},
            {"eo:common_name": "nir", "nodata": 0, "raster:scale": 0.0001},
        ]
    },
    "STAC 1.0": {
        "eo:bands": [{"name": "B4", "common_name": "red"}, {"name": "B5", "common_name": "nir08"}],
        "raster:bands": [{"nodata": "-inf", "scale": 2.5}, {"nodata": "-inf", "scale": 2.5}],
    },
    "one nodata for named bands": {
        "nodata": 255,
        "eo:bands": [{"common_name": name} for name in ("red", "green", "blue")],
    },
    "wavelengths": {"bands": [{"eo:center_wavelength": 0.665}, {"eo:center_wavelength": 11.4}]},
    "a unit": {"raster:bands": [{"unit": "Kelvin", "scale": 0.01, "offset": 200}]},
    "a title": {"title": "NDVI, maximum of a month"},
    "a mask": {"roles": ["cloud"], "nodata": 7},
}


@pytest.mark.parametrize("stated", BANDS.values(), ids=BANDS)
def test_what_bands_are(server: Server, stated: dict[str, Any]) -> None:
    asset = {"href": "https://example.com/a.tif", "type": "image/tiff", **stated}
    check(server, [item("a", assets={"data": asset})])
    bands = answered(server, "first")[0]["assets"]["data"].get("bands", [])
    for band, own in zip(bands, stated.get("bands", bands), strict=True):
        assert band == band | own


@pytest.mark.parametrize(
    ("sortby", "values"),
    [
        ("view:sun_elevation", [45.25, -3.1, 0, 1e-9]),
        ("-eo:cloud_cover", [0.1, 99, 7.3, 0]),
        ("-gsd", [10, 0.3]),
        ("acquired:datetime", ["2026-01-02T03:04:05.678901Z", "1999-12-31T23:59:59Z"]),
        ("-published", ["2026-01-02T03:04:05Z", "2025-01-02T03:04:05+02:00"]),
        ("-created", ["2026-01-02T03:04:05Z", "2025-01-02T03:04:05Z"]),
        ("updated", ["2026-01-02T03:04:05Z", "2025-01-02T03:04:05Z"]),
    ],
)
def test_the_order_by_a_property_that_is_not_kept(
    server: Server, sortby: str, values: list[Any]
) -> None:
    name = sortby.removeprefix("-")
    documents = [
        item(f"i{n}", href=f"https://example.com/{n}.tif", properties={name: value})
        for n, value in enumerate(values)
    ]
    documents.append(item("without", href="https://example.com/w.tif"))
    Random(1).shuffle(documents)
    assert check(server, documents, sortby=sortby) == len(values) + 1


def test_a_scene_of_another_kind_stays_one(server: Server) -> None:
    bands = [["red"], ["red"], ["nir08"]]
    documents = [
        item(
            f"i{n}",
            datetime=f"2026-01-0{n + 1}T00:00:00Z",
            assets={
                "data": {
                    "href": f"https://example.com/{n}.tif",
                    "type": "image/tiff",
                    "bands": [{"eo:common_name": name} for name in names],
                }
            },
        )
        for n, names in enumerate(bands)
    ]
    for mosaic in ("first", "second"):
        server.create(mosaic)
    put_in(server, documents, "first")
    again = sorted(answered(server, "first"), key=lambda document: document["id"])
    put_in(server, again, "second")
    scenes, _ = known(server, "second")
    assert scenes == known(server, "first")[0]
    assert scenes["s2#i2"].other_kinds == {"data": "nir08, not red"}


@pytest.mark.parametrize(
    "text", ["~abc", "red|~x", "a;b", "|RED", "red|||owner", "x" * 5000, "~1e400", 7, None, ["red"]]
)
def test_a_meaning_that_none_of_ours_has_is_not_believed(server: Server, text: Any) -> None:
    """It would be compared with those of all later Items."""
    server.create("m")
    asset = {
        "href": "https://example.com/a.tif",
        "type": "image/tiff",
        "bands": [{"eo:common_name": "red"}],
        "livemosaic:meaning": text,
    }
    assert put_in(server, [item("a", assets={"data": asset})], "m") == 1
    assert known(server, "m")[1].meanings == {"data": "red"}
