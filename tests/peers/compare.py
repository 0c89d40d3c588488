"""What differs between two answers, in words that `differences.py` lists."""

import io
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from peers.asking import Agreement, Answer, Ask

_HEADERS: Final = ("content-bbox", "content-crs")
_PRESENT: Final = ("server-timing",)
"""Whose values no two servers share."""
_LOSSY_MEAN: Final = 3.0
"""Grey values, of 255, by which two encoders may differ on average."""
_ALIKE: Final = 1e-6
"""Relative, and in degrees or pixel values absolute."""
_TOLERANCE: Final[Mapping[Agreement, float]] = {
    "exact": _ALIKE, "rounded": 1, "ties": _ALIKE, "lossy": _ALIKE
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded image."""

    data: NDArray[Any]
    """Shape (bands, height, width), without the mask."""
    valid: NDArray[np.bool_]
    """Shape (height, width)."""
    opaque: float | None
    """The largest value of the mask; None without one."""
    place: tuple[Any, ...] = ()
    """CRS and transform, of formats that have them."""


def differences(theirs: Answer, ours: Answer, ask: Ask) -> Iterator[str]:
    """Nothing where they say the same. Of two refusals only the status is compared."""
    if theirs.status != ours.status:
        yield f"status {theirs.status} → {ours.status}"
        return
    if theirs.status != 200:
        return
    if theirs.media_type != ours.media_type:
        yield f"type {theirs.media_type} → {ours.media_type}"
    yield from _headers(theirs, ours)
    if "html" in theirs.media_type:
        return
    if theirs.media_type.startswith("image/") or "x-binary" in theirs.media_type:
        masked = ("return_mask", "false") not in ask.query
        yield from pixels(_image(theirs, masked), _image(ours, masked), ask.pixels)
    elif "json" in theirs.media_type:
        yield from dict.fromkeys(_fields("", json.loads(theirs.text), json.loads(ours.text)))
    elif "xml" in theirs.media_type:
        yield from dict.fromkeys(_fields("", _tree(theirs.text), _tree(ours.text)))


def _headers(theirs: Answer, ours: Answer) -> Iterator[str]:
    for name in _PRESENT:
        if name in theirs.headers and name not in ours.headers:
            yield f"header {name} missing"
    for name in _HEADERS:
        if name not in theirs.headers:
            continue
        if name not in ours.headers:
            yield f"header {name} missing"
        elif not _same(_parsed(theirs.headers[name]), _parsed(ours.headers[name])):
            yield f"header {name}: {theirs.headers[name]} → {ours.headers[name]}"


def _parsed(text: str) -> Any:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return text


def pixels(theirs: Image, ours: Image, agreement: Agreement) -> Iterator[str]:
    """How two images differ; the values of pixels count where both say that they are valid.

    `exact`: all of them are the same. `rounded`: or one grey value off. `ties`: every pixel that is
    not is one of the eight that the reference has around it, in all bands; so is its validity.
    `lossy`: the mean difference is what two encoders make.
    """
    if theirs.data.dtype != ours.data.dtype:
        yield f"dtype {theirs.data.dtype} → {ours.data.dtype}"
    if theirs.opaque != ours.opaque:
        yield f"opaque {theirs.opaque} → {ours.opaque}"
    if not _same(theirs.place, ours.place):
        yield f"place {theirs.place} → {ours.place}"
    if theirs.data.shape != ours.data.shape:
        yield f"shape {theirs.data.shape} → {ours.data.shape}"
        return
    a, b = _shown(theirs), _shown(ours)
    wrong = ~np.isclose(a, b, rtol=_ALIKE, atol=_TOLERANCE[agreement]).all(axis=0)
    if agreement == "ties":
        wrong &= ~(_is_around(theirs.data, b[:-1]) & _is_around(a[-1:], b[-1:]))
    if agreement == "lossy":
        wrong &= float(np.abs(a - b).mean()) > _LOSSY_MEAN
    if wrong.any():
        yield "pixels"


def _shown(image: Image) -> NDArray[np.floating[Any]]:
    """Bands, zero where not valid, and validity as one more."""
    shown = np.where(image.valid, image.data.astype("float64"), 0)
    return np.concatenate((np.nan_to_num(shown, nan=-1), image.valid[None].astype("float64")))


def _is_around(reference: NDArray[Any], found: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a pixel is one of the nine that the reference has there and around it."""
    _, height, width = reference.shape
    padded = np.pad(reference, ((0, 0), (1, 1), (1, 1)), mode="edge")
    near = np.zeros((height, width), np.bool_)
    for row in range(3):
        for column in range(3):
            shifted = padded[:, row : row + height, column : column + width]
            near |= np.isclose(shifted, found, rtol=_ALIKE, atol=_ALIKE).all(axis=0)
    return near


def _image(answer: Answer, masked: bool) -> Image:
    """`masked`: whether a mask was asked for; GeoTIFF and npy then have it as their last band."""
    if "x-binary" in answer.media_type:
        return _split(np.load(io.BytesIO(answer.content)), masked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # images carry no place
        with MemoryFile(answer.content) as file, file.open() as dataset:
            data = dataset.read()
            if dataset.driver == "GTiff":
                place = (dataset.crs.to_string(), *dataset.transform[:6])
                if dataset.nodata is not None and ColorInterp.alpha not in dataset.colorinterp:
                    return Image(data, dataset.dataset_mask() > 0, None, place)
                return replace(_split(data, masked), place=place)
            return _split(data, len(data) in (2, 4))


def _split(data: NDArray[Any], masked: bool) -> Image:
    if not masked:
        return Image(data, np.ones(data.shape[1:], np.bool_), None)
    mask = data[-1]
    # rio-tiler scales a mask to all that a data type can hold, from its smallest value.
    return Image(data[:-1], mask > 0, float(mask.max()))


def _fields(path: str, theirs: Any, ours: Any) -> Iterator[str]:
    """Fields of theirs that ours lacks, or has otherwise; those that only ours has are no loss."""
    if isinstance(theirs, list) and isinstance(ours, list):
        yield from _elements(path, theirs, ours)
    elif isinstance(theirs, dict) and isinstance(ours, dict):
        for name, value in theirs.items():
            inner = f"{path}.{name}" if path else str(name)
            if name in ours:
                yield from _fields(inner, value, ours[name])
            elif value is not None:
                yield f"field {inner} missing"
    elif not _same(theirs, ours):
        yield f"field {path}"


def _elements(path: str, theirs: list[Any], ours: list[Any]) -> Iterator[str]:
    one, other = _by_name(theirs), _by_name(ours)
    if one and other:
        yield from (f"field {path}[{name}] missing" for name in one if name not in other)
        for name in one.keys() & other.keys():
            yield from _fields(f"{path}[]", one[name], other[name])
    elif len(theirs) != len(ours):
        yield f"field {path}"
    else:
        for left, right in zip(theirs, ours, strict=True):
            yield from _fields(f"{path}[]", left, right)


def _by_name(nodes: list[Any]) -> dict[str, Any]:
    """Nodes in any order, by what tells them apart; empty where nothing does."""
    for name in ("id", "rel", "tileMatrix", "tileMatrixSetURI", "crs", "Identifier"):
        named = {str(node[name]): node for node in nodes if isinstance(node, dict) and name in node}
        if len(named) == len(nodes):
            return named
    return {}


def _same(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, list | tuple) and isinstance(ours, list | tuple):
        return len(theirs) == len(ours) and all(map(_same, theirs, ours))
    if isinstance(theirs, int | float) and isinstance(ours, int | float):
        return math.isclose(theirs, ours, rel_tol=_ALIKE, abs_tol=_ALIKE)
    return bool(theirs == ours)


def _tree(text: str) -> Any:
    """XML as JSON: attributes by name, children by tag in lists, what has neither as its text."""
    return _node(ElementTree.fromstring(text))


def _node(element: ElementTree.Element) -> Any:
    node: dict[str, Any] = {_local(k): v for k, v in element.attrib.items()}
    for child in element:
        node.setdefault(_local(child.tag), []).append(_node(child))
    text = (element.text or "").strip()
    return node or text


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
