"""Reads MosaicJSON documents from files, URLs and cogeo-mosaic's tables.

cogeo-mosaic's own classes check documents and open tables. They do not read them here: its
DynamoDB backend gives the first page of cells only, and its readers keep documents for minutes.
"""

import gzip
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import urllib3
from botocore.exceptions import BotoCoreError, ClientError
from cogeo_mosaic.backends.dynamodb import DynamoDBBackend
from cogeo_mosaic.backends.sqlite import SQLiteBackend
from cogeo_mosaic.errors import MosaicError
from cogeo_mosaic.mosaic import MosaicJSON
from pydantic import ValidationError
from urllib3.exceptions import HTTPError

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.cells import CellGrid, cell_grid
from livemosaic.ingest.sources.mosaic_json import GZIP
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import bucket_and_key, redact
from livemosaic.storage.http import trust
from livemosaic.storage.objects import ObjectError
from livemosaic.storage.stores import Bucket

_WEB: Final = "WebMercatorQuad"
"""The TileMatrixSet of a MosaicJSON that names none."""
_TIMEOUT: Final = urllib3.Timeout(connect=10.0, read=60.0)
_SHOWN: Final = 300
_VERSIONS: Final = "0.0."


@dataclass(frozen=True)
class MosaicDocument:
    """A MosaicJSON: which assets each cell lists, the top one first."""

    definition: MosaicJSON
    """Without its cells, where it comes from a table."""
    tiles: Mapping[str, Sequence[str]]
    """By quadkey; without the prefix of assets."""
    written: datetime | None = None
    """When it was written, aware; None where its place does not say so."""

    @property
    def zoom(self) -> int:
        """Zoom of the cells."""
        return self.definition.quadkey_zoom or self.definition.minzoom

    @cached_property
    def grid(self) -> CellGrid:
        """The grid of the cells."""
        tms = self.definition.tilematrixset
        return CellGrid.of_tms(tms) if tms else cell_grid(_WEB)

    @cached_property
    def cells(self) -> dict[str, list[str]]:
        """Hrefs by quadkey, each once, the top one first; quadkeys are sorted."""
        prefix = self.definition.asset_prefix or ""
        return {
            key: list(dict.fromkeys(_absolute(prefix + asset) for asset in assets))
            for key, assets in sorted(self.tiles.items())
        }

    @property
    def digest(self) -> str:
        """A hash of the lists."""
        text = json.dumps([self.zoom, self.cells], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def read_document(name: str, allow: AllowList) -> MosaicDocument:
    """Reads a MosaicJSON by its path, URL, or place in a table.

    Raises `InvalidRequestError` where it cannot be read, or is none.
    """
    if name.startswith("dynamodb://"):
        return _checked(name, _of_dynamodb(name))
    if name.startswith("sqlite://"):
        return _checked(name, _of_sqlite(name))
    return _checked(name, _of_text(name, *_body(name, allow)))


def _checked(name: str, found: MosaicDocument) -> MosaicDocument:
    version = found.definition.mosaicjson
    if not version.startswith(_VERSIONS):
        raise InvalidRequestError(
            f"{redact(name)} is MosaicJSON {version[:20]}; {_VERSIONS}1 to {_VERSIONS}3 are known"
        )
    wrong = [key for key in found.tiles if len(key) != found.zoom or set(key) - set("0123")]
    if wrong:
        raise InvalidRequestError(
            f"{redact(name)} has {len(wrong):,} cells that are no quadkeys of its quadkey_zoom "
            f"{found.zoom}, such as {wrong[0][:40]!r}"
        )
    if (found.definition.asset_type or "COG").upper() == "STAC":
        raise InvalidRequestError(
            f"the assets of {redact(name)} are STAC Items, by its asset_type: ingest these"
        )
    if not any(found.tiles.values()):
        raise InvalidRequestError(f"{redact(name)} lists no assets: its tiles are empty")
    return found


def _body(name: str, allow: AllowList) -> tuple[bytes, datetime | None]:
    """Returns the bytes of a document, and when it was written."""
    if name.startswith(("https://", "http://")):
        return _over_http(name)
    try:
        if at := bucket_and_key(name):
            bucket = Bucket(at[0], allow.way_to_bucket(*at))
            return bucket.read(at[1]), bucket.head(at[1]).modified
        path = Path(name)
        return path.read_bytes(), datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except ObjectError as error:
        raise InvalidRequestError(f"{name} {error}") from error
    except OSError as error:
        raise InvalidRequestError(f"cannot read {name!r}: {error.strerror}") from error


def _over_http(url: str) -> tuple[bytes, datetime | None]:
    with urllib3.PoolManager(ssl_context=trust(), timeout=_TIMEOUT) as pool:
        try:
            answer = pool.request("GET", url)
        except (HTTPError, ValueError) as error:
            raise InvalidRequestError(
                f"cannot read {redact(url)}: {type(error).__name__}"
            ) from error
    if answer.status != 200:
        raise InvalidRequestError(f"cannot read {redact(url)}: HTTP {answer.status}")
    try:
        written = parsedate_to_datetime(answer.headers.get("Last-Modified", ""))
    except ValueError:
        return answer.data, None
    return answer.data, written.replace(tzinfo=written.tzinfo or UTC)


def _of_text(name: str, body: bytes, written: datetime | None) -> MosaicDocument:
    try:
        text = gzip.decompress(body) if body.startswith(GZIP) else body
        document = json.loads(text)
        if not isinstance(document, dict) or "mosaicjson" not in document:
            raise InvalidRequestError(
                f"{redact(name)} is no MosaicJSON; STAC Items are read from files, "
                "s3://BUCKET/PREFIX/ and --stac"
            )
        found = MosaicJSON(**document)
    except ValidationError as error:
        raise InvalidRequestError(f"{redact(name)} is no MosaicJSON: {_first(error)}") from error
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        reason = str(error)[:_SHOWN]
        raise InvalidRequestError(f"{redact(name)} is no MosaicJSON: {reason}") from error
    return MosaicDocument(found, found.tiles, written)


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"[:_SHOWN]


def _of_dynamodb(name: str) -> MosaicDocument:
    DynamoDBBackend._read.cache_clear()
    try:
        with DynamoDBBackend(name) as backend:
            return MosaicDocument(backend.mosaic_def, dict(_dynamodb_cells(backend)))
    except (MosaicError, BotoCoreError, ClientError, ValueError) as error:
        raise InvalidRequestError(f"cannot read {name}: {str(error)[:_SHOWN]}") from error


def _dynamodb_cells(backend: DynamoDBBackend) -> Iterator[tuple[str, Sequence[str]]]:
    query: dict[str, Any] = {
        "KeyConditionExpression": "mosaicId = :mosaic",
        "ExpressionAttributeValues": {":mosaic": backend.mosaic_name},
    }
    while True:
        page = backend.table.query(**query)
        for row in page["Items"]:
            if row["quadkey"] != backend._metadata_quadkey:
                yield row["quadkey"], row["assets"]
        if "LastEvaluatedKey" not in page:
            return
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _of_sqlite(name: str) -> MosaicDocument:
    SQLiteBackend._read.cache_clear()
    try:
        with closing(SQLiteBackend(name)) as backend:
            rows = backend.db.execute(f'SELECT quadkey, assets FROM "{backend.mosaic_name}"')  # noqa: S608 (its form was checked)
            return MosaicDocument(backend.mosaic_def, dict(rows))
    except (MosaicError, sqlite3.Error, ValueError, AssertionError) as error:
        raise InvalidRequestError(f"cannot read {name}: {str(error)[:_SHOWN]}") from error


def _absolute(href: str) -> str:
    """Returns an href; a relative path is one of the working directory, as to cogeo-mosaic."""
    return href if "://" in href or href.startswith("/") else str(Path(href).resolve())
