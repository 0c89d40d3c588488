"""The archive of the published benchmark: files where their Items say, and maps over them."""

import morecantile
import numpy as np
import pytest
import rasterio
from rasterio.warp import transform_bounds

from bench import boreal


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("boreal")


@pytest.fixture(scope="module")
def scenes(folder):
    return boreal.make_scenes(folder, 2)


def test_every_file_lies_at_its_footprint_with_the_same_pixels(folder, scenes):
    pixels = []
    for scene in scenes:
        with rasterio.open(folder / scene.name) as file:
            assert tuple(file.bounds) == scene.footprint.bounds
            assert (file.count, file.dtypes[0], file.block_shapes[0]) == (1, "float32", (512, 512))
            assert file.overviews(1) == [2, 4, 8]
            around = transform_bounds(file.crs, "OGC:CRS84", *file.bounds)
            assert scene.lonlat.bounds == pytest.approx(around, abs=1e-3)
            pixels.append(file.read(1, out_shape=(300, 300)))
    assert np.ptp(pixels[0]) > 300
    assert all(np.array_equal(each, pixels[0]) for each in pixels)


def test_they_lie_side_by_side(scenes):
    [first, right, below, _] = (scene.footprint.bounds for scene in scenes)
    assert (right[0], right[1]) == (first[2], first[1])
    assert (below[0], below[3]) == (first[0], first[1])


@pytest.mark.parametrize(("zoom", "tiles"), [(3, 5 * 7), (5, 7 * 9), (10, 7 * 9)])
def test_a_map_is_of_7_by_9_tiles_and_ends_where_the_world_does(zoom, tiles):
    view = boreal.view(zoom)
    assert len(set(view)) == len(view) == tiles
    assert all(0 <= tile.x < 2**zoom and 0 <= tile.y < 2**zoom for tile in view)


def test_what_should_be_shown_is_what_lies_in_a_scene(scenes):
    x, y = scenes[0].lonlat.centroid.coords[0]
    inside = morecantile.tms.get("WebMercatorQuad").tile(x, y, 11)
    assert not boreal.covered(scenes, boreal.view(3)[0], 16).any()
    assert 0 < sum(boreal.covered(scenes, tile, 16).sum() for tile in boreal.view(5)) < 256
    assert boreal.covered(scenes, inside, 16).all()
