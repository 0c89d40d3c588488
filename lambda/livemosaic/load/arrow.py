"""pyarrow for Lambda: it does not fit into the bundle, and is fetched when a function starts."""

import io
import shutil
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

from livemosaic.storage.stores import Bucket


def add(href: str) -> None:
    """Makes what is in a zip importable; it is at `s3://BUCKET/KEY`, and its key is a hash of it.

    It is unpacked once, in the temporary folder of the machine.
    """
    bucket, _, key = href.removeprefix("s3://").partition("/")
    folder = Path(tempfile.gettempdir()) / f"livemosaic-{Path(key).stem}"
    if not folder.exists():
        _unpack(Bucket(bucket).read(key), folder)
    sys.path.append(str(folder))


def _unpack(body: bytes, folder: Path) -> None:
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    with ZipFile(io.BytesIO(body)) as zipped:
        zipped.extractall(made)
    try:
        made.rename(folder)
    except OSError:  # another process came first
        shutil.rmtree(made)
