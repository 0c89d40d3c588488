"""MosaicJSON of cogeo-mosaic, as a source of `livemosaic ingest`."""

import gzip
import zlib
from pathlib import Path
from typing import Final

_HEAD: Final = 65_536
"""Bytes of a file in which the member `mosaicjson` is looked for; cogeo-mosaic writes it first."""
_MEMBER: Final = b'"mosaicjson"'
GZIP: Final = b"\x1f\x8b"
"""How gzip begins (RFC 1952, 2.3.1)."""
_TABLES: Final = ("dynamodb://", "sqlite://")
_URLS: Final = ("https://", "http://")


def is_mosaic_json(name: str) -> bool:
    """Whether a name given to the command is of a MosaicJSON.

    A local file is recognized by its content. A URL that is neither a prefix in S3 nor any other
    kind of source can be nothing else.
    """
    if name.startswith((*_TABLES, *_URLS)):
        return True
    if name.startswith("s3://"):
        return name.endswith((".json", ".json.gz"))
    return _MEMBER in _head(Path(name))


def _head(path: Path) -> bytes:
    """Returns the first bytes of a file, unzipped; none of what is no file, or cannot be read.

    A pipe, of which bytes are there once, is not opened.
    """
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            head = file.read(len(GZIP))
            file.seek(0)
            return gzip.GzipFile(fileobj=file).read(_HEAD) if head == GZIP else file.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return b""
