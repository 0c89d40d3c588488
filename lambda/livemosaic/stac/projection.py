"""Where the pixels of assets lie, as STAC states it (projection extension 1.2), where it is known.

Known are the COGs whose headers ingestion keeps in the table: the ones that images open by default.
Nothing is guessed from footprints.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from livemosaic.cog.headers import stored_frames
from livemosaic.geo.crs import authority_of
from livemosaic.geo.frame import Frame
from livemosaic.ingest.assets.opened import opened_hrefs
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene
from livemosaic.table import Table

PROJECTION: Final = "https://stac-extensions.github.io/projection/v1.2.0/schema.json"
"""The version with `proj:code` for today's tools, and `proj:epsg` for GDAL before 3.10."""
MAX_KNOWN: Final = 2000
"""Headers read for one page: some 4 MB, and a second or less. Assets after them are left out."""

Frames = Mapping[str, Frame]
"""Frames of assets by href."""
NO_FRAMES: Final[Frames] = {}


def known_frames(table: Table, scenes: Iterable[tuple[Mosaic, Scene]]) -> Frames:
    """Returns the frames of the assets of scenes, as far as they are known; in order, up to
    `MAX_KNOWN`."""
    hrefs = (href for mosaic, scene in scenes for href in opened_hrefs(mosaic, scene))
    return stored_frames(table, [*dict.fromkeys(islice(hrefs, MAX_KNOWN))])


def projection_fields(frame: Frame) -> dict[str, Any]:
    """Returns the fields of an asset; none of one that ground control points place.

    A CRS without EPSG code is there as WKT, too: GDAL before 3.10 knows no other codes.
    """
    if frame.gcps is not None:
        return {}
    named = authority_of(frame.crs)
    is_epsg = named is not None and named[0] == "EPSG"
    return {
        "proj:code": ":".join(named) if named else None,
        "proj:epsg": int(named[1]) if named and is_epsg else None,
        **({} if is_epsg else {"proj:wkt2": str(frame.crs.to_wkt(version="WKT2_2019"))}),
        "proj:shape": [frame.height, frame.width],
        "proj:transform": list(frame.transform)[:6],
    }
