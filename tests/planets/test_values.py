"""GeoTIFFs of values: the nodata value of the source, as tag and in the pixels."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from api.served import LEFT, SIZE, Server, tile_url
from planets.mars import NODATA

BOX = "76.9,18.2,77.9,19.0"


@contextmanager
def opened(answer: Any) -> Iterator[rasterio.DatasetReader]:
    assert answer.status_code == 200, answer.text
    with MemoryFile(answer.content) as file, file.open() as dataset:
        yield dataset


@pytest.mark.parametrize(
    ("mosaic", "nodata", "dtype"),
    [("dtm", NODATA, "float32"), ("ortho", NODATA, "float32"), ("shade", 0, "uint8")],
)
def test_pixels_without_data_have_the_nodata_value_of_the_source(
    mars: Server, mosaic: str, nodata: float, dtype: str
) -> None:
    with opened(mars.get(f"/mosaics/{mosaic}/bbox/{BOX}.tif", max_size=500)) as dataset:
        assert (dataset.nodata, dataset.dtypes, dataset.count) == (nodata, (dtype,), 1)
        values = dataset.read(1)
        empty = dataset.read_masks(1) == 0
        assert 0 < empty.sum() < empty.size
        assert (values[empty] == nodata).all()
        assert not (values[~empty] == 0).any()
    bands = np.load(io.BytesIO(mars.get(f"/mosaics/{mosaic}/bbox/{BOX}.npy").content))
    assert (bands[0][bands[-1] == 0] == nodata).all()


def test_statistics_of_the_terrain_have_no_zero(mars: Server) -> None:
    with opened(mars.get(f"/mosaics/dtm/bbox/{BOX}.tif")) as dataset:
        found = dataset.stats()[0]
    assert -3100 < found.min < found.max < -1900


@pytest.mark.parametrize("tms", ["MarsMercatorSphere", "MarsEquidistantCylindricalSphere"])
def test_a_tile_without_scenes_is_of_the_kind_of_all_tiles(mars: Server, tms: str) -> None:
    with opened(mars.get(f"/mosaics/dtm/tiles/{tms}/9/0/0.tif")) as dataset:
        assert (dataset.nodata, dataset.dtypes, dataset.count) == (NODATA, ("float32",), 1)
        assert (dataset.read(1) == NODATA).all()


def test_a_mask_is_there_where_it_is_asked_for(mars: Server) -> None:
    url = f"/mosaics/dtm/bbox/{BOX}.tif"
    with opened(mars.get(url)) as plain, opened(mars.get(url, return_mask=True)) as masked:
        assert masked.count == 2 and masked.colorinterp[1] == ColorInterp.alpha
        assert masked.nodata == NODATA
        assert (masked.read(1) == plain.read(1)).all()
        assert (masked.read_masks(1) == plain.read_masks(1)).all()
    with opened(mars.get(url, return_mask=False)) as bare:
        assert bare.count == 1 and bare.nodata == NODATA


@pytest.mark.parametrize("nodata", ["-9999", "nan"])
def test_nodata_chooses_the_value(server: Server, nodata: str) -> None:
    """It is the value that pixels without data are taken for, and that they are written as."""
    left = np.full((1, SIZE, SIZE // 2), -9999, np.float32)
    left[0, :, 64:] = 7
    server.publish("a", left, LEFT)
    with opened(server.tile(".tif", nodata=nodata)) as dataset:
        assert dataset.count == 1
        values = dataset.read(1)
        wanted = np.float32(float(nodata))
        assert np.array_equal(dataset.nodata, wanted, equal_nan=True)
        assert np.array_equal(
            values[:, SIZE // 2 :], np.full((SIZE, SIZE // 2), wanted), equal_nan=True
        )
        assert (values[:, 64 : SIZE // 2] == 7).all()


def test_a_file_without_nodata_keeps_its_alpha(server: Server) -> None:
    server.publish("a", 0, LEFT)
    with opened(server.tile(".tif")) as dataset:
        assert dataset.nodata is None and dataset.count == 2
        assert (dataset.read_masks(1)[:, : SIZE // 2] == 255).all()
        assert (dataset.read_masks(1)[:, SIZE // 2 :] == 0).all()


def test_valid_pixels_that_have_the_nodata_value_of_another_scene_stay_valid(
    server: Server,
) -> None:
    """A scene whose zeros are data, beside one whose zeros are none."""
    server.publish("a", 0, LEFT, dtype="uint8")
    server.publish("b", 5, (SIZE // 2, 0, SIZE, SIZE // 2), nodata=0)
    for query in ({}, {"nodata": 5}):
        with opened(server.tile(".tif", **query)) as dataset:
            assert (dataset.read_masks(1)[:, : SIZE // 2] == 255).all()
            assert (dataset.read_masks(1)[SIZE // 2 :, SIZE // 2 :] == 0).all()


@pytest.mark.parametrize(
    ("query", "dtype", "count"),
    [
        ({"rescale": "-3000,-2000"}, "uint8", 2),
        ({"expression": "dtm*2"}, "float32", 2),
        ({"expression": "dtm*2", "nodata": NODATA}, "float32", 1),
        ({"operation": "count"}, "uint8", 2),
    ],
    ids=["rescale", "expression", "expression with nodata", "count"],
)
def test_computed_values_have_an_alpha_band_as_no_number_stands_for_nothing(
    mars: Server, query: dict[str, Any], dtype: str, count: int
) -> None:
    for place in (
        f"/mosaics/dtm/bbox/{BOX}.tif",
        "/mosaics/dtm/tiles/MarsMercatorSphere/9/0/0.tif",
    ):
        with opened(mars.get(place, **query)) as dataset:
            assert (dataset.dtypes[0], dataset.count) == (dtype, count)
            assert (dataset.nodata is None) == (count == 2)


def test_an_empty_tile_is_not_the_same_before_the_first_scene(server: Server) -> None:
    far = tile_url(".tif", tile=(10, 0, 0))
    before = server.get(far)
    server.publish("a", np.ones((2, SIZE, SIZE), np.int16), nodata=-1)
    again = server.client.get(far, headers={"If-None-Match": before.headers["ETag"]})
    with opened(again) as dataset:
        assert (dataset.dtypes, dataset.nodata) == (("int16", "int16"), -1)
