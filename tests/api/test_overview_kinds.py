"""Images of overview cells have the bands, names, types and meaning of images of scenes.

Kinds of files are crossed with requests. The oracle is the same image of scenes alone: at the zoom
whose pixels the deepest cells have, down to each pixel; at lower zooms, all but the pixels.
"""

import io
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from api.overviews import build, with_overviews
from api.served import WEB, Server, quiet, tile_url
from api.test_overview_assets import SIDE, STEP, TILE, at, footprint
from cogs import write_cog
from items import deletion, item
from livemosaic.model.mosaic import Mosaic, OverviewPolicy

pytestmark = pytest.mark.slow
COUNT = 8
"""Scenes of each mosaic; odd and even ones may differ."""
COLORS = {value: (value, 255 - value, value // 2, 255) for value in range(256)}


@dataclass(frozen=True)
class Files:
    """The files of one asset of a scene."""

    bands: int = 3
    dtype: str = "uint8"
    alpha: int | None = None
    """Index of the alpha band."""
    has_mask: bool = False
    texts: bool = False
    """Whether bands have descriptions and units."""
    rest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A mosaic of scenes: the files of even and of odd scenes by asset."""

    even: Mapping[str, Files]
    odd: Mapping[str, Files] | None = None

    def files(self, number: int) -> Mapping[str, Files]:
        return self.odd if self.odd and number % 2 else self.even


def visual(files: Files, odd: Files | None = None) -> Case:
    return Case({"visual": files}, None if odd is None else {"visual": odd})


SCALED = {"scales": [0.5] * 2, "offsets": [-1.0] * 2}
CASES = {
    "rgb": visual(Files()),
    "gray": visual(Files(1)),
    "alpha last": visual(Files(4, alpha=3)),
    "alpha first": visual(Files(4, alpha=0)),
    "alpha second": visual(Files(4, alpha=1)),
    "alpha before gray": visual(Files(2, alpha=0)),
    "alpha first, uint16": visual(Files(3, "uint16", alpha=0)),
    "alpha first, or none": visual(Files(4, alpha=0), Files(3)),
    "alpha first, or last": visual(Files(4, alpha=0), Files(4, alpha=3)),
    "alpha first, three or two": visual(Files(4, alpha=0), Files(3, alpha=0)),
    "alpha first, or gray": visual(Files(4, alpha=0), Files(1)),
    "gray beside rgb": visual(Files(3), Files(1)),
    "four bands beside three": visual(Files(4), Files(3)),
    "five bands": visual(Files(5)),
    "mask": visual(Files(has_mask=True)),
    "nodata, int16": visual(Files(2, "int16", rest={"nodata": -9999})),
    "nodata, float32": visual(Files(1, "float32", rest={"nodata": float("nan")})),
    "scaled": visual(Files(2, "uint16", rest=SCALED)),
    "scaled, alpha first": visual(
        Files(3, "uint16", alpha=0, rest={"scales": [1, 0.5, 0.25], "offsets": [0, -1, 2]})
    ),
    "scaled apart": visual(Files(2, "uint16", rest=SCALED), Files(2, "uint16")),
    "described": visual(Files(2, "float32", texts=True)),
    "types": visual(Files(2, "uint8"), Files(2, "int16")),
    "palette": visual(Files(1, rest={"colormap": COLORS})),
    "two assets": Case({"red": Files(1), "nir": Files(1, "uint16")}),
    "two assets, alpha first": Case({"red": Files(2, alpha=0), "nir": Files(3, alpha=0)}),
    "two assets, one with alpha": Case({"red": Files(1), "nir": Files(3, alpha=1)}),
}
Query = Mapping[str, str | list[str]]
QUERIES: list[Query] = [
    {},
    *({"bidx": list(bands)} for bands in ("1", "2", "3", "4", "21", "42", "321")),
    *({"expression": text} for text in ("b1", "b2*1", "b3-b2", "b2/b4", "b1;b2")),
    {"unscale": "true"},
    {"unscale": "true", "bidx": "2"},
    {"return_mask": "true"},
    {"nodata": "7"},
    {"resampling": "bilinear"},
    {"rescale": "0,500"},
    {"bidx": "1", "colormap_name": "viridis", "rescale": "0,255"},
]
OF_ASSETS: list[Query] = [
    *QUERIES,
    *({"assets": names} for names in ("red", "nir", "nir,red", "nir|bidx=2", "nir|bidx=3,red")),
    *({"assets": names, "bidx": "2"} for names in ("red", "nir", "nir,red")),
    *({"expression": text} for text in ("nir", "nir_b2", "red_b2", "nir_b3*1-red_b1", "nir-red")),
]
INTERPOLATED = ("bilinear",)
DISAGREE = ("alpha first, or none", "alpha first, or last")
"""Bands have the numbers of the topmost scene of an image, and in cells their positions."""


def write(path: Path, files: Files, rng: np.random.Generator, bounds: Any) -> None:
    data = rng.integers(1, 250, (files.bands, SIDE, SIDE)).astype(files.dtype)
    holes = rng.random((SIDE, SIDE)) < 0.2
    if (nodata := files.rest.get("nodata")) is not None:
        data[:, holes] = nodata
    mask = ~holes if files.has_mask else None
    form = {"photometric": "MINISBLACK"} if files.alpha is not None else {}
    write_cog(path, data, crs="EPSG:3857", bounds=bounds, mask=mask, **form, **files.rest)
    if files.alpha is None and not files.texts:
        return
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        if files.texts:
            dataset.descriptions = tuple(f"Band {n}" for n in range(files.bands))
            dataset.units = ("m",) * files.bands
        if files.alpha is not None:
            names = [ColorInterp.undefined] * files.bands
            names[files.alpha] = ColorInterp.alpha
            dataset.colorinterp = tuple(names)


def documents(folder: Path, name: str, case: Case) -> Iterator[dict[str, Any]]:
    places = random.Random(name)
    rng = np.random.default_rng(places.randrange(10**6))
    edge = WEB.xy_bounds(TILE)
    for number in range(COUNT):
        left = edge.left + places.randrange(-64, 448) * STEP
        top = edge.top - places.randrange(-64, 448) * STEP
        bounds = (left, top - SIDE * STEP, left + SIDE * STEP, top)
        assets = {}
        for asset, files in case.files(number).items():
            path = folder / f"{name}-{number}-{asset}.tif"
            write(path, files, rng, bounds)
            assets[asset] = {"href": str(path), "type": "image/tiff"}
        yield item(
            f"s{number}", footprint(bounds), datetime=f"2026-01-{number + 1:02}", assets=assets
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with with_overviews(tmp_path_factory.mktemp("kinds")) as server, quiet():
        for number, (name, case) in enumerate(CASES.items()):
            mosaic = f"k{number}"
            assets = tuple(case.even) if len(case.even) > 1 else ()
            server.services.mosaics.create(
                Mosaic(id=mosaic, overviews=OverviewPolicy(), default_assets=assets)
            )
            server.add(*documents(server.folder, name, case), mosaic=mosaic)
            build(server, mosaic)
        yield server


def ask(server: Server, name: str, zoom: int, form: str, query: Query) -> Any:
    tile = at(zoom)
    mosaic = f"k{list(CASES).index(name)}"
    return server.get(f"{tile_url(tile=(tile.z, tile.x, tile.y), mosaic=mosaic)}.{form}", **query)


def described(body: bytes) -> tuple[dict[str, Any], NDArray[Any]]:
    """What a GeoTIFF says of its bands, and its pixels."""
    with quiet(), rasterio.MemoryFile(body) as file, file.open() as opened:
        about = {
            "dtypes": opened.dtypes,
            "names": opened.descriptions,
            "units": opened.units,
            "scales": opened.scales,
            "offsets": opened.offsets,
            "nodata": str(opened.nodata),
            "colors": opened.colorinterp,
            "flags": opened.mask_flag_enums,
        }
        return about, opened.read()


def same_pixels(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))


def queries_of(name: str) -> Sequence[Query]:
    """Each third query, but for the first, and others of the next kind; or all of them."""
    every = OF_ASSETS if len(CASES[name].even) > 1 else QUERIES
    is_full = os.environ.get("LIVEMOSAIC_TEST_DEPTH") == "full"
    return every if is_full else [every[0], *every[1 + list(CASES).index(name) % 3 :: 3]]


@pytest.mark.parametrize("name", CASES)
def test_images_of_cells_say_what_images_of_scenes_say(server: Server, name: str) -> None:
    served = 0
    for query in queries_of(name):
        live = ask(server, name, TILE.z, "tif", {**query, "overviews": "false"})
        for zoom in (TILE.z, 3):
            answer = ask(server, name, zoom, "tif", query)
            case = (name, query, zoom)
            if zoom == TILE.z:
                assert answer.status_code == live.status_code, (case, answer.content[:200])
            if live.status_code == 200 and (zoom == TILE.z or "X-Overview" in answer.headers):
                served += "X-Overview" in answer.headers
                (about, data), (expected, pixels) = map(described, (answer.content, live.content))
                if name in DISAGREE:
                    del about["names"], expected["names"]
                assert about == expected, case
                if zoom == TILE.z and query.get("resampling") not in INTERPOLATED:
                    assert same_pixels(data, pixels), case
    assert served or name == "palette"  # whose values are scenes' own: cells have colors


@pytest.mark.parametrize("name", ["rgb", "alpha first", "alpha before gray", "two assets"])
def test_statistics_name_the_bands_of_scenes(server: Server, name: str) -> None:
    west, south, east, north = WEB.bounds(at(9))
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    area = {"type": "Feature", "properties": {}, "geometry": shape}
    mosaic = f"k{list(CASES).index(name)}"
    named = []
    for overviews in ("true", "false"):
        query = {"max_size": "64", "overviews": overviews}
        answer = server.client.post(f"/mosaics/{mosaic}/statistics", json=area, params=query)
        assert answer.status_code == 200, answer.text
        named.append(list(answer.json()["properties"]["statistics"]))
    assert named[0] == named[1]


@pytest.mark.parametrize(
    "query", [{"bidx": "2"}, {"expression": "b3-b2"}, {"bidx": ["4", "2"]}], ids=str
)
def test_bands_by_number_are_served_by_cells_where_alpha_is_the_first(
    server: Server, query: Query
) -> None:
    answer = ask(server, "alpha first", 3, "tif", query)
    assert "X-Overview" in answer.headers, answer.text
    about, _ = described(answer.content)
    assert about == described(ask(server, "alpha first", TILE.z, "tif", query).content)[0]


class TestGrayTiles:
    """Scenes of one band in a mosaic of three: all images of values have the mosaic's bands."""

    @pytest.fixture
    def mixed(self, tmp_path: Path) -> Iterator[Server]:
        with with_overviews(tmp_path) as server:
            server.add(*(at_column(server, f"a{n}", 60 * n, 3) for n in range(4)))
            server.add(*(at_column(server, f"g{n}", FAR + 60 * n, 1) for n in range(2)))
            build(server)
            yield server

    @pytest.mark.parametrize("form", ["npy", "tif"])
    @pytest.mark.parametrize("overviews", ["true", "false"])
    def test_a_single_band_stands_for_each_band(
        self, mixed: Server, form: str, overviews: str
    ) -> None:
        alone = (TILE.z, TILE.x + FAR // 512, TILE.y)
        for tile in (alone, (9, TILE.x >> 3, TILE.y >> 3), (0, 0, 0)):
            answer = mixed.get(f"{tile_url(tile=tile)}.{form}", overviews=overviews)
            assert shape_of(answer.content, form) == 4
            if tile == alone:
                assert answer.headers["X-Gray-Scenes"] == GRAY[overviews]
        assert (
            "X-Gray-Scenes"
            not in mixed.get(f"{tile_url(tile=(TILE.z, TILE.x, TILE.y))}.npy").headers
        )

    def test_what_asks_for_one_band_gets_one(self, mixed: Server) -> None:
        alone = (TILE.z, TILE.x + FAR // 512, TILE.y)
        answer = mixed.get(f"{tile_url(tile=alone)}.npy", bidx="1")
        assert shape_of(answer.content, "npy") == 2
        assert "X-Gray-Scenes" not in answer.headers

    def test_an_image_in_gray_is_another_than_that_of_a_gray_mosaic(self, mixed: Server) -> None:
        """Its bands follow from other scenes: so does its ETag."""
        alone = f"{tile_url(tile=(TILE.z, TILE.x + FAR // 512, TILE.y))}.npy"
        before = mixed.get(alone)
        for number in range(4):
            mixed.post(deletion(f"a{number}"))
        build(mixed)
        mixed.services.kinds._known.clear()  # as a minute later
        known = {"If-None-Match": before.headers["ETag"]}
        after = mixed.client.get(alone, headers=known)
        assert after.status_code == 200
        assert shape_of(after.content, "npy") == 2


FAR = 3 * 512
GRAY = {"true": f"overview {TILE.z}/{TILE.x + FAR // 512}/{TILE.y}", "false": "g0,g1"}


def at_column(server: Server, name: str, column: int, bands: int) -> dict[str, Any]:
    edge = WEB.xy_bounds(TILE)
    left = edge.left + column * STEP
    bounds = (left, edge.top - SIDE * STEP, left + SIDE * STEP, edge.top)
    path = server.folder / f"{name}.tif"
    write_cog(path, np.full((bands, SIDE, SIDE), 100, np.uint8), crs="EPSG:3857", bounds=bounds)
    return item(
        name, footprint(bounds), assets={"visual": {"href": str(path), "type": "image/tiff"}}
    )


def shape_of(body: bytes, form: str) -> int:
    if form == "npy":
        return int(np.load(io.BytesIO(body)).shape[0])
    return len(described(body)[0]["names"])
