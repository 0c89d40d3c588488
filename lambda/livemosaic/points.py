"""Places, and the pixel of each scene that holds one."""

from dataclasses import dataclass
from typing import Final

from rasterio.crs import CRS

from livemosaic.errors import InvalidRequestError
from livemosaic.model import Grid, Mosaic
from livemosaic.projection import LONLAT, NoTransformError, transformer
from livemosaic.views import View, area_of

_DEGREES: Final = 1e-9
_METRES: Final = 1e-4
"""Sides of a pixel around a place: far smaller than any scene's, so that the scene is read at its
full resolution, and far larger than the last digits of coordinates."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in some CRS, x before y."""

    crs: CRS
    x: float
    y: float

    @property
    def lonlat(self) -> tuple[float, float]:
        """In degrees; `InvalidRequestError` where it is not on the globe."""
        try:
            lon, lat = transformer(self.crs, LONLAT).transform(self.x, self.y)
        except NoTransformError as error:
            raise InvalidRequestError(f"{self.crs.to_string()[:40]} has no degrees") from error
        if not (abs(lon) <= 180 and abs(lat) <= 90):
            raise InvalidRequestError(
                f"point {self.x:.12g},{self.y:.12g} must be a place on the globe: longitude within "
                "±180 and latitude within ±90 degrees, or coordinates of coord_crs"
            )
        return lon, lat

    def view(self, mosaic: Mosaic) -> View:
        """A picture of one pixel, with the place in its centre."""
        lon, lat = self.lonlat
        half = (_DEGREES if self.crs.is_geographic else _METRES) / 2
        bounds = self.x - half, self.y - half, self.x + half, self.y + half
        area = area_of(mosaic, (lon, lat, lon, lat))
        return View(Grid(self.crs, bounds, 1, 1), area, f"point {self.x:.12g},{self.y:.12g}")
