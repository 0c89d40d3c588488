"""Files that are whole or not there: made beside their place, and put there when they are done."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import obstore

from livemosaic.errors import InvalidRequestError
from livemosaic.storage.hrefs import bucket_and_key
from livemosaic.storage.objects import ObjectError
from livemosaic.storage.stores import Bucket, explaining


@contextmanager
def put_at(to: str) -> Iterator[Path]:
    """Yields the path to write to; in the end what is there becomes the file or object `to`.

    An object `s3://{bucket}/{key}` is uploaded in parts. Where writing fails, what was there stays.
    Raises `InvalidRequestError` where nothing can be written.
    """
    try:
        if at := bucket_and_key(to):
            with TemporaryDirectory() as folder:
                made = Path(folder) / Path(at[1]).name
                yield made
                _upload(made, *at)
            return
        path = Path(to.removeprefix("file://"))
        made = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
        try:
            yield made
            _flush(made)
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
    except (OSError, ObjectError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidRequestError(f"cannot write {to}: {reason}") from error


def _flush(made: Path) -> None:
    """Waits until a file is on the disk: a name must not be there before its bytes are."""
    with made.open("rb") as file:
        os.fsync(file.fileno())


def _upload(path: Path, bucket: str, key: str) -> None:
    with explaining():
        obstore.put(Bucket(bucket).store, key, path)
