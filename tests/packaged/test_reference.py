"""The commands and the Python of the reference pages run, but for what wants what is not here."""

import importlib.util
import json
import re
import shutil
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cogs import write_cog
from items import box, item
from packaged.building import ROOT
from packaged.snippets import Shell, Step, blocks, shell
from planets.mars import STRIPS, ctx
from sources.catalogue import Catalogue

NOT_RUN = {
    r"^(aws|npx|make deploy|insights|out\(\)|export LIVEMOSAIC_API|group\(\)|TOPIC=)|\$(DLQ|\(out)|"
    r"\$LIVEMOSAIC_API|s3://\w|dynamodb://|LIVEMOSAIC_INDEX=": "wants an AWS account",
    r"^(rio cogeo|pip) ": "is of a package that is not here",
    r"^livemosaic mosaics create alps --asset visual$": "makes again what is there",
    r"alps\.gti\.gpkg crop": "wants GDAL 3.9",
    r"STACIT": "wants assets on the web: GDAL 3.6 opens no files here, see tests/clients",
}
"""Patterns of commands that are not run, and why."""
MOSAICS = {
    "access": [],
    "assets": [],
    "changes": [],
    "costs": ["alps"],
    "derived": ["drone --property gsd", "sentinel", "landsat", "blue-marble"],
    "gdal": ["alps"],
    "operations": [],
    "overviews": [],
    "pixels": [],
    "planets": [],
    "pmtiles": ["alps --render ndvi=bidx=1"],
    "stac": ["alps", "copy"],
    "vector": ["alps"],
    "whole": ["alps"],
    "wms": [],
}
"""The mosaics with a scene that are there before, as they are made; other pages run nothing."""
PUBLIC = ("https://HOST", "https://maps.example.com", "$API")
"""Addresses of a public server, in whose place there is one on this machine."""
GDAL = ("gdalinfo", "gdal_translate", "gdalwarp", "nearblack", "ogrinfo")
CURSOR = "M2Y5…"
"""Stands for one that an API has given."""
PACKAGES = ("titiler.mosaic", "geopandas")
"""That programs want, and that may not be here."""
BEFORE = """
import functools
from datetime import UTC, datetime
from fastapi import FastAPI
from titiler.core.errors import add_exception_handlers
import livemosaic
app, bbox = FastAPI(), (7.0, 46.0, 7.05, 46.05)
alps = livemosaic.open("sqlite:///livemosaic.db").create("alps", properties=["eo:cloud_cover"])
alps.add("items.ndjson")
"""
"""What pages take for granted before a part of a program."""
AFTER = """
if "tiles" in globals():
    assert {tile.x for tile in tiles({"bbox": [179, 1, -179, 2]}, [3])} == {0, 7}
"""
"""Functions that a page only defines are called."""

SECRET = "0123456789abcdef" * 4


def commands(page: Path) -> list[Step]:
    """The commands of a page that can be run here."""
    steps = [step for block in blocks(page) for step in block.steps]
    return [_names_of(one) for one in steps if not any(re.search(p, one.command) for p in NOT_RUN)]


def _names_of(step: Step) -> Step:
    """Of JSON that a page shows, the names: values are of its own mosaic."""
    if not step.command.startswith("curl"):
        return step
    return Step(step.command, re.findall(r'"[a-z_]+":', " ".join(step.shown)))


def programs(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)


def pages() -> list[Path]:
    return sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem != "index")


def text(page: str) -> str:
    return (ROOT / "docs" / f"{page}.md").read_text()


def prepare(place: Path, bounds: tuple[float, float, float, float]) -> None:
    """Makes `items.ndjson` of a scene, and the files that pages name."""
    place.mkdir(exist_ok=True)
    for name in ("visual", "red", "green", "blue", "nir"):
        values = np.full((3 if name == "visual" else 1, 64, 64), 40, "uint8")
        write_cog(place.parent / f"{name}.tif", values, crs="EPSG:4326", bounds=bounds)
    for name in ("in", "fringed"):
        shutil.copy(place.parent / "visual.tif", place / f"{name}.tif")
    assets = {p.stem: {"href": str(p), "type": "image/tiff"} for p in place.parent.glob("*.tif")}
    scene = item("a", box(*bounds), collection="alps", datetime="2026-01-01T10:00:00Z")
    scene["properties"]["eo:cloud_cover"] = 5
    (place / "items.ndjson").write_text(json.dumps(scene | {"assets": assets}) + "\n")
    (place / "item.json").write_text((place / "items.ndjson").read_text())
    (place / "alps.geojson").write_text(json.dumps(box(7.0, 46.0, 7.02, 46.05)))
    (found,) = re.findall(r"```json\n(\[\n  \{\"mosaic\".*?)```", text("derived"), re.S)
    (place / "sources.json").write_text(found)


@dataclass(frozen=True)
class Public:
    """A server that stands for public ones: mosaics `alps` and `world`, and `jezero` on Mars."""

    opened: Shell
    folder: Path
    """Of the assets."""
    mars: Catalogue

    @property
    def hosts(self) -> Mapping[str, str]:
        usgs = {"https://stac.astrogeology.usgs.gov/api/": self.mars.url}
        return dict.fromkeys(PUBLIC, self.opened.url) | usgs

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.opened.url}{path}", timeout=60) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Public]:
    folder = tmp_path_factory.mktemp("public")
    prepare(folder / "here", (7.0, 45.5, 8.2, 46.1))
    strips = [ctx(folder, name) for name in STRIPS]
    (folder / "here" / "mars.ndjson").write_text("".join(json.dumps(s) + "\n" for s in strips))
    with shell(folder / "here", folder, {}) as opened, Catalogue(strips) as mars:
        opened.run(Step("export PATH=$PWD/.venv/bin:$PATH"))
        for name in ("alps", "world"):
            opened.run(Step(f"livemosaic mosaics create {name} --property eo:cloud_cover"))
        opened.run(Step("livemosaic ingest items.ndjson"))
        create = "livemosaic mosaics create jezero --tms MarsMercatorSphere --asset dtm"
        opened.run(Step(f"{create} --minzoom 0 --quadkey-zoom 9"))
        opened.run(Step("livemosaic ingest --mosaic jezero mars.ndjson"))
        opened.run(Step("livemosaic serve"))
        yield Public(opened, folder, mars)


@pytest.fixture
def opened(public: Public, tmp_path: Path) -> Iterator[Shell]:
    """A shell in a folder of its own, in which the commands of a page run."""
    place = tmp_path / "here"
    prepare(place, (7.0, 46.0, 7.05, 46.05))
    with shell(place, tmp_path, dict(public.hosts)) as made:
        allowed = f"{tmp_path}/,{public.folder}/"
        (place / ".curlrc").write_text("fail\nsilent\nshow-error\n")
        made.run(Step("export PATH=$PWD/.venv/bin:$PATH"))
        made.run(Step(f"export LIVEMOSAIC_ALLOWED_PREFIXES={allowed}"))
        made.run(Step(f"export LIVEMOSAIC_TOKEN_KEYS={SECRET}"))
        yield made


def test_pages_without_commands_to_run_are_known() -> None:
    assert {page.stem for page in pages() if commands(page)} == {*MOSAICS}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", MOSAICS)
def test_commands_run_in_their_order(page: str, opened: Shell, public: Public) -> None:
    for mosaic in MOSAICS[page]:
        opened.run(Step(f"livemosaic mosaics create {mosaic}"))
        opened.run(Step(f"livemosaic ingest --mosaic {mosaic.split()[0]} items.ndjson"))
    if page == "changes":
        opened.hosts = {**opened.hosts, CURSOR: public.get("/mosaics/alps/changes")["cursor"]}
        public.opened.run(Step("livemosaic ingest --mosaic alps --force items.ndjson"))
    missing = set()
    for step in commands(ROOT / "docs" / f"{page}.md"):
        program = step.command.split()[0]
        if program in GDAL and shutil.which(program) is None:
            missing.add(program)
        else:
            opened.run(step)
    if missing:
        pytest.skip(f"{', '.join(sorted(missing))} of gdal-bin is not installed")


PROGRAMS = {
    f"{page.stem} {number}": program
    for page in pages()
    for number, program in enumerate(programs(page))
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_python_runs(program: str, opened: Shell) -> None:
    for package in PACKAGES:
        if package in program and not _is_there(package):
            pytest.skip(f"{package} is not installed")
    is_whole = program.startswith(("import livemosaic", "import asyncio"))
    here = opened.folder
    program = program.replace("/data/scenes/items.json", str(here / "items.ndjson"))
    program = program.replace("/data/scenes", str(here.parent))
    before = "" if is_whole else BEFORE
    (here / "program.py").write_text(before + opened.placed(program) + AFTER)
    opened.run(Step("python -W error::UserWarning program.py"))


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
