"""Which TIFFs async-tiff 0.7.2 reads as GDAL does; the others are left to GDAL, with the reason.

Decided from the header alone, before async-tiff parses it: it panics on what is merely unusual, and
decodes some of what it does not know to wrong pixels. `tests/corpus` crosses all of this.
"""

from collections.abc import Callable, Sequence
from typing import Final

from livemosaic.cog.tiff.directories import BrokenHeaderError, Directory
from livemosaic.cog.tiff.geokeys import read_keys
from livemosaic.cog.tiff.palette import BITS, COLORS, has_palette

SUBFILE, WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 259, 262
FILL_ORDER, SAMPLES, X_RESOLUTION, Y_RESOLUTION, PLANAR = 266, 277, 282, 283, 284
PREDICTOR, TILE_WIDTH, TILE_HEIGHT, OFFSETS, COUNTS = 317, 322, 323, 324, 325
DIRECTORIES, FORMAT, NODATA = 330, 339, 42113
GRAY, RGB, PALETTE, MASK, YCBCR = 1, 2, 3, 4, 6
_UINT: Final = 1
_FLOAT: Final = 3
_ASCII: Final = 2
_RATIONAL: Final = 5
_KINDS: Final = frozenset({*range(1, 14), 16, 17, 18})
_NONE, _JPEG, _LERC = 1, 7, 34887
_MOST_VALUES: Final = 1 << 22
"""More than any table of tiles in a header of 16 MiB has."""
_PREDICTED: Final = frozenset({5, 8, 32946, 34925, 50000})
"""LZW, Deflate, LZMA and Zstandard: the codecs that libtiff undoes a predictor of."""
_REQUIRED: Final = frozenset({WIDTH, HEIGHT, BITS, PHOTOMETRIC, SAMPLES})


def reason_for_gdal(directories: Sequence[Directory]) -> str | None:
    """Returns why GDAL has to read the file; None if async-tiff reads it alike."""
    try:
        for check in (_panics, _misread):
            for directory in directories:
                if reason := check(directory):
                    return reason
        read_keys(directories[0])
    except BrokenHeaderError as e:
        return f"a header that is damaged: {e}"
    return _ambiguous(directories)


def _panics(directory: Directory) -> str | None:
    """What async-tiff's parser takes for granted (its `ifd.rs` and `metadata/reader.rs`)."""
    fields = directory.fields
    if not fields.keys() >= _REQUIRED:
        return f"tags that are left to their defaults: {sorted(_REQUIRED - fields.keys())}"
    for tag, (kind, count, _) in fields.items():
        if count > _MOST_VALUES:
            # Memory is taken for them before they are read: the process would be aborted.
            return f"a tag of {count:,} values"
        if kind == _ASCII:
            text = directory.body(tag)
            if not (text.endswith(b"\0") and text.isascii()) and count:
                return "a text that is not ASCII, or without an end"
        elif kind not in _KINDS:
            return "a tag of an unknown type"
        elif tag in (X_RESOLUTION, Y_RESOLUTION) and (kind, count) != (_RATIONAL, 1):
            return "a resolution that is no ratio"
    return _table_of_tiles(directory)


def _table_of_tiles(directory: Directory) -> str | None:
    fields = directory.fields
    if TILE_WIDTH not in fields:
        return None
    across, down = (
        -(-directory.number(size, 0) // max(directory.number(tile, 0), 1))
        for size, tile in ((WIDTH, TILE_WIDTH), (HEIGHT, TILE_HEIGHT))
    )
    planes = directory.number(SAMPLES, 1) if directory.number(PLANAR, 1) == 2 else 1
    if any(fields.get(tag, (0, 0, 0))[1] < across * down * planes for tag in (OFFSETS, COUNTS)):
        return "fewer tiles than the image has"
    return None


def _misread(directory: Directory) -> str | None:
    """What async-tiff decodes, but not to what GDAL has."""
    return next((reason for check in _CHECKS if (reason := check(directory))), None)


def _of_colors(directory: Directory) -> str | None:
    """GDAL converts CMYK, CIELab and YCbCr to RGB; async-tiff only what JPEG itself converts."""
    photometric, samples = directory.number(PHOTOMETRIC, GRAY), directory.number(SAMPLES, 1)
    jpeg = directory.number(COMPRESSION, _NONE) == _JPEG
    mask = bool(directory.number(SUBFILE, 0) & 4)
    plain = {
        GRAY: True,
        RGB: samples >= 3,
        PALETTE: samples == 1 and has_palette(directory),
        MASK: mask and samples == 1,
        YCBCR: jpeg and samples == 3 and directory.number(PLANAR, 1) == 1,
    }
    if COLORS in directory.fields and samples != 1:
        return "a palette beside several bands"
    if mask and photometric != MASK:
        return "a mask that looks like an image"
    return None if plain.get(photometric) else f"photometric interpretation {photometric}"


def _of_samples(directory: Directory) -> str | None:
    bits, formats = set(directory.numbers(BITS)), set(directory.numbers(FORMAT, (_UINT,)))
    mask = directory.number(PHOTOMETRIC, GRAY) == MASK
    if len(bits) != 1 or len(formats) != 1 or not bits <= ({1, 8} if mask else {8, 16, 32, 64}):
        return "bits per sample that numpy has no type for"
    if DIRECTORIES in directory.fields:
        return "overviews in directories of their own"
    if directory.number(FILL_ORDER, 1) != 1:
        return "bits that are stored in reverse order"
    return None


def _of_predictor(directory: Directory) -> str | None:
    predictor, compression = directory.number(PREDICTOR, 1), directory.number(COMPRESSION, _NONE)
    if predictor == 1:
        return None
    if compression not in _PREDICTED or predictor not in (2, 3):
        # libtiff ignores the tag there; async-tiff undoes what was never done.
        return f"a predictor that compression {compression} does not have"
    if predictor == 3 and directory.number(FORMAT, _UINT) != _FLOAT:
        return "a predictor of floats, of integers"
    if directory.number(PLANAR, 1) == 2 and directory.number(SAMPLES, 1) > 1:
        # async-tiff undoes it across the bands, though each was predicted by itself:
        # https://github.com/developmentseed/async-tiff/pull/340
        return "a predictor of bands that are stored apart"
    return None


def _of_codec(directory: Directory) -> str | None:
    compression, samples = directory.number(COMPRESSION, _NONE), directory.number(SAMPLES, 1)
    floats = directory.number(FORMAT, _UINT) == _FLOAT
    if compression == _LERC and directory.order == ">" and floats:
        return "floats of LERC, whose bytes async-tiff swaps once more"
    colors = directory.number(PHOTOMETRIC, GRAY) in (RGB, YCBCR)
    contiguous = directory.number(PLANAR, 1) == 1
    if compression == _JPEG and contiguous and samples != (3 if colors else 1):
        # Of three bands that are no colors, async-tiff makes RGB as if they were YCbCr.
        return f"JPEG of {samples} bands"
    return None


_CHECKS: Final[tuple[Callable[[Directory], str | None], ...]] = (
    _of_colors, _of_samples, _of_predictor, _of_codec,
)  # fmt: skip


def _ambiguous(directories: Sequence[Directory]) -> str | None:
    """Images of one size, of which async-geotiff keeps the last: a page may hide an overview."""
    sizes = [
        (d.number(WIDTH, 0), d.number(HEIGHT, 0), d.number(PHOTOMETRIC, GRAY) == MASK)
        for d in directories
    ]
    return "several images of one size" if len(set(sizes)) < len(sizes) else None
