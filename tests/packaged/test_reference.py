"""The commands of the reference pages run, but for those that want what is not here."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cogs import write_cog
from items import box, item
from packaged.building import ROOT
from packaged.snippets import Step, blocks, shell

NOT_RUN = {
    r"^(aws|npx|make deploy|insights|out\(\)|export LIVEMOSAIC_API|group\(\)|TOPIC=)|\$(DLQ|\(out)|"
    r"LIVEMOSAIC_API|s3://|dynamodb://|LIVEMOSAIC_INDEX=|\bcost alps\b": "wants an AWS account",
    r"https://(HOST|maps\.example\.com)|\$API|^livemosaic --allow \"s3": "wants a public server",
    r"^livemosaic .*\bserve\b|_TRACES=": "serves until Ctrl-C",
    r"^(rio|gdal|ogr|nearblack|stac-client|pip)": "is of another project",
    r"^livemosaic mosaics create alps --asset visual$": "makes again what is there",
    r"found\.json|alps\.gti\.gpkg crop|mro_ctx|export alps$|--vector$": "wants an earlier command",
}
"""Patterns of commands that are not run, and why."""
MOSAICS = {
    "derived": ["drone --property gsd", "sentinel", "landsat", "blue-marble"],
    "whole": ["alps"],
    "vector": ["alps"],
    "pmtiles": ["alps --render ndvi=bidx=1"],
    "gdal": ["alps"],
    "stac": ["alps", "copy"],
    "assets": [],
    "pixels": [],
    "access": [],
    "overviews": [],
    "planets": [],
}
"""The mosaics with a scene that are there before, as they are made; other pages run nothing."""

SECRET = "0123456789abcdef" * 4


def commands(page: Path) -> list[Step]:
    """The commands of a page that can be run here."""
    steps = [step for block in blocks(page) for step in block.steps]
    return [one for one in steps if not any(re.search(why, one.command) for why in NOT_RUN)]


def pages() -> list[Path]:
    return sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem != "index")


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A folder with `items.ndjson` of a scene, and the files that pages name."""
    place = tmp_path / "here"
    place.mkdir()
    bounds = (7.0, 46.0, 7.05, 46.05)
    for name in ("visual", "red", "green", "blue", "nir"):
        values = np.full((3 if name == "visual" else 1, 64, 64), 40, "uint8")
        write_cog(tmp_path / f"{name}.tif", values, crs="EPSG:4326", bounds=bounds)
    assets = {p.stem: {"href": str(p), "type": "image/tiff"} for p in tmp_path.glob("*.tif")}
    scene = item("a", box(*bounds), collection="alps", datetime="2026-01-01T10:00:00Z")
    (place / "items.ndjson").write_text(json.dumps(scene | {"assets": assets}) + "\n")
    (place / "alps.geojson").write_text(json.dumps(box(7.0, 46.0, 7.02, 46.05)))
    (found,) = re.findall(r"```json\n(\[\n  \{\"mosaic\".*?)```", text("derived"), re.S)
    (place / "sources.json").write_text(found)
    return place


def text(page: str) -> str:
    return (ROOT / "docs" / f"{page}.md").read_text()


def test_pages_without_commands_to_run_are_known() -> None:
    assert {page.stem for page in pages() if commands(page)} == {*MOSAICS}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", MOSAICS)
def test_commands_run_in_their_order(page: str, prepared: Path, tmp_path: Path) -> None:
    with shell(prepared, tmp_path, {}) as opened:
        opened.run(Step("export PATH=$PWD/.venv/bin:$PATH"))
        opened.run(Step(f"export LIVEMOSAIC_TOKEN_KEYS={SECRET}"))
        for mosaic in MOSAICS[page]:
            opened.run(Step(f"livemosaic mosaics create {mosaic}"))
            opened.run(Step(f"livemosaic ingest --mosaic {mosaic.split()[0]} items.ndjson"))
        for step in commands(ROOT / "docs" / f"{page}.md"):
            opened.run(step)
