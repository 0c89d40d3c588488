"""Files that GDAL writes: its codecs, types, bits, masks, palettes, overviews."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from .case import Case, pixels, rng
from .oracle import quiet
from .tags import Tag, retag, shorts, text

ORIGIN: Final = Affine(10, 0, 500_000, 0, -10, 4_500_000)
TYPES: Final = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
LOSSLESS: Final = [
    "none",
    "deflate",
    "lzw",
    "packbits",
    "zstd",
    "lzma",
    "lerc",
    "lerc_deflate",
    "lerc_zstd",
]
_PREDICTING: Final = ("deflate", "lzw", "zstd", "lzma")
_NODATA: Final = 42113
_SHAPES: Final = ((64, 64), (128, 64), (16, 48), (256, 256), (32, 32))


def written(
    data: NDArray[Any],
    *,
    crs: Any = "EPSG:32633",
    transform: Affine = ORIGIN,
    tile: tuple[int, int] = (64, 64),
    overviews: Sequence[int] = (2, 4),
    mask: NDArray[np.bool_] | None = None,
    colormap: Mapping[int, tuple[int, ...]] | None = None,
    interp: Sequence[ColorInterp] | None = None,
    env: Mapping[str, Any] | None = None,
    resampling: Resampling = Resampling.nearest,
    **creation: Any,
) -> bytes:
    """The bytes of a tiled GeoTIFF; `creation` goes to GDAL's driver."""
    count, height, width = data.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": count,
               "dtype": data.dtype, "crs": crs, "transform": transform, "tiled": True,
               "blockxsize": tile[0], "blockysize": tile[1]}  # fmt: skip
    env = {"GDAL_TIFF_INTERNAL_MASK": True} | dict(env or {})
    with quiet(), rasterio.Env(**env), MemoryFile() as file:
        with file.open(**(profile | creation)) as dataset:
            if interp:
                dataset.colorinterp = interp
            dataset.write(data)
            if mask is not None:
                dataset.write_mask(mask)
            if colormap:
                dataset.write_colormap(1, dict(colormap))
        if overviews:
            with rasterio.open(file.name, "r+") as dataset:
                dataset.build_overviews(list(overviews), resampling)
        return bytes(file.getbuffer())


def cases() -> Iterator[Case]:
    yield from _layouts()
    yield from _lossy()
    yield from _bits()
    yield from _colors()
    yield from _validity()
    yield from _nodata()
    yield from _overviews()
    yield from _cogs()


def _case(name: str, make: Callable[[], bytes], **how: Any) -> Case:
    return Case(f"gdal {name}", make, **how)


def _layouts() -> Iterator[Case]:
    """Compression × predictor × interleave × type × byte order; the rest is drawn."""
    for compress, dtype, planar, order in product(
        LOSSLESS, TYPES, ("pixel", "band"), ("little", "big")
    ):
        if compress.startswith("lerc") and dtype in ("u8", "i8"):
            continue  # LERC has no 64-bit integers
        for predictor in (1, 2, 3):
            if predictor > 1 and compress not in _PREDICTING:
                continue
            if predictor == 3 and dtype[0] != "f":
                continue
            yield _layout(compress, dtype, planar, order, predictor)


def _layout(compress: str, dtype: str, planar: str, order: str, predictor: int) -> Case:
    name = f"{compress} p{predictor} {dtype} {planar} {order}"
    draw = rng(name)
    bands = int(draw.integers(2, 5)) if planar == "band" else int(draw.integers(1, 5))
    tile = _SHAPES[draw.integers(len(_SHAPES))]
    how: dict[str, Any] = {"interleave": planar, "endianness": order, "compress": compress}
    if predictor > 1:
        how["predictor"] = predictor
    if draw.random() < 0.3:
        how["bigtiff"] = "yes"
    if draw.random() < 0.3:
        how["mask"] = draw.random((136, 200)) < 0.8
    return _case(name, lambda: written(pixels(name, dtype, bands), tile=tile, **how))


def _lossy() -> Iterator[Case]:
    ycbcr, rgb = {"photometric": "ycbcr"}, {"photometric": "rgb"}
    jpegs: list[tuple[int, dict[str, Any]]] = [
        (1, {}), (2, {}), (3, ycbcr), (3, rgb), (4, {}), (4, rgb), (5, {}),
        (4, {"photometric": "cmyk"}), (1, {"photometric": "miniswhite"}), (3, {}),
        (2, {"photometric": "miniswhite"}), (3, {"photometric": "minisblack"}),
    ]  # fmt: skip
    for (bands, how), planar, tables, order in product(
        jpegs, ("pixel", "band"), (0, 1, 3), ("little", "big")
    ):
        if planar == "band" and (bands == 1 or how == ycbcr):
            continue
        name = f"jpeg {bands} {how.get('photometric', '-')} {planar} tables {tables} {order}"
        full = {"compress": "jpeg", "interleave": planar, "jpegtablesmode": tables,
                "endianness": order, "jpeg_quality": 90} | how  # fmt: skip
        if how.get("photometric") == "cmyk":
            full["overviews"] = ()  # GDAL 3.10 crashes when it makes them
        yield _case(name, _smooth(name, bands, full), tolerance=4)
    for bands, lossless, alpha in product((3, 4), (True, False), (True, False)):
        if alpha and bands == 3:
            continue
        name = f"webp {bands} {'lossless' if lossless else 'lossy'}{' alpha' * alpha}"
        how = {"compress": "webp", "webp_lossless": lossless, "photometric": "rgb",
               "alpha": "yes" if alpha else "no"}  # fmt: skip
        yield _case(name, _smooth(name, bands, how), tolerance=0 if lossless else 4)
    for dtype, error, nans in product(("u1", "i2", "f4", "f8"), (0, 0.5), (False, True)):
        for bands, planar, compress in product((1, 3), ("pixel", "band"), LOSSLESS[-3:]):
            if nans and dtype[0] != "f":
                continue
            name = f"{compress} {dtype} error {error} {bands} {planar}{' nan' * nans}"
            how = {"compress": compress, "max_z_error": error, "interleave": planar}
            yield _case(name, _with_nans(name, dtype, bands, nans, how))


def _smooth(name: str, bands: int, how: dict[str, Any]) -> Callable[[], bytes]:
    rows, cols = np.mgrid[:136, :200]
    slopes = np.stack([rows // 2 + cols // 3 + 20 * b for b in range(bands)]).astype("u1")
    return lambda: written(slopes, **how)


def _with_nans(
    name: str, dtype: str, bands: int, nans: bool, how: dict[str, Any]
) -> Callable[[], bytes]:
    def make() -> bytes:
        data = pixels(name, dtype, bands)
        if data.dtype.kind == "f":
            data[:, 3, :4] = 7
        if nans:
            data[0, 30:60, 40:90] = np.nan
        return written(data, **how)

    return make


def _bits() -> Iterator[Case]:
    of_type = {"u1": (1, 2, 3, 4, 5, 7), "u2": (9, 10, 12, 15), "u4": (17, 24, 31), "f4": (16, 24)}
    for dtype, numbers in of_type.items():
        for bits, compress, bands in product(
            numbers, ("none", "deflate", "lzw", "zstd", "packbits", "lzma"), (1, 3)
        ):
            for planar in ("pixel", "band")[:bands]:
                name = f"{bits} bits {dtype} {compress} {bands} {planar}"
                how = {"nbits": bits, "compress": compress, "interleave": planar}
                yield _case(name, _of_bits(name, dtype, bits, bands, how))
    for dtype, compress, predictor in product(("f4",), ("deflate", "zstd"), (2, 3)):
        name = f"16 bits {dtype} {compress} p{predictor}"
        how = {"nbits": 16, "compress": compress, "predictor": predictor}
        yield _case(name, _of_bits(name, dtype, 16, 1, how))
    for dtype in ("complex64", "complex128", "complex_int16"):
        yield _case(f"complex {dtype}", _complex(dtype))


def _of_bits(
    name: str, dtype: str, bits: int, bands: int, how: dict[str, Any]
) -> Callable[[], bytes]:
    def make() -> bytes:
        data = pixels(name, dtype, bands, bits=0 if dtype[0] == "f" else bits)
        if dtype[0] == "f":
            data[:, 3, :4] = 7
        return written(data, **how)

    return make


def _complex(dtype: str) -> Callable[[], bytes]:
    data = pixels(dtype, "c8" if dtype == "complex_int16" else dtype)
    if dtype == "complex_int16":
        data = (np.round(data.real / 100) + 1j).astype("c8")
    return lambda: written(data, dtype=dtype)


def _colors() -> Iterator[Case]:
    for photometric, (dtype, bands), compress in product(
        ("minisblack", "miniswhite", "rgb", "cmyk", "cielab", "icclab", "itulab"),
        (("u1", 1), ("u1", 3), ("u1", 4), ("u1", 5), ("u2", 1), ("u2", 3), ("u2", 4), ("f4", 3)),
        ("deflate", "lzw"),
    ):
        needs = {"rgb": 3, "cmyk": 4, "cielab": 3, "icclab": 3, "itulab": 3}
        if bands < needs.get(photometric, 1):
            continue
        name = f"{photometric} {dtype} {bands} {compress}"
        how = {"photometric": photometric, "compress": compress}
        if photometric not in ("minisblack", "miniswhite", "rgb"):
            how["overviews"] = ()  # GDAL 3.10 crashes when it makes them of colors it converts
        yield _case(name, _made(name, dtype, bands, how))
        if compress == "deflate" and bands > 1:
            planar = how | {"interleave": "band"}
            yield _case(f"{name} band", _made(name, dtype, bands, planar))
    for number, dtype, bands in product(
        (4, 5, 6, 8, 9, 10, 32803, 32844, 32845, 34892, 51177, 7), ("u1", "u2"), (1, 3, 4)
    ):
        name = f"photometric {number} {dtype} {bands}"
        yield _case(name, _tagged(name, dtype, bands, {262: shorts(number)}, overviews=()))
    for inks in (1, 2):
        name = f"inks {inks}"
        yield _case(name, _tagged(name, "u1", 4, {262: shorts(5), 332: shorts(inks)}, overviews=()))


def _made(name: str, dtype: str, bands: int, how: dict[str, Any]) -> Callable[[], bytes]:
    return lambda: written(pixels(name, dtype, bands), **how)


def _tagged(
    name: str, dtype: str, bands: int, tags: Mapping[int, Tag | None], **how: Any
) -> Callable[[], bytes]:
    return lambda: retag(written(pixels(name, dtype, bands), **how), tags)


def _validity() -> Iterator[Case]:
    for dtype, bands, compress, planar in product(
        ("u1", "u2", "i2", "f4"), (1, 3), ("deflate", "lzw", "jpeg", "none"), ("pixel", "band")
    ):
        if compress == "jpeg" and dtype != "u1":
            continue
        for overviews in ((), (2,), (2, 4, 8)):
            name = f"mask {dtype} {bands} {compress} {planar} {len(overviews)}"
            how = {"compress": compress, "interleave": planar, "overviews": overviews,
                   "mask": rng(name).random((136, 200)) < 0.7}  # fmt: skip
            tolerance = 4 if compress == "jpeg" else 0
            make = _smooth(name, bands, how) if tolerance else _made(name, dtype, bands, how)
            yield _case(name, make, tolerance=tolerance)
    yield from _alphas()
    yield from _palettes()


def _alphas() -> Iterator[Case]:
    kinds = {"unassociated": 2, "associated": 1, "unspecified": 0}
    for dtype, bands, (kind, number), planar in product(
        ("u1", "u2", "i2", "f4"), (2, 4, 5), kinds.items(), ("pixel", "band")
    ):
        colors = {2: 1, 4: 3, 5: 3}[bands]
        for position in range(colors, bands):
            name = f"alpha {kind} {dtype} {position} of {bands} {planar}"
            extra = [0] * (bands - colors)
            extra[position - colors] = number
            yield _case(name, _alpha(name, dtype, bands, position, extra, planar))
    for nodata in (0, 77):
        name = f"alpha and nodata {nodata}"
        yield _case(name, _alpha(name, "u1", 4, 3, [2], "pixel", nodata=nodata))
    name = "alpha by color interpretation"
    interp = [ColorInterp.red, ColorInterp.alpha, ColorInterp.green, ColorInterp.blue]
    yield _case(name, lambda: written(_holed(name, "u1", 4, 1), interp=interp))
    yield _case("two alphas", _alpha("two alphas", "u1", 5, 3, [2, 2], "pixel"))


def _holed(name: str, dtype: str, bands: int, alpha: int) -> NDArray[Any]:
    data = pixels(name, dtype, bands)
    data[alpha] = np.array(255).astype(dtype)
    data[alpha, 20:50, 30:70] = 0
    data[alpha, 60:70, 30:70] = 100
    return data


def _alpha(
    name: str, dtype: str, bands: int, position: int, extra: list[int], planar: str, **how: Any
) -> Callable[[], bytes]:
    how |= {"photometric": "rgb" if bands > 2 else "minisblack", "interleave": planar,
            "compress": "deflate"}  # fmt: skip
    return lambda: retag(
        written(_holed(name, dtype, bands, position), **how), {338: shorts(*extra)}
    )


def _palettes() -> Iterator[Case]:
    for entries, dtype, bits, nodata in product(
        ("full", "short", "transparent"), ("u1", "u2"), (0, 1, 2, 4), (None, 3)
    ):
        if bits and (dtype == "u2" or (nodata is not None and bits < 2)):
            continue
        name = f"palette {entries} {dtype} {bits or 'all'} bits nodata {nodata}"
        yield _case(name, _palette(name, entries, dtype, bits, nodata))


def _palette(
    name: str, entries: str, dtype: str, bits: int, nodata: int | None
) -> Callable[[], bytes]:
    draw = rng(name)
    count = 1 << (bits or 8)
    used = count // 2 if entries == "short" else count
    colors = {i: (*(int(c) for c in draw.integers(0, 256, 3)), 255) for i in range(used)}
    if entries == "transparent":
        colors[1] = (*colors[1][:3], 0)
    how: dict[str, Any] = {"nodata": nodata, "colormap": colors, "compress": "deflate"}
    if bits:
        how["nbits"] = bits
    return lambda: written(pixels(name, dtype, 1, bits=bits or 8), **how)


def _nodata() -> Iterator[Case]:
    """What the tag says (GDAL's, 42113) × the values beside it, in each type."""
    spelled = [
        "0", "-9999", "255", "-1", "1", "nan", "-nan", "NaN", "NAN", "inf", "-inf", "INF",
        "-Infinity", "1.#QNAN", "-1.#IND", "1.#INF", " 7 ", "7.0", "7.", "+7", "007", "7e0",
        "70e-1", "0x7", "7,0", "7 8", "n/a", "none", "", "-3.4028234663852886e+38", "-3.4e+38",
        "-3.40282306074e+38", "-3.4028230607370965e+38", "-3.402823e+38", "3.4028235e+38",
        "1.7976931348623157e+308", "-1.79769313486232e+308", "1e40", "7.5", "254.5", "-0.5",
        "255.5", "256", "-129", "65535", "65536", "4294967295", "2147483648", "-2147483648",
        "9223372036854775807", "9223372036854775806", "-9223372036854775808",
        "18446744073709551615", "18446744073709551614", "9007199254740993", "-9007199254740993",
        "1e20", "0.1", "-9999.000001",
    ]  # fmt: skip
    for dtype, value in product(TYPES, spelled):
        name = f"nodata {value!r} {dtype}"
        yield _case(name, _with_nodata(name, dtype, value))
    for dtype, value in product(("u1", "f4"), ("7", "nan")):
        for how in ({"compress": "lzw", "predictor": 2}, {"compress": "lerc"}, {"bigtiff": "yes"}):
            name = f"nodata {value!r} {dtype} {how}"
            yield _case(name, _with_nodata(name, dtype, value, **how))
    masked: dict[str, Any] = {"mask": np.arange(200)[None] + np.zeros((136, 1)) > 40}
    yield _case("nodata and mask", _with_nodata("nodata and mask", "u1", "7", **masked))


def _with_nodata(name: str, dtype: str, value: str, **how: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        data = pixels(name, dtype, 2)
        for i, near in enumerate(_near(value, data.dtype)):
            data[:, 90 + 4 * (i // 12) : 93 + 4 * (i // 12), 12 * (i % 12) : 12 * (i % 12) + 9] = (
                near
            )
        body = written(data, **how)
        for index in range(3):  # GDAL's overviews have the tag, too
            body = retag(body, {_NODATA: text(value)}, index)
        return body

    return make


def _near(value: str, dtype: np.dtype[Any]) -> list[Any]:
    """Values to put beside a nodata value: itself and what rounding or truncation makes of it."""
    draw = ["0", "7", "254", "255", "-1", "-9999", "9007199254740992", "9007199254740993"]
    out: list[Any] = []
    for word in [value, *draw]:
        try:
            number: Any = int(word) if dtype.kind != "f" else float(word)
        except ValueError:
            continue
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                at = dtype.type(number)
                steps = [at]
                for _ in range(5):
                    steps.append(np.nextafter(steps[-1], dtype.type(0)))
                out += [*steps, dtype.type(number * (1 + 3e-7)), dtype.type(number * (1 + 6e-7))]
        else:
            info = np.iinfo(dtype)
            out += [n for n in (number - 1, number, number + 1) if info.min <= n <= info.max]
    return out


def _overviews() -> Iterator[Case]:
    for size, levels in product(
        ((136, 200), (137, 211), (65, 333), (64, 64), (15, 17)), ((2,), (3,), (2, 4, 8), (5, 7))
    ):
        name = f"overviews {size} {levels}"
        yield _case(name, _overview(name, size, levels, {}, {}))
    for compress, planar, photometric in product(
        ("jpeg", "deflate", "lzw", "zstd", "packbits", "none"), ("pixel", "band"), ("rgb", "ycbcr")
    ):
        if photometric == "ycbcr" and (compress != "jpeg" or planar == "band"):
            continue
        name = f"overviews {compress} {planar} {photometric}"
        env = {"COMPRESS_OVERVIEW": compress, "INTERLEAVE_OVERVIEW": planar,
               "PHOTOMETRIC_OVERVIEW": photometric, "PREDICTOR_OVERVIEW": 2}  # fmt: skip
        how = {"photometric": "rgb", "overviews": (2, 4), "env": env}
        yield _case(name, _smooth(name, 3, how), tolerance=4)
    for block in (16, 64, 128, 256):
        name = f"overviews of blocks {block}"
        env = {"GDAL_TIFF_OVR_BLOCKSIZE": block}
        yield _case(name, _overview(name, (300, 300), (2, 4), env, {}))


def _overview(
    name: str, size: tuple[int, int], levels: tuple[int, ...], env: dict[str, Any], how: Any
) -> Callable[[], bytes]:
    return lambda: written(
        pixels(name, "u1", 3, size), overviews=levels, env=env, resampling=Resampling.average, **how
    )


def _cogs() -> Iterator[Case]:
    """GDAL's COG driver, as most of the world makes them."""
    for compress, dtype, bands, predictor in product(
        ("none", "deflate", "lzw", "zstd", "lzma", "lerc", "jpeg", "webp"),
        ("u1", "u2", "i2", "f4"), (1, 3, 4), ("no", "yes"),
    ):  # fmt: skip
        if compress in ("jpeg", "webp") and (dtype != "u1" or predictor == "yes"):
            continue
        if predictor == "yes" and compress not in _PREDICTING:
            continue
        if compress == "webp" and bands == 1:
            continue
        name = f"cog {compress} {dtype} {bands} predictor {predictor}"
        how = {"compress": compress, "blocksize": 128}
        if predictor == "yes":
            how["predictor"] = "yes"
        make = _cog(name, dtype, bands, how)
        yield _case(name, make, tolerance=4 if compress in ("jpeg", "webp") else 0)
    for sparse in (True, False):
        name = f"sparse {sparse}"
        yield _case(name, _sparse(sparse))


def _cog(name: str, dtype: str, bands: int, how: dict[str, Any]) -> Callable[[], bytes]:
    def make() -> bytes:
        lossy = how["compress"] in ("jpeg", "webp")
        rows, cols = np.mgrid[:300, :420]
        slopes = np.stack([(rows + cols) // 4 + 20 * b for b in range(bands)]).astype("u1")
        data = slopes if lossy else pixels(name, dtype, bands, (300, 420))
        interp = {"alpha": "unspecified"} if bands == 4 else {}
        with (
            quiet(),
            MemoryFile(written(data, overviews=(), **interp)) as flat,
            MemoryFile() as out,
        ):
            copy(flat.name, out.name, driver="COG", **how)
            return bytes(out.getbuffer())

    return make


def _sparse(whole: bool) -> Callable[[], bytes]:
    data = np.zeros((1, 136, 200), "u1")
    data[:, :60, :60] = 9
    if whole:
        data[:, 60:, 60:] = 4
    return lambda: written(data, sparse_ok=True, compress="deflate", overviews=())
