"""The commands of README, of the first page and of the tutorials run, and print what is shown."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import rasterio

from cogs import write_cog
from items import box, item
from packaged.building import ROOT
from packaged.snippets import blocks, shell
from planets.mars import STRIPS, ctx
from sources.catalogue import Catalogue

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "docs" / "index.md", *TUTORIALS]
NOT_RUN = {"README.md": 8, "index.md": 1} | {page.name: 1 for page in TUTORIALS}
"""Blocks of each page that say why they cannot be run here."""


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the COGs of other hosts."""
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="module")
def hosts(readable: Path) -> Iterator[Mapping[str, str]]:
    """Earth Search and the USGS, on this machine."""
    alps = [_sentinel_2(readable, day) for day in range(1, 6)]
    mars = [ctx(readable, name) for name in STRIPS]
    with Catalogue(alps) as earth_search, Catalogue(mars) as usgs:
        yield {
            "https://earth-search.aws.element84.com/v1": earth_search.url,
            "https://stac.astrogeology.usgs.gov/api/": usgs.url,
        }


@pytest.fixture(scope="module")
def scenes() -> dict[str, tuple[Path, str]]:
    """The made-up scenes that pages ask for, which take seconds: see `Shell.scenes`."""
    return {}


def _sentinel_2(folder: Path, day: int) -> dict[str, object]:
    """Writes the COGs of a scene of the Alps, and returns its Item."""
    west, name = 7 + day / 10, f"S2B_T32TLS_202507{day:02}"
    files = {"visual": (3, "uint8"), "red": (1, "uint16"), "nir": (1, "uint16")}
    for key, (bands, dtype) in files.items():
        values = np.full((bands, 256, 256), 40 * day, dtype)
        bounds = (west, 45.5, west + 0.8, 46.5)
        write_cog(folder / f"{name}_{key}.tif", values, crs="EPSG:4326", bounds=bounds)
    return item(
        name,
        box(west, 45.5, west + 0.8, 46.5),
        collection="sentinel-2-c1-l2a",
        datetime=f"2025-07-{day:02}T10:30:00Z",
        properties={"eo:cloud_cover": 3 * day},
        assets={k: {"href": str(folder / f"{name}_{k}.tif"), "type": "image/tiff"} for k in files},
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_run_in_their_order(
    page: Path,
    readable: Path,
    hosts: Mapping[str, str],
    scenes: dict[str, tuple[Path, str]],
    tmp_path: Path,
) -> None:
    with shell(tmp_path, readable, hosts) as opened:
        opened.scenes = scenes
        for block in blocks(page):
            if block.reason is None:
                for step in block.steps:
                    opened.run(step)
        opened.close()
    for image in tmp_path.glob("*.png"):
        with rasterio.open(image) as made:
            assert made.dataset_mask().any(), image.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_that_are_not_run_are_counted(page: Path) -> None:
    found = blocks(page)
    assert len(found) == page.read_text().count("```console")
    assert sum(block.reason is not None for block in found) == NOT_RUN[page.name]
