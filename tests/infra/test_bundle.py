"""The bundle, unpacked and run as Lambda does: nothing else to import but the SDK."""

import ctypes
import importlib.util
import json
import os
import platform
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args
from zipfile import ZipFile

import numpy as np
import pytest

from cogs import write_cog
from handlers.gateway import event
from items import item, sqs_event
from livemosaic.index.mosaics import Mosaics
from livemosaic.model.mosaic import Mosaic
from livemosaic.pixel_version import fingerprint as fingerprint_of_pixels
from livemosaic.pixel_version import libraries_in
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.bundle import (
    MB,
    PYTHONS,
    ROOT,
    Architecture,
    BundleError,
    Target,
    build,
    fingerprint,
)
from livemosaic_cdk.elf import stripped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="its libraries are Linux's")

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MACHINE: Architecture = "arm64" if platform.machine() == "aarch64" else "x86_64"
HERE = Target(MACHINE, PYTHON)
DEPLOYED = Target("arm64", "3.13")
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What Lambda's Python has (Lambda Developer Guide, "Runtime dependencies in Python")."""

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle for this machine, as /var/task has it."""
    task = tmp_path_factory.mktemp("task")
    with ZipFile(build(HERE)) as entries:
        entries.extractall(task)
    return task


@pytest.fixture(scope="session")
def with_planets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `-c planets=true`."""
    task = tmp_path_factory.mktemp("planets")
    with ZipFile(build(replace(HERE, planets=True))) as entries:
        entries.extractall(task)
    return task


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of /var/runtime."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in RUNTIME:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        found = origin.parent if origin.name == "__init__.py" else origin
        (folder / found.name).symlink_to(found)
    return folder


@pytest.fixture
def run(unpacked: Path, runtime: Path, tmp_path: Path) -> Run:
    """Run a script in a clean interpreter; what it assigns to `answer` comes back."""

    def clean(script: str, given: Any = None, **environment: str) -> Any:
        path = f"import json, sys; sys.path[:0] = [{str(unpacked)!r}, {str(runtime)!r}]"
        whole = f"{path}\ngiven = json.load(sys.stdin)\n{script}\nprint(json.dumps(answer))"
        # -I and -S: no environment, no user's packages, and none of this venv's.
        ended = subprocess.run(
            [sys.executable, "-I", "-S", "-c", whole],
            input=json.dumps(given),
            env={"AWS_EC2_METADATA_DISABLED": "true", "PATH": ""} | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return clean


class TestUnpacked:
    def test_health_is_answered(self, run: Run) -> None:
        script = "import tiler; answer = tiler.handler(given, {})"
        answer = run(script, event("GET", "/health"), LIVEMOSAIC_INDEX="sqlite:///index.db")
        assert answer["statusCode"] == 200, answer

    @pytest.mark.parametrize(
        "creation",
        [{}, {"compress": "packbits"}],
        ids=["read-by-async-geotiff", "read-by-gdal"],
    )
    def test_a_tile_of_an_ingested_scene_is_drawn(
        self, run: Run, tmp_path: Path, creation: dict[str, Any]
    ) -> None:
        """PROJ's data warps UTM; the image is encoded by the GDAL that was packed."""
        colors = np.array([10, 200, 30], np.uint8)[:, None, None]
        cog = write_cog(
            tmp_path / "a.tif",
            np.zeros((3, 512, 512), np.uint8) + colors,
            crs="EPSG:32632",
            bounds=(340_000, 4_985_000, 420_000, 5_095_000),
            **creation,
        )
        table = SqliteTable(tmp_path / "index.db")
        Mosaics(table).create(Mosaic(id="m"))
        table.close()
        script = """
import base64, ingest, tiler
from rasterio.io import MemoryFile
failed = ingest.handler(given["ingest"], None)
tile = tiler.handler(given["tile"], {})
assert tile["statusCode"] == 200, tile
with MemoryFile(base64.b64decode(tile["body"])) as file, file.open() as image:
    answer = [failed, image.read()[:, 128, 128].tolist()]
"""
        given = {
            "ingest": sqs_event(json.dumps(item("a", href=str(cog)))),
            "tile": event("GET", "/mosaics/m/tiles/WebMercatorQuad/12/2133/1462.png"),
        }
        environment = {
            "LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/index.db",
            "LIVEMOSAIC_ALLOWED_PREFIXES": f"{tmp_path}/",
        }
        failed, pixel = run(script, given, **environment)
        assert failed == {"batchItemFailures": []}
        assert pixel == pytest.approx([10, 200, 30, 255], abs=1)

    def test_every_module_but_what_only_the_command_uses_can_be_imported(self, run: Run) -> None:
        script = """
import importlib, pkgutil, livemosaic
found = [m.name for m in pkgutil.walk_packages(livemosaic.__path__, "livemosaic.", onerror=id)]
answer = [name for name in found if not name.startswith("livemosaic.ingest.sources")]
for name in answer:
    importlib.import_module(name)
"""
        modules = run(script)
        assert {"livemosaic.api.app", "livemosaic.table.dynamodb"} <= set(modules)

    def test_the_command_is_left_out(self, unpacked: Path) -> None:
        for name in ("__main__.py", "cli", "client", "export/whole"):
            assert not (unpacked / "livemosaic" / name).exists(), name

    def test_it_carries_its_pixel_version_and_parses_nothing_for_it(
        self, run: Run, unpacked: Path
    ) -> None:
        package = unpacked / "livemosaic"
        script = """
from livemosaic import pixel_version
pixel_version.fingerprint = None
answer = pixel_version.current()
"""
        expected = fingerprint_of_pixels(package, libraries_in([str(unpacked)]), str(HERE))
        assert run(script) == (package / "pixel-version").read_text() == expected

    def test_nothing_is_imported_from_elsewhere(self, run: Run) -> None:
        script = """
import tiler
files = [m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)]
answer = [file for file in files if "site-packages" in file]
"""
        assert run(script, LIVEMOSAIC_INDEX="sqlite:///index.db") == []

    def test_the_pages_are_there(self, unpacked: Path) -> None:
        web = unpacked / "livemosaic" / "api" / "web"
        assert (web / "map.html").is_file()
        assert any((web / "maplibre").glob("*.mjs"))
        assert any((web / "swagger").glob("*.js"))

    def test_bytecode_is_used_without_looking_at_the_source(self, run: Run, unpacked: Path) -> None:
        source = unpacked / "livemosaic" / "errors.py"
        text = source.read_text()
        try:
            source.write_text("raise RuntimeError")
            assert run("import livemosaic.errors; answer = 1") == 1
        finally:
            source.write_text(text)

    def test_all_bytecode_is_this_pythons_and_unchecked(self, unpacked: Path) -> None:
        """Flags of a pyc's header (PEP 552): 1 for a hash, without 2 for one to check."""
        headers = {path.read_bytes()[:8] for path in unpacked.rglob("*.pyc")}
        assert headers == {importlib.util.MAGIC_NUMBER + struct.pack("<I", 1)}

    def test_our_sources_and_no_others_are_there_for_tracebacks(self, unpacked: Path) -> None:
        tops = {path.relative_to(unpacked).parts[0] for path in unpacked.rglob("*.py")}
        assert tops == {
            "bulk.py",
            "exports.py",
            "ingest.py",
            "overviews.py",
            "tiler.py",
            "livemosaic",
        }

    def test_what_the_runtime_has_and_what_never_runs_is_left_out(self, unpacked: Path) -> None:
        for name in ("boto3", "botocore", "s3transfer", "jmespath", "bin", "numpy/tests"):
            assert not (unpacked / name).exists(), name
        for suffix in (".pyi", ".pyx", ".h", ".a"):
            assert not list(unpacked.rglob(f"*{suffix}")), suffix

    def test_licenses_and_metadata_stay(self, unpacked: Path) -> None:
        infos = list(unpacked.glob("*.dist-info"))
        assert all((info / "METADATA").is_file() for info in infos)
        for name in ("rasterio", "numpy", "shapely"):
            (info,) = unpacked.glob(f"{name}-*.dist-info")
            assert list(info.rglob("*LICEN[CS]E*")), name


class TestPlanets:
    @pytest.fixture
    def unpacked(self, with_planets: Path) -> Path:
        return with_planets

    def test_a_mosaic_of_mars_is_answered(self, run: Run, tmp_path: Path) -> None:
        table = SqliteTable(tmp_path / "index.db")
        Mosaics(table).create(
            Mosaic(id="m", tms="MarsMercatorSphere", bounds=(77.0, 18.0, 78.0, 19.0))
        )
        table.close()
        script = """
import tiler
answer = [json.loads(tiler.handler(one, {})["body"]) for one in given]
"""
        asked = [
            event("GET", "/mosaics/m/info"),
            event("GET", "/mosaics/m/bounds?crs=IAU_2015:49910"),
            event("GET", "/tileMatrixSets"),
        ]
        index = f"sqlite:///{tmp_path}/index.db"
        info, bounds, listed = run(script, asked, LIVEMOSAIC_INDEX=index)
        assert info["bounds"] == [77, 18, 78, 19]
        assert bounds["crs"].endswith("/IAU/2015/49910")
        assert bounds["bounds"][0] == pytest.approx(77 / 180 * np.pi * 3396190)
        names = {one["id"] for one in listed["tileMatrixSets"]}
        assert {"MarsMercatorSphere", "MoonGeographicSphere", "WebMercatorQuad"} <= names

    def test_it_has_documents_and_their_license_alone(self, unpacked: Path) -> None:
        found = [path for path in unpacked.rglob("*") if "planetcantile" in path.as_posix()]
        kinds = {path.suffix for path in found if path.is_file()}
        assert kinds == {".json", ""}
        assert (unpacked / "planetcantile" / "LICENSE").is_file()
        assert sum(path.stat().st_size for path in found) < 12 * MB

    def test_its_images_are_those_of_other_bundles(self, unpacked: Path) -> None:
        with ZipFile(build(HERE)) as entries:
            version = entries.read("livemosaic/pixel-version").decode()
        assert (unpacked / "livemosaic" / "pixel-version").read_text() == version


class TestDeployed:
    @pytest.mark.parametrize(
        ("target", "most"),
        [
            (Target("arm64", "3.13"), 205),
            (Target("x86_64", "3.13"), 205),
            (Target("arm64", "3.13", planets=True), 216),
        ],
        ids=str,
    )
    def test_there_is_room_for_more(self, target: Target, most: int) -> None:
        """Lambda takes 250 MB unzipped; we want to stay well below."""
        with ZipFile(build(target)) as entries:
            size = sum(entry.file_size for entry in entries.infolist())
        assert size <= most * MB

    def test_every_library_is_of_the_target(self) -> None:
        with ZipFile(build(DEPLOYED)) as entries:
            libraries = {n: entries.read(n) for n in entries.namelist() if ".so" in Path(n).name}
        assert len(libraries) > 50
        machines = {struct.unpack_from("<H", image, 18)[0] for image in libraries.values()}
        assert machines == {183}  # EM_AARCH64
        modules = [name for name in libraries if ".libs/" not in name]
        expected = re.compile(r"\.(abi3|cpython-313-aarch64-linux-gnu)\.so$")
        assert [name for name in modules if not expected.search(name)] == []

    def test_markers_are_those_of_the_target(self) -> None:
        """Pins differ by Python's version, and ours need not be the target's."""
        pins = (ROOT / "lambda" / "requirements.txt").read_text()
        (wanted,) = re.findall(r"^rasterio==(\S+) ; .*>= '3.12'$", pins, re.MULTILINE)
        with ZipFile(build(DEPLOYED)) as entries:
            assert f"rasterio-{wanted}.dist-info/METADATA" in entries.namelist()

    def test_the_command_prints_the_path_alone(self) -> None:
        command = [sys.executable, "-m", "livemosaic_cdk.bundle", "--architecture", "arm64"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert ended.stdout == f"{build(DEPLOYED)}\n"
        assert Path(ended.stdout.strip()).is_absolute()


class TestTarget:
    def test_a_wrong_value_is_named_with_the_choices(self) -> None:
        with pytest.raises(ValueError, match=r"python is '3\.9', it can be 3\.11, 3\.12, 3\.13"):
            Target("arm64", "3.9")
        with pytest.raises(ValueError, match="architecture is 'mips', it can be arm64, x86_64"):
            Target("mips", "3.13")  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository: one handler, a package with pages, one requirement."""
    files = {
        "lambda/tiler.py": "import livemosaic",
        "lambda/requirements.txt": "boto3==1.43.0\nsix==1.17.0 ; python_version >= '3.11'\n",
        "lambda/livemosaic/__init__.py": "",
        "lambda/livemosaic/__main__.py": "",
        "lambda/livemosaic/api/routes/tiles.py": "",
        "lambda/livemosaic/api/web/map.html": "<html>",
        "lambda/livemosaic/api/web/maplibre/maplibre.mjs": "",
        "lambda/livemosaic/api/web/swagger/swagger.js": "",
        "lambda/livemosaic/cli/serve/command.py": "",
        "lambda/livemosaic/cog/warp.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


class TestFingerprint:
    @pytest.mark.parametrize(
        "name",
        [
            "tiler.py",
            "new.py",
            "requirements.txt",
            "livemosaic/__init__.py",
            "livemosaic/api/web/map.html",
            "livemosaic/api/web/maplibre/maplibre.mjs",
        ],
    )
    def test_another_source_is_another_bundle(self, tree: Path, name: str) -> None:
        before = fingerprint(HERE, tree)
        (tree / "lambda" / name).write_text("# new")
        assert fingerprint(HERE, tree) != before

    def test_so_is_another_target(self, tree: Path) -> None:
        kinds = product(get_args(Architecture), PYTHONS, (False, True))
        targets = [Target(*kind) for kind in kinds]
        assert len({fingerprint(target, tree) for target in targets}) == len(targets)

    def test_what_is_not_deployed_does_not_count(self, tree: Path) -> None:
        before = fingerprint(HERE, tree)
        source = tree / "lambda" / "livemosaic" / "__init__.py"
        os.utime(source, (1, 1))
        (source.parent / "__pycache__").mkdir()
        (source.parent / "__pycache__" / "a.pyc").write_bytes(b"0")
        (source.parent / ".editor").write_text("0")
        (source.parent / "__main__.py").write_text("NEW = 1")
        (source.parent / "cli" / "serve.py").write_text("NEW = 1")
        (tree / "README.md").write_text("0")
        assert fingerprint(HERE, tree) == before


class TestBuild:
    def test_what_did_not_change_is_not_built_again(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = build(HERE, tree)
        monkeypatch.setattr(subprocess, "Popen", None)
        assert build(HERE, tree) == first
        assert first == tree / "build" / "bundle" / f"{fingerprint(HERE, tree)}.zip"

    def test_its_pixel_version_changes_with_what_can_change_a_pixel(self, tree: Path) -> None:
        def version() -> str:
            with ZipFile(build(HERE, tree)) as entries:
                return entries.read("livemosaic/pixel-version").decode()

        def change(name: str, text: str) -> None:
            (tree / "lambda" / name).write_text(text)

        versions = [version()]
        change("livemosaic/api/routes/tiles.py", "NEW = 1")
        change("requirements.txt", "six==1.16.0\n")
        versions.append(version())
        change("livemosaic/cog/warp.py", "NEW = 1")
        versions.append(version())
        change("requirements.txt", "affine==3.0.1\n")
        versions.append(version())
        assert versions[0] == versions[1]
        assert len(set(versions)) == 3

    def test_equal_sources_make_an_equal_zip(self, tree: Path) -> None:
        path = build(HERE, tree)
        first = path.read_bytes()
        path.unlink()
        assert build(HERE, tree).read_bytes() == first

    def test_steps_and_sizes_are_printed_on_stderr(
        self, tree: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        build(HERE, tree)
        output = capsys.readouterr()
        assert output.out == ""
        assert re.search(r"wheels: \d+\.\d s", output.err)
        assert re.search(r"^\d smaller ones +0\.\d\d +0\.\d\d$", output.err, re.MULTILINE)
        assert re.search(r"^total +0\.\d\d +0\.\d\d$", output.err, re.MULTILINE)

    def test_two_builds_at_once_agree(self, tree: Path) -> None:
        script = f"from livemosaic_cdk.bundle import *; print(build({HERE!r}, Path({str(tree)!r})))"
        command = [sys.executable, "-c", script]
        builds = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        paths = {built.communicate(timeout=60)[0].strip() for built in builds}
        assert paths == {str(build(HERE, tree))}
        left = {path.name for path in (tree / "build" / "bundle").iterdir()}
        assert left == {"lock", Path(paths.pop()).name}

    def test_old_bundles_and_what_a_killed_build_left_are_removed(self, tree: Path) -> None:
        folder = tree / "build" / "bundle"
        (folder / "new-killed").mkdir(parents=True)
        for age in range(20):
            (folder / f"{age}.zip").write_bytes(b"")
            os.utime(folder / f"{age}.zip", (time.time() - 100 - age,) * 2)
        path = build(HERE, tree)
        left = {file.name for file in folder.iterdir()}
        assert {path.name, "0.zip"} < left
        assert not {"19.zip", "new-killed"} & left


class TestErrors:
    @pytest.mark.parametrize("name", ["maplibre", "swagger"])
    def test_missing_npm_files_are_known_at_once(self, tree: Path, name: str) -> None:
        for path in (tree / "lambda" / "livemosaic" / "api" / "web" / name).iterdir():
            path.unlink()
        with pytest.raises(BundleError, match=f"web/{name} is empty or missing: run `make setup`"):
            fingerprint(HERE, tree)

    def test_too_large_a_bundle_names_what_makes_it_so(self, tree: Path) -> None:
        message = r"is 0\.\d MB unzipped, the limit is 0\.0 .*largest packages are six 0\.\d"
        with pytest.raises(BundleError, match=message):
            build(HERE, tree, max_unzipped=1000)
        assert list((tree / "build" / "bundle").glob("*.zip")) == []

    def test_without_the_targets_python_nothing_could_write_its_bytecode(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sources alone would be compiled anew at each cold start."""
        monkeypatch.setenv("PATH", "")
        monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tree / "none"))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        other = "3.12" if PYTHON != "3.12" else "3.13"
        with pytest.raises(BundleError, match=rf"Python {other} has to .*(?s:.*)-c python=…"):
            build(Target(MACHINE, other), tree)

    def test_a_package_without_a_wheel_is_named(self, tree: Path) -> None:
        (tree / "lambda" / "requirements.txt").write_text("antlr4-python3-runtime==4.9.3\n")
        message = f"no wheels for {HERE}:(?s:.*)antlr4-python3-runtime==4.9.3"
        with pytest.raises(BundleError, match=message):
            build(HERE, tree)

    def test_without_network_the_registry_is_named(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("UV_NO_CACHE", "1")
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        with pytest.raises(BundleError, match=r"not be fetched from the registry:(?s:.*)six"):
            build(HERE, tree)


class TestStripped:
    """Libraries without what a loader doesn't read."""

    def test_it_still_loads(self, tmp_path: Path) -> None:
        spec = importlib.util.find_spec("rasterio._err")
        assert spec is not None
        assert spec.origin is not None
        image = Path(spec.origin).read_bytes()
        small = stripped(image)
        assert len(small) < len(image) / 2
        assert stripped(small) == small
        (tmp_path / "small.so").write_bytes(small)
        assert ctypes.PyDLL(str(tmp_path / "small.so")).PyInit__err

    @pytest.mark.parametrize("image", [b"", b"GROUP ( libc.so.6 )"], ids=["empty", "linker-script"])
    def test_what_is_no_library_stays_as_it_is(self, image: bytes) -> None:
        assert stripped(image) == image
