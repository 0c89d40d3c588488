"""A mosaic on Web Mercator, asked for in polar projections: nothing ends at 85.06°."""

from pathlib import Path

import morecantile
import numpy as np
import pyproj
import pytest
from affine import Affine

from api.served import Server, scene
from cogs import write_cog

pytestmark = pytest.mark.slow

ARCTIC, ANTARCTIC = "UPSArcticWGS84Quad", "UPSAntarcticWGS84Quad"
LONLAT = pyproj.CRS.from_epsg(4326)


def publish(
    server: Server, name: str, crs: str, x: float, y: float, size: float, mosaic: str
) -> None:
    """A square scene of one value around a place, 256 pixels wide."""
    to_map = Affine(size / 256, 0, x - size / 2, 0, -size / 256, y + size / 2)
    path: Path = server.folder / f"{name}.tif"
    write_cog(path, np.full((1, 256, 256), 9, np.uint8), crs=crs, transform=to_map)
    edge = np.linspace(-0.5, 0.5, 9)[:-1] * size
    half = np.full(8, size / 2)
    xs = x + np.concatenate([edge, half, -edge, -half])
    ys = y + np.concatenate([half, -edge, -half, edge])
    lon, lat = pyproj.Transformer.from_crs(crs, LONLAT, always_xy=True).transform(xs, ys)
    ring = [[float(a), float(b)] for a, b in zip(lon, lat, strict=True)]
    outline = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    server.add(scene(name, server.url(path)) | {"geometry": outline}, mosaic=mosaic)


def covered(server: Server, tms: str, x: float, y: float, zoom: int, mosaic: str) -> float:
    """Part of the tile at a place of a polar projection that shows the scene."""
    grid = morecantile.tms.get(tms)
    tile = grid._tile(x, y, zoom)
    found = server.picture(f"/mosaics/{mosaic}/tiles/{tms}/{zoom}/{tile.x}/{tile.y}")
    assert set(found.data[0][found.valid].tolist()) <= {9}
    return float(found.valid.mean())


PLACES = [
    ("over the pole", 2_000_000, 2_000_000, 400_000),
    ("beside the pole", 2_090_000, 1_950_000, 60_000),
    ("at 86.5 degrees", 2_250_000, 1_700_000, 100_000),
    ("across the edge", 2_400_000, 2_370_000, 120_000),
    ("across the antimeridian", 2_000_000, 2_300_000, 90_000),
]


@pytest.mark.parametrize("minzoom", [0, 3, 5])
@pytest.mark.parametrize("tms", [ARCTIC, ANTARCTIC])
@pytest.mark.parametrize(("name", "x", "y", "size"), PLACES, ids=[place[0] for place in PLACES])
def test_scenes_beyond_the_edge_are_found_and_drawn(
    server: Server, name: str, x: float, y: float, size: float, tms: str, minzoom: int
) -> None:
    del name
    server.create("polar", minzoom=minzoom)
    crs = "EPSG:5041" if tms == ARCTIC else "EPSG:5042"
    publish(server, "one", crs, x, y, size, "polar")
    lon, lat = pyproj.Transformer.from_crs(crs, LONLAT, always_xy=True).transform(x + 10, y + 10)
    assert server.get(f"/mosaics/polar/point/{lon},{lat}").json()["values"] == [9]
    zoom = int(np.log2(40_000_000 / size)) + 2
    inside = [(x + dx * size / 6, y + dy * size / 6) for dx in (-1, 1) for dy in (-1, 1)]
    for at in inside:
        assert covered(server, tms, *at, zoom + 4, "polar") == 1
    if minzoom == 0:  # coarser tiles are like a zoom below the other minzooms
        assert all(covered(server, tms, *at, zoom, "polar") > 0.2 for at in inside)
        assert covered(server, tms, x + 1, y + 1, 4, "polar") > 0
    listed = server.get(
        "/mosaics/polar/items", bbox="-180,85.2,180,90" if lat > 0 else "-180,-90,180,-85.2"
    )
    assert [each["id"] for each in listed.json()["features"]] == ["one"]


def test_lonlat_tiles_show_what_lies_beyond_the_edge(server: Server) -> None:
    server.create("polar")
    publish(server, "one", "EPSG:5041", 2_000_000, 2_000_000, 400_000, "polar")
    tile = morecantile.tms.get("WorldCRS84Quad").tile(20, 89.5, 6)
    found = server.picture(f"/mosaics/polar/tiles/WorldCRS84Quad/6/{tile.x}/{tile.y}")
    assert found.valid.mean() > 0.3


def test_what_lies_beyond_claims_nothing_on_web_mercator(server: Server) -> None:
    server.create("polar")
    publish(server, "one", "EPSG:5041", 2_000_000, 2_000_000, 400_000, "polar")
    answer = server.get("/mosaics/polar/tiles/WebMercatorQuad/3/4/0.png")
    assert answer.headers["X-Scenes"] == ""


def test_a_locked_scene_is_drawn_beyond_the_edge(server: Server) -> None:
    server.create("polar")
    publish(server, "one", "EPSG:5041", 2_090_000, 1_950_000, 60_000, "polar")
    grid = morecantile.tms.get(ARCTIC)
    tile = grid._tile(2_090_000, 1_950_000, 11)
    url = f"/mosaics/polar/tiles/{ARCTIC}/11/{tile.x}/{tile.y}"
    (listed,) = server.get("/mosaics/polar/items").json()["features"]
    name = f"{listed['collection']}/one" if listed["collection"] else "one"
    assert server.picture(url, lock=name, method="lock").valid.mean() > 0.9
