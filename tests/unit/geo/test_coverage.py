"""How much of each pixel lies in a shape: as rio-tiler says, in pieces that stay small."""

import numpy as np
import pytest
import shapely
from rasterio.crs import CRS
from rio_tiler.models import ImageData

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.rasterize import coverage
from livemosaic.model.raster import Grid

WEB = CRS.from_epsg(3857)
STAR = shapely.Polygon(
    [(10.3, 20.2), (90.1, 5), (99, 65), (60, 30.7), (5, 68)],
    [[(30, 18), (40, 19), (40, 22)]],
)
BOW = shapely.Polygon([(5, 5), (95.5, 60), (95.5, 5), (5, 60.2)])
PENTAGRAM = shapely.Polygon(
    [(50 + 30 * np.sin(4 * np.pi * n / 5), 35 + 30 * np.cos(4 * np.pi * n / 5)) for n in range(5)]
)
SPUR = shapely.Polygon([(5.3, 5.3), (50.1, 5.4), (90, 6.7), (50.1, 5.4), (50, 50)])
LINE = shapely.LineString([(3.3, 4.4), (50, 60), (90, 1)])
TWO = shapely.MultiPolygon([shapely.Point(20, 20).buffer(13.3), shapely.box(60.25, -5, 140, 40.5)])


def grid(width: int, height: int) -> Grid:
    return Grid(WEB, (0, 0, 100, 70), width, height)


def of_rio_tiler(shape, at: Grid, scale: int):
    image = ImageData(np.zeros((1, at.height, at.width), "uint8"), crs=at.crs, bounds=at.bounds)
    return image.get_coverage_array(shapely.geometry.mapping(shape), at.crs, scale)


@pytest.mark.parametrize("scale", [1, 10, 37])
@pytest.mark.parametrize(("width", "height"), [(100, 70), (33, 91), (300, 3)])
@pytest.mark.parametrize(
    "shape",
    [STAR, TWO, BOW, PENTAGRAM, SPUR, LINE],
    ids=["star", "two", "bow", "pentagram", "spur", "line"],
)
def test_it_is_what_rio_tiler_says(shape, width, height, scale):
    at = grid(width, height)
    ours = coverage(shapely.make_valid(shape), at, scale)
    off = np.abs(ours - of_rio_tiler(shape, at, scale))
    # A line along the border of two parts may touch either.
    assert off.max() <= 1.01 / scale
    assert np.count_nonzero(off) <= 0.01 * off.size


def test_all_of_a_grid_inside_is_covered_and_all_outside_is_not():
    assert (coverage(shapely.box(-1, -1, 101, 71), grid(300, 200), 10) == 1).all()
    assert not coverage(shapely.box(200, 0, 300, 70), grid(300, 200), 10).any()


def test_a_fine_scale_comes_close_to_the_true_area():
    triangle = shapely.Polygon([(0, 0), (100, 0), (0, 70)])
    covered = coverage(triangle, grid(10, 7), 1000).sum()
    assert covered == pytest.approx(triangle.area / 100, rel=2e-3)


def test_a_scale_that_would_take_minutes_is_refused():
    with pytest.raises(InvalidRequestError, match="cover_scale 1000"):
        coverage(STAR, grid(2000, 1400), 1000)


def test_a_coast_of_many_vertices_is_cut_to_the_pieces(monkeypatch):
    """Each piece burns the vertices near it, not all of them."""
    angles = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    coast = shapely.Polygon(np.column_stack([50 + 30 * np.cos(angles), 35 + 30 * np.sin(angles)]))
    burnt: list[int] = []
    real = coverage.__globals__["rasterize"]

    def counted(shapes, **how):
        burnt.append(shapely.get_num_coordinates(shapes[0][0]))
        return real(shapes, **how)

    monkeypatch.setitem(coverage.__globals__, "rasterize", counted)
    coverage(coast, grid(1000, 700), 40)
    assert len(burnt) > 10
    assert sum(burnt) < 2 * 100_000
