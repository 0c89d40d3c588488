"""Runs ministack so that all functions with the same code share one copy of it on disk.

ministack unpacks the code of a function for each of its environments, and deletes it with them: ten
of ours are 2 GB. Lambda's own copy is read-only, so sharing one changes nothing that a function can
see. The copy stays in the folder that `LIVEMOSAIC_UNPACKED` names, for later runs.
"""

import hashlib
import os
import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

_LARGE = 1024 * 1024
"""Bytes of a zip from which on it is worth it."""
_KEPT = 3
_extract = ZipFile.extractall


def _extract_once(zipped: ZipFile, path: Any = None, *rest: Any, **more: Any) -> None:
    """Links the folder of a function's code to its only copy; unpacks all else as ever."""
    file = Path(zipped.filename or "")
    if file.name != "code.zip" or file.stat().st_size < _LARGE:
        return _extract(zipped, path, *rest, **more)
    copy = _copy(zipped, Path(os.environ["LIVEMOSAIC_UNPACKED"]) / _digest(file))
    Path(path).rmdir()
    Path(path).symlink_to(copy)
    file.unlink()
    return None


def _copy(zipped: ZipFile, folder: Path) -> Path:
    """Returns the folder with the files of a zip, made where it is missing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        made = Path(tempfile.mkdtemp(prefix="new-", dir=folder.parent))
        _extract(zipped, made)
        try:
            made.rename(folder)
        except OSError:  # another environment came first
            shutil.rmtree(made)
    folder.touch()
    _prune(folder.parent)
    return folder


def _prune(parent: Path) -> None:
    """Deletes all copies but the ones that were used last."""
    copies = sorted(parent.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in copies[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _digest(file: Path) -> str:
    with file.open("rb") as body:
        return hashlib.file_digest(body, "sha256").hexdigest()


if __name__ == "__main__":
    ZipFile.extractall = _extract_once  # type: ignore[method-assign, assignment]
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)
