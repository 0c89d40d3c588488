"""Rendering rules over the bands of a pixel, against values worked out by hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from api.served import Server, serving
from arcgis.asking import exported, pixels
from livemosaic.table.sqlite import SqliteTable

BLUE, GREEN, RED, INFRARED = 10, 20, 30, 60


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`m` of blue, green, red and near infrared; `u` and `i`, 32 bits, of large values."""
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create()
        made.publish("a", [BLUE, GREEN, RED, INFRARED], dtype="uint16")
        made.create("u")
        made.publish("b", [4_000_000_000], mosaic="u", dtype="uint32")
        made.create("i")
        made.publish("c", [2**24 + 1], mosaic="i", dtype="int32")
        yield made


def chain(name: str, raster: Any = None, **arguments: Any) -> dict[str, Any]:
    given = arguments if raster is None else {**arguments, "Raster": raster}
    return {"rasterFunction": name, "rasterFunctionArguments": given}


def image(server: Server, rule: Any, mosaic: str = "m", **more: Any) -> np.ndarray[Any, Any]:
    return pixels(exported(server, mosaic, renderingRule=rule, format="tiff", **more))


@pytest.mark.parametrize(
    ("method", "indexes", "expected"),
    [
        (1, "4 3", (60 - 30) / (60 + 30)),
        (2, "4 3 0.5", (60 - 30) / (60 + 30 + 0.5) * 1.5),
        (4, "4 3", (2 * 60 + 1 - ((2 * 60 + 1) ** 2 - 8 * (60 - 30)) ** 0.5) / 2),
        (10, "4 2", (60 - 20) / (60 + 20)),
        (11, "4 3", 60 / 30),
        (12, "4 3", 1 / 3),
        (13, "4 3", 2),
        (15, "4 3 2", 2600),
        (16, "4 3", 1),
        (17, "4 2", 2),
        (18, "4 2", (20 - 60) / (20 + 60)),
        (19, "4 3 1", 2.5 * 30 / (60 + 6 * 30 - 7.5 * 10 + 1)),
    ],
)
def test_methods_of_band_arithmetic_are_those_of_esri_by_number(
    service: Server, method: int, indexes: str, expected: float
) -> None:
    rule = chain("BandArithmetic", Method=method, BandIndexes=indexes)
    found, valid = image(service, rule)[[0, -1], 128, 128]
    assert valid
    assert found == pytest.approx(expected, rel=1e-5)


class TestRemap:
    BAND = chain("ExtractBand", BandIDs=[2])

    @pytest.mark.parametrize(
        ("more", "shows"),
        [({}, False), ({"IsLastInputRangeInclusive": True}, True),
         ({"IsLastInputRangeInclusive": "false"}, False), ({"AllowUnmatched": "false"}, False)],
        ids=str,
    )  # fmt: skip
    def test_the_upper_end_of_a_range_is_not_in_it(self, service, more, shows) -> None:
        rule = chain("Remap", self.BAND, InputRanges=[0, RED], OutputValues=[1], **more)
        assert bool(image(service, rule)[-1].any()) is shows

    @pytest.mark.parametrize(("high", "shows"), [(RED, True), (RED + 1, False)])
    def test_nor_of_a_range_without_data(self, service, high, shows) -> None:
        rule = chain(
            "Remap", self.BAND, InputRanges=[0, 99], OutputValues=[1], NoDataRanges=[0, high]
        )
        assert bool(image(service, rule)[-1].any()) is shows

    @pytest.mark.parametrize(
        ("mosaic", "output", "kept", "made"),
        [("u", 1, 4_000_000_000, 1), ("u", -1, 4_000_000_000, -1), ("u", 1e300, 4e9, 1e300),
         ("m", 3e9, RED, 3e9), ("m", -5, RED, -5), ("m", 1e300, RED, 1e300),
         ("m", 0.5, RED, 0.5), ("i", 0.5, 2**24 + 1, 0.5)],
    )  # fmt: skip
    def test_values_kept_and_made_fit_the_data_type(
        self, service, mosaic, output, kept, made
    ) -> None:
        band = self.BAND if mosaic == "m" else None
        given = {"OutputValues": [output], "AllowUnmatched": True}
        other = chain("Remap", band, InputRanges=[0, 5], **given)
        assert image(service, other, mosaic)[0, 128, 128] == kept
        rule = chain("Remap", band, InputRanges=[5, 5e9], **given)
        assert image(service, rule, mosaic)[0, 128, 128] == made
