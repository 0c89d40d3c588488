"""Several assets of scenes with other numbers of bands: a band means the same in every image."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.io import MemoryFile

from api.served import LEFT, RIGHT, WHOLE, Part, Server, footprint, raster, scene
from livemosaic.tiler import zonal

GRAY = {"visual": 9, "nir": 50}
COLOR = {"visual": [1, 2, 3], "nir": 40}


def publish(server: Server, name: str, values: dict[str, Any], part: Part, day: int = 1) -> None:
    hrefs = {}
    for asset, value in values.items():
        path: Path = raster(server.folder / f"{name}-{asset}.tif", value, part)
        hrefs[asset] = server.url(path)
    server.add(scene(name, hrefs, part, day=day))


@pytest.fixture
def mixed(server: Server) -> Server:
    """A mosaic `m` of two assets, whose visual is gray on the left and in color on the right."""
    publish(server, "gray", GRAY, LEFT)
    publish(server, "color", COLOR, RIGHT)
    return server


BOTH = {"assets": ["visual", "nir"]}
NAMES = ("visual_b1", "visual_b2", "visual_b3", "nir_b1")


def test_bands_of_an_image_have_their_names(mixed: Server) -> None:
    with MemoryFile(mixed.tile(".tif", **BOTH).content) as file, file.open() as found:
        assert found.descriptions[:4] == NAMES
        bands = found.read()
    assert bands[:4, 0, 0].tolist() == [9, 9, 9, 50]
    assert bands[:4, 0, -1].tolist() == [1, 2, 3, 40]


@pytest.mark.parametrize("edge", [1024, 32])
def test_statistics_are_of_each_band_in_blocks_of_any_size(
    mixed: Server, monkeypatch: pytest.MonkeyPatch, edge: int
) -> None:
    monkeypatch.setattr(zonal, "_BLOCK", edge)
    body = {"type": "Feature", "properties": {}, "geometry": footprint(WHOLE)}
    answer = mixed.client.post("/mosaics/m/statistics", json=body, params=BOTH)
    found = answer.json()["properties"]["statistics"]
    assert tuple(found) == NAMES
    ends = [(found[name]["min"], found[name]["max"]) for name in NAMES]
    assert ends == [(1, 9), (2, 9), (3, 9), (40, 50)]


class TestPositions:
    """`b2` counts bands of all assets, so it would be `nir` on the left and green on the right."""

    def test_a_scene_in_which_it_is_another_band_is_left_out_and_named(self, mixed: Server) -> None:
        found = mixed.picture(expression="b2", **BOTH)
        assert (found.at(10), found.at(-10)) == ([50], None)
        assert found.headers["X-Skipped-Scenes"].startswith("color=b2 counts the bands of several")

    def test_it_is_refused_where_no_scene_has_it(self, server: Server) -> None:
        publish(server, "color", COLOR, WHOLE)
        answer = server.tile(".npy", expression="b4/b1", **BOTH)
        assert answer.status_code == 400
        assert "'visual' has 3 here" in answer.json()["detail"]
        assert "'nir_b1'" in answer.json()["detail"]

    @pytest.mark.parametrize(
        ("query", "left", "right"),
        [
            ({"expression": "nir_b1"}, [50], [40]),
            ({"expression": "b1"}, [9], [1]),
            ({"expression": "b2", "assets": ["nir", "visual"]}, [9], [1]),
            ({"expression": "b2", "bidx": 1}, [50], [40]),
            ({"expression": "b2", "assets": ["visual|bidx=1", "nir|bidx=1"]}, [50], [40]),
        ],
    )
    def test_what_means_one_band_everywhere_is_read(
        self, mixed: Server, query: dict[str, Any], left: list[int], right: list[int]
    ) -> None:
        found = mixed.picture(**(BOTH | query))
        assert (found.at(10), found.at(-10)) == (left, right)
        assert "X-Skipped-Scenes" not in found.headers

    def test_bands_of_the_last_asset_may_be_counted(self, server: Server) -> None:
        publish(server, "color", COLOR, WHOLE)
        assert server.picture(expression="b4", assets=["nir", "visual"]).at(10) == [3]


class TestPictures:
    """A picture shows three bands: the first of each of three assets, or the first asset alone."""

    def test_the_first_of_two_is_shown_in_gray_and_color(self, mixed: Server) -> None:
        for part, colors in (("gray", [9, 9, 9]), ("color", [1, 2, 3])):
            answer = mixed.tile(".png", ids=part, **BOTH)
            with MemoryFile(answer.content) as file, file.open() as found:
                bands = found.read()
            shown = bands[:-1][:, bands[-1] > 0]
            assert np.broadcast_to(shown, (3, shown.shape[-1]))[:, 0].tolist() == colors

    @pytest.mark.parametrize(
        "values",
        [
            {"red": [1, 2, 3], "green": 4, "blue": 5},
            {"red": 1, "green": [2, 3], "blue": 4},
            {"red": 1, "green": [2, 3]},
            {"red": [1, 2], "green": 3},
        ],
    )
    @pytest.mark.parametrize("how", [{}, {"algorithm": "normalizedIndex", "rescale": "-1,1"}])
    def test_others_are_refused_with_what_to_do(
        self, server: Server, values: dict[str, Any], how: dict[str, str]
    ) -> None:
        publish(server, "one", values, WHOLE)
        answer = server.tile(".png", assets=list(values), **how)
        assert answer.status_code == 400
        assert "choose bands with bidx" in answer.json()["detail"]
        assert server.tile(".png", assets=list(values), bidx=1, **how).status_code == 200

    def test_an_algorithm_of_statistics_counts_nothing_either(self, mixed: Server) -> None:
        body = {"type": "Feature", "properties": {}, "geometry": footprint(RIGHT)}
        query = {**BOTH, "algorithm": "normalizedIndex"}
        answer = mixed.client.post("/mosaics/m/statistics", json=body, params=query)
        assert answer.status_code == 400, answer.text
        assert "algorithm 'normalizedIndex' counts" in answer.json()["detail"]

    def test_scenes_that_are_drawn_one_by_one_count_nothing_either(self, mixed: Server) -> None:
        render = {"assets": ["visual", "nir"], "algorithm": "normalizedIndex"}
        answer = mixed.client.patch(
            "/mosaics/m",
            json={"renders": {"index": render}},
            headers={"Authorization": "Bearer a token for tests"},
        )
        assert answer.status_code == 200, answer.text
        found = mixed.picture(item_render="index")
        assert found.at(-10) is None
        assert found.headers["X-Skipped-Scenes"].startswith("color=algorithm 'normalizedIndex'")
