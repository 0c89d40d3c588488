"""What GDAL makes of bands: which one is alpha, and their scales and offsets.

Photometric interpretation, extra samples and GDAL's metadata (an XML text) decide together; readers
that parse them on their own differ from GDAL in what is unusual.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rasterio.enums import ColorInterp

from livemosaic.cog.tiff.directories import Directory
from livemosaic.cog.tiff.written import open_written, shorts

PHOTOMETRIC, SAMPLES, EXTRA_SAMPLES, METADATA = 262, 277, 338, 42112
_GRAY, _RGB, _YCBCR = 1, 2, 6
_ASCII: Final = 2


@dataclass(frozen=True, slots=True)
class Bands:
    """The bands of a TIFF, as GDAL has them."""

    alpha: int | None
    """Index of the first alpha band, from 0."""
    scales: tuple[float, ...]
    offsets: tuple[float, ...]


def read_bands(directory: Directory) -> Bands:
    """Returns what GDAL makes of the bands of a directory."""
    photometric = directory.number(PHOTOMETRIC, _GRAY)
    colors = photometric in (_RGB, _YCBCR)
    metadata = directory.text(METADATA)
    return _bands(
        _RGB if colors else _GRAY,
        directory.number(SAMPLES, 1),
        tuple(int(n) for n in directory.numbers(EXTRA_SAMPLES)),
        metadata if b"role" in metadata.lower() else b"",  # only such items are about bands
    )


# Entries never go stale: the tags are all that the bands are made of.
@lru_cache(maxsize=256)
def _bands(photometric: int, count: int, extra: tuple[int, ...], metadata: bytes) -> Bands:
    pixel = {256: shorts(1), 257: shorts(1), 278: shorts(1), SAMPLES: shorts(count)}
    tags = pixel | {258: shorts(*[8] * count), PHOTOMETRIC: shorts(photometric)}
    if extra:
        tags[EXTRA_SAMPLES] = shorts(*extra)
    if metadata:
        tags[METADATA] = _ASCII, len(metadata) + 1, metadata + b"\0"
    with open_written(tags, [bytes(count)]) as dataset:
        alphas = [i for i, c in enumerate(dataset.colorinterp) if c == ColorInterp.alpha]
        return Bands(next(iter(alphas), None), dataset.scales, dataset.offsets)
