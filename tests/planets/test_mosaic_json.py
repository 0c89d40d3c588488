"""A mosaic of Mars as MosaicJSON, and back."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from api.served import Server
from livemosaic.cli import app
from planets.mars import write_matrix_sets


def test_an_export_of_mars_comes_back(
    mars: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cells are those of the TileMatrixSet in the document."""
    sets = write_matrix_sets(tmp_path / "tms")
    monkeypatch.setenv("LIVEMOSAIC_TILE_MATRIX_SETS", str(sets))
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{mars.folder}/table.db")
    path = tmp_path / "dtm.json"
    path.write_bytes(mars.get("/mosaics/dtm/mosaic.json").content)
    mars.create("again", tms="MarsMercatorSphere", maxzoom=14, quadkey_zoom=9)
    words = ["--allow", str(mars.folder), "ingest", "--mosaic", "again", str(path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output

    west, south, east, north = mars.get("/mosaics/dtm").json()["bounds"]
    box = f"bbox/{west},{south},{east},{north}"
    for size in (200, 777):
        one, other = (
            mars.picture(f"/mosaics/{name}/{box}", width=size, height=size)
            for name in ("dtm", "again")
        )
        assert one.valid.any()
        assert np.array_equal(one.valid, other.valid)
        assert np.array_equal(one.data[:, one.valid], other.data[:, one.valid])
