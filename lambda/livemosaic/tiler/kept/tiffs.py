"""GeoTIFFs just made: clients such as GDAL read one by many ranges, each a request of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from cachetools import LRUCache

_MOST_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeptTiff:
    """An encoded image, and what a response says about it."""

    etag: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeptTiffs:
    """The GeoTIFFs made last, by the request's digest, 32 MB in all. Thread-safe.

    None is stale: who takes one compares its ETag with the scenes of now.
    """

    _kept: LRUCache[str, KeptTiff] = field(
        default_factory=lambda: LRUCache(_MOST_BYTES, getsizeof=lambda tiff: len(tiff.body))
    )
    _lock: Lock = field(default_factory=Lock)

    def get(self, digest: str) -> KeptTiff | None:
        """Returns the image of a request, if it is kept."""
        with self._lock:
            return self._kept.get(digest)

    def keep(self, digest: str, tiff: KeptTiff) -> None:
        """Keeps an image, unless it alone is too large."""
        if len(tiff.body) <= _MOST_BYTES:
            with self._lock:
                self._kept[digest] = tiff
