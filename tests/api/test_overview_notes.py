"""Overviews name what they do not show, or show in gray, as scenes themselves would.

The oracle is the same tile of scenes, at the zoom whose pixels the deepest cells have.
"""

import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from api.overviews import build, with_overviews
from api.served import WEB, Server, tile_url
from api.test_overview_assets import (
    ASSETS,
    SUBSETS,
    TILE,
    at,
    contradict,
    footprint,
    is_served,
    lose,
    publish,
    random_scenes,
)
from cogs import write_cog
from items import box, deletion, item
from livemosaic.model.mosaic import OverviewPolicy

pytestmark = pytest.mark.slow
LOW = [*range(TILE.z)]
STEP = 2 * 20037508.342789244 / 2**13 / 256


def picture(server: Server, zoom: int = TILE.z, **query: Any) -> Any:
    tile = at(zoom)
    return server.picture(tile_url(tile=(tile.z, tile.x, tile.y)), **query)


def skipped(answer: Any) -> dict[str, str]:
    entries = answer.headers.get("X-Skipped-Scenes", "").split(",")
    return dict(unquote(entry).split("=", 1) for entry in entries if entry)


def gray(answer: Any) -> set[str]:
    return {unquote(name) for name in answer.headers.get("X-Gray-Scenes", "").split(",") if name}


def says_the_same(noted: Mapping[str, str], live: Mapping[str, str]) -> bool:
    """Overviews name some of the scenes, and say that there are more; or all of them."""
    named = {name: alike(why) for name, why in noted.items() if name != "..."}
    reasons = {name: alike(why) for name, why in live.items()}
    is_part = named.items() < reasons.items() if "..." in noted else named == reasons
    return is_part and len(named) <= 2 * 3


def alike(why: str) -> str:
    """A reason, whichever of several missing files was asked for first."""
    return re.sub(r"asset '\w+' (\(.*\) )?is missing", "is missing", why)


@pytest.mark.parametrize("spoil", [lambda *_: None, contradict, lose])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_scenes_that_are_left_out_are_named(
    tmp_path: Path, seed: int, spoil: Callable[..., None]
) -> None:
    rng = random.Random(seed)
    had = random_scenes(rng, rng.choice([3, 14]))
    asked = [{}, *({"assets": ",".join(assets)} for assets in SUBSETS)]
    with with_overviews(tmp_path, default_assets=ASSETS) as server:
        publish(server, had, seed, "m", spoil=spoil)
        compared = 0
        for query in asked:
            answer, live = picture(server, **query), picture(server, **query, overviews="false")
            if is_served(answer):
                compared += 1
                assert says_the_same(skipped(answer), skipped(live)), (query, skipped(answer))
        assert compared
        for zoom in LOW:
            low = picture(server, zoom)
            assert is_served(low)
            assert bool(skipped(low)) == bool(skipped(picture(server)))


def of_bands(server: Server, name: str, column: int, bands: int, day: int) -> dict[str, Any]:
    """A scene of 128 pixels, with its left edge so many pixels from that of the tile."""
    edge = WEB.xy_bounds(TILE)
    left, top = edge.left + column * STEP, edge.top
    bounds = (left, top - 128 * STEP, left + 128 * STEP, top)
    path = server.folder / f"{name}.tif"
    data = np.full((bands, 128, 128), 100, np.uint8)
    write_cog(path, data, crs="EPSG:3857", bounds=bounds)
    assets = {"visual": {"href": str(path), "type": "image/tiff"}}
    return item(name, footprint(bounds), datetime=f"2026-01-{day:02}", assets=assets)


def test_scenes_in_gray_are_named(tmp_path: Path) -> None:
    with with_overviews(tmp_path) as server:
        server.add(*(of_bands(server, f"s{n}", 100 * n, 3, 1) for n in range(4)))
        build(server)
        assert not any(gray(picture(server, zoom)) for zoom in (*LOW, TILE.z))
        server.add(*(of_bands(server, f"g{n}", 60 * n, 1, 2) for n in range(3)))
        build(server)
        live = picture(server, overviews="false")
        assert gray(live) == {"g0", "g1", "g2"}
        for zoom in (*LOW, TILE.z):
            answer = picture(server, zoom)
            assert is_served(answer)
            assert gray(answer) == {"g0", "g1", "..."}
        server.post(deletion("g1"))
        build(server)
        assert gray(picture(server)) == gray(picture(server, 3)) == {"g0", "g2"}


def test_blocks_in_gray_are_named(tmp_path: Path) -> None:
    """A scene of one band beside others of three: the bands of its block are repeated."""
    with with_overviews(tmp_path) as server:
        server.add(*(of_bands(server, f"s{n}", 60 * n, 3, 1) for n in range(4)))
        far = 3 * 512
        server.add(*(of_bands(server, f"g{n}", far + 60 * n, 1, 2) for n in range(2)))
        build(server)
        assert not gray(picture(server))
        block = f"overview {TILE.z}/{TILE.x + 3}/{TILE.y}"
        assert gray(picture(server, TILE.z - 3)) == gray(picture(server, 0)) == {block}


DEEPEST = WEB.tile(2, 55, 6)
TILES = [(zoom, DEEPEST.x >> 6 - zoom, DEEPEST.y >> 6 - zoom) for zoom in range(7)]
"""A block of a cell of zoom 3, and the tiles above it."""
ACROSS = 40


def beside_others(number: int, path: Path) -> dict[str, Any]:
    """A scene of a place of its own in that block, whose file has no pixel there."""
    row, column = divmod(number, ACROSS)
    west, south, _, _ = WEB.bounds(DEEPEST)
    west, south = west + 0.2 + 0.12 * column, south + 0.2 + 0.1 * row
    assets = {"visual": {"href": str(path), "type": "image/tiff"}}
    return item(f"s{number}", box(west, south, west + 0.12, south + 0.1), assets=assets)


def test_a_limit_that_ended_the_search_for_a_finest_block_is_stated(tmp_path: Path) -> None:
    """More than 1,000 scenes in a block that `maxzoom` keeps from being divided."""
    with with_overviews(tmp_path, OverviewPolicy(maxzoom=3)) as server:
        path = server.folder / "one.tif"
        bounds = (100_000.0, 8_000_000.0, 300_000.0, 8_200_000.0)
        write_cog(path, np.full((1, 64, 64), 9, np.uint8), crs="EPSG:3857", bounds=bounds)
        whole = limited_by(server, [beside_others(n, path) for n in range(1000)])
        cut = limited_by(server, [beside_others(1000, path)])
        assert {limit for limit, _ in whole} == {None}
        assert {limit for limit, _ in cut} == {"max_scenes=1000"}
        assert not {etag for _, etag in whole} & {etag for _, etag in cut}
        elsewhere = server.get(tile_url(tile=(5, TILES[5][1] ^ 1, TILES[5][2])))
        assert "X-Overview" in elsewhere.headers
        assert "X-Truncated" not in elsewhere.headers


def limited_by(server: Server, items: list[dict[str, Any]]) -> list[tuple[str | None, str]]:
    """The limit that each tile states, and its ETag, with more scenes."""
    for first in range(0, len(items), 200):
        server.add(*items[first : first + 200])
    build(server)
    answers = [server.get(tile_url(tile=tile)) for tile in TILES]
    assert all("X-Overview" in answer.headers for answer in answers)
    return [(answer.headers.get("X-Truncated"), answer.headers["ETag"]) for answer in answers]
