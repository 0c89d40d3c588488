"""The build backend (PEP 517): setuptools, with what it cannot do.

It refuses to build a package without its page: the files of MapLibre GL and Swagger UI come from
npm and are not in git; an sdist has them. And it puts what Lambda starts with, the entry files and
the pins, into `livemosaic_cdk`, which makes the bundle of them where there is no checkout.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

_WEB: Final = Path("lambda/livemosaic/api/web")
_LAMBDA: Final = Path("lambda")
_ENTRIES: Final = Path("infra/livemosaic_cdk/entries")
_FROM_NPM: Final = ("maplibre/maplibre-gl.mjs", "swagger/swagger-ui-bundle.js")


def build_sdist(*args: Any, **kwargs: Any) -> Any:
    """Builds an sdist; SystemExit if files of the page are missing."""
    _check()
    return build_meta.build_sdist(*args, **kwargs)


def build_wheel(*args: Any, **kwargs: Any) -> Any:
    """Builds a wheel; SystemExit if files of the page are missing."""
    _check()
    with _entries():
        return build_meta.build_wheel(*args, **kwargs)


def _check() -> None:
    missing = [name for name in _FROM_NPM if not (_WEB / name).exists()]
    if missing:
        raise SystemExit(
            f"{_WEB} lacks {' and '.join(missing)}, which npm brings: run `make web`, then again"
        )


@contextmanager
def _entries() -> Iterator[None]:
    _ENTRIES.mkdir(exist_ok=True)
    try:
        for path in (*_LAMBDA.glob("*.py"), *_LAMBDA.glob("*.txt")):
            shutil.copy(path, _ENTRIES / path.name)
        yield
    finally:
        shutil.rmtree(_ENTRIES)
