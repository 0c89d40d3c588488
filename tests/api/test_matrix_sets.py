"""Tiles of other TileMatrixSets than the mosaic's own, pixel by pixel against rio-tiler."""

from pathlib import Path

import morecantile
import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform_bounds

from api.served import Server, quiet, rio_tile
from cogs import positions, write_cog
from items import box, item

SIZE = 1200
RASTERS = {
    "utm": ("EPSG:32631", Affine(100, 0, 440_000, 0, -100, 5_500_000)),
    "lonlat": ("EPSG:4326", Affine(1e-3, 0, 2.5, 0, -1e-3, 50)),
    "arctic": ("EPSG:3413", Affine(2000, 0, -1_300_000, 0, -2000, 1_100_000)),
}
CASES = [
    ("WebMercatorQuad", "WorldCRS84Quad", "utm", (3, 49, 8)),
    ("WebMercatorQuad", "WorldCRS84Quad", "lonlat", (3, 49.5, 9)),
    ("WebMercatorQuad", "UTM31WGS84Quad", "utm", (3, 49, 10)),
    ("WebMercatorQuad", "UTM31WGS84Quad", "lonlat", (3, 49.5, 9)),
    ("WebMercatorQuad", "EuropeanETRS89_LAEAQuad", "utm", (3, 49, 7)),
    ("WebMercatorQuad", "EuropeanETRS89_LAEAQuad", "lonlat", (3, 49.5, 9)),
    ("WebMercatorQuad", "WGS1984Quad", "utm", (3, 49, 8)),
    ("UPSArcticWGS84Quad", "UPSArcticWGS84Quad", "arctic", (60, 84, 4)),
    ("UPSArcticWGS84Quad", "WorldCRS84Quad", "arctic", (60, 83.5, 4)),
    ("EuropeanETRS89_LAEAQuad", "EuropeanETRS89_LAEAQuad", "utm", (3, 49, 8)),
    ("EuropeanETRS89_LAEAQuad", "WebMercatorQuad", "utm", (3, 49, 8)),
    ("EuropeanETRS89_LAEAQuad", "WebMercatorQuad", "lonlat", (3, 49.5, 9)),
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Rasters whose pixels hold their own column and row, from 1."""
    folder = tmp_path_factory.mktemp("rasters")
    return {
        name: write_cog(
            folder / f"{name}.tif",
            positions(SIZE, SIZE, "uint16") + np.uint16(1),
            crs=crs,
            transform=transform,
            overviews=(2, 4, 8),
        )
        for name, (crs, transform) in RASTERS.items()
    }


@pytest.mark.parametrize(
    ("own", "asked", "name", "place"), CASES, ids=[f"{n} of {o} in {a}" for o, a, n, _ in CASES]
)
def test_pixels_are_those_of_rio_tiler(
    server: Server,
    paths: dict[str, Path],
    own: str,
    asked: str,
    name: str,
    place: tuple[float, float, int],
) -> None:
    """To within one source pixel of the level: at ties either neighbour is right."""
    server.create("other", tms=own)
    href = server.folder / f"{name}.tif"
    href.write_bytes(paths[name].read_bytes())
    geometry = box(-180, 75, 180, 90) if name == "arctic" else box(*_lonlat(name))
    server.add(item("a", geometry, href=str(href)), mosaic="other")
    lon, lat, z = place
    with quiet():
        tile = morecantile.tms.get(asked).tile(lon, lat, z)
    picture = server.picture(f"/mosaics/other/tiles/{asked}/{z}/{tile.x}/{tile.y}")
    oracle = rio_tile(paths[name], (z, tile.x, tile.y), asked)
    valid = oracle.array.mask[0] == 0
    assert valid.any()
    assert (picture.valid != valid).mean() < 0.005
    both = picture.valid & valid
    off = np.abs(picture.data.astype(int) - oracle.data.astype(int))[:, both]
    step = _step(oracle.data[0].astype(int), both)
    assert off.max() <= step
    assert (off > 0).any(axis=0).mean() < 0.2


def _lonlat(name: str) -> tuple[float, float, float, float]:
    crs, transform = RASTERS[name]
    left, top = transform.c, transform.f
    right, bottom = left + SIZE * transform.a, top + SIZE * transform.e
    with quiet():
        bounds = transform_bounds(CRS.from_string(crs), "EPSG:4326", left, bottom, right, top)
    return tuple(bounds)


def _step(columns: np.ndarray, valid: np.ndarray) -> int:
    """Source pixels of full resolution in one of the overview that was read."""
    values = np.unique(columns[valid])
    return int(np.gcd.reduce(np.diff(values))) if len(values) > 1 else 8


@pytest.mark.parametrize("zoom", [5, 7, 9, 12])
def test_the_same_place_is_found_at_every_zoom(server: Server, zoom: int) -> None:
    """No tile of another matrix set misses the scenes that lie there."""
    server.add(item("a", box(2.9, 48.9, 3.1, 49.1), href=f"{server.folder}/nowhere.tif"))
    for tms_id in ("WorldCRS84Quad", "UTM31WGS84Quad", "EuropeanETRS89_LAEAQuad", "WGS1984Quad"):
        tile = morecantile.tms.get(tms_id).tile(3, 49, zoom)
        answer = server.get(f"/mosaics/m/tiles/{tms_id}/{zoom}/{tile.x}/{tile.y}/assets")
        assert [one["id"] for one in answer.json()["scenes"]] == ["a"], tms_id


@pytest.mark.parametrize("tms_id", morecantile.tms.list())
def test_every_registered_matrix_set_has_tiles_or_says_why_not(server: Server, tms_id: str) -> None:
    server.publish("a", 1)
    tms = morecantile.tms.get(tms_id)
    for zoom in (tms.minzoom, min(tms.maxzoom, tms.minzoom + 3)):
        for x, y in ((0, 0), (tms.matrix(zoom).matrixWidth - 1, 0)):
            answer = server.get(f"/mosaics/m/tiles/{tms_id}/{zoom}/{x}/{y}")
            assert answer.status_code < 500, answer.text
