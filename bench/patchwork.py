"""Many small scenes side by side, as low zooms find them: what overviews are made for."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import morecantile
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_bounds

from bench.rasters import Kind
from bench.report import step
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import Services
from livemosaic.settings import Settings

WEB: Final = morecantile.tms.get("WebMercatorQuad")
SIDE: Final = 512
"""Pixels of a scene's edge, of zoom 14."""
APART: Final = 476
"""Pixels from a scene to the next."""
RGB: Final = Kind("RGB, uint8")
_STEP: Final = 2 * 20037508.342789244 / 2**14 / 256
_WEST, _NORTH = WEB.xy(10.0, 47.0)
_AT_ONCE: Final = 500
_FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)

Box = tuple[float, float, float, float]
"""In EPSG:3857: left, bottom, right, top."""


@dataclass(frozen=True, slots=True)
class Patchwork:
    """Scenes on disk, and where services over them are."""

    scenes: Path
    boxes: dict[str, Box]
    """Places of the scenes by the names of their files."""
    settings: Settings
    """Of a new index beside the scenes, whose mosaics are never read again."""


@contextmanager
def patchwork(across: int, **settings: Any) -> Iterator[Patchwork]:
    """Makes so many scenes in a row and in a column, in a folder that is deleted afterwards."""
    with TemporaryDirectory(prefix="livemosaic-bench-") as folder:
        scenes = Path(folder) / "scenes"
        scenes.mkdir()
        with step(f"{across**2:,} scenes"):
            boxes = write_scenes(scenes, across)
        index = f"sqlite:///{folder}/index.db"
        settings = {"allowed_prefixes": (str(scenes),), "mosaic_max_age_s": 3600, **settings}
        yield Patchwork(scenes, boxes, Settings(index=index, **settings))


def write_scenes(folder: Path, across: int, kind: Kind = RGB) -> dict[str, Box]:
    """Writes so many scenes in a row and in a column; returns their places by name."""
    rng = np.random.default_rng(1)
    boxes = {}
    for number in range(across**2):
        column, row = divmod(number, across)
        left, top = _WEST + column * APART * _STEP, _NORTH - row * APART * _STEP
        name = f"s{number:05}.tif"
        boxes[name] = left, top - SIDE * _STEP, left + SIDE * _STEP, top
        for asset in kind.assets:
            _write(folder / kind.name_of(name, asset), _values(rng, kind), boxes[name])
    return boxes


def _values(rng: np.random.Generator, kind: Kind) -> NDArray[Any]:
    """Smooth, with some noise; as large as reflectances where there are more than 8 bits."""
    bands = 1 if kind.in_files else kind.bands
    values = rng.integers(20, 230, (bands, 1, 1)) + rng.integers(0, 12, (bands, SIDE, SIDE))
    return (values if kind.dtype == "uint8" else values * 15).astype(kind.dtype)


def _write(path: Path, values: NDArray[Any], box: Box) -> None:
    form = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": len(values)}
    blocks = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    place = {"crs": "EPSG:3857", "transform": from_bounds(*box, SIDE, SIDE)}
    with rasterio.open(
        path, "w", **form, **blocks, **place, dtype=values.dtype.name, zlevel=1
    ) as file:
        file.write(values)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2])


def ingest(
    services: Services,
    mosaic: Mosaic,
    folder: Path,
    boxes: Mapping[str, Box],
    kind: Kind = RGB,
    first: datetime = _FIRST,
) -> None:
    """Ingests scenes of random days from the first one on."""
    days = np.random.default_rng(2).permutation(len(boxes)).tolist()
    now = datetime.now(UTC)
    messages = [
        Message(
            name, json.dumps(item(folder / name, box, first + timedelta(days=day), kind)), now, {}
        )
        for (name, box), day in zip(boxes.items(), days, strict=True)
    ]
    for begin in range(0, len(messages), _AT_ONCE):
        for outcome in services.ingest.batch(messages[begin : begin + _AT_ONCE], only=mosaic):
            if not outcome.ok:
                raise RuntimeError(outcome.reason)


def item(path: Path, box: Box, date: datetime, kind: Kind = RGB) -> dict[str, Any]:
    """A STAC Item of a scene."""
    (west, south), (east, north) = WEB.lnglat(*box[:2]), WEB.lnglat(*box[2:])
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": path.stem,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {"datetime": date.isoformat()},
        "assets": {
            asset: {"href": kind.name_of(str(path), asset), "type": "image/tiff"}
            for asset in kind.assets
        },
        "links": [],
    }
