"""Cells: which tiles a footprint covers, and which pixels it claims."""

import math

import morecantile
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from shapely import affinity
from shapely.geometry import MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import lonlat_bounds
from livemosaic.geo.cells import Cell, CellGrid, cell_grid
from livemosaic.geo.covering import (
    WHOLE,
    Cover,
    coarse_rungs,
    cover,
    decode,
    decode_beyond,
    floor_rung,
    ladder,
)
from livemosaic.geo.rasterize import Outline
from livemosaic.model.mosaic import MAX_ROWS_PER_SCENE
from livemosaic.model.raster import Grid
from livemosaic.tiler.views import TileAddress

GRID = CellGrid.of("WebMercatorQuad")
TMS = morecantile.tms.get("WebMercatorQuad")


def covered(
    footprint: BaseGeometry, *, quadkey_zoom: int = 14, minzoom: int = 0, max_cells: int = 16
) -> Cover:
    parts = footprint if isinstance(footprint, MultiPolygon) else MultiPolygon([footprint])
    return cover(GRID, parts, quadkey_zoom=quadkey_zoom, minzoom=minzoom, max_cells=max_cells)


def slanted(lon: float, lat: float, size: float, degrees: float) -> Polygon:
    return affinity.rotate(box(lon, lat, lon + size, lat + size), degrees)


class TestQuadkeys:
    @given(
        st.integers(0, 24).flatmap(lambda z: st.tuples(st.just(z), *[st.integers(0, 2**z - 1)] * 2))
    )
    def test_a_quadkey_is_that_of_bing_maps_and_morecantile(
        self, zxy: tuple[int, int, int]
    ) -> None:
        z, x, y = zxy
        assert Cell(z, x, y).quadkey == TMS.quadkey(morecantile.Tile(x, y, z))
        assert Cell.of(Cell(z, x, y).quadkey) == Cell(z, x, y)

    def test_a_tile_shares_area_with_its_own_cell_only(self) -> None:
        for z, x, y in [(0, 0, 0), (3, 7, 0), (9, 266, 180), (14, 8529, 5975)]:
            bounds = GRID.bounds(Cell(z, x, y))
            assert GRID.cells_of(bounds, z) == [Cell(z, x, y)]
            assert GRID.count(bounds, z) == 1
            assert bounds == pytest.approx(tuple(TMS.xy_bounds(morecantile.Tile(x, y, z))))

    def test_a_tile_shares_area_with_one_cell_of_any_coarser_zoom(self) -> None:
        bounds = GRID.bounds(Cell(9, 266, 180))
        for zoom in range(10):
            assert [c.quadkey for c in GRID.cells_of(bounds, zoom)] == [
                Cell(9, 266, 180).quadkey[:zoom]
            ]

    def test_a_tile_matrix_set_without_quadkeys_is_refused_by_name(self) -> None:
        with pytest.raises(InvalidRequestError, match=r"WorldCRS84Quad.*not a quadtree"):
            CellGrid.of("WorldCRS84Quad")
        with pytest.raises(InvalidRequestError, match="unknown TileMatrixSet 'Nowhere'"):
            CellGrid.of("Nowhere")


class TestLadder:
    def test_it_goes_down_by_two_and_ends_at_zero(self) -> None:
        assert ladder(6) == (6, 4, 2, 0)
        assert ladder(5) == (5, 3, 1, 0)
        assert ladder(0) == (0,)

    def test_coarse_rungs_end_at_three(self) -> None:
        assert coarse_rungs(14) == (14, 12, 10, 8, 6, 3)
        assert coarse_rungs(15) == (15, 13, 11, 9, 7, 5, 3)
        assert [coarse_rungs(zoom) for zoom in (5, 4, 3, 0)] == [(5, 3), (3,), (3,), (0,)]

    def test_its_floor_serves_the_smallest_zoom(self) -> None:
        assert [floor_rung(14, zoom) for zoom in (14, 7, 6, 5, 3, 0)] == [14, 6, 6, 3, 3, 3]
        assert floor_rung(2, 0) == 2


class TestCover:
    def test_a_tile_as_footprint_is_one_whole_cell(self) -> None:
        cell = Cell(14, 8529, 5975)
        west, south, east, north = TMS.bounds(morecantile.Tile(cell.x, cell.y, cell.zoom))
        footprint = box(west + 1e-9, south + 1e-9, east - 1e-9, north - 1e-9)
        found = covered(footprint, max_cells=1)
        assert found.cells == (cell.quadkey,)
        assert found.coarse == tuple(sorted(cell.quadkey[:z] for z in (12, 10, 8, 6, 3)))

    @pytest.mark.parametrize(
        ("footprint", "level"),
        [
            pytest.param(box(7, 45, 8.4, 46), 8, id="a Sentinel-2 tile"),
            pytest.param(box(-85.65, 36.15, -85.625, 36.175), 14, id="an aerial photo"),
            pytest.param(box(7, 45, 7.00001, 45.00001), 14, id="a metre"),
            pytest.param(box(-180, -90, 180, 90), 2, id="the globe"),
        ],
    )
    def test_a_scene_has_the_deepest_level_at_which_it_covers_few_cells(
        self, footprint: Polygon, level: int
    ) -> None:
        found = covered(footprint)
        assert found.level == level
        assert 1 <= len(found.cells) <= 16

    def test_the_quadkey_zoom_is_never_exceeded(self) -> None:
        assert covered(box(7, 45, 7.001, 45.001), quadkey_zoom=9).level == 9

    def test_coarse_cells_end_at_the_floor_of_the_mosaic(self) -> None:
        found = covered(box(7, 45, 7.01, 45.01), quadkey_zoom=14, minzoom=9)
        assert {len(quadkey) for quadkey in found.coarse} == {12, 10, 8}

    def test_a_footprint_larger_than_the_floor_has_its_level_above_it(self) -> None:
        found = covered(box(-180, -85, 180, 85), quadkey_zoom=12, minzoom=8)
        assert found.level == 2
        assert found.coarse == ()

    def test_what_the_projection_cannot_show_has_the_cells_of_its_edge(self) -> None:
        """For tiles in other projections; within the cells nothing of it is."""
        found = covered(box(0, 86, 10, 89))
        assert {Cell.of(quadkey).y for quadkey in found.cells} == {0}
        rings = []
        for quadkey in found.cells:
            stored = found.part(quadkey) or b""
            assert decode(GRID, quadkey, stored) == []
            rings += decode_beyond(GRID, quadkey, stored)
        assert sum(Polygon(ring).area for ring in rings) == pytest.approx(30, rel=1e-6)

    def test_rows_of_earlier_releases_have_nothing_beyond_the_edge(self) -> None:
        top = Cell(3, 4, 0).quadkey
        square = covered(box(1, 80, 10, 85)).part(top) or b""
        for stored in (WHOLE, square):
            assert len(decode(GRID, top, stored)) == 1
            assert decode_beyond(GRID, top, stored) == []

    def test_a_whole_cell_stays_whole_beside_what_lies_beyond_it(self) -> None:
        top = Cell(3, 4, 0).quadkey
        stored = covered(box(-10, 70, 60, 90)).part(top) or b""
        (ring,) = decode(GRID, top, stored)
        assert Polygon(ring).area == pytest.approx(box(*GRID.bounds(Cell.of(top))).area)
        (beyond,) = decode_beyond(GRID, top, stored)
        assert Polygon(beyond).bounds == pytest.approx((0, 85.0511288, 45, 90))

    def test_a_polar_footprint_is_cut_where_the_projection_ends(self) -> None:
        found = covered(box(0, 80, 10, 90))
        assert all(found.part(quadkey) is not None for quadkey in found.cells)
        assert any(Cell.of(quadkey).y == 0 for quadkey in found.cells)

    def test_scattered_parts_never_take_more_rows_than_a_transaction_holds(self) -> None:
        parts = [box(x, y, x + 0.01, y + 0.01) for x in range(-170, 170, 7) for y in (-60, 0, 60)]
        found = covered(MultiPolygon(parts), max_cells=48)
        assert 1 <= len(found.cells) + len(found.coarse) <= MAX_ROWS_PER_SCENE

    @settings(max_examples=60, deadline=None)
    @given(st.floats(-170, 170), st.floats(-80, 80), st.floats(1e-4, 40), st.floats(0, 90))
    def test_the_cells_are_all_that_the_footprint_reaches_and_no_others(
        self, lon: float, lat: float, size: float, degrees: float
    ) -> None:
        footprint = slanted(lon, lat, size, degrees).intersection(box(-180, -90, 180, 90))
        found = covered(footprint)
        if found.level is None:
            return
        # Cells at the edge of the grid hold what lies beyond it, outside of their bounds.
        area = found.projected.intersection(box(*GRID.bounds(Cell.of("")))).area
        inside = sum(
            found.projected.intersection(box(*GRID.bounds(Cell.of(q)))).area for q in found.cells
        )
        assert inside == pytest.approx(area, rel=1e-6)
        for quadkeys in (found.cells, found.coarse):
            assert all(found.part(quadkey) is not None for quadkey in quadkeys)
            assert len(set(quadkeys)) == len(quadkeys)

    def test_another_quadtree_may_be_the_mosaics_own(self) -> None:
        arctic = CellGrid.of("UPSArcticWGS84Quad")
        cap = MultiPolygon([box(-180, 80, 180, 90)])
        found = cover(arctic, cap, quadkey_zoom=10, minzoom=0, max_cells=16)
        pole = arctic.project(cap).centroid
        assert arctic.project(cap).contains(Point(2_000_000, 2_000_000))
        assert pole.distance(Point(2_000_000, 2_000_000)) < 1000
        assert len(found.cells) >= 4


class TestParts:
    def test_a_cell_inside_the_footprint_stores_nothing(self) -> None:
        found = covered(box(-40, -35, 40, 35), quadkey_zoom=4)
        assert any(found.part(quadkey) == WHOLE for quadkey in found.cells)

    def test_a_cell_that_is_only_touched_has_no_part(self) -> None:
        found = covered(box(7, 45, 8, 46))
        far = Cell(found.level or 0, 0, 0).quadkey
        assert found.part(far) is None

    def test_what_is_stored_comes_back_within_a_billionth_of_the_cell(self) -> None:
        footprint = slanted(7, 45, 1, 12)
        found = covered(footprint)
        for quadkey in found.cells:
            stored = found.part(quadkey)
            assert stored is not None
            bounds = GRID.bounds(Cell.of(quadkey))
            expected = shapely.clip_by_rect(found.projected, *bounds)
            (ring,) = decode(GRID, quadkey, stored)
            got = Polygon(ring)
            span = bounds[2] - bounds[0]
            assert got.symmetric_difference(expected).area < 1e-5 * span**2
            assert len(stored) < 500

    def test_a_corner_that_reaches_into_a_cell_by_one_rounding_is_clipped(self) -> None:
        """GEOS's fast clip is left with a ring of three points, and raises."""
        left, bottom, right, top = bounds = GRID.bounds(Cell.of("1202021"))
        corner = np.nextafter(left, right), (bottom + top) / 2
        shape = Polygon([corner, (left - 35_000, top - 130_000), (left - 31_000, top - 5)])
        with pytest.raises(shapely.GEOSException):
            shapely.clip_by_rect(shape, *bounds)
        assert Cover(GRID, shape).part("1202021") is None
        assert Cover(GRID, shape).part("1202020")

    def test_a_coast_of_many_vertices_is_simplified_until_it_fits_a_row(self) -> None:
        angles = np.linspace(0, 2 * math.pi, 50_000, endpoint=False)
        wobble = 1 + 0.01 * np.sin(angles * 4000)
        ring = np.column_stack([7 + wobble * np.cos(angles), 45 + wobble * np.sin(angles)])
        found = covered(Polygon(ring))
        for quadkey in found.cells:
            assert len(found.part(quadkey) or b"") < 20_000


def grid_of(z: int, x: int, y: int, size: int = 256) -> Grid:
    return TileAddress("WebMercatorQuad", z, x, y).grid(size)


class TestBurn:
    @pytest.mark.parametrize("zoom_in", [0, 1, 5])
    @pytest.mark.parametrize("hole", [False, True], ids=["plain", "with a hole"])
    def test_claims_are_the_pixel_centres_inside_as_gdal_has_them(
        self, zoom_in: int, hole: bool
    ) -> None:
        footprint = slanted(7, 45, 1, 12)
        if hole:
            footprint = footprint.difference(Point(7.5, 45.5).buffer(0.1))
        found = covered(footprint)
        for quadkey in found.cells:
            cell = Cell.of(quadkey)
            grid = grid_of(cell.zoom + zoom_in, cell.x << zoom_in, cell.y << zoom_in)
            claim = Outline.of(
                decode(GRID, quadkey, found.part(quadkey) or b""), GRID.crs, grid
            ).burn()
            shape = (grid.height, grid.width)
            expected = geometry_mask([found.projected], shape, grid.transform, invert=True)
            assert claim.shape == shape
            assert (claim != expected).sum() <= 2  # a centre on the very edge

    def test_a_whole_cell_claims_every_pixel(self) -> None:
        rings = decode(GRID, Cell(4, 8, 5).quadkey, WHOLE)
        assert Outline.of(rings, GRID.crs, grid_of(4, 8, 5)).burn().all()
        assert Outline.of(rings, GRID.crs, grid_of(6, 33, 22, 512)).burn().all()
        assert not Outline.of(rings, GRID.crs, grid_of(4, 9, 5)).burn().any()

    def test_a_grid_of_another_crs_sees_the_same_ground(self) -> None:
        footprint = slanted(7, 45, 1, 12)
        found = covered(footprint, max_cells=1)
        (quadkey,) = found.cells
        grid = Grid(CRS.from_epsg(4326), (6.5, 44.5, 8.5, 46.5), 200, 200)
        claim = Outline.of(decode(GRID, quadkey, found.part(quadkey) or b""), GRID.crs, grid).burn()
        expected = geometry_mask([footprint], (200, 200), grid.transform, invert=True)
        assert (claim != expected).sum() <= 20  # edges are straight on one map, bent on the other


class TestLonLatBounds:
    @pytest.mark.parametrize(
        ("tms", "zxy", "inside", "outside"),
        [
            pytest.param("WorldCRS84Quad", (3, 15, 3), [(170, 10)], [(150, 10)], id="crs84"),
            pytest.param(
                "UPSArcticWGS84Quad",
                (0, 0, 0),
                [(0, 90), (179, 80), (-90, 0)],
                [],
                id="pole inside",
            ),
            pytest.param(
                "UPSArcticWGS84Quad", (4, 8, 7), [(170, 80), (-170, 80)], [(0, 80)], id="dateline"
            ),
            pytest.param("NZTM2000Quad", (2, 1, 1), [(165, -30)], [(-60, -30)], id="new zealand"),
            pytest.param("EuropeanETRS89_LAEAQuad", (3, 3, 3), [(4, 54)], [(20, 54)], id="europe"),
        ],
    )
    def test_a_tile_of_any_set_has_the_extent_that_its_points_have(
        self,
        tms: str,
        zxy: tuple[int, int, int],
        inside: list[tuple[float, float]],
        outside: list[tuple[float, float]],
    ) -> None:
        west, south, east, north = lonlat_bounds(
            TileAddress(tms, *zxy).grid(256), CRS.from_epsg(4326)
        )

        def holds(lon: float, lat: float) -> bool:
            within = west <= lon <= east if west <= east else lon >= west or lon <= east
            return within and south <= lat <= north

        assert all(holds(*point) for point in inside)
        assert not any(holds(*point) for point in outside)


@given(
    st.sampled_from(["WebMercatorQuad", "EuropeanETRS89_LAEAQuad"]), st.integers(1, 24), st.data()
)
def test_neighbours_meet_in_the_same_number(tms: str, zoom: int, data: st.DataObject) -> None:
    """A gap of the last binary digit is a place that lies in neither."""
    grid = cell_grid(tms)
    x, y = (data.draw(st.integers(0, (1 << zoom) - 2)) for _ in range(2))
    _, bottom, right, _ = grid.bounds(Cell(zoom, x, y))
    left, _, _, top = grid.bounds(Cell(zoom, x + 1, y + 1))
    assert (right, bottom) == (left, top)
    for rings in (decode(grid, Cell(zoom, x, y).quadkey, WHOLE), _to_the_edges(grid, zoom, x, y)):
        assert max(column for column, _ in rings[0]) == right
        assert min(row for _, row in rings[0]) == bottom


def _to_the_edges(grid: CellGrid, zoom: int, x: int, y: int) -> list[NDArray[np.float64]]:
    """The rings of a footprint whose last vertices lie on the edges of the cell."""
    units = np.array([(9, 9), (2**32 - 1, 9), (2**32 - 1, 2**32 - 1)], "<u4")
    stored = len(units).to_bytes(2, "little") + units.tobytes()
    return decode(grid, Cell(zoom, x, y).quadkey, stored)
