"""The values of a whole mosaic's pixels, counted by area."""

from dataclasses import dataclass, field

import numpy as np

from livemosaic.model.raster import BBox
from livemosaic.tiler.picture import Picture
from livemosaic.tiler.statistics import Tally
from livemosaic.tiler.whole.area import pixel_areas


@dataclass(slots=True)
class WholeCount:
    """The values of a mosaic's pixels, weighted by their true area, and where they come from."""

    tally: Tally
    """Weights are km²."""
    bounds: BBox
    """West, south, east, north of the mosaic, in degrees; west > east across ±180."""
    size: tuple[int, int] | None = None
    """Width and height of the image; None where scenes were sampled one by one."""
    area_km2: float | None = None
    """The true area of valid pixels; None where samples may overlap."""
    scenes: dict[str, None] = field(default_factory=dict)
    """Ids of the scenes that were read, without the ones that cells stand for."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Ids of the scenes that could not be read or take no part, and why."""
    rungs: set[int] = field(default_factory=set)
    """Zooms of the overview cells that were read in place of scenes."""
    truncated: str = ""
    """Which limit left scenes out of overview cells; empty if none did."""

    def add(self, made: Picture) -> float:
        """Adds an image; returns the area of its valid pixels in km²."""
        areas = pixel_areas(made.grid)
        has_pixels = len(made.seen.scenes) > len(made.skipped)
        self.tally.add(areas, made.pixels if has_pixels else None)
        self.scenes |= dict.fromkeys(made.scenes)
        self.skipped |= dict(made.skipped) | dict(made.left_out) | dict(made.lost)
        if made.shown is not None:
            self.rungs.add(made.shown.zoom)
        self.truncated = self.truncated or made.truncated
        return float(areas[made.pixels.valid].sum(dtype=np.float64))
