"""Files that tifffile writes: another hand than GDAL's, with codecs that GDAL never uses so."""

import io
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .case import Case, NotWritableError, pixels, rng
from .tags import geokeys

_KEYS: Final = {1024: 1, 1025: 1, 3072: 32633}
_PLACE: Final = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 500_000.0, 4_500_000.0, 0.0), True),
]
_TYPES: Final = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


def cases() -> Iterator[Case]:
    yield from _layouts()
    yield from _colors()
    yield from _others()


def _written(levels: list[NDArray[Any]], masks: bool = False, **how: Any) -> bytes:
    """Directories of one file, the first of full resolution; how as `tifffile.imwrite`."""
    try:
        import tifffile
    except ImportError as e:
        raise NotWritableError("tifffile is not installed") from e
    out = io.BytesIO()
    first = geokeys(_KEYS)[34735]
    assert first is not None
    tags = [*_PLACE, (34735, "H", len(first.values), first.values, True)]
    own = {"byteorder": how.pop("byteorder", "<"), "bigtiff": how.pop("bigtiff", False)}
    try:
        with tifffile.TiffWriter(out, **own) as file:
            for number, data in enumerate(levels):
                place = {"extratags": tags} if number == 0 else {"subfiletype": 1}
                file.write(data, metadata=None, **({"tile": (64, 64)} | how | place))
    except (ValueError, ImportError, RuntimeError, KeyError, NotImplementedError) as e:
        raise NotWritableError(f"tifffile: {e}") from e
    return out.getvalue()


def _levels(data: NDArray[Any], planar: bool) -> list[NDArray[Any]]:
    """The data and two reductions, in tifffile's axis order."""
    one = len(data) == 1
    levels = [data, data[:, ::2, ::2], data[:, ::4, ::4]]
    return [x[0] if one else x if planar else np.moveaxis(x, 0, -1) for x in levels]


def _layouts() -> Iterator[Case]:
    codecs = ("none", "zlib", "lzw", "packbits", "zstd", "lzma", "lerc", "jpegxl", "jpeg2000")
    for codec, dtype, planar, order in product(codecs, _TYPES, (False, True), "<>"):
        for predictor in (False, True):
            if predictor and codec not in ("zlib", "lzw", "zstd", "lzma"):
                continue
            if codec in ("jpegxl", "jpeg2000") and (order == ">" or dtype not in ("u1", "u2")):
                continue
            yield _layout(codec, dtype, planar, order, predictor)


def _layout(codec: str, dtype: str, planar: bool, order: str, predictor: bool) -> Case:
    name = f"tifffile {codec} {dtype} {'band' if planar else 'pixel'} {order}{' p' * predictor}"
    draw = rng(name)
    bands = int(draw.integers(2, 5)) if planar else int(draw.integers(1, 5))
    how: dict[str, Any] = {"byteorder": order, "bigtiff": bool(draw.random() < 0.3)}
    how |= {"photometric": "minisblack", "planarconfig": "separate" if planar else "contig"}
    if bands == 1:
        how.pop("planarconfig")
    if codec != "none":
        how["compression"] = codec
    if predictor:
        how["predictor"] = True
    data = pixels(name, dtype, bands)
    if dtype[0] == "f" and codec == "lerc":
        data[:, 3, :4] = 7
    refused = {"jpegxl": "JPEG XL", "jpeg2000": "JPEG 2000"}.get(codec, "")
    return Case(name, lambda: _written(_levels(data, planar), **how), refused=refused)


def _colors() -> Iterator[Case]:
    for photometric, bands, dtype, codec in product(
        ("miniswhite", "rgb", "separated", "ycbcr", "cielab", "icclab", "itulab", "cfa",
         "linear_raw", "logl", "logluv", "mask", "depth"),
        (1, 3, 4), ("u1", "u2"), ("none", "zlib", "jpeg"),
    ):  # fmt: skip
        if codec == "jpeg" and dtype != "u1":
            continue
        name = f"tifffile {photometric} {bands} {dtype} {codec}"
        yield Case(name, _colored(name, photometric, bands, dtype, codec), tolerance=4)
    for sub, codec in product(((1, 1), (2, 1), (2, 2), (4, 1), (4, 4)), ("jpeg",)):
        name = f"tifffile ycbcr {sub} {codec}"
        yield Case(name, _subsampled(name, sub), tolerance=4)


def _colored(
    name: str, photometric: str, bands: int, dtype: str, codec: str
) -> Callable[[], bytes]:
    def make() -> bytes:
        data = pixels(name, dtype, bands)
        if codec == "jpeg":  # whole tiles: chroma of an edge would mix with what is beyond it
            rows, cols = np.mgrid[:256, :256]
            data = np.stack([rows // 2 + cols // 3 + 20 * b for b in range(bands)]).astype("u1")
        how = {"photometric": photometric}
        if bands > 1:
            how["planarconfig"] = "contig"
        if codec != "none":
            how["compression"] = codec
        return _written(_levels(data, planar=False), **how)

    return make


def _subsampled(name: str, sub: tuple[int, int]) -> Callable[[], bytes]:
    rows, cols = np.mgrid[:128, :192]
    data = np.stack([rows // 2 + cols // 3 + 20 * b for b in range(3)], -1).astype("u1")
    return lambda: _written(
        [data], photometric="ycbcr", compression="jpeg", subsampling=sub, planarconfig="contig"
    )


def _others() -> Iterator[Case]:
    """Palettes of 8 and 16 bits a color, alphas, tiles that are not square."""
    for dtype, scale in product(("u1", "u2"), (257, 256, 1, 0)):
        entries = 256 if dtype == "u1" else 65536
        colors = rng(f"{dtype}{scale}").integers(0, 256 if scale else 65536, (3, entries))
        colors = (colors * (scale or 1)).astype("u2")
        name = f"tifffile palette {dtype} × {scale}"
        data = pixels(name, dtype, 1)
        yield Case(
            name, lambda data=data, colors=colors: _written(
                [data[0]], photometric="palette", colormap=colors
            )
        )  # fmt: skip
    for extra, dtype, planar in product(
        ("unassalpha", "assocalpha", "unspecified"), ("u1", "u2", "f4"), ("contig", "separate")
    ):
        name = f"tifffile rgb + {extra} {dtype} {planar}"
        data = pixels(name, dtype, 4)
        data[3, 40:60, 40:60] = 0
        how = {"photometric": "rgb", "extrasamples": [extra], "planarconfig": planar,
               "compression": "zlib"}  # fmt: skip
        levels = _levels(data, planar == "separate")
        yield Case(name, lambda levels=levels, how=how: _written(levels, **how))
    for tile in ((16, 16), (48, 160), (128, 16), (256, 256)):
        name = f"tifffile tiles {tile}"
        data = pixels(name, "u2", 3)
        levels = _levels(data, planar=False)
        yield Case(
            name, lambda levels=levels, tile=tile: _written(
                levels, tile=tile, photometric="rgb", planarconfig="contig", compression="zlib"
            )
        )  # fmt: skip
