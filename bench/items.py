"""STAC Items as three kinds of archive publish them, and the events that may come for one."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import shapely
from pyproj import Transformer
from shapely.affinity import rotate, translate

from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic

_PUBLISHED = datetime(2025, 6, 1, tzinfo=UTC)
_SENT = datetime(2025, 7, 1, tzinfo=UTC)
_PLACES = 100
"""Scenes beside each other; what comes after lies on top of them, a few days later."""
_ORIGIN = (400_000.0, 5_000_000.0)
_DAYS = 1000
"""Between the oldest scene and the last that may come before they are of the future."""
_HEADING = math.tan(math.radians(13))
"""Of Sentinel-2 as it comes down over the middle latitudes: metres to the west for one south."""
_GOLDEN = (math.sqrt(5) - 1) / 2
"""Its multiples fill the space between 0 and 1 evenly."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the scenes of an archive have in common. Lengths in metres, on the ground of UTM 32."""

    name: str
    width: float
    height: float
    tilt: float
    """Degrees that an orbit or a drone turns the scene."""
    spacing: float
    """From the middle of one scene to its neighbour's."""
    assets: tuple[str, ...]
    kept: tuple[str, ...]
    quadkey_zoom: int = 14
    minzoom: int = 0
    """Of the mosaic: the rows of coarser cells go down to here."""
    swath: float = 0
    """What the sensor sees at once; its slanted edges cut scenes. 0 leaves them whole."""

    @property
    def mosaic(self) -> Mosaic:
        """A mosaic of such scenes."""
        return Mosaic(
            id=self.name,
            collections=(self.name,),
            assets=self.kept,
            properties=("eo:cloud_cover",),
            quadkey_zoom=self.quadkey_zoom,
            minzoom=self.minzoom,
        )

    def scene_id(self, n: int) -> str:
        return f"{self.name}_32TQM_{n:06}_L2A"

    def geometry(self, n: int, moved: float = 0) -> dict[str, Any]:
        """The footprint of scene `n`, moved to the east by that part of its width."""
        row, column = divmod(n % _PLACES, 10)
        outline = rotate(shapely.box(0, 0, self.width, self.height), self.tilt)
        if self.swath:
            outline = outline.intersection(self._seen(n))
        placed = translate(
            outline,
            _ORIGIN[0] + column * self.spacing + moved * self.width,
            _ORIGIN[1] + row * self.spacing,
        )
        lonlat = shapely.transform(placed, _to_lonlat().transform, interleaved=False)
        document: dict[str, Any] = json.loads(shapely.to_geojson(lonlat))
        return document

    def _seen(self, n: int) -> shapely.Polygon:
        """The swath that passes over scene `n`, somewhere; some of the scene is always in it."""
        easternmost, westernmost = 0.7 * self.width, 0.1 * self.width - self.swath
        west = westernmost + (n * _GOLDEN % 1) * (easternmost - westernmost)
        east, lean = west + self.swath, self.height * _HEADING
        return shapely.Polygon(
            [(west, 0), (east, 0), (east + lean, self.height), (west + lean, self.height)]
        )

    def item(
        self, n: int, *, hours: float = 0, moved: float = 0, collection: str | None = None
    ) -> dict[str, Any]:
        """The Item of scene `n` as published so many hours after (before) the first version."""
        scene, taken = self.scene_id(n), _PUBLISHED + timedelta(days=n // _PLACES - _DAYS)
        folder = f"https://{self.name}-cogs.example.com/{self.name}-c1-l2a/{taken:%Y/%m}/{scene}"
        return {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": scene,
            "collection": collection or self.name,
            "geometry": self.geometry(n, moved),
            "properties": {
                "datetime": taken.isoformat(),
                "created": _PUBLISHED.isoformat(),
                "updated": (_PUBLISHED + timedelta(hours=hours)).isoformat(),
                "platform": self.name,
                "eo:cloud_cover": (n * 37) % 100,
                "processing:software": {"l2a-processor": f"{5 + hours:.2f}"},
                "proj:code": "EPSG:32632",
            },
            "links": [],
            "assets": {
                name: {
                    "href": f"{folder}/{name}.tif",
                    "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                    "roles": ["data"],
                    "proj:shape": [10980, 10980],
                }
                for name in self.assets
            },
        }


@lru_cache(1)
def _to_lonlat() -> Transformer:
    return Transformer.from_crs("EPSG:32632", "OGC:CRS84", always_xy=True)


_S2_BANDS = (
    "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "nir09",
    "swir16", "swir22", "visual", "aot", "scl", "wvp",
)  # fmt: skip
_LANDSAT_BANDS = (
    "coastal", "blue", "green", "red", "nir08", "swir16", "swir22", "lwir11", "qa_pixel",
    "qa_aerosol",
)  # fmt: skip

SHAPES = (
    Shape(
        name="sentinel-2",
        width=109_800,
        height=109_800,
        tilt=0,
        spacing=100_000,
        assets=_S2_BANDS,
        kept=("visual", "red", "green", "blue", "nir"),
    ),
    Shape(
        name="landsat",
        width=185_000,
        height=180_000,
        tilt=-12,
        spacing=150_000,
        assets=_LANDSAT_BANDS,
        kept=("red", "green", "blue", "nir08", "qa_pixel"),
    ),
    Shape(
        name="drone",
        width=180,
        height=120,
        tilt=30,
        spacing=60,
        assets=("visual",),
        kept=("visual",),
        quadkey_zoom=18,
    ),
)

SWATHS = Shape(
    name="sentinel-2-swaths",
    width=109_800,
    height=109_800,
    tilt=0,
    spacing=100_000,
    assets=("visual", "red", "green", "nir"),
    kept=("visual", "red", "green", "nir"),
    swath=290_000,
)
"""Squares of the grid of Sentinel-2, more than half of them cut by the edge of a swath."""

Kind = Literal["new", "duplicate", "newer", "moved", "late", "delete", "unwanted"]

KINDS: Mapping[Kind, str] = {
    "new": "new scene",
    "duplicate": "identical duplicate",
    "newer": "newer version, same footprint",
    "moved": "newer version, moved footprint",
    "late": "older version, late",
    "delete": "delete",
    "unwanted": "item that no mosaic wants",
}
EXPECTED: Mapping[Kind, str] = {
    "new": "applied",
    "duplicate": "unchanged",
    "newer": "applied",
    "moved": "applied",
    "late": "outdated",
    "delete": "deleted",
    "unwanted": "ignored",
}
"""What must become of each, or something else was measured."""
MIX: Sequence[Kind] = ("new", "newer", "moved", "delete", "duplicate")
"""Of each one, in turn: what a queue brings to a mosaic that is in use."""


def event(shape: Shape, kind: Kind, n: int) -> Message:
    """A message of a kind about scene `n`, which is there already unless it is new."""
    match kind:
        case "new" | "duplicate":
            body = shape.item(n)
        case "newer":
            body = shape.item(n, hours=1)
        case "moved":
            body = shape.item(n, hours=1, moved=0.5)
        case "late":
            body = shape.item(n, hours=-1)
        case "unwanted":
            body = shape.item(n, collection="another")
        case "delete":
            body = {"op": "delete", "collection": shape.name, "id": shape.scene_id(n)}
    return Message(f"{kind}-{n}", json.dumps(body), _SENT, {})
