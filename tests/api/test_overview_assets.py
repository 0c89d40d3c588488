"""Requests for some of the assets that overviews keep, where scenes lack assets or have holes.

What overviews serve equals what all scenes give that have the assets asked for, whatever others
there are. The oracles are scenes themselves, of which none is left out, and at lower zooms a mosaic
whose overviews keep just these assets.
"""

import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest

from api.overviews import BBox, build, cells, with_overviews
from api.served import WEB, Picture, Server, tile_url
from cogs import write_cog
from items import box, deletion, item
from livemosaic.index.overviews import OverviewCell
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.model.rule import RulePolicy

pytestmark = pytest.mark.slow
FULL = os.environ.get("LIVEMOSAIC_TEST_DEPTH") == "full"
ASSETS = ("red", "green", "nir")
SUBSETS = [*chain.from_iterable(combinations(ASSETS, n) for n in (1, 2, 3))]
TILE = morecantile.Tile(2193, 1456, 12)
"""At the zoom whose pixels the deepest cells have: the scenes are of zoom 13."""
STEP = 2 * 20037508.342789244 / 2**13 / 256
SIDE = 128
"""Pixels of a scene's edge; the tile is as wide as four scenes."""

Had = Mapping[str, Sequence[str]]
"""The assets of scenes by their names; the later in the alphabet, the newer."""


def random_scenes(rng: random.Random, count: int) -> dict[str, Sequence[str]]:
    return {f"s{n:02}": rng.choice([ASSETS, ASSETS, *SUBSETS]) for n in range(count)}


def scene(
    server: Server, rng: random.Random, name: str, had: Sequence[str], holes: str
) -> dict[str, Any]:
    """An Item at a random place of the tile. `holes`: none, or the `same` in assets, or `apart`."""
    edge = WEB.xy_bounds(TILE)
    left = edge.left + rng.randrange(-64, 448) * STEP
    top = edge.top - rng.randrange(-64, 448) * STEP
    bounds = (left, top - SIDE * STEP, left + SIDE * STEP, top)
    values = np.random.default_rng(rng.randrange(10**6))
    shared = values.random((SIDE, SIDE)) < 0.2
    assets = {}
    for asset in had:
        data = values.integers(1, 250, (1, SIDE, SIDE)).astype("uint8")
        if holes:
            data[0, shared if holes == "same" else values.random((SIDE, SIDE)) < 0.2] = 0
        path = server.folder / f"{name}-{asset}.tif"
        write_cog(path, data, crs="EPSG:3857", bounds=bounds, nodata=0)
        title = f"Band {ASSETS.index(asset) + 1}"
        assets[asset] = {"href": str(path), "type": "image/tiff", "title": title}
    return item(name, footprint(bounds), datetime=f"2026-01-{int(name[1:]) + 1:02}", assets=assets)


def footprint(bounds: BBox) -> dict[str, Any]:
    (west, south), (east, north) = WEB.lnglat(*bounds[:2]), WEB.lnglat(*bounds[2:])
    return box(west, south, east, north)


def publish(
    server: Server,
    had: Had,
    seed: int,
    *mosaics: str,
    holes: str = "",
    spoil: Callable[[Server, list[dict[str, Any]]], None] = lambda *_: None,
) -> None:
    rng = random.Random(seed)
    items = [scene(server, rng, name, assets, holes) for name, assets in had.items()]
    spoil(server, items)
    for mosaic in mosaics:
        server.add(*items, mosaic=mosaic)
        build(server, mosaic)


def shown(server: Server, assets: Sequence[str], zoom: int, mosaic: str = "m", **query: Any) -> Any:
    tile = at(zoom)
    url = tile_url(tile=(tile.z, tile.x, tile.y), mosaic=mosaic)
    return server.picture(url, assets=",".join(assets), **query)


def at(zoom: int) -> morecantile.Tile:
    up = TILE.z - zoom
    return morecantile.Tile(TILE.x >> up, TILE.y >> up, zoom)


def is_served(picture: Picture) -> bool:
    return "X-Overview" in picture.headers and picture.scenes == []


def same(one: Picture, other: Picture) -> bool:
    return bool((one.valid == other.valid).all() and (one.data == other.data).all())


def compared(server: Server) -> int:
    """Compares cells with scenes; returns how many requests for assets cells serve."""
    served = 0
    for assets in SUBSETS:
        cells = shown(server, assets, TILE.z)
        live = shown(server, assets, TILE.z, overviews="false")
        assert live.valid.any()
        assert "X-Truncated" not in live.headers
        if is_served(cells):
            served += 1
            assert same(cells, live), assets
    return served


def lose(server: Server, items: Sequence[Mapping[str, Any]]) -> None:
    """Removes one file of each fourth scene, and all of each fifth."""
    for number, one in enumerate(items):
        files = [Path(asset["href"]) for asset in one["assets"].values()]
        for path in files if number % 5 == 0 else files[:1] if number % 4 == 0 else []:
            path.unlink()


def contradict(server: Server, items: Sequence[Mapping[str, Any]]) -> None:
    """Lets an asset of each third scene but the first mean another band."""
    for one in items[2::3]:
        next(iter(one["assets"].values()))["title"] = "Band 7"


class TestRandomScenes:
    @pytest.mark.parametrize(
        ("holes", "operation", "seed"),
        [
            *((holes, "first", 1 + n % 2) for n, holes in enumerate(["", "same", "apart"])),
            *((holes, "mean", 2 - n % 2) for n, holes in enumerate(["", "same", "apart"])),
        ],
    )
    def test_what_overviews_serve_is_what_scenes_give(
        self, tmp_path: Path, holes: str, operation: str, seed: int
    ) -> None:
        rules = RulePolicy.of({"default": {"operation": operation}})
        with with_overviews(tmp_path, default_assets=ASSETS, rules=rules) as server:
            publish(server, random_scenes(random.Random(seed), 14), seed, "m", holes=holes)
            served = compared(server)
        assert served

    @pytest.mark.parametrize("seed", [3, 4] if FULL else [3])
    def test_at_low_zooms_they_are_those_of_these_assets_alone(
        self, tmp_path: Path, seed: int
    ) -> None:
        served = 0
        with with_overviews(tmp_path, default_assets=ASSETS) as server:
            names = {assets: "-".join(assets) for assets in SUBSETS}
            for assets, name in names.items():
                policy = OverviewPolicy(assets=assets)
                server.services.mosaics.create(Mosaic(id=name, overviews=policy))
            had = random_scenes(random.Random(seed), 14)
            publish(server, had, seed, "m", *names.values(), holes="same")
            for assets, name in names.items():
                for zoom in (3, 8, 11):
                    cells = shown(server, assets, zoom)
                    alone = shown(server, assets, zoom, name)
                    assert is_served(alone)
                    if is_served(cells):
                        served += 1
                        assert same(cells, alone), (assets, zoom)
        assert served >= 12

    @pytest.mark.parametrize("spoil", [lose, contradict])
    def test_files_that_are_lost_or_mean_something_else(
        self, tmp_path: Path, spoil: Callable[..., None]
    ) -> None:
        had = dict.fromkeys(random_scenes(random.Random(5), 14), ASSETS)
        with with_overviews(tmp_path, default_assets=ASSETS) as server:
            publish(server, had, 5, "m", spoil=spoil)
            assert compared(server) >= 4

    def test_cells_that_followed_changes_equal_cells_made_at_once(self, tmp_path: Path) -> None:
        rng = random.Random(6)
        with with_overviews(tmp_path, default_assets=ASSETS) as server:
            for number in range(12):
                name = f"s{rng.randrange(8):02}"
                if rng.random() < 0.3:
                    server.post(deletion(name, time=f"2026-02-{number + 1:02}T00:00:00Z"))
                else:
                    one = scene(server, rng, name, rng.choice([ASSETS, *SUBSETS]), "")
                    one["properties"]["updated"] = f"2026-02-{number + 1:02}T00:00:00Z"
                    server.post(one)
                if number % 2:
                    build(server)
            build(server)
            followed = {cell.quadkey: cell_state(cell) for cell in cells(server)}
            server.services.mosaics.put_overview_sets("m", lambda _: [])
            build(server)
            made = {cell.quadkey: cell_state(cell) for cell in cells(server)}
        assert any(len(json.loads(kind)) > 1 for _, _, kinds, _ in made.values() for kind in kinds)
        assert any(notes for *_, notes in made.values())
        assert followed == made


def cell_state(cell: OverviewCell) -> tuple[Any, ...]:
    return cell.digest, cell.of, cell.kinds, cell.notes


class TestUsualScenes:
    """Two kinds of scenes, or one: what overviews must serve, and what it costs."""

    def test_scenes_with_all_assets_need_one_object_per_asset(self, tmp_path: Path) -> None:
        had = dict.fromkeys(random_scenes(random.Random(7), 9), ASSETS)
        with with_overviews(tmp_path, default_assets=ASSETS) as server:
            publish(server, had, 7, "m", holes="same")
            assert compared(server) == len(SUBSETS)
            assert all(len(cell.images) == 1 for cell in cells(server))

    def test_scenes_that_lack_an_asset_need_one_more_per_asset_they_have(
        self, tmp_path: Path
    ) -> None:
        had = random_scenes(random.Random(8), 14)
        had = {name: ASSETS if n % 2 else ASSETS[:2] for n, name in enumerate(had)}
        with with_overviews(tmp_path, default_assets=ASSETS) as server:
            publish(server, had, 8, "m")
            assert compared(server) == len(SUBSETS)
            (images,) = {tuple(image.names for image in cell.images) for cell in cells(server)}
            assert images == (ASSETS, ASSETS[:2])

    def test_a_scene_that_lacks_an_asset_but_is_hidden_costs_nothing(self, tmp_path: Path) -> None:
        with with_overviews(tmp_path, default_assets=ASSETS) as server:
            items = [
                scene(server, random.Random(9), "s01", ASSETS, ""),
                scene(server, random.Random(9), "s00", ASSETS[:1], ""),
                scene(server, random.Random(10), "s02", ASSETS, ""),
            ]
            server.add(*items)
            build(server)
            assert compared(server) == len(SUBSETS)
            assert all(len(cell.images) == 1 for cell in cells(server))
