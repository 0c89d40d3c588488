"""Images become DataArrays that rioxarray reads: the same as of a GeoTIFF with these pixels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rio_tiler.models import ImageData

import livemosaic
from api.served import EDGE, X, Y, Z
from python.conftest import Faces

xarray = pytest.importorskip("xarray", reason="xarray is not installed (livemosaic[xarray])")
rioxarray = pytest.importorskip("rioxarray", reason="rioxarray is not installed")


def written(image: ImageData, path: Path) -> Path:
    """A GeoTIFF of the same values, with the nodata value where a pixel is not valid."""
    bands, height, width = image.array.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=bands,
        dtype=image.array.dtype, crs=image.crs, transform=image.transform, nodata=image.nodata,
    ) as file:  # fmt: skip
        file.write(image.array.filled(image.nodata if image.nodata is not None else 0))
        file.descriptions = tuple(image.band_descriptions)
    return path


def read(faces: Faces, mosaic: str, **how: Any) -> ImageData:
    left, bottom, right, top = EDGE
    wide = (left - (right - left) / 4, bottom, right, top)
    return faces.index[mosaic].read(wide, crs="EPSG:3857", **{"width": 80, "height": 64, **how})


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("mosaic", ["rgb", "dem", "signed", "tiny", "double"])
@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32632", "EPSG:4326"])
def test_it_is_what_rioxarray_makes_of_a_geotiff(
    faces: Faces, tmp_path: Path, mosaic: str, crs: str, masked: bool
) -> None:
    image = read(faces, mosaic, dst_crs=crs)
    assert image.array.mask.any() and image.array.count()
    ours = livemosaic.to_xarray(image, masked=masked)
    with rioxarray.open_rasterio(written(image, tmp_path / "a.tif"), masked=masked) as opened:
        theirs = opened.load()
    assert (ours.dims, ours.dtype) == (theirs.dims, theirs.dtype)
    np.testing.assert_array_equal(ours, theirs)
    for axis in ("band", "x", "y"):
        np.testing.assert_array_equal(ours[axis], theirs[axis])
    assert ours.rio.crs == theirs.rio.crs == CRS.from_user_input(crs)
    assert ours.rio.transform() == theirs.rio.transform() == image.transform
    assert ours.rio.bounds() == pytest.approx(image.bounds)
    np.testing.assert_equal(ours.rio.nodata, theirs.rio.nodata)
    np.testing.assert_equal(ours.rio.encoded_nodata, theirs.rio.encoded_nodata)
    assert ours.attrs["long_name"] == tuple(image.band_descriptions)
    assert ours.attrs["scenes"] == image.metadata["scenes"]


def test_it_can_be_written_and_warped(faces: Faces, tmp_path: Path) -> None:
    image = read(faces, "dem", sortby="datetime")
    array = livemosaic.to_xarray(image)
    assert json.loads(array.attrs["rule"]) == image.metadata["rule"]
    array.rio.to_raster(tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.crs == image.crs
        assert [*file.transform] == pytest.approx([*image.transform])  # rioxarray's, of x and y
        back = file.read(masked=True)
    np.testing.assert_array_equal(back.mask, image.array.mask)
    np.testing.assert_array_equal(back.compressed(), image.array.compressed())
    assert array.rio.reproject("EPSG:32632").rio.crs.to_epsg() == 32632


def test_an_image_of_either_face_is_the_same(faces: Faces) -> None:
    one, other = (face["deep"].tile(X, Y, Z, tilesize=32) for face in faces.both)
    xarray.testing.assert_identical(livemosaic.to_xarray(one), livemosaic.to_xarray(other))


def test_values_without_nodata_have_no_holes_filled(faces: Faces) -> None:
    holes = read(faces, "deep")
    assert holes.nodata is None and holes.array.mask.any()
    with pytest.raises(livemosaic.InvalidRequestError, match="no nodata value"):
        livemosaic.to_xarray(holes, masked=False)
    assert np.isnan(livemosaic.to_xarray(holes)).any()
    whole = faces.index["deep"].tile(X, Y, Z)
    array = livemosaic.to_xarray(whole, masked=False)
    assert array.dtype == np.uint16 and "_FillValue" not in array.attrs
    np.testing.assert_array_equal(array, whole.array.data)


def test_without_xarray_it_says_what_is_missing(
    faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(livemosaic.InvalidRequestError, match=r"livemosaic\[xarray\]"):
        livemosaic.to_xarray(read(faces, "dem"))


def test_an_image_without_a_place_has_no_axes() -> None:
    with pytest.raises(livemosaic.InvalidRequestError, match="no place"):
        livemosaic.to_xarray(ImageData(np.ma.zeros((1, 2, 2))))


def image_of(values: list[list[int]], mask: list[list[bool]], nodata: float) -> ImageData:
    array = np.ma.MaskedArray(np.array([values], "uint16"), mask=np.array([mask]))
    return ImageData(array, crs=CRS.from_epsg(4326), bounds=(0, 0, 2, 1), nodata=nodata)


@pytest.mark.parametrize("nodata", [-9999, 70_000, 0.5, float("nan")])
def test_a_nodata_value_that_the_data_type_has_not_is_refused(nodata: float) -> None:
    holes = image_of([[1, 2]], [[True, False]], nodata)
    with pytest.raises(livemosaic.InvalidRequestError, match="no value of its data type"):
        livemosaic.to_xarray(holes, masked=False)
    whole = livemosaic.to_xarray(image_of([[1, 2]], [[False, False]], nodata), masked=False)
    assert whole.values.tolist() == [[[1, 2]]]
    assert whole.rio.nodata is None


def test_no_valid_pixel_becomes_one_without_data() -> None:
    with pytest.raises(livemosaic.InvalidRequestError, match="a value of valid pixels, too"):
        livemosaic.to_xarray(image_of([[1, 2]], [[True, False]], 2), masked=False)
    whole = livemosaic.to_xarray(image_of([[1, 2]], [[False, False]], 2), masked=False)
    assert whole.rio.nodata is None
