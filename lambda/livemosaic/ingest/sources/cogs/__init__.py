"""Cloud-Optimized GeoTIFFs without STAC Items, as a source of `livemosaic ingest`."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from livemosaic.errors import InvalidRequestError

SUFFIXES: Final = (".tif", ".tiff")
"""Of the names of GeoTIFFs, in lower case; names may have them in upper case."""


@dataclass(frozen=True, slots=True)
class Making:
    """How Items are made of COGs."""

    collection: str | None = None
    """Of all Items; None for none."""
    moment: datetime | None = None
    """The datetime of all Items, aware; None for the date in a file's name, else its age."""
    of_data: bool = False
    """Whether a footprint is the outline of the valid pixels, not of all pixels."""
    asset: str | None = None
    """Key of the one asset of all Items; None for `visual` or `data`, by its bands."""


def is_cog(name: str) -> bool:
    """Whether a name given to the command is of COGs: a TIFF, a folder, `s3://BUCKET/…/*.tif`."""
    path = path_of(name) if name.startswith(("https://", "http://")) else name
    return is_tiff(path) or ("://" not in name and Path(name).is_dir())


def path_of(url: str) -> str:
    """Returns the path of a URL, unquoted; raises `InvalidRequestError` for what is no URL."""
    try:
        return unquote(urlsplit(url).path)
    except ValueError as error:
        raise InvalidRequestError(f"{url[:200]!r} is no URL: {error}") from error


def is_tiff(path: str) -> bool:
    """Whether a path has the suffix of a GeoTIFF."""
    return path.lower().endswith(SUFFIXES)
