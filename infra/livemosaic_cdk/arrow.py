"""Builds the zip of pyarrow, which the function of loads fetches when it starts.

With it the bundle would be larger than Lambda's 250 MB.
"""

import argparse
import hashlib
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, get_args

from livemosaic_cdk.bundle import (
    PYTHONS,
    Architecture,
    BundleError,
    Target,
    alone,
    entry_files,
    install,
    kept_in,
    log,
    prune,
    strip,
    zipped,
)

_UNUSED: Final = (
    "*.h", "*.pxd", "*.pxi", "*.pyi", "*.pyx", "bin/*", "include/*", "src/*", "tests/*",
    "_acero.*", "_azurefs.*", "_csv.*", "_dataset*", "_feather.*", "_flight.*", "_gcsfs.*",
    "_hdfs.*", "_json.*", "_orc.*", "_parquet_encryption.*", "_s3fs.*", "_substrait.*",
    "libarrow_flight*", "libarrow_python_flight*", "libarrow_python_parquet_encryption*",
    "libarrow_s3*", "libarrow_python.so", "libarrow_python.so.*.*.*",
)  # fmt: skip
"""Of pyarrow: what reads nothing of a Parquet file; other libraries need each other's symbols."""
_PINS: Final = "arrow.txt"


def fingerprint(target: Target) -> str:
    """Returns the SHA-256 in hex of all inputs of the zip."""
    digest = hashlib.sha256(target.machine.encode())
    for path in (entry_files() / _PINS, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build(target: Target) -> Path:
    """Builds the zip, or returns an existing one in `build/arrow`. Raises `BundleError`."""
    folder = kept_in("arrow")
    path = folder / f"{fingerprint(target)}.zip"
    with alone(folder):
        if not path.exists():
            log(f"pyarrow for {target}")
            with TemporaryDirectory(prefix="new-", dir=folder) as new:
                _made(target, Path(new)).replace(path)
        path.touch()
        prune(folder)
    return path


def _made(target: Target, new: Path) -> Path:
    stage = new / "stage"
    install(target, (entry_files() / _PINS).read_text(), stage)
    package = stage / "pyarrow"
    if not package.is_dir():
        raise BundleError(f"{_PINS} brought no pyarrow")
    for pattern in _UNUSED:
        for path in package.rglob(pattern):
            if path.is_file():
                path.unlink()
    for other in stage.iterdir():
        if other != package:
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    strip(target, stage)
    return zipped(stage, new / "arrow.zip")


def main() -> None:
    """Builds the zip and prints only its path on stdout, where the CDK CLI reads it."""
    parser = argparse.ArgumentParser(prog="python -m livemosaic_cdk.arrow", description=__doc__)
    parser.add_argument("--architecture", choices=get_args(Architecture), default="arm64")
    parser.add_argument("--python", choices=PYTHONS, default=PYTHONS[-1])
    chosen = parser.parse_args()
    try:
        sys.stdout.write(f"{build(Target(chosen.architecture, chosen.python))}\n")
    except BundleError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
