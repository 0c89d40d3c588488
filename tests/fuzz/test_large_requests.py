"""The largest images that may be asked for leave a server within the memory of a Lambda."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
import pytest

from api.served import EDGE, SIZE, Part, footprint, serving
from arcgis.asking import BOX, url
from fuzz.apart import Apart, serving_apart
from livemosaic.table.sqlite import SqliteTable
from packaged.building import ROOT

LONGEST_S: Final = 120.0
CONFIG: Final = (ROOT / "infra/livemosaic_cdk/config.py").read_text()
LAMBDA_KIB: Final = 1024 * int(re.findall(r"tiler_memory: int = Field\((\d+)", CONFIG)[0])
"""Memory of the tiler, of which a hundred MiB are left for what a Lambda has beside it."""
SPARE_KIB: Final = 100 * 1024
MAP = {
    "SERVICE": "WMS", "VERSION": "1.3.0", "REQUEST": "GetMap", "LAYERS": "colors", "STYLES": "",
    "CRS": "EPSG:3857", "BBOX": BOX, "WIDTH": 2048, "HEIGHT": 2048, "FORMAT": "image/png",
    "TRANSPARENT": "TRUE",
}  # fmt: skip
EIGHT = ",".join(f"layer{number}" for number in range(8))
RING = [
    [round(EDGE.left) + n % 700 * 50, round(EDGE.bottom) + n * 3 // 2 + n % 2] for n in range(800)
]


def chained(name: str, raster: Any = None, **arguments: Any) -> dict[str, Any]:
    given = arguments | ({"Raster": raster} if raster else {})
    return {"rasterFunction": name, "rasterFunctionArguments": given}


SIXTEEN = chained("ExtractBand", BandIDs=[*range(8)] * 2)
FIRST = chained("ExtractBand", BandIDs=[0])
FLOATS = chained("ExtractBand", BandIDs=[0, 1]) | {"outputPixelType": "F64"}
CLIPPED = chained("Stretch", SIXTEEN, StretchType=6, DRA=True, UseGamma=True, Gamma=[2])
RANGES = {
    "InputRanges": [n * 200 + end for n in range(256) for end in (0, 200)],
    "OutputValues": [n / 2 for n in range(256)],
}
MAPS: Mapping[str, dict[str, Any]] = {
    "of noise with a palette": {"FORMAT": "image/png8"},
    "of three worlds": {"BBOX": "-60000000,-20000000,60000000,20000000", "HEIGHT": 683},
    "in another projection": {"CRS": "EPSG:3035", "BBOX": "1e6,1e6,6e6,6e6"},
    "of eight layers": {"LAYERS": EIGHT, "WIDTH": 724, "HEIGHT": 724, "FORMAT": "image/png8"},
    "of all scenes": {"LAYERS": "deep", "method": "center", "operation": "median"},
    "of sixteen bands": {"LAYERS": "bands", "FORMAT": "image/tiff", "bidx": [*range(1, 9)] * 2},
    "of eight expressions": {
        "LAYERS": "bands", "FORMAT": "image/tiff", "expression": ";".join(["b1*b2+b3/b4"] * 8),
    },
}  # fmt: skip
EXPORTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "lerc": ("colors", {"format": "lerc", "pixelType": "F64"}),
    "bsq": ("colors", {"format": "bsq", "pixelType": "F64"}),
    "tiff": ("colors", {"format": "tiff", "pixelType": "F64"}),
    "palette": ("bands", {"format": "png8", "bandIds": "0,3,5"}),
    "cubic": ("colors", {"format": "png32", "interpolation": "RSP_CubicConvolution"}),
    "clipped": ("bands", {"format": "png32", "renderingRule": CLIPPED}),
    "remapped": ("bands", {"format": "tiff", "renderingRule": chained("Remap", **RANGES)}),
    "shaded": ("bands", {"format": "png32", "renderingRule": chained("Hillshade", FIRST)}),
    "least": ("deep", {"format": "png32", "mosaicRule": {"mosaicOperation": "MT_MIN"}}),
}
TOO_LARGE: Mapping[str, dict[str, Any]] = {
    "float64": {"format": "lerc", "pixelType": "F64", "bandIds": "0,1,2,3,4,5,6,7"},
    "bands": {"format": "tiff", "renderingRule": chained("ExtractBand", FLOATS, BandIDs=[0] * 16)},
    "remapped": {"format": "tiff", "renderingRule": chained("Remap", SIXTEEN, **RANGES)},
    "typed": {
        "format": "png32", "renderingRule": SIXTEEN | {"outputPixelType": "F64"},
    },
}  # fmt: skip
BOXES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "deviation": ("npy", {"operation": "stdev"}),
    "median": ("tif", {"operation": "median", "bidx": [*range(1, 9)] * 2}),
    "expressions": ("npy", {"operation": "median", "expression": ";".join(["b1*b2+b3/b4"] * 8)}),
}
COLUMNS, ROWS = 5, 4


def part_of(number: int) -> Part:
    """One of twenty parts of the tile, side by side."""
    across, down = number % COLUMNS, number // COLUMNS
    wide, high = SIZE / COLUMNS, SIZE / ROWS
    edges = across * wide, down * high, (across + 1) * wide, (down + 1) * high
    left, top, right, bottom = map(round, edges)
    return left, top, right, bottom


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    """Mosaics of noise: `colors`, eight `bands` of 16 bits, 30 scenes `deep`, and eight layers.

    Eight bands of 20 scenes lie one on another in `stack`, and side by side in `beside`.
    """
    folder = tmp_path_factory.mktemp("apart")
    noise = np.random.default_rng(4).integers(0, 60_000, (8, 256, 256), "uint16")
    colors = (noise[:3] % 251).astype("uint8")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        for name in ("colors", *EIGHT.split(",")):
            server.create(name)
            server.publish("a", colors, mosaic=name)
        server.create("bands")
        server.publish("a", noise, mosaic="bands")
        server.create("deep")
        for day in range(1, 31):
            server.publish(f"s{day}", np.roll(colors, day, axis=2), mosaic="deep", day=day)
        server.create("stack")
        server.create("beside")
        for day in range(20):
            server.publish(f"s{day}", np.roll(noise, day, axis=2), mosaic="stack", day=day + 1)
            left, top, right, bottom = part = part_of(day)
            own = noise[:, top:bottom, left:right]
            server.publish(f"s{day}", own, part, mosaic="beside", day=day + 1)
    as_lambda = {"LIVEMOSAIC_MAX_LARGE_IMAGES": "1"}
    with serving_apart(folder, LONGEST_S, **as_lambda) as made:
        yield made
        assert made.peak_kib < LAMBDA_KIB - SPARE_KIB, f"{made.peak_kib:,} KiB"


def exported(apart: Apart, mosaic: str, asked: Mapping[str, Any]) -> Any:
    given = {"bbox": BOX, "size": "2048,2048", "f": "image", **asked}
    form = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in given.items()}
    return apart.client.post(url("exportImage", mosaic), data=form)


@pytest.mark.parametrize("asked", MAPS.values(), ids=MAPS)
def test_a_map_as_large_as_may_be_is_drawn(apart: Apart, asked: Mapping[str, Any]) -> None:
    path = (
        "/wms"
        if "," in asked.get("LAYERS", "")
        else f"/mosaics/{asked.get('LAYERS', 'colors')}/wms"
    )
    answer = apart.client.get(path, params=MAP | asked)
    assert answer.headers["Content-Type"].startswith("image/"), answer.text


@pytest.mark.parametrize(("mosaic", "asked"), EXPORTS.values(), ids=EXPORTS)
def test_an_image_as_large_as_may_be_is_exported(
    apart: Apart, mosaic: str, asked: Mapping[str, Any]
) -> None:
    answer = exported(apart, mosaic, asked)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("asked", TOO_LARGE.values(), ids=TOO_LARGE)
def test_values_of_more_bytes_are_refused(apart: Apart, asked: Mapping[str, Any]) -> None:
    answer = exported(apart, "bands", asked)
    assert answer.status_code == 400
    assert "134,217,728 at most" in answer.json()["error"]["message"]


@pytest.mark.parametrize("operation", ["identify", "getSamples", "query"])
@pytest.mark.parametrize(
    "geometry",
    [
        {"rings": [[*RING, RING[0]]]},
        {"rings": [[*RING[:300], RING[0]]] * 100},
        {"rings": [[*RING, RING[0]]] * 101},
        {"paths": [RING]},
        {"points": RING},
        {"points": RING * 100},
        {"xmin": -2e7, "ymin": -2e7, "xmax": 2e7, "ymax": 2e7},
    ],
    ids=["a ring", "100 rings", "101 rings", "a path", "points", "too many", "the world"],
)
def test_geometries_of_any_size_get_a_document(
    apart: Apart, operation: str, geometry: dict[str, Any]
) -> None:
    form = {"geometry": json.dumps(geometry), "sampleCount": 1000, "f": "json"}
    answer = apart.client.post(url(operation, "colors"), data=form)
    assert answer.status_code in (200, 400), answer.text
    assert answer.headers["Content-Type"].startswith("application/json"), answer.text


def test_statistics_are_of_blocks(apart: Apart) -> None:
    left, bottom, right, top = EDGE
    box = {"xmin": left, "ymin": bottom, "xmax": right, "ymax": top}
    form = {"geometry": json.dumps(box), "pixelSize": f"{(right - left) / 3000}", "f": "json"}
    answer = apart.client.post(url("computeStatisticsHistograms", "bands"), data=form)
    assert len(answer.json()["statistics"]) == 8, answer.text


def boxed(apart: Apart, mosaic: str, file_format: str, asked: Mapping[str, Any]) -> Any:
    path = f"/mosaics/{mosaic}/bbox/{BOX}/2048x2048.{file_format}"
    crs = {"coord_crs": "EPSG:3857", "dst_crs": "EPSG:3857"}
    return apart.client.get(path, params=crs | asked)


@pytest.mark.parametrize(("file_format", "asked"), BOXES.values(), ids=BOXES)
def test_a_box_as_large_as_may_be_is_drawn(
    apart: Apart, file_format: str, asked: Mapping[str, Any]
) -> None:
    """Of scenes that lie one on another, as far as they fit: what is skipped is named."""
    answer = boxed(apart, "stack", file_format, asked)
    assert answer.status_code == 200, answer.text
    assert "that an image may have" in unquote(answer.headers["X-Skipped-Scenes"])


def test_many_at_once_take_as_much_as_one(apart: Apart) -> None:
    """Six of them took up to 3 GB."""
    with ThreadPoolExecutor(8) as pool:
        exports = [pool.submit(exported, apart, *EXPORTS["lerc"]) for _ in range(4)]
        boxes = [pool.submit(boxed, apart, "deep", "npy", {"operation": "stdev"}) for _ in range(2)]
    assert {each.result().status_code for each in exports + boxes} == {200}
    assert apart.peak_kib < LAMBDA_KIB - SPARE_KIB, f"{apart.peak_kib:,} KiB"


@pytest.mark.parametrize("expression", ["", "b1;b2;b3;b4"], ids=["bands", "expression"])
def test_scenes_side_by_side_take_as_much_as_one(apart: Apart, expression: str) -> None:
    asked = {"expression": expression} if expression else {}
    answer = boxed(apart, "beside", "npy", asked)
    assert answer.status_code == 200, answer.text
    assert "X-Skipped-Scenes" not in answer.headers
    assert np.load(io.BytesIO(answer.content))[-1].all()


def test_statistics_of_an_area_are_of_all_bands(apart: Apart) -> None:
    area = {"type": "Feature", "properties": {}, "geometry": footprint()}
    asked = {"max_size": 2048, "operation": "stdev"}
    answer = apart.client.post("/mosaics/stack/statistics", json=area, params=asked)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["properties"]["statistics"]) == 8
