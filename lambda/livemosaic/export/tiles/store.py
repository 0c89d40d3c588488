"""The archives of mosaics that the API serves: objects below one URL."""

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import obstore

from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.hrefs import bucket_and_key
from livemosaic.storage.stores import Bucket, explaining

_DATE_AT_END: Final = re.compile(r"(?:^|\.)\d{4}-\d{2}-\d{2}$")
MEDIA_TYPE: Final = "application/vnd.pmtiles"


@dataclass(frozen=True, slots=True)
class ArchiveStore:
    """Archives below `s3://{bucket}/{prefix}` or `file:///{folder}`."""

    url: str

    def place_of(self, mosaic: Mosaic, render: str) -> str:
        """Returns the path or `s3://` URL of the archive of a mosaic by one of its renders.

        A mosaic that is created again has another. Raises `InvalidRequestError` as
        `check_render_name`.
        """
        check_render_name(render)
        name = ".".join(part for part in (mosaic.id, mosaic.generation, render) if part)
        return f"{self._folder or self.url.rstrip('/')}/{name}.pmtiles"

    @property
    def of_vectors(self) -> "ArchiveStore":
        """The archives of vector tiles, beside the archives of images."""
        return ArchiveStore(f"{self.url.rstrip('/')}/vector")

    def make_folder(self) -> None:
        """Makes the folder that archives are in, where they are files."""
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def _folder(self) -> Path | None:
        root = self.url.rstrip("/")
        return None if bucket_and_key(f"{root}/") else Path(unquote(urlsplit(root).path))


def check_render_name(render: str) -> None:
    """Raises `InvalidRequestError` for a render whose archive had the name of a dated copy."""
    if _DATE_AT_END.search(render):
        raise InvalidRequestError(
            f"render {render!r} ends with a date, as dated copies of archives do: give it another "
            "name"
        )


def signed(place: str, method: Literal["GET", "HEAD"], valid: timedelta) -> str:
    """Returns a URL by which anybody can read an object of S3 for some time, by one HTTP method.

    Raises `AbsentError` where there is none, and `ObjectError` where that fails.
    """
    found = bucket_and_key(place)
    if found is None:
        raise ValueError(f"{place} is not on S3")
    bucket = Bucket(found[0])
    bucket.head(found[1])
    with explaining():
        return obstore.sign(bucket.store, method, found[1], valid)
