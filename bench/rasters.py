"""An archive of COGs: overlapping scenes of one UTM zone, dated, with slanting edges of nodata."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import ColorInterp
from rasterio.features import geometry_mask
from rasterio.io import MemoryFile

CRS: Final = "EPSG:32632"
_METRES: Final = 10.0
"""Of a pixel."""
_CENTRE: Final = (500_000.0, 5_000_000.0)
_SPREAD: Final = 25_000.0
"""Scene centres lie within a square of twice that side: about eight scenes on any spot."""
_EDGES: Final = (2048, 2560, 3072, 3584, 4096)
_BLOCK: Final = 512
_COLOURS: Final = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_FIRST_DAY: Final = datetime(2025, 1, 1, tzinfo=UTC)
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Kind:
    """How the files of an archive are written."""

    name: str
    dtype: str = "uint8"
    bands: int = 3
    compress: str = "deflate"
    assets: tuple[str, ...] = ("visual",)
    """Of an Item; where there are several, each is a file of one band."""
    shrink: int = 1
    """What divides the sides of the scenes and the distances between them."""

    @property
    def in_files(self) -> bool:
        """Whether each band is a file of its own."""
        return len(self.assets) > 1

    def name_of(self, scene: str, asset: str) -> str:
        """The file, or end of a URL, of one asset of a scene of that name."""
        return scene.replace(".tif", f"-{asset}.tif") if self.in_files else scene


RGB: Final = Kind("rgb-deflate")
KINDS: Final = (
    Kind("rgb-jpeg", compress="jpeg", shrink=2),
    Kind("uint16x4", dtype="uint16", bands=4, shrink=2),
    Kind("band-files", dtype="uint16", assets=("red", "green", "blue"), shrink=2),
)
"""What else there is. JPEG has a mask inside the file, the others a nodata value of 0."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One COG, or one for each band."""

    name: str
    """Of its file, or what the names of its files begin with."""
    day: int
    footprint: shapely.Polygon
    """In `crs`; exactly the pixels whose centres lie inside hold data."""
    kind: Kind = RGB
    crs: str = CRS

    @property
    def lonlat(self) -> shapely.Polygon:
        """The footprint with edges cut so finely that it stays true in longitude and latitude."""
        return _to_lonlat(self.footprint, self.crs)

    def item(
        self, href: str, *, item_id: str | None = None, day: int | None = None
    ) -> dict[str, Any]:
        """A STAC Item of the file."""
        taken = _FIRST_DAY + timedelta(days=self.day if day is None else day)
        return {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": item_id or self.name,
            "collection": "bench",
            "bbox": list(self.lonlat.bounds),
            "geometry": json.loads(shapely.to_geojson(self.lonlat)),
            "properties": {"datetime": taken.isoformat()},
            "links": [],
            "assets": {
                asset: {"href": self.kind.name_of(href, asset), "type": "image/tiff"}
                for asset in self.kind.assets
            },
        }


@cache
def _to_lonlat(footprint: shapely.Polygon, crs: str) -> shapely.Polygon:
    fine = shapely.segmentize(footprint, math.sqrt(footprint.area) / 10)
    to_lonlat = _transformer(crs).transform
    polygon: shapely.Polygon = shapely.transform(fine, to_lonlat, interleaved=False)
    return polygon


@cache
def _transformer(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)


def make_scenes(folder: Path, count: int, kind: Kind = RGB) -> list[Scene]:
    """Write the files that are not there yet; oldest first."""
    rng = np.random.default_rng(_SEED)
    texture = _texture(rng)
    return [_scene(folder, n, rng, texture, kind) for n in range(count)]


def _scene(
    folder: Path, n: int, rng: np.random.Generator, texture: NDArray[np.uint8], kind: Kind
) -> Scene:
    edge = int(rng.choice(_EDGES)) // kind.shrink
    spread = _SPREAD / kind.shrink
    x, y = (
        _METRES * round(at + off)
        for at, off in zip(
            np.array(_CENTRE) / _METRES, rng.uniform(-spread, spread, 2) / _METRES, strict=True
        )
    )
    left, top = x - _METRES * edge / 2, y + _METRES * edge / 2
    slant = rng.uniform(0.02, 0.25, 4)
    roll = rng.integers(0, max(_EDGES), 2)
    name = f"scene-{n:03}.tif" if kind is RGB else f"{kind.name}-{n:03}.tif"
    scene = Scene(name, n, _slanted(left, top, _METRES * edge, slant), kind)
    paths = [folder / kind.name_of(name, asset) for asset in kind.assets]
    if not all(path.exists() for path in paths):
        shifted = np.roll(texture, tuple(roll), (1, 2))[:, :edge, :edge]
        bands = _as_kind(shifted, kind)
        transform = Affine(_METRES, 0, left, 0, -_METRES, top)
        for path, data in zip(paths, bands if kind.in_files else [bands], strict=True):
            _write(path, data if data.ndim == 3 else data[None], transform, scene)
    return scene


def _as_kind(texture: NDArray[np.uint8], kind: Kind) -> NDArray[Any]:
    """As many bands as the kind has; 16 bits hold what a reflectance of up to 4,000 would."""
    bands = texture[np.arange(kind.bands) % len(texture)]
    return bands if kind.dtype == "uint8" else bands.astype(np.uint16) * np.uint16(15)


def _slanted(left: float, top: float, side: float, slant: NDArray[np.float64]) -> shapely.Polygon:
    """A square whose corners are cut off along its edges, as an orbit cuts a tile."""
    a, b, c, d = (float(s) * side for s in slant)
    right, bottom = left + side, top - side
    return shapely.Polygon(
        [(left + a, top), (right, top - b), (right - c, bottom), (left, bottom + d)]
    )


def _texture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Red, green, blue that compress about as aerial images do: smooth, with some noise."""
    edge = max(_EDGES)
    out = np.empty((3, edge, edge), np.uint8)
    base = rng.integers(40, 200, (edge // 64 + 1, edge // 64 + 1)).astype(np.float32)
    at = np.arange(edge) / 64
    cell, way = at.astype(int), (at % 1).astype(np.float32)
    rows = base[cell] * (1 - way)[:, None] + base[cell + 1] * way[:, None]
    smooth = rows[:, cell] * (1 - way) + rows[:, cell + 1] * way
    for band in out:
        band[:] = np.clip(smooth + rng.integers(-12, 13, (edge, edge)), 1, 255)
    return out


def _write(path: Path, data: NDArray[Any], transform: Affine, scene: Scene) -> None:
    outside = geometry_mask([scene.footprint], data.shape[1:], transform)
    masked = scene.kind.compress == "jpeg"  # which would smear a nodata value
    shown = np.where(outside, data.dtype.type(0), data)
    if masked:
        shown = np.concatenate([shown, np.where(outside, np.uint8(0), np.uint8(255))[None]])
    profile = {
        "driver": "GTiff",
        "count": len(shown),
        "height": data.shape[1],
        "width": data.shape[2],
        "dtype": data.dtype,
        "crs": CRS,
        "transform": transform,
    } | ({} if masked else {"nodata": 0})
    options = {"quality": 85} if masked else {"level": 6}
    partial = path.with_suffix(".partial")
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            if masked:  # the driver makes a mask of alpha
                dataset.colorinterp = [*_COLOURS, ColorInterp.alpha]
            dataset.write(shown)
        with memory.open() as dataset, rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"):
            rasterio.shutil.copy(
                dataset,
                partial,
                driver="COG",
                compress=scene.kind.compress,
                blocksize=_BLOCK,
                overview_resampling="nearest",
                **options,
            )
    partial.replace(path)  # a run that was interrupted leaves no broken file behind


def newest_first(scenes: Sequence[Scene]) -> list[Scene]:
    """The order in which they are painted: what comes first is on top."""
    return sorted(scenes, key=lambda scene: scene.day, reverse=True)
