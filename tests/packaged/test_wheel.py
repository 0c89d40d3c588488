"""What `pip install livemosaic` brings: built from an sdist, in an environment of its own."""

import re
import shutil
import subprocess
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from packaged.building import SOURCES, UV, Built, environment, install, run, sources


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The command `livemosaic` of an environment that has nothing else."""
    place = tmp_path_factory.mktemp("clean")
    yield install(built.wheel, place) / "livemosaic"
    shutil.rmtree(place / "env")


def test_the_wheel_has_the_page_and_nothing_of_development(built: Built) -> None:
    names = zipfile.ZipFile(built.wheel).namelist()
    assert {
        "livemosaic/py.typed",
        "livemosaic/api/web/map.html",
        "livemosaic/api/web/map/live.js",
        "livemosaic/api/web/maplibre/maplibre-gl.mjs",
        "livemosaic/api/web/maplibre/LICENSE.txt",
        "livemosaic/api/web/swagger/swagger-ui-bundle.js",
    } <= set(names)
    assert {
        "livemosaic_cdk/construct.py",
        "livemosaic_cdk/entries/tiler.py",
        "livemosaic_cdk/parts/cache_key.js",
        "livemosaic_cdk/parts/qgis.js",
        "livemosaic/cli/cost/prices.json",
        "livemosaic_cdk/entries/requirements.txt",
        "livemosaic_cdk/entries/planets.txt",
    } <= set(names)
    tops = {name.partition("/")[0].partition("-")[0] for name in names}
    assert tops == {"livemosaic", "livemosaic_cdk"}
    assert not [name for name in names if name.startswith("livemosaic_cdk/tools")]


def test_the_sdist_has_what_a_wheel_is_built_from(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        *SOURCES,
        "packaging/backend.py",
        "lambda/livemosaic/api/web/maplibre/maplibre-gl.mjs",
    } <= names


@pytest.mark.parametrize("kind", ["--wheel", "--sdist"])
def test_no_package_is_built_without_its_page(tmp_path: Path, kind: str) -> None:
    ended = run(UV, "build", kind, cwd=sources(tmp_path, "maplibre"))
    assert ended.returncode != 0
    assert "lacks maplibre/maplibre-gl.mjs, which npm brings: run `make web`" in ended.stderr


def test_all_commands_are_there(installed: Path, tmp_path: Path) -> None:
    for words in (["--help"], ["--version"], ["mosaics", "list"], ["overviews", "--help"]):
        ended = run(installed, *words, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr


def test_what_an_extra_brings_is_named(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "items.parquet").write_bytes(b"PAR1")
    assert run(installed, "mosaics", "create", "m", cwd=tmp_path).returncode == 0
    ended = run(installed, "ingest", "items.parquet", cwd=tmp_path)
    assert ended.returncode == 1
    assert "pip install 'livemosaic[geoparquet]'" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_the_demo_shows_its_map(installed: Path, tmp_path: Path) -> None:
    words = ["demo", "--count", "2", "--every", "0", "--port", "0", "--no-browser"]
    with subprocess.Popen(
        [installed, *words],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        killer = threading.Timer(180, demo.kill)
        killer.start()
        try:
            assert demo.stderr is not None
            said = ""
            while not (found := re.search(r"(http://127\.0\.0\.1:\d+)(/mosaics/\w+)", said)):
                line = demo.stderr.readline()
                assert line, said
                said += line
            with httpx.Client(base_url=found[1], timeout=60) as client:
                _look(client, found[2])
        finally:
            killer.cancel()
            demo.terminate()
            demo.stderr.close()


def _look(client: httpx.Client, mosaic: str) -> None:
    for path in (f"{mosaic}/map.html", "/docs", "/openapi.json"):
        page = client.get(path).raise_for_status()
        for link in re.findall(r'(?:src|href)="(?!data:)([^"#]+)"', page.text):
            client.get(page.url.join(link)).raise_for_status()
    end = time.monotonic() + 60
    while not (bounds := client.get(mosaic).raise_for_status().json()["bounds"]):
        assert time.monotonic() < end, "no scene arrived"
        time.sleep(0.2)
    box = client.get(f"{mosaic}/bbox/{','.join(map(str, bounds))}/64x64.png").raise_for_status()
    assert box.headers["Content-Type"] == "image/png"
