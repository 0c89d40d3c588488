"""ETags of servers whose code or libraries are others: of processes that are really started."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import livemosaic
from api.served import WHOLE, raster, scene, serving, tile_url
from livemosaic.table.sqlite import SqliteTable

pytestmark = pytest.mark.slow
URLS = [tile_url(suffix) for suffix in (".png", ".jpg", ".npy", "@2x.webp")]
KERNELS = "cog/warp.py"

SCRIPT = """
import json, sys
from pathlib import Path
from starlette.testclient import TestClient
import livemosaic
from livemosaic.api.app import App
from livemosaic.services import running
from livemosaic.settings import Settings
assert livemosaic.__file__.startswith(sys.argv[1])
with running(Settings()) as services:
    client = TestClient(App(services))
    print(json.dumps([client.get(url).headers["ETag"] for url in sys.argv[2:]]))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings of a server with a mosaic that has a scene."""
    folder = tmp_path_factory.mktemp("data")
    table = SqliteTable(folder / "index.db")
    with serving(table, folder) as server:
        server.create()
        server.add(scene("a", server.url(raster(folder / "a.tif", [1, 2, 3])), WHOLE))
    yield {
        "LIVEMOSAIC_INDEX": f"sqlite:///{folder}/index.db",
        "LIVEMOSAIC_ALLOWED_PREFIXES": str(folder),
    }


class Site:
    """Where a process imports from first: our package, and what is put beside it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        shutil.copytree(
            Path(livemosaic.__file__).parent,
            folder / "livemosaic",
            ignore=shutil.ignore_patterns("maplibre", "swagger", "__pycache__"),
        )

    def append(self, name: str, line: str) -> None:
        with (self.folder / "livemosaic" / name).open("a") as file:
            file.write(f"\n{line}\n")

    def pretend(self, library: str, version: str) -> None:
        info = self.folder / f"{library}-{version}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {library}\nVersion: {version}\n"
        (info / "METADATA").write_text(head)

    def tags(self) -> list[str]:
        """The ETags of all tiles, as a new process has them."""
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, str(self.folder), *URLS],
            env=os.environ | self.environment | {"PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        found: list[str] = json.loads(ended.stdout)
        return found


@pytest.fixture
def site(tmp_path: Path, environment: dict[str, str]) -> Site:
    return Site(tmp_path, environment)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> list[str]:
    """The tags of what is here."""
    return Site(tmp_path_factory.mktemp("before"), environment).tags()


Change = Callable[[Site], None]


def help_of_the_command(site: Site) -> None:
    site.append("cli/serve/command.py", '"""New help."""\nNEW = "help"')
    site.append("api/routes/tiles.py", 'TITLE = "New"')
    site.append(KERNELS, '"""New words."""  # and new ones here')


def libraries_without_pixels(site: Site) -> None:
    for name in ("boto3", "botocore", "fastapi", "starlette", "typer"):
        site.pretend(name, "99.1")


@pytest.mark.parametrize("change", [help_of_the_command, libraries_without_pixels])
def test_no_tile_changes_with_what_cannot_change_its_pixels(
    site: Site, before: list[str], change: Change
) -> None:
    change(site)
    assert sum(old != new for old, new in zip(before, site.tags(), strict=True)) == 0


def mended_resampling(site: Site) -> None:
    site.append(KERNELS, "MENDED = 1")


def numpy(site: Site) -> None:
    site.pretend("numpy", "99.1")


def rasterio_with_its_gdal_and_proj(site: Site) -> None:
    site.pretend("rasterio", "99.1")


@pytest.mark.parametrize("change", [mended_resampling, numpy, rasterio_with_its_gdal_and_proj])
def test_every_tile_changes_with_what_can(site: Site, before: list[str], change: Change) -> None:
    change(site)
    assert sum(old != new for old, new in zip(before, site.tags(), strict=True)) == len(URLS)
