"""The pixel version: a fingerprint of the code and libraries that can change an image.

It is part of every ETag: a fix of the resampling invalidates every cached tile, a change of the
command's help none. A stale image is worse than a refetch, so code and libraries count unless they
are excluded here by name; new packages of ours and new dependencies count automatically.

Comments, docstrings, descriptions of parameters and formatting do not count, nor does this code:

- `cli`, `client`, `ingest` and `load` draw no image. Their results are in the ETag: the key, the
  version and the index cells of each scene.
- `api` turns a request into values (`Grid`, `Read`, `Rule`, `Render`), which are in the ETag
  themselves. `api/responses` counts: it creates the response and its ETag.
- `stac` and `export` make documents, and no images; `vector` makes tiles with an ETag of their own
  content.
- `overviews` makes cells that are drawn like scenes: their digest is in the ETag.
- `table` returns rows as they were put, which `tests/contract` checks for each adapter.
- Credentials, tokens, settings, logs, metrics, traces and process tuning change no image. Settings
  that decide what it shows are in the ETag by their values.

Libraries in `_LIBRARIES_LEFT_OUT` do not count. Python's minor version and the machine do: `sum`
compensates floats since 3.12, and the last digits of numpy and GDAL depend on the instruction set.

The Lambda bundle carries its version in a file, as parsing sources would slow a cold start;
elsewhere it is computed from the sources and the installed libraries, and kept until one changes.
"""

import ast
import hashlib
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

FILE: Final = "pixel-version"
"""The file beside this module in which a bundle carries its version."""

_CODE_LEFT_OUT: Final = (
    *(
        "api/",
        "auth/",
        "cli/",
        "client/",
        "export/",
        "ingest/",
        "load/",
        "overviews/",
        "stac/",
        "table/",
        "telemetry/",
        "vector/",
    ),
    *("__init__.py", "__main__.py", "logs.py", "pixel_version.py", "process.py", "py.typed"),
    *("settings.py", "snapstart.py", "tiler/watch.py", "traces.py", FILE),
)
"""Path prefixes, relative to the package."""
_CODE_KEPT: Final = ("api/responses/",)
"""Path prefixes that count although `_CODE_LEFT_OUT` covers them."""

_LIBRARIES_LEFT_OUT: Final = frozenset(
    {
        "livemosaic",  # a release alone changes no pixels
        # AWS's SDK: reads the table, signs
        *("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six"),
        # HTTP
        *("anyio", "fastapi", "h11", "httpcore2", "httpx2", "httpx2-jsfetch", "idna", "jinja2"),
        *("mangum", "markupsafe", "opentelemetry-api", "starlette", "uvicorn"),
        # Trust, tokens, settings, types
        *("certifi", "pyjwt", "truststore", "pydantic-settings", "python-dotenv"),
        *("annotated-doc", "annotated-types", "typing-extensions", "typing-inspection"),
        # The command, and STAC documents as rio-tiler's own readers open them
        *("click", "click-plugins", "cligj", "colorama", "pystac-client", "rich", "typer"),
        *("markdown-it-py", "mdurl", "pygments", "shellingham"),
        *("geojson-pydantic", "pystac", "pystac-core"),
    }
)
_EXTENSIONS_LEFT_OUT: Final = "pystac-ext-"


def fingerprint(package: Path, libraries: Mapping[str, str], runs_on: str) -> str:
    """Returns the hex digest of a package's sources, of library versions by name, and of `runs_on`.

    Every Python version computes the same. Raises `ValueError` for a folder without sources.
    """
    return _of(_contents(package), libraries, runs_on)


def _of(contents: Mapping[str, bytes], libraries: Mapping[str, str], runs_on: str) -> str:
    digest = hashlib.blake2b(runs_on.encode(), digest_size=16)
    for name, version in sorted(libraries.items()):
        if library_counts(name):
            digest.update(f"\n{name}=={version}".encode())
    for name, content in sorted(contents.items()):
        content = _syntax(content) if name.endswith(".py") else content
        digest.update(f"\n{hashlib.blake2b(content).hexdigest()} {name}".encode())
    return digest.hexdigest()


def code_counts(name: str) -> bool:
    """Whether a file can change a picture; `name` is its path inside the package."""
    return not name.startswith(_CODE_LEFT_OUT) or name.startswith(_CODE_KEPT)


def library_counts(name: str) -> bool:
    """Whether a distribution can change a picture, by its normalized name (PEP 503)."""
    return name not in _LIBRARIES_LEFT_OUT and not name.startswith(_EXTENSIONS_LEFT_OUT)


@cache
def current() -> str:
    """Returns the pixel version of this process, from the bundle's file or computed once."""
    package = Path(__file__).parent
    try:
        return (package / FILE).read_text()
    except FileNotFoundError:
        runs_on = f"{platform.machine()}, Python {sys.version_info.major}.{sys.version_info.minor}"
        installed = required_by("livemosaic") or libraries_in(sys.path)
        return _cached(package, installed | _linked(), runs_on)


def _cached(package: Path, libraries: Mapping[str, str], runs_on: str) -> str:
    """Returns the fingerprint; parsing takes half a second, which the same bytes need once.

    It is kept beside this module's bytecode, under a digest of all that it follows from.
    """
    digest = hashlib.blake2b(repr((runs_on, sorted(libraries.items()))).encode(), digest_size=16)
    contents = _contents(package)
    for name, content in sorted({**contents, "": Path(__file__).read_bytes()}.items()):
        digest.update(f"\n{name} {hashlib.blake2b(content).hexdigest()}".encode())
    given = digest.hexdigest()
    cache = Path(importlib.util.cache_from_source(__file__)).with_suffix(".txt")
    with suppress(OSError, ValueError):
        known, found = cache.read_text().split()
        if known == given:
            return found
    found = _of(contents, libraries, runs_on)  # of the bytes of the digest
    if not sys.dont_write_bytecode:
        with suppress(OSError):
            written = cache.with_suffix(f".{os.getpid()}")
            written.write_text(f"{given} {found}")
            written.replace(cache)
    return found


def libraries_in(folders: Iterable[str]) -> dict[str, str]:
    """Returns the versions of all distributions in folders, by normalized name; the first wins."""
    found = metadata.distributions(path=list(folders))
    return {_normalized(each.name): each.version for each in reversed(list(found))}


def required_by(name: str) -> dict[str, str]:
    """Returns versions of all direct and indirect requirements of a distribution, if installed.

    Markers other than `extra` are not evaluated: requirements they exclude are not installed.
    """
    versions: dict[str, str] = {}
    wanted = [(name, "")]
    for found, extra in wanted:  # which grows meanwhile
        try:
            described = metadata.distribution(found).metadata
        except metadata.PackageNotFoundError:
            continue
        versions[found] = described["Version"]
        for line in described.get_all("Requires-Dist") or ():
            if _extra(line) == extra:
                wanted += [each for each in _requirement(line) if each not in wanted]
    return versions


def _extra(line: str) -> str:
    found = re.search(r"""\bextra\s*==\s*["']([^"']+)""", line)
    return found[1] if found else ""


def _requirement(line: str) -> list[tuple[str, str]]:
    """Returns the distribution in a Requires-Dist, alone and with each of its extras."""
    found = re.match(r"([\w.-]+)\s*(?:\[([^]]*)\])?", line)
    name, extras = (found[1], found[2] or "") if found else (line, "")
    return [(_normalized(name), extra.strip()) for extra in ("", *extras.split(","))]


def _linked() -> dict[str, str]:
    """Returns versions of libraries that wheels contain and other builds take from the system."""
    import pyproj
    import rasterio
    import shapely

    return {
        "gdal": rasterio.__gdal_version__,
        "proj of rasterio": rasterio.__proj_version__,
        "proj of pyproj": pyproj.__proj_version__,
        "geos of shapely": shapely.geos_version_string,
    }


def _normalized(name: str) -> str:
    """Normalizes a name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _contents(package: Path) -> dict[str, bytes]:
    """Returns each file that counts, by its path inside the package; ValueError without any."""
    found = {}
    for path in package.rglob("*"):
        name = path.relative_to(package).as_posix()
        generated = path.parent.name == "__pycache__" or path.name.startswith(".")
        if path.is_file() and not generated and code_counts(name):
            found[name] = path.read_bytes()
    if not found:
        raise ValueError(f"{package} has no sources to make a pixel version of")
    return found


def _syntax(source: bytes) -> bytes:
    """Returns a module's syntax tree without docstrings, as text equal in all Python versions.

    `ast.dump` would include fields that only newer versions have.
    """
    words: list[str] = []
    _write(ast.parse(source), words.append)
    return "\n".join(words).encode()


def _write(node: ast.AST, put: Callable[[str], None]) -> None:
    put(type(node).__name__)
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            put(field)
            _write(value, put)
        elif isinstance(value, list):
            if value:
                put(field)
            for each in value:
                if not isinstance(each, ast.AST):
                    put(repr(each))
                elif not _is_documentation(each):
                    _write(each, put)
        elif value is not None:
            put(field)
            put(repr(value))
    put(")")


def _is_documentation(node: ast.AST) -> bool:
    """Whether a node is a bare string, as docstrings of functions and constants are, or the
    description of a parameter for the OpenAPI document."""
    if isinstance(node, ast.keyword):
        return node.arg == "description"
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
