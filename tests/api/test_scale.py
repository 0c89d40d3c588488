"""Scenes that show at some cell sizes alone, which properties of their own name."""

import io

import numpy as np
import pytest

from api.served import AUTHORIZED, LEFT, STEP, WHOLE, Server, raster, scene, tile_url

SCALE = {"min": "MinPS", "max": "MaxPS"}


@pytest.fixture
def scaled(server: Server) -> Server:
    """`coarse` (10) shows up to the cell size of the tile, `fine` (20) above on half of it."""
    server.create("s", properties=["MinPS", "MaxPS"], rules={"scale": SCALE}, overviews=None)
    for name, value, part, day, bounds in (
        ("coarse", 10, WHOLE, 1, {"MinPS": round(STEP, 1)}),
        ("fine", 20, LEFT, 2, {"MaxPS": round(STEP / 2, 1), "MinPS": 0}),
    ):
        path = raster(server.folder / f"{name}.tif", value, part)
        server.add(scene(name, server.url(path), part, day=day, properties=bounds), mosaic="s")
    return server


def pixel(server: Server, suffix: str = "", mosaic: str = "s", **query: str) -> float | None:
    answer = server.get(f"{tile_url(suffix, mosaic)}.npy", **query)
    assert answer.status_code == 200, answer.text
    value, mask = np.load(io.BytesIO(answer.content))[:, 20, 20]
    return value if mask else None


def test_a_scene_shows_between_its_cell_sizes(scaled: Server) -> None:
    assert (pixel(scaled), pixel(scaled, "@2x")) == (10, 20)
    assert pixel(scaled, lock="s2/fine") == 20, "a lock is visible at all scales"
    for suffix, name in (("", "coarse"), ("@2x", "fine")):
        assert scaled.get(f"{tile_url(suffix, 's')}.png").headers["X-Scenes"] == name


def test_lists_and_points_have_no_scale(scaled: Server) -> None:
    listed = scaled.get("/mosaics/s/items", bbox="7.7,45.6,8.1,45.8").json()["features"]
    assert [each["id"] for each in listed] == ["fine", "coarse"]
    assert scaled.get("/mosaics/s/point/7.75,45.7").json()["values"] == [20]


def test_a_derived_mosaic_has_its_own_scale(scaled: Server) -> None:
    scaled.create("d", sources=[{"mosaic": "s"}], rules={"scale": SCALE})
    scaled.create("all", sources=[{"mosaic": "s"}])
    assert (pixel(scaled, "", "d"), pixel(scaled, "@2x", "d")) == (10, 20)
    assert pixel(scaled, "", "all") == 20


def test_a_scale_is_refused_where_it_makes_no_sense(scaled: Server) -> None:
    for settings, word in (
        ({"rules": {"scale": {"min": "LowPS"}}}, "LowPS"),
        ({"rules": {"scale": {"least": "MinPS"}}}, "least"),
        ({"overviews": {}}, "scale"),
    ):
        answer = scaled.client.patch("/mosaics/s", json=settings, headers=AUTHORIZED)
        assert answer.status_code == 400
        assert word in answer.json()["detail"]
