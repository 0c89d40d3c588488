"""Tiles of a mosaic of Mars against rio-tiler, by which titiler.mosaic reads, value by value."""

import json
from pathlib import Path

import numpy as np
import pytest
from morecantile import TileMatrixSet
from rio_tiler.io import Reader
from rio_tiler.mosaic import mosaic_reader

from api.served import Server, quiet
from planets.mars import JEZERO, STRIPS

ASSETS = {"dtm": "dtm", "ortho": "orthoimage", "shade": "hillshade"}


@pytest.mark.parametrize("tms_id", ["MarsEquidistantCylindricalSphere", "MarsMercatorSphere"])
@pytest.mark.parametrize("zoom", [9, 11, 12])
@pytest.mark.parametrize("mosaic", ASSETS)
def test_tiles_are_those_of_rio_tiler(mars: Server, mosaic: str, zoom: int, tms_id: str) -> None:
    document = json.loads((mars.folder / "tms" / f"{tms_id}.json").read_text())
    tms = TileMatrixSet.model_validate(document)
    tile = tms.tile(*JEZERO, zoom)
    newest_first = [mars.folder / f"{name}_{ASSETS[mosaic]}.tif" for name in reversed(STRIPS)]

    def read(path: Path, *xyz: int) -> object:
        with quiet(), Reader(str(path), tms=tms) as source:
            return source.tile(*xyz)

    expected, _ = mosaic_reader(newest_first, read, tile.x, tile.y, tile.z, threads=0)
    ours = mars.picture(f"/mosaics/{mosaic}/tiles/{tms_id}/{tile.z}/{tile.x}/{tile.y}")
    valid = ~expected.array.mask.any(axis=0)
    assert valid.any() and (ours.valid == valid).all()
    assert ours.data.dtype == expected.array.dtype
    assert np.array_equal(ours.data[:, valid], expected.array.data[:, valid])
