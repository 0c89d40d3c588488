"""What the pixel version follows from: the code and the libraries that can change a picture."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import livemosaic
from livemosaic import pixel_version
from livemosaic.pixel_version import (
    code_counts,
    fingerprint,
    libraries_in,
    library_counts,
    required_by,
)

PACKAGE = Path(livemosaic.__file__).parent
KERNELS = "cog/warp.py"


@pytest.fixture(scope="module", autouse=True)
def parse_each_module_once() -> Iterator[None]:
    """Most tests change one of 200; to parse all of them takes half a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_version, "_syntax", cache(pixel_version._syntax))
        yield


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of ours."""
    return Path(
        shutil.copytree(
            PACKAGE,
            tmp_path / "livemosaic",
            ignore=shutil.ignore_patterns("maplibre", "swagger", "__pycache__"),
        )
    )


def of(package: Path) -> str:
    return fingerprint(package, {}, "here")


@pytest.fixture(scope="module")
def before() -> str:
    """The version of what the copy is a copy of."""
    return of(PACKAGE)


Edit = Callable[[str], str]


def code(text: str) -> str:
    return f"{text}\nNEW = 1\n"


def comment(text: str) -> str:
    return f"# New.\n{text}  # New.\n"


def docstring(text: str) -> str:
    assert text.startswith('"""')
    return text.replace('"""', '"""New words: ', 1)


def docstring_below_a_constant(text: str) -> str:
    return text.replace("\n\n\n", '\n"""New words."""\n\n\n', 1)


def description(text: str) -> str:
    assert 'description="' in text
    return text.replace('description="', 'description="New words: ')


def blank_lines(text: str) -> str:
    return text.replace("\n\n", "\n\n\n")


class TestCode:
    @pytest.mark.parametrize(
        ("name", "edit"),
        [
            pytest.param("cli/serve/command.py", code, id="the command"),
            pytest.param("cli/demo/scenery/ground.py", code, id="the demo's scenery"),
            pytest.param("api/routes/tiles.py", code, id="a route"),
            pytest.param("api/web/map.js", code, id="the map page"),
            pytest.param("ingest/batch.py", code, id="ingestion"),
            pytest.param("table/sqlite.py", code, id="a table"),
            pytest.param("__init__.py", code, id="the version of a release"),
            pytest.param(KERNELS, comment, id="a comment of a kernel"),
            pytest.param(KERNELS, docstring, id="its docstring"),
            pytest.param(KERNELS, docstring_below_a_constant, id="what is below a constant"),
            pytest.param(KERNELS, blank_lines, id="its format"),
            pytest.param("render/parameters.py", description, id="descriptions of parameters"),
            pytest.param("tiler/rules/parameters.py", description, id="the same of rules"),
        ],
    )
    def test_what_changes_no_picture_does_not_count(
        self, package: Path, before: str, name: str, edit: Edit
    ) -> None:
        file = package / name
        file.write_text(edit(file.read_text()))
        assert of(package) == before

    @pytest.mark.parametrize(
        "name",
        [
            *(KERNELS, "geo/frame.py", "index/merge.py", "model/render.py", "render/encode.py"),
            *("storage/adapters.py", "tiler/plan.py", "services.py", "api/responses/picture.py"),
        ],
    )
    def test_what_can_change_one_counts(self, package: Path, before: str, name: str) -> None:
        file = package / name
        file.write_text(code(file.read_text()))
        assert of(package) != before

    @pytest.mark.parametrize("name", ["sharpen/kernels.py", "sharpen.py", "sharpen/taps.json"])
    def test_a_new_room_a_new_module_and_new_data_count(
        self, package: Path, before: str, name: str
    ) -> None:
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("1")
        assert of(package) != before

    def test_the_name_of_a_module_counts(self, package: Path, before: str) -> None:
        (package / KERNELS).rename(package / "cog" / "kernels.py")
        assert of(package) != before

    def test_what_tools_leave_behind_does_not_count(self, package: Path, before: str) -> None:
        (package / "__pycache__").mkdir()
        (package / "__pycache__" / "warp.cpython-313.pyc").write_bytes(b"0")
        (package / ".warp.py.swp").write_bytes(b"0")
        assert of(package) == before

    def test_without_sources_there_is_no_version(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=f"{tmp_path} has no sources"):
            of(tmp_path)

    @pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
    def test_each_python_computes_the_same(self, before: str, version: str) -> None:
        """A bundle for one Python may be built by another."""
        found = subprocess.run(
            [sys.executable, "-m", "uv", "python", "find", version],
            env=os.environ | {"PYENV_VERSION": version},  # its shims start only what is chosen
            capture_output=True,
            text=True,
        )
        if found.returncode:
            pytest.skip(f"no Python {version} is installed")
        script = f"""
import sys
sys.path.insert(0, {str(PACKAGE.parent)!r})
from livemosaic.pixel_version import *
print(fingerprint(Path({str(PACKAGE)!r}), {{}}, "here"))
"""
        command = [found.stdout.strip(), "-I", "-S", "-B", "-c", script]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ended.stdout.strip() == before


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """What imports of our package, and one module that counts."""
    package = tmp_path / "livemosaic"
    for name in ("__init__.py", "pixel_version.py", KERNELS):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, package / name)
    return package


def of_process(package: Path, **environment: str) -> str:
    """The version of a new process that imports a copy of ours."""
    script = "from livemosaic.pixel_version import *; print(current())"
    usual = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=package.parent,  # not where an editable install has left its egg-info
        env=usual | {"PYTHONPATH": str(package.parent)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip()


class TestProcess:
    """A process keeps what it computed for the next one, beside its bytecode."""

    def test_it_is_of_the_code_that_runs(self, few: Path) -> None:
        kernels, own = few / KERNELS, (few / KERNELS).read_text()
        first = of_process(few)
        [kept] = (few / "__pycache__").glob("pixel_version.*.txt")
        assert first in kept.read_text()
        kernels.write_text(code(own))
        assert of_process(few) != first
        kernels.write_text(comment(own))
        assert of_process(few) == first
        kernels.rename(few / "cog" / "kernels.py")
        assert of_process(few) != first

    def test_it_is_of_the_libraries_that_are_installed(self, few: Path) -> None:
        distribution(few.parent, "livemosaic", "1", "a-kernel")
        versions = set()
        for version in ("1", "2"):
            distribution(few.parent, "a-kernel", version)
            versions.add(of_process(few))
            shutil.rmtree(few.parent / f"a_kernel-{version}.dist-info")
        assert len(versions) == 2

    def test_damage_is_computed_anew(self, few: Path) -> None:
        first = of_process(few)
        [kept] = (few / "__pycache__").glob("pixel_version.*.txt")
        for damage in (b"", kept.read_bytes().split()[0], b"0123 4567", b"\xff"):
            kept.write_bytes(damage)
            assert of_process(few) == first

    def test_where_no_bytecode_is_written_nothing_is_kept(self, few: Path) -> None:
        of_process(few, PYTHONDONTWRITEBYTECODE="1")
        assert not (few / "__pycache__").exists()


def distribution(folder: Path, name: str, version: str, *requires: str) -> None:
    """What an installer leaves of one."""
    info = folder / f"{re.sub('[-.]', '_', name)}-{version}.dist-info"
    info.mkdir()
    lines = [f"Requires-Dist: {line}\n" for line in requires]
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(head + "".join(lines))


class TestLibraries:
    @pytest.mark.parametrize(
        "name",
        [
            *("numpy", "rasterio", "gdal", "proj of pyproj", "geos of shapely", "rio-tiler"),
            *("async-tiff", "async-geotiff", "shapely", "pyproj", "numexpr", "deflate", "isal"),
            *("titiler-core", "color-operations", "morecantile", "cql2", "msgpack", "obstore"),
            *("pydantic", "urllib3", "a-new-one"),
        ],
    )
    def test_another_version_counts(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "warp.py").write_text("")
        versions = {fingerprint(tmp_path, {name: v}, "here") for v in ("1", "2")}
        assert len(versions | {of(tmp_path)}) == 3

    @pytest.mark.parametrize(
        "name", ["boto3", "botocore", "fastapi", "starlette", "typer", "pystac-ext-eo", "pyjwt"]
    )
    def test_of_some_it_does_not(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "warp.py").write_text("")
        versions = {fingerprint(tmp_path, {name: v}, "here") for v in ("1", "2")}
        assert versions == {of(tmp_path)}

    def test_the_machine_and_its_python_count(self, tmp_path: Path) -> None:
        (tmp_path / "warp.py").write_text("")
        platforms = ("arm64, Python 3.13", "x86_64, Python 3.13", "arm64, Python 3.12")
        assert len({fingerprint(tmp_path, {}, runs_on) for runs_on in platforms}) == 3

    def test_those_of_a_folder_have_normalized_names(self, tmp_path: Path) -> None:
        distribution(tmp_path, "Titiler.Core", "2.4.0")
        distribution(tmp_path, "numpy", "2.5.5")
        assert libraries_in([str(tmp_path)]) == {"titiler-core": "2.4.0", "numpy": "2.5.5"}

    def test_those_of_a_process_are_required_directly_or_not_and_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        distribution(tmp_path, "App", "1", "Kernels.Fast[simd,gpu] (>=2)", "absent-of-here>1")
        distribution(
            tmp_path,
            "kernels.fast",
            "2",
            "simd-of-kernels; extra == 'simd'",
            'docs-of-kernels ; extra == "docs"',
            "app",
        )
        distribution(tmp_path, "simd-of-kernels", "3")
        distribution(tmp_path, "docs-of-kernels", "4")
        distribution(tmp_path, "beside", "5")
        monkeypatch.syspath_prepend(tmp_path)
        assert required_by("app") == {"app": "1", "kernels-fast": "2", "simd-of-kernels": "3"}
        assert required_by("absent-of-here") == {}


def imports() -> Iterator[tuple[str, str]]:
    """Of all modules that count: their path, and what they import."""
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if not code_counts(name):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from ((name, f"{node.module}.{alias.name}") for alias in node.names)


class TestWhatIsLeftOut:
    """Left out is what code that counts does not stand on, with exceptions that are argued for."""

    def test_code_that_counts_imports_none_of_it(self) -> None:
        """All but `services`, which puts everything together, and the answers of HTTP."""
        # The last two count what was drawn, and how long it took.
        argued = ("auth", "table", "tiler.watch", "traces")
        above = ("services.py", "api/responses/")
        stray = {
            (name, imported)
            for name, imported in imports()
            if imported.startswith("livemosaic.")
            and not name.startswith(above)
            and not imported.removeprefix("livemosaic.").startswith(argued)
            and not code_counts(file_of(imported))
        }
        assert stray == set()

    def test_code_that_counts_imports_no_library_of_it(self) -> None:
        argued = {"certifi", "fastapi", "starlette"}
        """Which certificates TLS trusts; how an image is returned over HTTP."""
        distributions = importlib.metadata.packages_distributions()
        stray = {
            (name, library)
            for name, imported in imports()
            for library in distributions.get(imported.partition(".")[0], ())
            if not library_counts(library.lower()) and library not in argued | {"livemosaic"}
        }
        assert stray == set()


def file_of(imported: str) -> str:
    """`cog/warp.py` of `livemosaic.cog.warp.Kernel`."""
    parts = imported.split(".")[1:]
    while parts:
        module = PACKAGE.joinpath(*parts)
        if module.with_suffix(".py").is_file():
            return "/".join(parts) + ".py"
        if module.is_dir():
            return "/".join(parts) + "/__init__.py"
        parts.pop()
    return "__init__.py"
