"""STAC Items of the scenes, and the Collection they link to."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rasterio.warp import transform_bounds

from livemosaic.cli.demo.scenery.cogs import OFFSET, SCALE, transform
from livemosaic.cli.demo.scenery.noise import GroundView
from livemosaic.cli.demo.scenery.shots import CRS, FIRST_PASS, ORIGIN, Shot
from livemosaic.cli.demo.scenery.world import EXTENT_M

STAC_VERSION: Final = "1.1.0"
COLLECTION: Final = "demo"
COLLECTION_FILE: Final = "collection.json"
BANDS: Final = {"blue": 0.49, "green": 0.56, "red": 0.665, "nir": 0.842}
"""Centre wavelength, µm, in the order of all reflectance arrays."""


def collection() -> dict[str, Any]:
    """The Collection of all scenes; its end is open."""
    (x, y), (width, height) = ORIGIN, EXTENT_M
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "id": COLLECTION,
        "description": "Scenes of a made-up island.",
        "license": "CC0-1.0",
        "extent": {
            "spatial": {"bbox": [list(transform_bounds(CRS, "OGC:CRS84", *box))]},
            "temporal": {"interval": [[_stamp(FIRST_PASS), None]]},
        },
        "links": [],
    }


def item(
    folder: Path, shot: Shot, view: GroundView, written: dict[str, Path], cloud_cover: float
) -> dict[str, Any]:
    """The Item of a shot: `written` has its files by asset name, `cloud_cover` is in percent."""
    footprint = shot.footprint(view.gsd)
    ring = [list(point) for point in footprint.exterior.coords]
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/schema.json"
            for name in ("eo/v2.0.0", "projection/v2.0.0", "raster/v2.0.0")
        ],
        "id": shot.id,
        "collection": COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": list(footprint.bounds),
        "properties": {
            "datetime": _stamp(shot.when),
            "created": _stamp(shot.arrival),
            "updated": _stamp(shot.arrival),
            "platform": "demo-1",
            "gsd": view.gsd,
            "eo:cloud_cover": round(cloud_cover, 2),
            "proj:code": CRS,
            "proj:shape": [view.y.size, view.x.size],
            "proj:transform": list(transform(view))[:6],
        },
        "assets": {name: _asset(name, path) for name, path in written.items()},
        "links": [
            {"rel": "collection", "href": str(folder / COLLECTION_FILE), "type": "application/json"}
        ],
    }


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _asset(name: str, path: Path) -> dict[str, Any]:
    file = {"href": str(path), "type": "image/tiff; application=geotiff; profile=cloud-optimized"}
    return file | (_colors() if name == "visual" else _reflectance(name))


def _colors() -> dict[str, Any]:
    return {
        "title": "True color",
        "roles": ["visual"],
        "data_type": "uint8",
        "bands": [{"name": n, "eo:common_name": n} for n in ("red", "green", "blue")],
    }


def _reflectance(name: str) -> dict[str, Any]:
    band = {
        "name": name,
        "eo:common_name": name,
        "eo:center_wavelength": BANDS[name],
        "data_type": "uint16",
        "nodata": 0,
        "raster:scale": SCALE,
        "raster:offset": OFFSET,
    }
    return {"title": f"Reflectance, {name}", "roles": ["data", "reflectance"], "bands": [band]}
