"""Fifteen COGs that tile the globe, from the items that came with them."""

import json
from pathlib import Path

import numpy as np
import pytest

from api.served import Server

from .pictures import assert_alike, closest_oracle, item_of, oracle, tile_of, url_of

WEST, EAST = -179.8333, 179.8333
"""Where the files begin and end: a third of a degree of the Pacific is in none of them."""


@pytest.fixture(scope="module", autouse=True)
def paths(real: Server, data: Path) -> list[Path]:
    """All files, top first: the mosaic `world` shows the newest on top."""
    documents = [
        json.loads(line) for line in (data / "world/items.ndjson").read_text().splitlines()
    ]
    for document in documents:
        asset = document["assets"]["asset"]
        asset["href"] = asset["href"].replace("/data/", f"{data}/world/")
    real.create("world", collections=["world"])
    real.add(*documents, mosaic="world")
    newest_first = sorted(documents, key=lambda d: d["properties"]["datetime"], reverse=True)
    return [Path(document["assets"]["asset"]["href"]) for document in newest_first]


def test_all_items_are_taken(real: Server) -> None:
    assert len(real.get("/mosaics/world/items").json()["features"]) == 15
    west, south, east, north = real.get("/mosaics/world/info").json()["bounds"]
    assert (west, east) == pytest.approx((WEST, EAST), abs=0.001)
    assert (south, north) == pytest.approx((-89.83, 89.83), abs=0.01)


PLACES = {
    "Europe": (10.0, 50.0),
    "America": (-100.0, 40.0),
    "Africa": (25.0, -30.0),
    "Australia": (135.0, -25.0),
    "Antarctica": (-60.0, -75.0),
    "Siberia": (100.0, 80.0),
}
TILES = {tile_of(*PLACES[name], zoom): f"{name}-{zoom}" for zoom in range(8) for name in PLACES}
"""Each once: at zoom 0 all places are in one."""


@pytest.mark.parametrize("tile", TILES, ids=TILES.values())
def test_every_zoom_shows_what_rio_tiler_shows(
    real: Server, paths: list[Path], tile: tuple[int, int, int]
) -> None:
    picture = real.picture(url_of("world", tile))
    assert "X-Skipped-Scenes" not in picture.headers
    assert "X-Truncated" not in picture.headers
    # Neighbouring files may be read at different overviews, which none of the oracles is.
    assert_alike(picture, *closest_oracle(picture, paths, tile, overviews=4), edge=0.01, mean=2)
    assert_alike(picture, *oracle(paths, tile), edge=0.01, mean=12)


def test_one_tile_holds_all_continents(real: Server, paths: list[Path]) -> None:
    """WebMercator ends at 85°, where all fifteen still have a part."""
    picture = real.picture(url_of("world", (0, 0, 0)))
    assert len(picture.scenes) == 15
    assert picture.valid[:, 1:-1].all()
    assert_alike(picture, *oracle(paths, (0, 0, 0)), edge=0.01, mean=3)


@pytest.mark.parametrize(
    ("lon", "lat"),
    [(-96.5, 40), (-13.1667, 20), (70.1667, 40), (153.5, -30), (-60, 6.5), (100, 6.5), (20, -76.8)],
    ids=str,
)
@pytest.mark.parametrize("zoom", [1, 3, 5, 7])
def test_no_gap_shows_where_scenes_meet(real: Server, lon: float, lat: float, zoom: int) -> None:
    tile = tile_of(lon, lat, zoom)
    picture = real.picture(url_of("world", tile))
    expected = np.ones((256, 256), np.bool_)
    if tile[1] in (0, 2**zoom - 1):  # an outer column may lie in the third of a degree
        expected[:, [0, -1]] = picture.valid[:, [0, -1]]
    assert (picture.valid == expected).all()


@pytest.mark.parametrize("zoom", [2, 5, 7])
@pytest.mark.parametrize("lat", [66.0, 0.0, -40.0], ids=["Chukotka", "equator", "south"])
def test_the_columns_at_the_antimeridian_are_full_up_to_the_files_edge(
    real: Server, paths: list[Path], zoom: int, lat: float
) -> None:
    for lon in (-179.99, 179.99):
        tile = tile_of(lon, lat, zoom)
        assert tile[1] in (0, 2**zoom - 1)
        picture = real.picture(url_of("world", tile))
        expected = closest_oracle(picture, paths, tile, overviews=4)
        assert_alike(picture, *expected, edge=0.01, mean=1)
        assert picture.valid.mean() > 0.8


@pytest.mark.parametrize(
    ("tms", "place", "zoom"),
    [
        ("WorldCRS84Quad", (-179.99, 60), 3),
        ("WorldCRS84Quad", (179.99, 60), 3),
        ("NZTM2000Quad", (179.5, -40), 3),
        ("UPSArcticWGS84Quad", (180, 75), 3),
        ("UPSAntarcticWGS84Quad", (180, -75), 3),
    ],
    ids=str,
)
def test_tiles_of_other_matrix_sets_show_both_sides(
    real: Server, paths: list[Path], tms: str, place: tuple[float, float], zoom: int
) -> None:
    tile = tile_of(*place, zoom, tms)
    picture = real.picture(url_of("world", tile, tms))
    assert picture.valid.mean() > 0.8
    # Beside a pole GDAL loses up to a quarter of a tile at the antimeridian; we do not.
    edge = 0.3 if tms.startswith("UPS") else 0.02
    expected = closest_oracle(picture, paths, tile, tms, overviews=4)
    assert_alike(picture, *expected, edge=edge, mean=1.5)
    assert picture.valid[expected[1]].mean() > 0.99


@pytest.mark.parametrize("tms", ["UPSArcticWGS84Quad", "UPSAntarcticWGS84Quad"])
def test_the_tile_of_a_whole_polar_matrix_set_is_full(real: Server, tms: str) -> None:
    picture = real.picture(url_of("world", (0, 0, 0), tms))
    middle = picture.valid[64:192, 64:192]
    assert middle.mean() > 0.98


def test_a_small_file_lies_on_the_world_and_shows_only_from_near(real: Server, data: Path) -> None:
    """Two levels in one mosaic: 83° and 0.025° wide."""
    noaa = data / "noaa/20200307aC0853900w361030n.tif"
    real.create("both")
    documents = [item_of(path) for path in sorted((data / "world").glob("*.tif"))]
    real.add(*documents, item_of(noaa, day=2, name="noaa"), mosaic="both")
    assert len(real.get("/mosaics/both/info").json()["levels"]) > 1
    far = real.picture(url_of("both", tile_of(-85.6375, 36.1625, 3)))
    assert "noaa" not in far.scenes
    assert far.valid.all()
    for zoom in (14, 16, 18):
        tile = tile_of(-85.6375, 36.1625, zoom)
        near = real.picture(url_of("both", tile))
        assert near.scenes[0] == "noaa"
        assert near.valid.all()
        data_noaa, valid = oracle([noaa], tile)
        off = np.abs(near.data.astype(int) - data_noaa.astype(int))[:, valid]
        assert off.mean() < 3
    around = real.picture(url_of("both", tile_of(-85.6375, 36.1625, 12)))
    assert around.scenes[0] == "noaa"
    assert len(around.scenes) == 2
    assert around.valid.all()
