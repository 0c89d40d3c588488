"""Files written tag by tag: what no common writer makes, but some writer has."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .by_gdal import written
from .case import Case, pixels
from .tags import ASCII, FLOAT, LONG, Tag, assembled, doubles, entries, geokeys, retag, shorts, text

_PLACE: Final[dict[int, Tag | None]] = {
    33550: doubles(10, 10, 0),
    33922: doubles(0, 0, 0, 500_000, 4_500_000, 0),
    **geokeys({1024: 1, 1025: 1, 3072: 32633}),
}
_BYTE, _UNDEFINED, _SSHORT, _SLONG = 1, 7, 8, 9
_REDUCED, _MASK = 1, 4
_METADATA: Final = 42112
_NODATA: Final = 42113

Directory = tuple[Mapping[int, Tag | None], Sequence[bytes]]
"""Tags but those of the table of tiles, and the tiles."""


def cases() -> Iterator[Case]:
    yield from _types_of_tags()
    yield from _metadata()
    yield from _extra_samples()
    yield from _overviews()
    yield from _masks()
    yield from _tiles()
    yield from _palettes()
    yield from _jpegs()


def _case(name: str, make: Callable[[], bytes], **how: Any) -> Case:
    return Case(f"hand {name}", make, **how)


def _cut(data: NDArray[Any], tile: tuple[int, int] = (64, 64)) -> list[NDArray[Any]]:
    """Tiles of an image (height, width, bands), row by row, padded with zeros."""
    (height, width, count), (w, h) = data.shape, tile
    cells = product(range(0, height, h), range(0, width, w))
    tiles = []
    for y, x in cells:
        part = data[y : y + h, x : x + w]
        block = np.zeros((h, w, count), data.dtype)
        block[: part.shape[0], : part.shape[1]] = part
        tiles.append(block)
    return tiles


def _image(
    data: NDArray[Any], tile: tuple[int, int] = (64, 64), **more: Tag | int | None
) -> Directory:
    """An uncompressed directory of an image (height, width, bands); tags by `t` and number."""
    height, width, count = data.shape
    kind = {"u": 1, "i": 2, "f": 3}[data.dtype.kind]
    tags: dict[int, Tag | None] = {
        256: shorts(width), 257: shorts(height), 258: shorts(*[8 * data.dtype.itemsize] * count),
        259: shorts(1), 262: shorts(1), 277: shorts(count), 284: shorts(1), 322: shorts(tile[0]),
        323: shorts(tile[1]), 339: shorts(*[kind] * count),
    }  # fmt: skip
    for name, value in more.items():
        tags[int(name[1:])] = shorts(value) if isinstance(value, int) else value
    return tags, [block.tobytes() for block in _cut(data, tile)]


def _file(*directories: Directory, **how: Any) -> bytes:
    (tags, tiles), *rest = directories
    return assembled([({**_PLACE, **tags}, tiles), *rest], **how)


def _gray(dtype: str = "u1", size: tuple[int, int] = (136, 200)) -> NDArray[Any]:
    return np.moveaxis(pixels("gray", dtype, 1, size), 0, -1)


def _bands(count: int) -> NDArray[Any]:
    data = np.moveaxis(pixels(f"{count} bands", "u1", count), 0, -1)
    data[..., -1] = np.where(np.arange(200) % 3, 255, 0)
    return data


def _types_of_tags() -> Iterator[Case]:
    """The same values in other types, and texts that are none."""
    longs = {259: 1, 258: 8, 262: 1, 277: 1, 284: 1, 317: 1, 339: 1, 322: 64, 323: 64, 256: 200}
    tagged: dict[str, dict[int, Tag | None]] = {
        **{f"{tag} as long": {tag: Tag(LONG, (value,))} for tag, value in longs.items()},
        "size as bytes": {256: Tag(_BYTE, (200,)), 257: Tag(_BYTE, (136,))},
        "size as signed": {256: Tag(_SSHORT, (200,)), 257: Tag(_SSHORT, (136,))},
        "place as floats": {
            33550: Tag(FLOAT, (10, 10, 0)), 33922: Tag(FLOAT, (0, 0, 0, 500_000, 4_500_000, 0))},
        "scale as ratios": {33550: Tag(5, ((10, 1), (10, 1), (0, 1)))},
        "tie as integers": {33922: Tag(_SLONG, (0, 0, 0, 500_000, 4_500_000, 0))},
        "two ties": {33922: doubles(0, 0, 0, 5e5, 4.5e6, 0, 100, 100, 0, 509_000, 4_499_000, 0)},
        "seven numbers of a tie": {33922: doubles(0, 0, 0, 5e5, 4.5e6, 0, 9)},
        "nodata as bytes": {_NODATA: Tag(_BYTE, tuple(b"7\0"))},
        "nodata undefined": {_NODATA: Tag(_UNDEFINED, b"7\0")},
        "nodata as double": {_NODATA: doubles(7)},
        "nodata as short": {_NODATA: shorts(7)},
        "nodata as shorts": {_NODATA: shorts(55, 0)},
        "nodata without an end": {_NODATA: Tag(ASCII, b"7")},
        "nodata and spaces": {_NODATA: text("7" + " " * 40)},
        "nodata with a tab": {_NODATA: text("\t7\n")},
        "nodata behind an end": {_NODATA: Tag(ASCII, b"\x007\0")},
        "nodata by Fortran": {_NODATA: text("7d0")},
        "nodata by Python": {_NODATA: text("1_0")},
        "nodata without a zero": {_NODATA: text(".7e1")},
        "nodata in quotes": {_NODATA: text('"7"')},
        "orientation 2": {274: shorts(2)},
        "orientation 6": {274: shorts(6)},
        "planes": {32997: Tag(LONG, (2,)), 32998: Tag(LONG, (1,))},
        "gray response": {290: shorts(2), 291: shorts(*range(256))},
        "rows of strips": {278: shorts(136)},
    }  # fmt: skip
    for name, tags in tagged.items():
        for form in ({"order": "<"}, {"order": ">"}, {"big": True}):
            more = {f"t{tag}": value for tag, value in tags.items()}
            yield _case(
                f"{name} {form}",
                lambda more=more, form=form: _file(_image(_gray(), **more), **form),
            )
    for name, number in (("not a number", float("nan")), ("infinite", float("inf"))):
        for tag, numbers in ((33550, (number, 10, 0)), (33922, (0, 0, 0, number, 0, 0))):
            yield _case(
                f"{tag} {name}",
                lambda t=tag, n=numbers: _file(_image(_gray(), **{f"t{t}": doubles(*n)})),
                refused="no georeferencing",
            )


def _metadata() -> Iterator[Case]:
    """GDAL's XML of scales, offsets and color interpretation, as others write it."""
    item = '<Item name="SCALE" sample="{}" role="scale">{}</Item>'
    half = item.format(0, 0.5)
    inner = {
        "of each band": "".join(
            item.format(i, i + 0.25)
            + f'<Item name="OFFSET" sample="{i}" role="offset">{i - 7.5}</Item>' for i in range(3)
        ),
        "of the second": item.format(1, 0.5),
        "without a role": '<Item name="SCALE" sample="0">0.5</Item>',
        "of another name": '<Item name="x" sample="0" role="scale">0.5</Item>',
        "without a band": '<Item name="SCALE" role="scale">0.5</Item>',
        "in capitals": '<Item name="scale" sample="0" role="SCALE">0.5</Item>',
        "of no band": item.format(9, 0.5),
        "of band -1": item.format(-1, 0.5),
        "with a comma": item.format(0, "0,5"),
        "with spaces": item.format(0, "  5e-1\n "),
        "of a word": item.format(0, "abc"),
        "void": item.format(0, ""),
        "twice": half + item.format(0, 0.25),
        "as data": item.format(0, "<![CDATA[0.5]]>"),
        "in another domain": '<Item name="SCALE" sample="0" role="scale" domain="X">0.5</Item>',
        "of a small item": '<item name="SCALE" sample="0" role="scale">0.5</item>',
        "in another order": "<Item role='scale' sample='0' name='SCALE'>0.5</Item>",
        "beside an ampersand": '<Item name="a">b & c</Item>' + half,
        "beside statistics": '<Item name="STATISTICS_MEAN" sample="0">3</Item>' + half,
        "beside a type": '<Item name="UNITTYPE" sample="0" role="unittype">m</Item>' + half,
        "of statistics": '<Item name="STATISTICS_MEAN" sample="0">3</Item>',
    }  # fmt: skip
    whole = {name: f"<GDALMetadata>{xml}</GDALMetadata>" for name, xml in inner.items()}
    whole |= {
        "with a declaration": f'<?xml version="1.0"?><GDALMetadata>{half}</GDALMetadata>',
        "behind a comment": f"<!-- x --><GDALMetadata>{half}</GDALMetadata>",
        "of another root": f"<Metadata>{half}</Metadata>",
        "without an end": f"<GDALMetadata>{half}",
    }
    for name, xml in whole.items():
        yield _case(f"metadata {name}", _described(3, 2, xml))
    for kind, extra in product(("alpha", "Alpha", "undefined", "gray", "nir"), (0, 2)):
        xml = (
            f'<GDALMetadata><Item name="COLORINTERP" sample="3" role="colorinterp">{kind}'
            "</Item></GDALMetadata>"
        )
        yield _case(f"metadata color {kind} beside {extra}", _described(4, 2, xml, t338=extra))


def _described(count: int, photometric: int, xml: str, **more: Any) -> Callable[[], bytes]:
    tags = {"t262": photometric, f"t{_METADATA}": text(xml)} | more
    return lambda: _file(_image(_bands(count), **tags))


def _extra_samples() -> Iterator[Case]:
    """More or fewer of them than there are bands beside the colors."""
    for count, extra, photometric in product(
        (2, 4, 5), ((), (0,), (1,), (2,), (2, 0), (0, 2), (0, 0, 2), (2, 2, 2, 2)), (0, 1, 2)
    ):
        tags: dict[str, Any] = {"t262": photometric}
        if extra:
            tags["t338"] = shorts(*extra)
        yield _case(
            f"{count} bands of {photometric} with extra samples {extra}",
            lambda n=count, tags=tags: _file(_image(_bands(n), **tags)),
        )


def _overviews() -> Iterator[Case]:
    """Reduced images that differ from the full one."""
    full, half = _gray(), _gray()[::2, ::2]
    other = {
        "white is zero": {"t262": 0},
        "without a kind": {"t254": None},
        "old kind": {"t254": None, "t255": 2},
        "georeferenced": {"t33550": doubles(25, 25, 0), "t33922": doubles(0, 0, 0, 1, 2, 0)},
        "of pages": {"t297": shorts(1, 2)},
    }
    for name, tags in other.items():
        yield _case(
            f"overview {name}",
            lambda tags=tags: _file(_image(full), _image(half, **({"t254": 1} | tags))),
        )
    for one, two in (("u1", "i1"), ("u1", "u2"), ("u1", "f4"), ("u2", "u1"), ("u4", "f4")):
        yield _case(
            f"overview of {two} in {one}",
            lambda a=one, b=two: _file(_image(_gray(a)), _image(_gray(b)[::2, ::2], t254=1)),
        )
    for name, data in {
        "of another shape": full[::2, ::4], "of an odd size": full[:101:2, :151:2],
        "of one pixel": full[:1, :1], "of three bands": _bands(3)[::2, ::2],
        "of the same size": full // 2,
    }.items():  # fmt: skip
        yield _case(f"overview {name}", lambda data=data: _file(_image(full), _image(data, t254=1)))
    yield _case("overview first", lambda: _file(_image(half, t254=1), _image(full)))
    for kind in (LONG, 13):
        yield _case(
            f"overview in a directory of its own, type {kind}",
            lambda kind=kind: _apart(_file(_image(full), _image(half, t254=1)), kind),
        )


def _apart(body: bytes, kind: int) -> bytes:
    """The second directory moved from the chain to the first one's SubIFDs tag."""
    _, after, _ = entries(body)
    at = int.from_bytes(body[after : after + 4], "little")
    return retag(body[:after] + bytes(4) + body[after + 4 :], {330: Tag(kind, (at,))})


def _masks() -> Iterator[Case]:
    gray = _image(_gray())
    rows, cols = np.mgrid[:136, :200]
    real = ((rows + cols) > 90)[..., None]
    soft = cols.astype("u1")[..., None]
    bits = _bits(real)
    files: dict[str, Callable[[], bytes]] = {
        "bits": lambda: _file(gray, bits),
        "of the other color": lambda: _file(gray, _bits(real, t262=0)),
        "as gray": lambda: _file(gray, _bits(real, t262=1)),
        "without a kind": lambda: _file(gray, _bits(real, t254=None)),
        "values between": lambda: _file(gray, _image(soft, t262=4, t254=_MASK)),
        "16 bits": lambda: _file(gray, _image(soft.astype("u2") * 256, t262=4, t254=_MASK)),
        "of half the size": lambda: _file(gray, _image(soft[::2, ::2], t262=4, t254=_MASK)),
        "twice": lambda: _file(gray, bits, _bits(~real)),
        "first": lambda: _file(bits, gray),
        "deflated": lambda: _file(gray, _deflated(_bits(real, t259=8))),
        "with nodata": lambda: _file(_image(_gray(), t42113=text("7")), bits),
        "with alpha": lambda: _file(_image(_bands(4), t262=2, t338=2), bits),
        "sparse": lambda: _file(gray, (bits[0], [b"", *bits[1][1:]])),
        "of the overview alone": lambda: _file(
            gray, _image(_gray()[::2, ::2], t254=_REDUCED), _bits(real[::2, ::2], t254=5)
        ),
    }
    for name, make in files.items():
        yield _case(f"mask {name}", make, refused="colors" if name == "first" else "")
    for value in (1, 100, 128, 254, 255):
        data = (real * value).astype("u1")
        yield _case(
            f"mask of {value}", lambda data=data: _file(gray, _image(data, t262=4, t254=_MASK))
        )


def _bits(real: NDArray[np.bool_], **more: Tag | int | None) -> Directory:
    tags, _ = _image(real.astype("u1"), **({"t262": 4, "t254": _MASK, "t258": 1} | more))
    return tags, [np.packbits(block[..., 0], axis=1).tobytes() for block in _cut(real)]


def _deflated(directory: Directory) -> Directory:
    return directory[0], [zlib.compress(tile) for tile in directory[1]]


def _tiles() -> Iterator[Case]:
    """Tiles of odd sizes, missing ones, and tables that are longer or shorter than they should."""
    gray = _gray()
    tags, tiles = _image(gray)
    deflated: Directory = {**tags, 259: shorts(8)}, [zlib.compress(tile) for tile in tiles]
    files: dict[str, Directory] = {
        "of 100": _image(gray, (100, 100)), "of 8": _image(gray, (8, 8)),
        "of one pixel": _image(gray[:13, :20], (1, 1)), "one": _image(gray[:64, :64]),
        "one pixel": _image(gray[50:51, 50:51]), "one row": _image(gray[50:51]),
        "sparse first": (tags, [b"", *tiles[1:]]), "sparse": (tags, [b""] * 12),
        "sparse and nodata": ({**tags, _NODATA: text("7")}, [b"", *tiles[1:]]),
        "sparse deflated": (deflated[0], [b"", *deflated[1][1:]]),
        "too few": (tags, tiles[:10]), "too many": (tags, tiles + tiles[:3]),
        "too short": (tags, [tile[:1000] for tile in tiles]),
        "too long": (tags, [tile + b"xyz" for tile in tiles]),
        "deflated and more": (deflated[0], [tile + b"junk" for tile in deflated[1]]),
        "deflated too long": (deflated[0], [zlib.compress(t + bytes(300)) for t in tiles]),
        "deflated too short": (deflated[0], [zlib.compress(t[:1000]) for t in tiles]),
        "in a table of strips": (
            {**tags, 324: None, 325: None, 273: Tag(LONG, tuple(8 + 4096 * i for i in range(12))),
             279: Tag(LONG, (4096,) * 12)}, tiles),
        "of mixed bits": ({**tags, 277: shorts(3), 258: shorts(8, 8, 16)}, tiles * 3),
    }  # fmt: skip
    for name, directory in files.items():
        yield _case(
            f"tiles {name}", lambda directory=directory: _file(directory), refused="decoded|damaged"
        )
    for kind, dtype in product(("<", ">"), ("u2", "i2", "u4", "f4", "f8", "i8")):
        data = np.moveaxis(pixels(f"apart {dtype}", dtype, 2), 0, -1)
        yield _case(
            f"tiles of {dtype} apart {kind}",
            lambda data=data, kind=kind: _file(_planar(data, kind), order=kind),
        )


def _planar(data: NDArray[Any], order: str) -> Directory:
    tags, _ = _image(data, t284=2)
    swapped = data.astype(data.dtype.newbyteorder(order))
    planes = [_cut(swapped[..., i : i + 1]) for i in range(data.shape[2])]
    return tags, [block.tobytes() for plane in planes for block in plane]


def _palettes() -> Iterator[Case]:
    for count, scale in ((256, 1), (256, 256), (256, 257), (16, 257), (512, 257), (2, 257)):
        colors = shorts(*[i * 7 % 256 * scale for i in range(3 * count)])
        yield _case(
            f"palette of {count} × {scale}",
            lambda colors=colors: _file(_image(_gray(), t262=3, t320=colors)),
        )
    yield _case("palette without colors", lambda: _file(_image(_gray(), t262=3)))


def _jpegs() -> Iterator[Case]:
    """JPEG whose chroma is halved, though its directory states that nothing is."""
    rows, cols = np.mgrid[:128, :192]
    data = np.stack([rows // 2 + cols // 3 + 20 * b for b in range(3)]).astype("u1")
    for photometric in (1, 2):
        yield _case(
            f"jpeg YCbCr as {photometric}",
            lambda photometric=photometric: retag(
                written(data, compress="jpeg", photometric="ycbcr", overviews=()),
                {262: shorts(photometric), 530: None},
            ),
            refused="decoded",
        )
