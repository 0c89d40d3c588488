"""Data as the USGS tutorials on mosaics of Mars have it: CTX terrain models over Jezero crater.

Each scene is a strip on the IAU's sphere of Mars: `dtm` and `orthoimage` are float32 with nodata
-32767, `hillshade` is uint8 with nodata 0. Around the strip, which is a slanted band, is nodata.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from morecantile import TileMatrixSet
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import from_origin

from cogs import write_cog
from items import box, item

EQUIRECTANGULAR, MERCATOR, DEGREES = "IAU_2015:49910", "IAU_2015:49990", "IAU_2015:49900"
NODATA = -32767.0
STEP_M = 160.0
WIDTH, HEIGHT = 300, 500
RADIUS_M = 3396190.0
HALF = np.pi * RADIUS_M
STRIPS = {"P18": (77.2, 19.3), "P02": (77.4, 19.2), "N03": (77.5, 19.0)}
"""West and north of each strip, in degrees; the later ones are newer."""
JEZERO = 77.6, 18.5

UNREADABLE = ("Broken", "Null", "Deep", "Folder", "AMatrixless", "AFlat")


def write_matrix_sets(folder: Path) -> Path:
    """Writes TileMatrixSets of Mars as planetcantile has them, and `UNREADABLE` ones."""
    folder.mkdir()
    for name, crs, extent, shape in [
        ("MarsMercatorSphere", MERCATOR, (-HALF, -HALF, HALF, HALF), (1, 1)),
        (
            "MarsEquidistantCylindricalSphere",
            EQUIRECTANGULAR,
            (-HALF, -HALF / 2, HALF, HALF / 2),
            (2, 1),
        ),
        ("MarsGeographicSphere", DEGREES, (-180.0, -90.0, 180.0, 90.0), (2, 1)),
    ]:
        made = TileMatrixSet.custom(
            list(extent),
            pyproj.CRS.from_user_input(crs),
            matrix_scale=list(shape),
            id=name,
            title=name,
        )
        (folder / f"{name}.json").write_text(made.model_dump_json(exclude_none=True))
    (folder / "Broken.json").write_text('{"id": "Broken", "crs": "nothing"}')
    (folder / "Null.json").write_text("null")
    (folder / "Deep.json").write_text("[" * 100_000)
    (folder / "Folder.json").mkdir()
    sound = json.loads((folder / "MarsMercatorSphere.json").read_text())
    flat = [{**matrix, "cellSize": 0} for matrix in sound["tileMatrices"]]
    for name, change in (
        ("AMatrixless", {"tileMatrices": []}),  # read before the others, by its name
        ("AFlat", {"tileMatrices": flat}),
    ):
        (folder / f"{name}.json").write_text(json.dumps({**sound, "id": name, **change}))
    return folder


def elevation(x: NDArray[Any], y: NDArray[Any], seed: int) -> NDArray[np.float32]:
    """Metres below the areoid, different in each scene."""
    relief = 300 * np.sin(x / 9000) + 200 * np.cos(y / 7000)
    return (-2500 + relief + 7 * seed).astype(np.float32)


def ctx(
    folder: Path,
    name: str,
    crs: str = EQUIRECTANGULAR,
    strips: Mapping[str, tuple[float, float]] = STRIPS,
) -> dict[str, Any]:
    """Writes the COGs of a scene, and returns its Item."""
    seed, (west, north) = list(strips).index(name), strips[name]
    to_crs = pyproj.Transformer.from_crs(DEGREES, crs, always_xy=True)
    left, top = to_crs.transform(west, north)
    transform = from_origin(round(left), round(top), STEP_M, STEP_M)
    cols, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    x, y = transform @ (cols, rows)
    inside = np.abs(cols - 90 - rows / 4) < 80
    dtm = np.where(inside, elevation(x, y, seed), np.float32(NODATA))
    images = {
        "dtm": (dtm, NODATA),
        "orthoimage": (np.where(inside, 0.5 + dtm / 1e4, np.float32(NODATA)), NODATA),
        "hillshade": (np.where(inside, cols % 200 + 40, 0).astype("uint8"), 0),
    }
    for key, (data, nodata) in images.items():
        write_cog(
            folder / f"{name}_{key}.tif", data, crs=CRS.from_user_input(crs), transform=transform,
            nodata=nodata, overviews=(2, 4),
        )  # fmt: skip
    right, bottom = transform @ (WIDTH, HEIGHT)
    lon, lat = to_crs.transform([left, right], [bottom, top], direction="INVERSE")
    return item(
        name,
        box(lon[0], lat[0], lon[1], lat[1]),
        collection="mro_ctx_controlled_usgs_dtms",
        datetime=f"2023-04-{18 + seed}T12:00:00Z",
        properties={
            "proj:code": None,
            "proj:wkt2": pyproj.CRS(crs).to_wkt(),
            "ssys:targets": ["Mars"],
        },
        assets={
            key: {
                "href": f"{folder}/{name}_{key}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
            }
            for key in images
        },
    )
