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
from tests.unit.ingest.test_choice import SHARED, real_items


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
    """Every scene has all of the assets that are shown, or is named for what it lacks."""
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
        left_out += bool(lacks)
    return done, left_out


class TestNeverMixed:
    @pytest.mark.parametrize("seed", range(4))
    def test_every_scene_has_the_assets_or_is_named(self, server: Server, seed: int) -> None:
        documents = [document for excerpt in EXCERPTS for document in pair(excerpt)]
        Random(seed).shuffle(documents)
        server.create("all")
        done, left_out = check(server, documents, "all")
        assert done == len(documents)
        assert left_out > 0

    @pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda e: f"{e.catalogue}: {e.collection}")
    def test_items_of_one_collection_are_all_shown(self, server: Server, excerpt: Excerpt) -> None:
        server.create("one")
        assert check(server, pair(excerpt), "one") == (2, 0)

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
