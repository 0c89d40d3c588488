"""What a request names beyond reason is refused in words wherever it can be named, cheaply."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from api.served import footprint, serving, tile_url
from fuzz.apart import Apart, serving_apart
from fuzz.targets import FEATURE, PATH, SOUTH, WEST
from livemosaic.table.sqlite import SqliteTable

REFUSALS: Final = {400, 414}
LONGEST_S: Final = 10.0
MOST_MEMORY: Final = 200 * 1024
"""KiB by which all of these requests may make the server's process larger."""

PARAMETERS: Mapping[str, Sequence[Any]] = {
    "rescale": ["nan,nan", "5,5", "10,0", "1", "0,inf", ["0,1"] * 65],
    "expression": [
        "9**9**9", "9**-9", "-" * 7000, "b1;" * 2000, "b1+" * 2000 + "b1", "(" * 900 + ")" * 900,
        "__import__('os')", "b1.real", "sin(" * 50 + "b1" + ")" * 50, "b1 if b1 else b2",
        "1e999*b1",
    ],
    "bidx": [[1] * 500, 0, -1, 10**30],
    "assets": [["visual"] * 17, "x" * 3000],
    "nodata": ["inf", "none"],
    "colormap": ["{", "[]", '{"a":[0,0,0,0]}', '{"1":[0,0]}', "[" * 3000, '{"1":[1e999,0,0,0]}'],
    "colormap_name": ["plaid", "../../etc/passwd"],
    "color_formula": ["magic", "gamma rgb nan", "gamma q 1", "gamma rgb 1.1 " * 500],
    "algorithm": ["magic", "../x"],
    "algorithm_params": ["{", "[" * 3000, "[]"],
    "tilesize": [0, -1, 16384, 10**100],
    "buffer": ["nan", "inf", "0.3", "-1", "1e9"],
    "padding": ["-1", "1e9"],
    "width": [0, -1, 10**9],
    "height": [0, -1, 10**9],
    "max_size": [0, -1],
    "resampling": ["magic", "gauss"],
    "pixel_selection": ["magic"],
    "coord_crs": ["magic", "EPSG:999999", "/etc/passwd", "+proj=longlat", "EPSG:5703"],
    "dst_crs": ["magic", "EPSG:999999", "http://localhost/crs"],
    "crs": ["magic", "EPSG:999999"],
    "sortby": ["cloud_cover", "-"],
    "viewpoint": ["7", "nan,nan", "999,0"],
    "lock": [["x"] * 2000],
    "ids": [["x"] * 2000],
    "datetime": ["yesterday", "2026/2025", "../.."],
    "filter": ["1=", "(" * 3000, "nothing='kept'"],
    "max_scenes": [0, -1],
    "min_pixels": [-1],
    "mosaicRule": ["{", "[" * 3000, '{"mosaicMethod":"magic"}', '{"mosaicOperation":"magic"}'],
    "histogram_bins": ["0", "nan", "1e9", "5,4", "1," * 2000],
    "histogram_range": ["nan,1", "5"],
    "p": [101, -1, [50] * 1000],
    "c": ["nan", "inf"],
    "cover_scale": [0, 10**6],
    "zooms": ["WebMercatorQuad", "*::5", "*::9,1"],
    "render": ["nothing"],
}  # fmt: skip
"""By name; each is refused by every route that takes it."""

SPIRAL = [[WEST + n % 700 / 2000, SOUTH + n / 900_000] for n in range(200_000)]


def polygon(*rings: Any) -> dict[str, Any]:
    return {**FEATURE, "geometry": {"type": "Polygon", "coordinates": list(rings)}}


BODIES: Mapping[str, Any] = {
    "null": None,
    "a list": [],
    "no geometry": {**FEATURE, "geometry": None},
    "200,000 vertices": polygon([*SPIRAL, SPIRAL[0]]),
    "no rings": polygon(),
    "two vertices": polygon([[0, 0], [1, 1]]),
    "numbers too large": polygon([[0, 0], [1e400, 0], [1, 1], [0, 0]]),
    "beyond the poles": polygon([[0, 0], [0, 999], [999, 999], [0, 0]]),
    "words for numbers": polygon([["a", "b"], [1, 1], [2, 2], ["a", "b"]]),
    "a point": {**FEATURE, "geometry": {"type": "Point", "coordinates": [WEST, SOUTH]}},
    "a geometry": footprint(),
    "in itself": {"type": "FeatureCollection", "features": [{"type": "FeatureCollection"}]},
}
"""Of which no route makes a picture."""

DEEP = '{"type":"Feature","geometry":' + "[" * 100_000 + "]" * 100_000 + "}"

PATHS: Mapping[str, tuple[str, str]] = {
    "box inverted": ("bbox/8,46,7,45.png", "46"),
    "box without area": ("bbox/7,45,7,45.png", "7,45,7,45"),
    "box of nan": ("bbox/nan,nan,nan,nan.png", "nan"),
    "box of inf": ("bbox/-inf,-inf,inf,inf.png", "inf"),
    "box beyond the poles": ("bbox/0,80,1,999.png", "999"),
    "box of three": ("bbox/1,2,3.png", ""),
    "box of a million pixels a side": (
        f"bbox/{WEST},{SOUTH},8,45.7/1000000x1000000.png",
        "1000000",
    ),
    "box of no pixels": (f"bbox/{WEST},{SOUTH},8,45.7/0x0.png", "0"),
    "place beyond the poles": ("point/0,999", "999"),
    "place of nan": ("point/nan,nan", "nan"),
    "place in words": ("point/here,there", "here"),
    "map of a box of three": ("map?bbox=1,2,3", "1,2,3"),
    "map of a box of nan": ("map?bbox=nan,nan,nan,nan", "nan"),
}


@dataclass(frozen=True)
class Described:
    """A server in a process of its own, and what it takes."""

    server: Apart
    operations: Sequence[tuple[str, str, Mapping[str, Any]]]
    """Method, path and definition."""

    @property
    def client(self) -> httpx.Client:
        return self.server.client


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    """What is asked of it must not make it large: its memory is looked at in the end."""
    folder = tmp_path_factory.mktemp("apart")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        server.create("m")
        server.publish("a", [10, 20, 30])
        document = server.client.get("/openapi.json").json()
    with serving_apart(folder, LONGEST_S) as made:
        made.client.get(tile_url(".png")).raise_for_status()
        before = made.peak_kib
        yield Described(made, list(_operations(document)))
        assert made.peak_kib - before < MOST_MEMORY, "bad requests took memory"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """One for each function, however many paths lead to it."""
    met = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in ("get", "post") and operation["summary"] not in met:
                met.add(operation["summary"])
                yield method, path, operation


def _filled(path: str) -> str:
    return path.format(**{**PATH, "format": "npy"})


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_is_refused_wherever_it_is_taken(apart: Described, name: str) -> None:
    taking = [
        (method, path)
        for method, path, operation in apart.operations
        if any(p["name"] == name and p["in"] == "query" for p in operation.get("parameters", ()))
    ]
    assert taking
    accepted = [
        (path, str(value)[:80], answer.status_code, answer.text[:200])
        for method, path in taking
        for value in PARAMETERS[name]
        if not _is_refused(answer := _ask(apart, method, path, {name: value}))
    ]
    assert accepted == []


def _ask(apart: Described, method: str, path: str, query: Mapping[str, Any]) -> httpx.Response:
    body = FEATURE if method == "post" else None
    return apart.client.request(method, _filled(path), params=dict(query), json=body)


def _is_refused(answer: httpx.Response) -> bool:
    return answer.status_code in REFUSALS and 0 < len(answer.json()["detail"]) < 1000


@pytest.mark.parametrize("route", ["feature", "feature.png", "statistics"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_area_is_refused(apart: Described, route: str, body: Any) -> None:
    content = json.dumps(body).replace("Infinity", "1e400")
    answer = apart.client.post(
        f"/mosaics/m/{route}", content=content, headers={"Content-Type": "application/json"}
    )
    assert _is_refused(answer), answer.text[:300]


@pytest.mark.parametrize("route", ["feature", "statistics"])
def test_a_body_that_is_deep_is_refused(apart: Described, route: str) -> None:
    answer = apart.client.post(
        f"/mosaics/m/{route}", content=DEEP, headers={"Content-Type": "application/json"}
    )
    assert _is_refused(answer), answer.text[:300]


@pytest.mark.parametrize(("path", "named"), PATHS.values(), ids=PATHS)
def test_a_path_that_leads_nowhere_is_refused(apart: Described, path: str, named: str) -> None:
    answer = apart.client.get(f"/mosaics/m/{path}")
    assert answer.status_code in (400, 404), answer.text[:300]
    assert named in answer.json()["detail"]


@pytest.mark.parametrize("mosaic", ["..%2Fx", "%2e%2e", "a%23b", "😀", "m" * 3000, "%00", "m%0a"])
def test_a_mosaic_that_cannot_be_is_not_found(apart: Described, mosaic: str) -> None:
    for rest in ("info", "map", "tiles/WebMercatorQuad/0/0/0", "point/0,0", "WMTSCapabilities.xml"):
        answer = apart.client.get(f"/mosaics/{mosaic}/{rest}")
        assert answer.status_code == 404, (rest, answer.text[:300])
