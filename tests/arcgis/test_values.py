"""Values of exported images: pixel types, no data, bands of empty images, and tiles alike."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import rasterio

from api.served import EDGE, LEFT, Server, X, Y, Z, serving
from arcgis.asking import exported, pixels, url, written
from arcgis.test_band_functions import chain
from livemosaic.table.sqlite import SqliteTable

STEPS = np.array([-2.5, -0.4, 0.4, 0.5, 1.5, 1.6, 2.5, 300])
EMPTY = f"{EDGE.left},{EDGE.top + 10_000},{EDGE.right},{2 * EDGE.top - EDGE.bottom + 10_000}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`m` of three bands, 10, 20 and 30 in the left half; `f`, `tenths` and `d` of one."""
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create()
        made.publish("a", [10, 20, 30], LEFT, dtype="int16", nodata=-1)
        made.create("f")
        fractions = np.broadcast_to(np.repeat(STEPS, 32), (1, 256, 256)).astype("float32")
        made.publish("b", fractions, mosaic="f", nodata=-9999)
        made.create("tenths")
        made.publish("t", [0.1], mosaic="tenths", dtype="float32")
        made.create("d")
        made.publish("c", [1e300], mosaic="d", dtype="float64")
        yield made


def tag(answer: Any) -> float | None:
    with rasterio.open(io.BytesIO(answer.content)) as image:
        nodata: float | None = image.nodata
        return nodata


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("U8", [0, 0, 0, 1, 2, 2, 3, 255]),
        ("S8", [-3, 0, 0, 1, 2, 2, 3, 127]),
        ("S16", [-3, 0, 0, 1, 2, 2, 3, 300]),
        ("U2", [0, 0, 0, 1, 2, 2, 3, 3]),
    ],
)
def test_fractions_become_the_nearest_whole_number(service, kind, expected) -> None:
    found = pixels(exported(service, "f", format="tiff", pixelType=kind))
    assert found[0, 100, 16::32].tolist() == expected
    assert found[-1].all()


def test_numbers_beyond_float32_become_its_largest(service: Server) -> None:
    found = pixels(exported(service, "d", format="tiff", pixelType="F32"))
    assert found[0, 128, 128] == np.finfo(np.float32).max


@pytest.mark.parametrize(("value", "shows"), [(0.1, False), (0.2, True)])
def test_nodata_is_a_number_of_the_data_type(service: Server, value: float, shows: bool) -> None:
    found = pixels(exported(service, "tenths", format="tiff", noData=value))
    assert bool(found[-1].any()) is shows


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({}, -1),
        ({"bandIds": 1}, -1),
        ({"pixelType": "S32"}, None),
        ({"renderingRule": chain("BandArithmetic", BandIndexes="b1-11")}, None),
        ({"renderingRule": chain("Remap", InputRanges=[0, 99], OutputValues=[-1])}, None),
    ],
    ids=str,
)
def test_a_computed_image_has_no_nodata_number_of_the_scenes(service, more, kept) -> None:
    answer = exported(service, format="tiff", **more)
    assert tag(answer) == kept
    valid = pixels(answer)[-1]
    assert valid[:, :128].all()
    assert not valid[:, 128:].any()


@pytest.mark.parametrize(
    "more",
    [
        {"bandIds": 2},
        {"bandIds": "2,0", "pixelType": "U8"},
        {"renderingRule": chain("ExtractBand", BandIDs=[2])},
        {"renderingRule": chain("BandArithmetic", Method=1, BandIndexes="3 1")},
        {"renderingRule": chain("Slope", chain("ExtractBand", BandIDs=[0]))},
        {"renderingRule": chain("Stretch", StretchType=6)},
        {"renderingRule": chain("Statistics", Type="Mean")},
        {"noData": 10},
    ],
    ids=str,
)
def test_empty_images_have_the_bands_and_the_type_of_others(service: Server, more: Any) -> None:
    whole, empty = (
        pixels(exported(service, format="tiff", **{**more, **place}))
        for place in ({}, {"bbox": EMPTY})
    )
    assert not empty[-1].any()
    assert whole.dtype == empty.dtype
    if "noData" not in more:
        assert whole.shape == empty.shape


@pytest.mark.parametrize(
    "more",
    [
        {"bandIds": "2,0"},
        {"pixelType": "U8"},
        {"noData": 20},
        {"noData": 20, "noDataInterpretation": "esriNoDataMatchAll"},
        {"interpolation": "RSP_BilinearInterpolation"},
        {"renderingRule": chain("ExtractBand", BandIDs=[1]), "pixelType": "F32"},
    ],
    ids=str,
)
def test_tiles_are_exports_of_their_box(service: Server, more: Any) -> None:
    answer = service.get(url(f"tile/{Z}/{Y}/{X}"), **written({"format": "tiff", **more}))
    assert (pixels(answer) == pixels(exported(service, format="tiff", **more))).all()


@pytest.mark.parametrize(
    "more", [{"bandIds": 9}, {"pixelType": "U9"}, {"interpolation": "RSP_X"}, {"noData": "x"}],
    ids=str,
)  # fmt: skip
def test_tiles_refuse_what_exports_do(service: Server, more: Any) -> None:
    assert service.get(url(f"tile/{Z}/{Y}/{X}"), **more).status_code == 400
