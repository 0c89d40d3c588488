"""No image shows a band of one scene beside another band of another scene, whatever catalogues
publish: excerpts of theirs, and the real Items of ../shared/data, all in one place."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from api.served import LEFT, Server, footprint, serving, tile_url
from items import item, message
from livemosaic.table.sqlite import SqliteTable
from tests.unit.ingest.catalogues import EXCERPTS, Excerpt
from tests.unit.ingest.shapes import SHAPES, UNSTATED, Shape
from tests.unit.ingest.test_choice import SHARED, real_items

pytestmark = pytest.mark.slow


@pytest.fixture
def server(sqlite_table: SqliteTable, folder: Path) -> Iterator[Server]:
    with serving(sqlite_table, folder, href="https://") as made:
        yield made


def pair(excerpt: Excerpt) -> list[dict[str, Any]]:
    """Two Items of a collection: another id, wherever it stands, and another order of assets."""
    first = item(
        excerpt.id,
        footprint(LEFT),
        collection=excerpt.collection,
        assets=excerpt.assets,
        properties=excerpt.properties,
    )
    second = json.loads(json.dumps(first).replace(excerpt.id, f"{excerpt.id}-2"))
    return [first, second | {"assets": dict(reversed(second["assets"].items()))}]


def published() -> list[dict[str, Any]]:
    """Real Items, moved onto the tile, with hrefs that are allowed."""
    found = []
    for n, document in enumerate(real_items()):
        text = json.dumps(document["assets"]).replace("s3://", "https://").replace("null", '""')
        assets = json.loads(text)
        for asset in assets.values():
            if not asset["href"].startswith("https://"):
                asset["href"] = f"https://example.com/{asset['href'].rpartition('/')[2]}"
        found.append(
            item(
                f"{n}-{document['id']}",
                footprint(LEFT),
                collection=document.get("collection"),
                assets=assets,
                properties={
                    k: v for k, v in document["properties"].items() if k in ("platform", "eo:bands")
                },
            )
        )
    return found


def check(server: Server, documents: list[dict[str, Any]], mosaic: str) -> tuple[int, int]:
    """Every scene has all of the assets that are shown, or is named for what it lacks.

    Returns how many Items were taken, and how many of them are left out for an asset.
    """
    ingest = replace(server.services.ingest, keep_headers=None)  # nothing is there to be read
    outcomes = ingest.batch([*map(message, documents)], only=server.services.mosaics.get(mosaic))
    done = sum(outcome.status == "done" for outcome in outcomes)
    shown = server.get(f"/mosaics/{mosaic}").json()["shown_assets"]
    scenes = server.get(tile_url("/assets", mosaic)).json()["scenes"]
    assert len(scenes) == done
    left_out = 0
    for scene in scenes:
        lacks = [name for name in shown if name not in scene["assets"]]
        assert scene["why"].startswith("has no asset") == bool(lacks), scene
        left_out += scene["why"].startswith(("has no asset", "has another kind"))
    return done, left_out


def shown(server: Server, mosaic: str, **query: Any) -> list[dict[str, Any]]:
    """The scenes of the tile that are not left out for their assets."""
    scenes = server.get(tile_url("/assets", mosaic), **query).json()["scenes"]
    return [scene for scene in scenes if not scene["why"].startswith("has ")]


class TestKinds:
    """Whatever comes in whatever order, by default and by name: one kind beside another never."""

    @pytest.mark.parametrize("seed", range(3))
    def test_all_catalogues_in_one_mosaic(self, server: Server, seed: int) -> None:
        shapes = {(shape.item.collection, shape.item.id): shape for shape in SHAPES}
        documents = [pair(shape.item)[0] for shape in SHAPES]
        Random(seed).shuffle(documents)
        server.create("all")
        check(server, documents, "all")
        info = server.get("/mosaics/all").json()
        compared = 0
        for names in (info["shown_assets"], *([name] for name in info["known_assets"])):
            query = {} if names == info["shown_assets"] else {"assets": names}
            scenes = shown(server, "all", **query)
            for name in names:
                found = {shapes[scene["collection"], scene["id"]].truth(name) for scene in scenes}
                assert len(found - {UNSTATED}) <= 1, (name, found)
                compared += len(scenes)
        assert compared > 150

    def test_a_collection_with_two_sensors_says_so(self, server: Server) -> None:
        """USGS's first catalogue of Landsat: one collection, one key, red and near infrared."""
        shapes = [shape for shape in SHAPES if shape.item.collection == "landsat-c2l2-sr"]
        server.create("m")
        assert check(server, [pair(shape.item)[0] for shape in shapes], "m") == (2, 1)
        assert [scene["id"][:4] for scene in shown(server, "m")] == ["LC08"]


class TestNeverMixed:
    @pytest.mark.parametrize("seed", range(4))
    def test_every_scene_has_the_assets_or_is_named(self, server: Server, seed: int) -> None:
        documents = [document for excerpt in EXCERPTS for document in pair(excerpt)]
        Random(seed).shuffle(documents)
        server.create("all")
        done, left_out = check(server, documents, "all")
        assert done == len(documents)
        assert left_out > 0

    @pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.label)
    def test_items_of_one_collection_are_all_shown(self, server: Server, shape: Shape) -> None:
        server.create("one")
        assert check(server, pair(shape.item), "one") == (2, 0)

    @pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
    @pytest.mark.parametrize("seed", range(2))
    def test_real_items_too(self, server: Server, seed: int) -> None:
        documents = published()
        Random(seed).shuffle(documents)
        server.create("all")
        done, _ = check(server, documents, "all")
        assert done > 150
        by_collection: dict[str, list[dict[str, Any]]] = {}
        for document in documents:
            by_collection.setdefault(document.get("collection", ""), []).append(document)
        for n, found in enumerate(by_collection.values()):
            server.create(f"one{n}")
            assert check(server, found, f"one{n}")[1] == 0
