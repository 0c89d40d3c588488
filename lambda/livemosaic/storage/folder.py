"""A folder of objects that we write ourselves: on S3, or on this machine."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore

from livemosaic.errors import InvalidRequestError
from livemosaic.storage.objects import AbsentError, Pin
from livemosaic.storage.stores import Bucket, Listed, StoredObject, explaining, listed_of

_S3: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*?))?/?")


class Folder:
    """Objects below a URL, `s3://BUCKET/PREFIX` or `file:///FOLDER`.

    Raises ObjectError where reading or writing fails. Safe to share between threads.
    """

    def __init__(self, url: str) -> None:
        """Opens a folder; one on this machine is made where it is missing."""
        self.url = url.rstrip("/")
        if match := _S3.fullmatch(url):
            self._store, self._prefix = Bucket(match["bucket"]).store, match["prefix"] or ""
        elif url.startswith("file:///"):
            folder = Path(unquote(urlsplit(url).path))
            self._store, self._prefix = LocalStore(folder, mkdir=True), ""
        else:
            raise InvalidRequestError(
                f"no folder of objects at {url[:200]!r}: use s3:// or file:///"
            )

    def href(self, name: str) -> str:
        """Returns the href of an object by its path in the folder."""
        return f"{self.url}/{name}"

    def put(self, name: str, body: bytes) -> None:
        """Writes an object, whole or not at all."""
        with explaining():
            obstore.put(self._store, self._path(name), body)

    def read(self, href: str, stop: int | None = None, start: int = 0) -> bytes:
        """Returns an object, or its bytes up to an offset; AbsentError where there is none.

        `start` is the first of these bytes.
        """
        source = StoredObject(self._store, self._path(self._name(href)), Pin())
        if stop is None:
            return source.whole_blocking(_MOST_BYTES)
        return bytes(source.read_blocking(start, stop))

    def delete(self, href: str) -> None:
        """Deletes an object; succeeds where there is none."""
        try:
            with explaining():
                obstore.delete(self._store, self._path(self._name(href)))
        except AbsentError:
            return

    def listed(self, prefix: str = "") -> Iterator[Listed]:
        """Yields the objects whose paths in the folder start with a prefix, which names folders."""
        with explaining():
            for chunk in obstore.list(self._store, self._path(prefix), chunk_size=1000):
                yield from map(listed_of, chunk)

    def names(self, folder: str) -> Iterator[str]:
        """Yields the paths of all objects below a folder within this one."""
        for each in self.listed(folder):
            yield each.key.removeprefix(self._path(""))

    def _path(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _name(self, href: str) -> str:
        if not href.startswith(f"{self.url}/"):
            raise InvalidRequestError(f"{href[:200]!r} is not in the folder {self.url!r}")
        return href.removeprefix(f"{self.url}/")


_MOST_BYTES: Final = 1024 * 1024 * 1024
