"""A live mosaic is a mosaic backend of rio-tiler: it finds the files, rio-tiler reads them."""

from collections.abc import Iterator

import morecantile
import numpy as np
import pyproj
import pytest
from rasterio.crs import CRS
from rio_tiler.errors import NoAssetFoundError
from rio_tiler.mosaic.methods import PixelSelectionMethod

import livemosaic
from api.served import LEFT, WEB, WHOLE, X, Y, Z, raster, scene, tile_url
from python.conftest import Faces

WEST, SOUTH, EAST, NORTH = WEB.bounds(X, Y, Z)


def names(files: list[str]) -> list[str]:
    """The scenes of files, in order."""
    return [file.rpartition("/")[2].rpartition("-")[0] for file in files]


@pytest.mark.parametrize("mosaic", ["rgb", "dem", "signed"])
def test_its_tiles_are_ours(place: str, faces: Faces, mosaic: str) -> None:
    for rule in ({}, {"sortby": "datetime"}, {"ids": "day-1,day-3"}):
        with livemosaic.MosaicBackend(place + mosaic) as backend:
            image, used = backend.tile(X, Y, Z, tilesize=256, search_options=rule)
        ours = faces.server.picture(tile_url(mosaic=mosaic), **rule)
        np.testing.assert_array_equal(~image.array.mask[0], ours.valid)
        np.testing.assert_array_equal(image.array.data[:, ours.valid], ours.data[:, ours.valid])
        assert names(used) == ours.scenes


def test_pixels_of_several_files_are_combined_by_rio_tiler(place: str, faces: Faces) -> None:
    backend = livemosaic.MosaicBackend(place + "dem")
    highest = PixelSelectionMethod["highest"].value
    image, _ = backend.tile(X, Y, Z, tilesize=256, pixel_selection=highest())
    ours = faces.server.picture(tile_url(mosaic="dem"), pixel_selection="highest")
    np.testing.assert_array_equal(image.array.data[0][ours.valid], ours.data[0][ours.valid])


def test_a_point_has_the_values_of_every_file(place: str, faces: Faces) -> None:
    lon, lat = (WEST + EAST) / 2 - 0.01, (SOUTH + NORTH) / 2
    found = livemosaic.MosaicBackend(place + "rgb").point(lon, lat)
    ours = faces.index["rgb"].point(lon, lat).metadata["scenes"]
    assert names([file for file, _ in found]) == [one["name"] for one in ours]
    assert [point.array.tolist() for _, point in found] == [one["values"] for one in ours]


def test_files_are_found_in_any_crs(place: str) -> None:
    backend = livemosaic.MosaicBackend(place + "rgb")
    box = (WEST + 1e-3, SOUTH + 1e-3, WEST + 2e-3, SOUTH + 2e-3)
    assert names(backend.assets_for_bbox(*box)) == ["day-1"]
    for crs in (3857, 3035):
        to_crs = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
        given = to_crs.transform_bounds(*box), CRS.from_epsg(crs)
        assert names(backend.assets_for_bbox(*given[0], coord_crs=given[1])) == ["day-1"]
        x, y = to_crs.transform(EAST - 1e-3, NORTH - 1e-3)
        assert names(backend.assets_for_point(x, y, coord_crs=given[1])) == ["day-3"]
    tms = morecantile.TileMatrixSet.custom([2e6, 1e6, 6e6, 5e6], pyproj.CRS(3035), id="Own")
    own = livemosaic.MosaicBackend(place + "rgb", tms=tms)
    tile = tms.tile((WEST + EAST) / 2, (SOUTH + NORTH) / 2, 5)
    assert names(own.assets_for_tile(tile.x, tile.y, tile.z)) == ["day-3", "day-2", "day-1"]
    with pytest.raises(NoAssetFoundError):
        backend.tile(0, 0, Z)


def test_it_describes_the_mosaic(place: str, faces: Faces) -> None:
    backend = livemosaic.MosaicBackend(place + "dem")
    info = backend.info().model_dump()
    assert info["bounds"] == faces.index["dem"].bounds() == backend.bounds
    assert (info["name"], info["mosaic_tilematrixset"]) == ("dem", "WebMercatorQuad")
    assert (backend.minzoom, backend.maxzoom) == (0, 22)


class TestAssets:
    @pytest.fixture
    def two(self, faces: Faces) -> Iterator[livemosaic.OpenMosaic]:
        """A mosaic that shows two assets, of which one scene has one of another kind."""
        server = faces.server
        server.create("two", assets=["red", "nir"], default_assets=["red", "nir"])
        for n in range(2):
            files = {
                name: server.url(raster(server.folder / f"{name}{n}.tif", n + 1, WHOLE))
                for name in ("red", "nir")
            }
            document = scene(f"s{n}", files, LEFT, day=n + 1)
            kind = "red" if n == 0 else "blue"
            document["assets"]["red"]["bands"] = [{"eo:common_name": kind}]
            server.add(document, mosaic="two")
        yield faces.index["two"]
        faces.index.delete("two")

    def test_one_is_named(self, two: livemosaic.OpenMosaic) -> None:
        with pytest.raises(livemosaic.InvalidRequestError, match=r"red, nir.*name one"):
            livemosaic.MosaicBackend(two).tile(X, Y, Z)
        found = livemosaic.MosaicBackend(two, asset="nir").assets_for_tile(X, Y, Z)
        assert [file.rpartition("/")[2] for file in found] == ["nir1.tif", "nir0.tif"]

    def test_files_of_another_kind_are_left_out(self, two: livemosaic.OpenMosaic) -> None:
        found = livemosaic.MosaicBackend(two, asset="red").assets_for_tile(X, Y, Z)
        assert [file.rpartition("/")[2] for file in found] == ["red0.tif"]


def test_wrong_names_say_so(place: str) -> None:
    with pytest.raises(livemosaic.NotFoundError, match="'none'"):
        livemosaic.MosaicBackend(place + "none")
    with pytest.raises(livemosaic.InvalidRequestError, match="sortbyy"):
        livemosaic.MosaicBackend(place + "rgb").tile(X, Y, Z, search_options={"sortbyy": "gsd"})
