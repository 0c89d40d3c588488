"""Rendering rules: chains of raster functions, against gdaldem and values worked out by hand."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from api.served import EDGE, STEP, Server, serving
from arcgis.asking import BOX, asked, exported, pixels
from livemosaic.table.sqlite import SqliteTable

HEIGHTS = (300 * np.sin(np.arange(256) / 17)[:, None] * np.cos(np.arange(256) / 11)).astype(
    "float32"
)
RENDERS = {
    "red": {"bidx": [1], "rescale": [[0, 100]]},
    "spectral": {"bidx": [1], "rescale": [[0, 200]], "colormap_name": "viridis"},
    "classes": {"bidx": [1], "colormap": {"10": [255, 0, 0, 255], "20": [0, 0, 255, 255]}},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The mosaic `m` of four bands, 10, 20, 30 and 90, and `f` of heights."""
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create(renders=RENDERS)
        made.publish("a", [10, 20, 30, 90], dtype="uint16")
        made.create("f")
        made.publish("h", HEIGHTS[None], mosaic="f", nodata=-9999)
        yield made


def chain(name: str, raster: Any = None, **arguments: Any) -> dict[str, Any]:
    given = arguments if raster is None else {**arguments, "Raster": raster}
    return {"rasterFunction": name, "rasterFunctionArguments": given}


def values(server: Server, rule: Any, mosaic: str = "m", **more: Any) -> list[Any]:
    """All bands of a pixel amid the image, without its validity."""
    found = pixels(exported(server, mosaic, renderingRule=rule, format="tiff", **more))
    assert found[-1, 128, 128] == 255
    return [round(float(v), 4) for v in found[:-1, 128, 128]][: found.shape[0] - 1]


ONE = {"ExtractBand": [10], "NDVI": [180]}
LAST = chain("ExtractBand", BandIDs=[3])
STATISTICS = [[0, 100, 50, 20]]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (chain("None"), [10, 20, 30, 90]),
        (chain("ExtractBand", BandIDs=[3, 0]), [90, 10]),
        # (90 - 30) / (90 + 30) = 0.5
        (chain("NDVI", VisibleBandID=2, InfraredBandID=3), [150]),
        (chain("BandArithmetic", Method=1, BandIndexes="4 3"), [0.5]),
        (chain("BandArithmetic", Method=0, BandIndexes="(B4 - B3) * 2"), [120]),
        # (90 - 30) / (90 + 30 + 0.5) * 1.5
        (chain("BandArithmetic", Method=2, BandIndexes="4 3 0.5"), [0.7469]),
        (chain("Stretch", StretchType=5, Statistics=STATISTICS), [26, 51, 76, 230]),
        # 50 ± 1 × 20: 30 to 70
        (
            chain("Stretch", StretchType=3, NumberOfStandardDeviations=1, Statistics=STATISTICS),
            [0, 0, 0, 255],
        ),
        (
            chain("Stretch", StretchType=5, Statistics=STATISTICS, UseGamma=True, Gamma=[2]),
            [81, 114, 140, 242],
        ),
        (
            chain(
                "Remap", chain("ExtractBand", BandIDs=[1]), InputRanges=[0, 20, 20, 50],
                OutputValues=[7, 8],
            ),
            [8],
        ),
        (
            chain(
                "Colormap", chain("ExtractBand", BandIDs=[0]),
                Colormap=[[10, 1, 2, 3], [20, 9, 9, 9]],
            ),
            [1, 2, 3],
        ),
        (chain("red"), [25]),
        (chain("BandArithmetic", BandIndexes="b1+1", raster=LAST), [91]),
        (chain("BandArithmetic", BandIndexes="b1+1", dem=LAST), [91]),
        (
            chain("Stretch", StretchType=5, Statistics=STATISTICS, UseGamma="false", Gamma=[2],
                  ComputeGamma=False, SigmoidStrengthLevel=2),
            [26, 51, 76, 230],
        ),
        (chain("Stretch", chain("red"), StretchType=5, Statistics=[[0, 50]]), [128]),
        (chain("BandArithmetic", chain("ExtractBand", BandIDs=[3]), BandIndexes="b1+1"), [91]),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_functions_give_the_values_worked_out_by_hand(
    service: Server, rule: Any, expected: list[float]
) -> None:
    found = values(service, rule)
    assert found[: len(expected)] == expected


def test_a_remap_drops_what_it_does_not_name_unless_it_keeps_it(service: Server) -> None:
    band = chain("ExtractBand", BandIDs=[3])
    rule = chain("Remap", band, InputRanges=[0, 50], OutputValues=[1])
    assert not pixels(exported(service, renderingRule=rule, format="tiff"))[-1].any()
    assert (
        values(
            service,
            chain("Remap", band, InputRanges=[0, 50], OutputValues=[1], AllowUnmatched=True),
        )[0]
        == 90
    )


@pytest.mark.parametrize(
    ("rule", "command"),
    [
        (chain("Hillshade", Azimuth=300, Altitude=40, ZFactor=2), "hillshade -az 300 -alt 40 -z 2"),
        (chain("Slope"), "slope"),
        (chain("Slope", SlopeType=2), "slope -p"),
        (chain("Aspect"), "aspect"),
    ],
    ids=["hillshade", "slope", "percent", "aspect"],
)
@pytest.mark.skipif(not shutil.which("gdaldem"), reason="gdal-bin is not installed")
def test_surfaces_are_the_ones_of_gdaldem(
    service: Server, tmp_path: Path, rule: Any, command: str
) -> None:
    (source,) = service.folder.glob("h-*.tif")
    target = tmp_path / "made.tif"
    subprocess.run(
        ["gdaldem", *command.split()[:1], source, target, *command.split()[1:], "-q"], check=True
    )
    with rasterio.open(target) as made:
        theirs = made.read(1)[2:-2, 2:-2].astype(float)
    ours = pixels(exported(service, "f", renderingRule=rule, format="tiff"))[0][2:-2, 2:-2]
    apart = np.abs(ours - theirs)
    if command == "aspect":
        apart = np.where(theirs == -9999, 0, np.minimum(apart, 360 - apart))
    most = 2 if command.startswith("hillshade") else 1e-2  # GDAL's shades are 1 to 255
    assert apart.max() <= most


def test_neighboring_images_of_a_surface_match(service: Server) -> None:
    """Each is drawn larger by what the function needs, and cut."""
    rule = chain("Hillshade")
    whole = pixels(exported(service, "f", renderingRule=rule, format="tiff"))
    middle = EDGE.left + 128 * STEP
    half = exported(
        service, "f", bbox=f"{EDGE.left},{EDGE.bottom},{middle},{EDGE.top}", size="128,256",
        renderingRule=rule, format="tiff",
    )  # fmt: skip
    assert (pixels(half)[:, :, :] == whole[:, :, :128]).all()


def test_focal_statistics_are_of_the_window_around_each_pixel(service: Server) -> None:
    rule = chain("Statistics", Type="Mean", KernelColumns=3, KernelRows=3)
    found = pixels(exported(service, "f", renderingRule=rule, format="tiff"))[0]
    window = HEIGHTS[99:102, 99:102]
    assert found[100, 100] == pytest.approx(window.mean(), rel=1e-4)


@pytest.mark.parametrize(
    "rule",
    [
        {"rasterFunction": "Convolution"}, {"rasterFunction": 5}, [], "x", {"a": 1},
        chain("Stretch", StretchType=5), chain("Stretch", StretchType=9), chain("ExtractBand"),
        chain("ExtractBand", BandIDs=[9]), chain("Remap", InputRanges=[1], OutputValues=[1]),
        chain("Colormap", ColormapName="plaid"), chain("Colormap", Colormap=[[1, 2]]),
        chain("Hillshade", Azimuth="x"), chain("Hillshade"), chain("BandArithmetic", Method=77),
        chain("BandArithmetic", Method=1, BandIndexes="4"), chain("Statistics", KernelRows=999),
        chain("BandArithmetic", Method=19, BandIndexes="4 3"),
        chain("BandArithmetic", Method=19, BandIndexes="4 3 0.5"),
        chain("BandArithmetic", Method=2, BandIndexes="4 3 nan"),
        chain("BandArithmetic", Method=14, BandIndexes="4 3 2"),
        chain("Remap", InputRanges=[0, 9], OutputValues=[1], AllowUnmatched="perhaps"),
        chain("BandArithmetic", BandIndexes="__import__('os')"), chain("red", chain("None", "x")),
        chain("Slope", SlopeType=3), chain("Hillshade", HillshadeType=1),
        chain("NDVI", ScientificOutput=True), chain("Slope", Azimuth=3),
        chain("Remap", InputRanges=[0, 9], OutputValues=[1], ReplacementValue=7),
        chain("ExtractBand", BandIDs=[0], raster="nothing"), chain("red", gain=2),
        chain("ExtractBand", BandIDs=[0] * 1000), chain("ExtractBand", BandIDs=[0], bandids=[1]),
        {"rasterFunction": "NDVI", "rasterfunctionarguments": {"VisibleBandID": 2}},
    ],
    ids=lambda rule: str(rule)[:50],
)  # fmt: skip
def test_what_is_not_understood_is_an_error_that_says_so(service: Server, rule: Any) -> None:
    answer = exported(service, renderingRule=rule)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]


def test_a_chain_without_end_is_refused(service: Server) -> None:
    rule: Any = chain("None")
    for _ in range(40):
        rule = chain("None", rule)
    assert exported(service, renderingRule=rule).status_code == 400


class TestNumbers:
    def test_statistics_and_histograms_of_an_area_are_those_of_its_pixels(self, service) -> None:
        found = asked(service, "computeStatisticsHistograms", "f", geometry=BOX)
        (statistics,), (histogram,) = found["statistics"], found["histograms"]
        assert statistics["min"] == pytest.approx(HEIGHTS.min())
        assert statistics["mean"] == pytest.approx(HEIGHTS.mean(), abs=1e-3)
        assert statistics["standardDeviation"] == pytest.approx(HEIGHTS.std(), rel=1e-4)
        assert statistics["count"] == 256 * 256
        assert histogram["counts"] == np.histogram(HEIGHTS, 256)[0].tolist()
        assert asked(service, "computeHistograms", "f", geometry=BOX)["histograms"] == [histogram]

    def test_pixel_sizes_make_it_rougher(self, service: Server) -> None:
        found = asked(
            service, "computeStatisticsHistograms", geometry=BOX, pixelSize=f"{4 * STEP},{4 * STEP}"
        )
        assert [band["mean"] for band in found["statistics"]] == [10, 20, 30, 90]
        assert found["statistics"][0]["count"] == 64 * 64

    def test_a_whole_service_has_statistics(self, service: Server) -> None:
        assert [band["max"] for band in asked(service, "statistics")["statistics"]] == [
            10,
            20,
            30,
            90,
        ]
        assert len(asked(service, "histograms")["histograms"]) == 4

    def test_a_point_or_a_function_is_refused(self, service: Server) -> None:
        for given in ({"geometry": "0,0"}, {"geometry": BOX, "renderingRule": chain("Slope")}, {}):
            assert asked(service, "computeHistograms", **given)["error"]["code"] == 400


class TestAbout:
    def test_legends_have_the_colors_of_a_render(self, service: Server) -> None:
        (layer,) = asked(service, "legend")["layers"]
        assert [one["label"] for one in layer["legend"]] == ["Red: b1", "Green: b2", "Blue: b3"]
        (layer,) = asked(service, "legend", renderingRule=chain("classes"))["layers"]
        assert [one["label"] for one in layer["legend"]] == ["10", "20"]
        (layer,) = asked(service, "legend", renderingRule=chain("spectral"))["layers"]
        assert [one["label"] for one in layer["legend"]][::4] == ["200", "0"]

    def test_bands_and_functions_are_listed(self, service: Server) -> None:
        bands = asked(service, "keyProperties")["BandProperties"]
        assert [one["BandName"] for one in bands] == ["b1", "b2", "b3", "b4"]
        infos = asked(service, "rasterFunctionInfos")["rasterFunctionInfos"]
        names = [one["name"] for one in infos]
        assert names[0] == "None"
        assert {"spectral", "Hillshade"} <= set(names)

    @pytest.mark.parametrize(
        ("rule", "kind", "labels"),
        [
            (
                chain("Colormap", LAST, Colormap=[[90, 255, 0, 0], [10, 0, 0, 255]]),
                "Unique Values", ["90", "10"],
            ),
            (
                chain("Colormap", chain("NDVI", VisibleBandID=2, InfraredBandID=3),
                      ColormapName="NDVI"),
                "Stretched", ["255", "191", "128", "64", "0"],
            ),
            (
                chain("Stretch", LAST, StretchType=5, Statistics=STATISTICS),
                "Stretched", ["255", "0"],
            ),
            (
                chain("Stretch", chain("ExtractBand", BandIDs=[3, 1, 0]), StretchType=6),
                "RGB Composite", ["Red: b4", "Green: b2", "Blue: b1"],
            ),
            (chain("Hillshade", LAST), "Stretched", ["255", "0"]),
        ],
        ids=lambda value: str(value)[:30],
    )  # fmt: skip
    def test_legends_are_of_the_image_that_a_chain_makes(
        self, service: Server, rule: Any, kind: str, labels: list[str]
    ) -> None:
        (layer,) = asked(service, "legend", renderingRule=rule)["layers"]
        assert layer["legendType"] == kind
        assert [one["label"] for one in layer["legend"]] == labels

    @pytest.mark.parametrize("rule", [chain("Slope", LAST), chain("ExtractBand", BandIDs=[9])])
    def test_values_without_a_range_have_no_legend(self, service: Server, rule: Any) -> None:
        assert asked(service, "legend", renderingRule=rule)["error"]["code"] == 400
