"""STAC Items made of the headers of Cloud-Optimized GeoTIFFs.

Not by rio-stac 0.12: it takes the bounding box of a rotated raster for its outline, an affine fit
for ground control points, the whole world for a raster without a CRS and the present for a missing
date, and reads all pixels for statistics that a mosaic has no use for.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rasterio.transform import array_bounds

from livemosaic.cog.raster import Profile
from livemosaic.cog.reader import CogReader
from livemosaic.geo.crs import authority_of
from livemosaic.geo.frame import Frame
from livemosaic.ingest.sources.cogs import Making
from livemosaic.ingest.sources.cogs.outline import outline, outline_of_data, searched
from livemosaic.model.render import Read
from livemosaic.model.time import utc_text
from livemosaic.storage.objects import ObjectError

MEDIA_TYPE: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
_VERSION: Final = "1.1.0"
_PROJECTION: Final = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_DATE: Final = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
    r"(?:[T_-]?([01]\d|2[0-3])[-_]?([0-5]\d)[-_]?([0-5]\d))?(?!\d)"
)
"""A date, perhaps with a time: `20250701`, `2025-07-01`, `20250701T102559`, `20250701_102559`."""


async def item_of(
    reader: CogReader, href: str, name: str, modified: datetime | None, making: Making
) -> Mapping[str, Any]:
    """Returns the STAC Item of a file; raises as `CogReader.read` where it cannot be read.

    `name` is the file's name without folder and suffix, and the Item's id. `modified` is when the
    file was written, aware; ObjectError where a date is needed and nothing has one.
    """
    moment = making.moment or date_in(name) or modified
    if moment is None:
        raise ObjectError("has no date in its name: --datetime gives one")
    return await item_of_times(reader, href, name, {"datetime": utc_text(moment)}, making)


async def item_of_times(
    reader: CogReader,
    href: str,
    item_id: str,
    times: Mapping[str, str | None],
    making: Making,
) -> Mapping[str, Any]:
    """Returns the STAC Item of a file with these properties beside the ones of its projection.

    Raises as `CogReader.read` where it cannot be read.
    """
    profile = await reader.profile(href, version="")
    frame = profile.frame
    geometry = await _geometry_of_data(reader, href, frame) if making.of_data else outline(frame)
    return {
        "type": "Feature",
        "stac_version": _VERSION,
        "stac_extensions": [_PROJECTION],
        "id": item_id,
        **({"collection": making.collection} if making.collection else {}),
        "geometry": geometry,
        "properties": {**times, **_projection(frame)},
        "assets": {
            making.asset or asset_of(profile): {"href": href, "type": MEDIA_TYPE, "roles": ["data"]}
        },
        "links": [],
    }


async def _geometry_of_data(reader: CogReader, href: str, frame: Frame) -> Mapping[str, Any]:
    grid = searched(frame)
    pixels = await reader.read({"data": href}, grid, Read(), version="")
    return outline_of_data(frame, grid, pixels.valid)


def asset_of(profile: Profile) -> str:
    """Returns the key of a file's asset: `visual` for a picture of three colors, else `data`."""
    colors = profile.count - (profile.alpha is not None)
    return "visual" if profile.dtype == "uint8" and colors == 3 else "data"


def date_in(name: str) -> datetime | None:
    """Returns the first date of a file's name, in UTC; None where it has none."""
    for found in _DATE.finditer(name):
        year, _, month, day, *time = found.groups(default="0")
        hour, minute, second = map(int, time)
        try:
            return datetime(int(year), int(month), int(day), hour, minute, second, tzinfo=UTC)
        except ValueError:  # such as February 30
            continue
    return None


def _projection(frame: Frame) -> Mapping[str, Any]:
    """Returns members of the projection extension, by which its body and poles are known."""
    code = authority_of(frame.crs)
    crs = {"proj:code": ":".join(code)} if code else {"proj:wkt2": frame.crs.to_wkt()}
    shape = {"proj:shape": [frame.height, frame.width]}
    if frame.gcps:
        return {**crs, **shape}
    bounds = array_bounds(frame.height, frame.width, frame.transform)
    return {
        **crs,
        **shape,
        "proj:bbox": list(bounds),
        "proj:transform": list(frame.transform)[:6],
    }
