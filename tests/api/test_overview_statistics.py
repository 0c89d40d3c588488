"""Rough statistics of overviews: how much of an area has data, beside the same of scenes."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from api.overviews import Tile, build, make_scenes, publish
from api.served import WEB, Server, serving
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.table.sqlite import SqliteTable

pytestmark = pytest.mark.slow
ACROSS = 14


@pytest.fixture(scope="module")
def scattered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Tile]]]:
    """Scenes with gaps between them, and a server that reads as many of them as there are."""
    folder = tmp_path_factory.mktemp("scattered")
    (folder / "assets").mkdir()
    rng = np.random.default_rng(3)
    every = make_scenes(folder / "assets", ACROSS, bands=1)
    tiles = [tile for tile in every if rng.random() < 0.45]
    index = f"sqlite:///{folder / 'index.db'}"
    table = SqliteTable(folder / "index.db")
    with serving(table, folder / "assets", index=index, max_scenes=200) as server:
        server.services.mosaics.create(Mosaic(id="m", overviews=OverviewPolicy()))
        publish(server, tiles)
        build(server)
        yield server, tiles


def polygon(rng: np.random.Generator, tiles: list[Tile]) -> list[list[float]]:
    """A star of random corners around a random place among the scenes."""
    boxes = np.array([tile.bounds for tile in tiles])
    left, bottom, right, top = *boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)
    size = rng.uniform(0.15, 0.6) * (right - left)
    x, y = rng.uniform(left, right), rng.uniform(bottom, top)
    angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 9)))
    reach = rng.uniform(0.4, 1, len(angles)) * size
    corners = [
        [*WEB.lnglat(x + r * math.cos(a), y + r * math.sin(a))]
        for a, r in zip(angles, reach, strict=True)
    ]
    return [*corners, corners[0]]


def statistics(server: Server, ring: list[list[float]], **query: Any) -> dict[str, Any]:
    feature = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    answer = server.client.post("/mosaics/m/statistics", json=feature, params=query)
    assert answer.status_code in (200, 204), answer.text
    return answer.json()["properties"] if answer.status_code == 200 else {}


@pytest.mark.parametrize("max_size", [16, 48, 150])
def test_valid_percent_is_that_of_scenes(
    scattered: tuple[Server, list[Tile]], max_size: int
) -> None:
    """Cells are valid where any pixel below is: read too coarse, they grow at every edge."""
    server, tiles = scattered
    rng = np.random.default_rng(max_size)
    differences = []
    for ring in [polygon(rng, tiles) for _ in range(25)]:
        rough = statistics(server, ring, max_size=max_size)
        live = statistics(server, ring, max_size=max_size, overviews="false")
        assert bool(rough) == bool(live)
        if live:
            assert rough["overviews"]
            assert "truncated" not in live
            differences.append(valid_percent(rough) - valid_percent(live))
    assert len(differences) > 20
    assert abs(np.mean(differences)) < 0.5
    assert np.abs(differences).max() < 300 / max_size


def valid_percent(found: dict[str, Any]) -> float:
    value: float = found["statistics"]["b1"]["valid_percent"]
    return value
