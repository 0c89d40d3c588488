"""Across ±180° pixels are as fine as anywhere: in GDAL's files, boxes and statistics."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from api.served import Server
from cogs import write_cog
from items import NOW
from livemosaic.geo.box import step_of
from livemosaic.geo.frame import Frame
from livemosaic.ingest.sources.cogs.source import Cogs
from livemosaic.storage.allowlist import AllowList

pytestmark = pytest.mark.slow

SIDE = 64
HERE, THERE = "EPSG:32601", "EPSG:32631"
"""UTM zones that are half a turn apart: GDAL measures the one that the map does not cut."""


@pytest.mark.parametrize("target", ["EPSG:4326", "EPSG:3857", "EPSG:3395"])
def test_pixels_are_as_large_as_half_a_turn_away(target: str) -> None:
    rng, crs = np.random.default_rng(29), CRS.from_user_input(target)
    for _ in range(300):
        step = rng.uniform(10, 3000)
        turn = Affine.rotation(rng.uniform(0, 360) if rng.random() < 0.3 else 0)
        # The edge between zone 60 and zone 1 is west of x = 166 km.
        corner = Affine.translation(rng.uniform(100e3, 250e3), rng.uniform(1e5, 75e5))
        to_map = corner @ turn @ Affine.scale(step, -step)
        near, far = (
            step_of(Frame(CRS.from_user_input(zone), to_map, SIDE, SIDE), crs)
            for zone in (HERE, THERE)
        )
        assert near == pytest.approx(far, rel=1e-3)
    degrees = Affine(0.05, 0, 178, 0, -0.05, 10)
    shifted = Affine.translation(-180, 0) @ degrees
    near, far = (
        step_of(Frame(CRS.from_epsg(4326), one, 64, 64), crs) for one in (degrees, shifted)
    )
    assert near == pytest.approx(far, rel=1e-6)


@pytest.fixture
def across(server: Server) -> Server:
    """A mosaic `m` of a scene across ±180°, 128 km wide, of pixels of 2 km."""
    values = np.arange(SIDE * SIDE, dtype="int16").reshape(1, SIDE, SIDE)
    path = server.folder / "across.tif"
    write_cog(path, values, crs=HERE, transform=Affine(2000, 0, 2e5, 0, -2000, 5e6))
    made = Cogs([str(path)], AllowList([f"{server.folder}/"])).read(NOW, None)
    server.add(*(entry.message.body for entry in made))
    return server


def test_gdal_gets_a_zoom_that_shows_them(across: Server) -> None:
    document = ElementTree.fromstring(across.get("/mosaics/m/gdal/wms.xml").text)
    level = document.findtext("DataWindow/TileLevel")
    assert level == "6"  # of 2,446 m, for 2,805 m on the map


def test_a_box_has_them(across: Server) -> None:
    answer = across.get("/mosaics/m/bbox/179.5,44.2,-179.5,44.8.tif")
    assert answer.status_code == 200, answer.text
    with rasterio.open(io.BytesIO(answer.content)) as image:
        assert 40 <= image.width <= 50


def test_statistics_count_them(across: Server) -> None:
    area = {
        "type": "Feature",
        "properties": {},
        "geometry": {
            "type": "Polygon",
            "coordinates": [
                [[179.3, 44.4], [179.9, 44.4], [179.9, 45.0], [179.3, 45.0], [179.3, 44.4]]
            ],
        },
    }
    answer = across.client.post("/mosaics/m/statistics", json=area)
    assert answer.status_code == 200, answer.text
    (band,) = answer.json()["properties"]["statistics"].values()
    assert band["count"] > 700
