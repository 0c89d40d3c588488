"""Builds the zip of all Lambda functions, livemosaic and wheels with GDAL, without Docker."""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, get_args
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import livemosaic
from livemosaic import pixel_version
from livemosaic_cdk import elf, planets

Architecture = Literal["arm64", "x86_64"]

ROOT: Final = Path(__file__).parents[2]
"""The checkout; an installed package has none."""
PYTHONS: Final = ("3.11", "3.12", "3.13")
ONLY_EMULATED: Final = ("3.11",)
"""Pythons that Lambda runs on Amazon Linux 2, whose glibc 2.26 is too old for wheels with GDAL."""
MB: Final = 1024 * 1024
"""Bytes of a MB as AWS counts: 250 MB unzipped are 262,144,000 bytes (Lambda quotas)."""
MAX_UNZIPPED: Final = 230 * MB

_PLATFORMS: Final = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
"""uv's platform names. The wheels need glibc 2.28; Lambda's Amazon Linux 2023 has 2.34."""
_IN_RUNTIME: Final = frozenset({"boto3", "botocore", "jmespath", "s3transfer"})
"""Packages of Lambda's Python runtime: the SDK and its dependencies (Lambda Developer Guide,
"Runtime dependencies in Python"). urllib3, dateutil and six are bundled, because other packages
need them too."""
_UNUSED_FOLDERS: Final = frozenset({"bin", "docs", "f2py", "include", "sboms", "tests"})
_UNUSED_SUFFIXES: Final = frozenset(
    {".a", ".c", ".cpp", ".f", ".f90", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx", ".svg", ".xsd"}
)
_UNUSED_FILES: Final = ("ecw_cs.wkt", "nitf_spec.xml", "grib2_table_")
"""Beginnings of names in GDAL's data: tables of its ECW, NITF and GRIB drivers, through which
nothing is read or written."""
_UNUSED_RECORDS: Final = frozenset({"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"})
_REQUIREMENTS: Final = "lambda/requirements.txt"
_PLANETS: Final = f"lambda/{planets.PINS}"
_NOT_DEPLOYED: Final = ("__main__.py", "cli/", "client/", "export/whole/")
"""Of the package: the command with its demo, the Python face, and exports that only they write."""
_FROM_NPM: Final = ("maplibre", "swagger")
_MAX_BUNDLES: Final = 6
_SMALL: Final = MB // 4
"""Bytes below which packages are summed up in one line of the report."""


class BundleError(Exception):
    """The bundle cannot be built; the message gives the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Target:
    """Processor architecture and Python version of a bundle, and what it has beside livemosaic."""

    architecture: Architecture = "arm64"
    python: str = "3.13"
    planets: bool = False
    """Whether it has TileMatrixSets of other bodies, 10 MB of them."""

    def __post_init__(self) -> None:
        _one_of("architecture", self.architecture, get_args(Architecture))
        _one_of("python", self.python, PYTHONS)

    @property
    def machine(self) -> str:
        """What pixels depend on."""
        return f"{self.architecture}, Python {self.python}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of `python -m livemosaic_cdk.bundle` for it."""
        planets = ("--planets",) if self.planets else ()
        return ("--architecture", self.architecture, "--python", self.python, *planets)

    def __str__(self) -> str:
        return f"{self.machine}, other planets" if self.planets else self.machine


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, it can be {', '.join(choices)}")


def fingerprint(target: Target, root: Path = ROOT) -> str:
    """Returns the SHA-256 in hex of all inputs of a bundle.

    Raises `BundleError` if the npm files are missing.
    """
    return _digest(target, _inputs(root))


def build(target: Target, root: Path = ROOT, max_unzipped: int = MAX_UNZIPPED) -> Path:
    """Builds the bundle of the checkout `root`, or returns an existing one in `build/bundle`.

    Where `root` is no checkout it is the bundle of the installed package, and `build` is in the
    current folder. Progress and sizes go to stderr. Concurrent builds wait for each other. Raises
    `BundleError` if the build fails, or if the bundle is larger than `max_unzipped` bytes.
    """
    inputs = _inputs(root)
    folder = kept_in("bundle", root)
    path = folder / f"{_digest(target, inputs)}.zip"
    with alone(folder):
        if path.exists():
            path.touch()  # the least recently used bundles are pruned first
            log(f"bundle for {target}: nothing changed")
            return path
        with TemporaryDirectory(prefix="new-", dir=folder) as new:
            made = _made(target, inputs, Path(new))
            _check(made, max_unzipped)
            made.replace(path)
        prune(folder)
    return path


def kept_in(name: str, root: Path = ROOT) -> Path:
    """Returns the folder of `build` in which zips of a kind are kept."""
    folder = (root if _is_checkout(root) else Path()).resolve() / "build" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def entry_files(root: Path = ROOT) -> Path:
    """Returns the folder of the files that Lambda starts with, and of their pins."""
    return root / "lambda" if _is_checkout(root) else Path(__file__).parent / "entries"


def _is_checkout(root: Path) -> bool:
    return (root / _REQUIREMENTS).exists()


def _inputs(root: Path) -> dict[str, bytes]:
    """Contents of files by path in the repository, read once so that hash and zip agree."""
    if _is_checkout(root):
        entries, package = root / "lambda", root / "lambda" / "livemosaic"
    else:
        entries, package = Path(__file__).parent / "entries", Path(livemosaic.__file__).parent
    for name in _FROM_NPM:
        if not any((package / "api" / "web" / name).glob("[!.]*")):
            raise BundleError(
                f"lambda/livemosaic/api/web/{name} is empty or missing: run `make setup`"
            )
    deployed = (
        path
        for path in package.rglob("*")
        if not path.relative_to(package).as_posix().startswith(_NOT_DEPLOYED)
    )
    packed = {path: f"lambda/{path.name}" for path in entries.glob("*.py")}
    packed |= {path: f"lambda/livemosaic/{path.relative_to(package)}" for path in deployed}
    packed[entries / Path(_REQUIREMENTS).name] = _REQUIREMENTS
    packed[entries / planets.PINS] = _PLANETS
    inputs = {
        name: path.read_bytes()
        for path, name in packed.items()
        if path.is_file() and path.parent.name != "__pycache__" and not path.name.startswith(".")
    }
    ours = [Path(__file__), Path(elf.__file__), Path(planets.__file__)]
    return inputs | {f"infra/{path.name}": path.read_bytes() for path in ours}


def _digest(target: Target, inputs: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(str(target).encode())
    for name, content in sorted(inputs.items()):
        digest.update(f"\n{hashlib.sha256(content).hexdigest()} {name}".encode())
    return digest.hexdigest()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until no other process builds in a folder."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prune(folder: Path) -> None:
    """Keeps recently used zips; under the lock, no `new-*` folder belongs to a running build."""
    for left in folder.glob("new-*"):
        shutil.rmtree(left)
    bundles = sorted(folder.glob("*.zip"), key=lambda path: path.stat().st_mtime)
    for old in bundles[:-_MAX_BUNDLES]:
        old.unlink()


def _made(target: Target, inputs: Mapping[str, bytes], new: Path) -> Path:
    log(f"bundle for {target}:")
    stage = new / "stage"
    with _step("wheels"):
        install(target, _pins(target, inputs), stage)
    with _step("only what runs"):
        _remove_unused(stage)
        if target.planets:
            planets.keep_documents(stage)
        strip(target, stage)
    with _step("bytecode and sources"):
        _compile(target, stage, inputs)
        _write_pixel_version(target, stage)
    with _step("zip"):
        return zipped(stage, new / "bundle.zip")


def _pins(target: Target, inputs: Mapping[str, bytes]) -> str:
    names = (_REQUIREMENTS, _PLANETS) if target.planets else (_REQUIREMENTS,)
    return "\n".join(inputs[name].decode() for name in names)


def install(target: Target, requirements: str, stage: Path) -> None:
    """Installs the wheels of a target that requirements pin into a folder."""
    if importlib.util.find_spec("uv") is None:
        raise BundleError(f"uv is not installed for {sys.executable}: run `make setup`")
    wanted = stage.parent / "requirements.txt"
    lines = requirements.splitlines(keepends=True)
    wanted.write_text("".join(line for line in lines if _name(line) not in _IN_RUNTIME))
    # uv, because pip evaluates markers for the running interpreter. Copies, because stripping
    # hard-linked files would damage uv's cache.
    answer = _uv(
        "pip", "install", "--quiet", "--no-progress", "--no-deps", "--link-mode=copy",
        "--only-binary=:all:", f"--python={sys.executable}", f"--python-version={target.python}",
        f"--python-platform={_PLATFORMS[target.architecture]}", f"--target={stage}",
        f"--requirements={wanted}",
    )  # fmt: skip
    if answer.returncode == 1:
        raise BundleError(f"no wheels for {target}:\n{answer.stderr}")
    if answer.returncode:
        raise BundleError(f"wheels could not be fetched from the registry:\n{answer.stderr}")


def _name(requirement: str) -> str:
    """Normalized name (PEP 503) of the package in a requirements line, empty if none."""
    found = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _uv(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return _run(sys.executable, "-m", "uv", *arguments, **environment)


def _run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def _remove_unused(stage: Path) -> None:
    for folder in sorted(stage.rglob("*/")):
        # numpy's licenses are in folders with the names of its source folders.
        if folder.name in _UNUSED_FOLDERS and "licenses" not in folder.parts:
            shutil.rmtree(folder, ignore_errors=True)
    for path in stage.rglob("*"):
        record = path.parent.suffix == ".dist-info" and path.name in _UNUSED_RECORDS
        unused = path.suffix in _UNUSED_SUFFIXES or path.name.startswith(_UNUSED_FILES)
        if path.is_file() and (unused or record):
            path.unlink()
    (stage / ".lock").unlink(missing_ok=True)  # uv's own


def strip(target: Target, stage: Path) -> None:
    """Removes symbols of libraries, and modules for other Pythons, from a folder."""
    ours = f".cpython-{target.python.replace('.', '')}"
    for path in stage.rglob("*.so*"):
        if ".cpython-" in path.name and ours not in path.name:
            path.unlink()  # some wheels contain modules for other Pythons too
        else:
            path.write_bytes(elf.stripped(path.read_bytes()))


def _compile(target: Target, stage: Path, inputs: Mapping[str, bytes]) -> None:
    """Compiles to unchecked bytecode: /var/task is read-only.

    Third-party packages are shipped as bytecode only, which saves space; livemosaic keeps its
    sources for tracebacks.
    """
    python = _interpreter(target)
    _write_bytecode(python, stage, "-b")  # where Python looks for it without a source
    for source in stage.rglob("*.py"):
        source.unlink()
    for name, content in inputs.items():
        if name.startswith("lambda/") and name not in (_REQUIREMENTS, _PLANETS):
            path = stage / name.removeprefix("lambda/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    _write_bytecode(python, stage)


def _write_pixel_version(target: Target, stage: Path) -> None:
    libraries = pixel_version.libraries_in([str(stage)])
    version = pixel_version.fingerprint(stage / "livemosaic", libraries, target.machine)
    (stage / "livemosaic" / pixel_version.FILE).write_text(version)


def _write_bytecode(python: str, stage: Path, *options: str) -> None:
    answer = _run(
        python, "-W", "ignore", "-m", "compileall", "-q", "-j", "0", *options, "-s", str(stage),
        "-p", "/var/task", "--invalidation-mode", "unchecked-hash", str(stage),
        PYTHONHASHSEED="0", PYTHONPATH="",
    )  # fmt: skip
    if answer.returncode:
        raise BundleError(f"{python} could not compile:\n{answer.stdout}{answer.stderr}")


def _interpreter(target: Target) -> str:
    """Finds or downloads a Python of the target's version, which writes its bytecode."""
    if target.python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    # pyenv's shims start only the version of this variable; other tools ignore it.
    answer = _uv(
        *("run", "--quiet", "--no-project", "--isolated", f"--python=cpython@{target.python}"),
        *("python", "-c", "import sys; print(sys._base_executable)"),
        PYENV_VERSION=target.python,
    )
    if answer.returncode:
        raise BundleError(
            f"Python {target.python} has to compile its bytecode, but is not installed:\n"
            f"{answer.stderr}Install it, or deploy with -c python=… for an installed version"
        )
    return answer.stdout.strip()


def zipped(stage: Path, path: Path) -> Path:
    """Writes a reproducible zip: entries are sorted, with constant time and mode."""
    with ZipFile(path, "w") as bundle:
        for file in sorted(path for path in stage.rglob("*") if path.is_file()):
            entry = ZipInfo(file.relative_to(stage).as_posix())  # dated 1980-01-01
            entry.compress_type = ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the mode counts
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, file.read_bytes())
    return path


def _check(bundle: Path, max_unzipped: int) -> None:
    with ZipFile(bundle) as entries:
        files = entries.infolist()
    unzipped: Counter[str] = Counter()
    zipped: Counter[str] = Counter()
    for file in files:
        unzipped[_package(file.filename)] += file.file_size
        zipped[_package(file.filename)] += file.compress_size
    log(f"{'package':24}{'MB unzipped':>12}{'zipped':>9}")
    small = Counter({package: size for package, size in unzipped.items() if size < _SMALL})
    for package, size in (unzipped - small).most_common():
        log(f"{package:24}{size / MB:12.2f}{zipped[package] / MB:9.2f}")
    rest = sum(zipped[package] for package in small)
    log(f"{f'{len(small)} smaller ones':24}{small.total() / MB:12.2f}{rest / MB:9.2f}")
    total = unzipped.total()
    log(f"{'total':24}{total / MB:12.2f}{bundle.stat().st_size / MB:9.2f}")
    if total > max_unzipped:
        largest = ", ".join(f"{p} {size / MB:.1f}" for p, size in unzipped.most_common(8))
        raise BundleError(
            f"the bundle is {total / MB:.1f} MB unzipped, the limit is {max_unzipped / MB:.1f}"
            f" (Lambda's own is 250); the largest packages are {largest}"
        )


def _package(name: str) -> str:
    """Package of a path: `rasterio` for `rasterio`, `rasterio.libs`, `rasterio-1.5.dist-info`."""
    top, _, rest = name.partition("/")
    if not rest:
        return top.partition(".")[0]
    if top == "__pycache__":
        return rest.partition(".")[0]
    return top.removesuffix(".libs").partition("-")[0]


@contextmanager
def _step(name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    log(f"  {name}: {time.monotonic() - start:.1f} s")


def log(line: str) -> None:
    """Writes a line to stderr at once: stdout is for the path of what was built."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(arguments: list[str] | None = None) -> None:
    """Builds a bundle and prints only its path on stdout, where the CDK CLI reads it."""
    parser = argparse.ArgumentParser(
        prog="python -m livemosaic_cdk.bundle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
examples:
  python -m livemosaic_cdk.bundle
  python -m livemosaic_cdk.bundle --architecture x86_64 --python 3.12
  python -m livemosaic_cdk.bundle --planets
  unzip -l "$(python -m livemosaic_cdk.bundle)"

The path of the zip goes to stdout; progress and sizes go to stderr.""",
    )
    parser.add_argument(
        "--architecture",
        default="arm64",
        choices=get_args(Architecture),
        help="default: %(default)s",
    )
    parser.add_argument(
        "--python",
        default="3.13",
        choices=PYTHONS,
        help="default: %(default)s; 3.11 for emulators only",
    )
    parser.add_argument(
        "--planets", action="store_true", help="with TileMatrixSets of other bodies"
    )
    given = parser.parse_args(arguments)
    try:
        path = build(Target(given.architecture, given.python, given.planets))
    except BundleError as e:
        parser.exit(1, f"{e}\n")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
