"""Functions over neighboring pixels: slopes on other bodies and far north, focal statistics."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from api.served import Server, serving
from arcgis.asking import asked, exported, pixels, url, written
from arcgis.test_band_functions import chain
from cogs import write_cog
from items import box, item
from livemosaic.table.sqlite import SqliteTable
from planets.mars import DEGREES, RADIUS_M, write_matrix_sets

SIDE = 256
PIXEL = 0.001
DEGREE_M = {"earth": np.pi / 180 * 6378137, "mars": np.pi / 180 * RADIUS_M}
CRS_OF = {"earth": "EPSG:4326", "mars": DEGREES}
TMS_OF = {"earth": "WebMercatorQuad", "mars": "MarsMercatorSphere"}
SOUTHS = {"equator": 0.0, "north": 60.0}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Mosaics in degrees, `earth-north`…, that rise to the east by 10 degrees; and `large`."""
    folder = tmp_path_factory.mktemp("assets")
    sets = write_matrix_sets(folder / "tms")
    with serving(SqliteTable(folder / "table.db"), folder, tile_matrix_sets=sets) as made:
        for body, tms in TMS_OF.items():
            for place, south in SOUTHS.items():
                made.create(f"{body}-{place}", tms=tms, minzoom=0, maxzoom=14)
                made.add(plane(folder, body, place, south), mosaic=f"{body}-{place}")
        made.create("whole", minzoom=0, maxzoom=4)
        world = (-180.0, -90.0, 180.0, 90.0)
        flat = write_cog(
            folder / "w.tif", np.full((1, 256, 512), 7, "float32"), crs="EPSG:4326", bounds=world
        )
        made.add(item("w", box(*world), href=str(flat)), mosaic="whole")
        made.create("large")
        made.publish("c", [2**24 + 1], mosaic="large", dtype="int32")
        yield made


def plane(folder: Path, body: str, place: str, south: float) -> dict[str, Any]:
    bounds = (10.0, south, 10 + SIDE * PIXEL, south + SIDE * PIXEL)
    east_m = np.arange(SIDE) * PIXEL * DEGREE_M[body] * np.cos(np.radians(south + SIDE * PIXEL / 2))
    heights = np.broadcast_to(np.tan(np.radians(10)) * east_m, (1, SIDE, SIDE)).astype("float32")
    path = write_cog(folder / f"{body}-{place}.tif", heights, crs=CRS_OF[body], bounds=bounds)
    return item(place, box(*bounds), href=str(path), properties={"proj:code": CRS_OF[body]})


def sloped(server: Server, body: str, place: str, rule: Any) -> np.ndarray[Any, Any]:
    south = SOUTHS[place]
    bounds = f"10,{south},{10 + SIDE * PIXEL},{south + SIDE * PIXEL}"
    wkid = CRS_OF[body].partition(":")[2]
    where = {"bbox": bounds, "bboxSR": wkid, "imageSR": wkid}
    answer = exported(server, f"{body}-{place}", **where, renderingRule=rule, format="tiff")
    return pixels(answer)[0][2:-2, 2:-2]


@pytest.mark.parametrize("place", SOUTHS)
@pytest.mark.parametrize("body", TMS_OF)
def test_a_slope_in_degrees_is_that_of_the_ground(service: Server, body: str, place: str) -> None:
    found = sloped(service, body, place, chain("Slope"))
    assert found == pytest.approx(np.full_like(found, 10), abs=0.06)


@pytest.mark.parametrize("body", TMS_OF)
@pytest.mark.parametrize(
    ("rule", "command", "most"),
    [(chain("Slope"), "slope", 1e-2), (chain("Hillshade"), "hillshade", 2)],
    ids=["slope", "hillshade"],
)
@pytest.mark.skipif(not shutil.which("gdaldem"), reason="gdal-bin is not installed")
def test_surfaces_on_the_equator_are_the_ones_of_gdaldem(
    service: Server, tmp_path: Path, body: str, rule: Any, command: str, most: float
) -> None:
    source, target = service.folder / f"{body}-equator.tif", tmp_path / "made.tif"
    scale = str(DEGREE_M[body])
    subprocess.run(["gdaldem", command, source, target, "-s", scale, "-q"], check=True)
    with rasterio.open(target) as made:
        theirs = made.read(1)[2:-2, 2:-2].astype(float)
    assert np.abs(sloped(service, body, "equator", rule) - theirs).max() <= most


@pytest.mark.parametrize("kind", ["Min", "Max", "Mean", 1, 2])
def test_focal_statistics_keep_large_integers(service: Server, kind: Any) -> None:
    rule = chain("Statistics", Type=kind)
    found = pixels(exported(service, "large", renderingRule=rule, format="tiff"))[0, 128, 128]
    assert found == (np.float32(2**24 + 1) if kind == "Mean" else 2**24 + 1)


def test_focal_functions_of_a_chain_have_one_limit(service: Server) -> None:
    one: Any = chain("Statistics", Type="Mean", KernelColumns=15, KernelRows=15)
    assert exported(service, "large", renderingRule=one, format="tiff").status_code == 200
    many = one
    for _ in range(3):
        many = chain("Statistics", many, Type="Mean", KernelColumns=15, KernelRows=15)
    answer = exported(service, "large", renderingRule=many, format="tiff")
    assert answer.status_code == 400
    assert "48,000,000" in answer.json()["error"]["message"]


@pytest.mark.parametrize("kind", [[], {}, "Sum", None, 9, True])
def test_a_statistic_that_is_none_is_an_error(service: Server, kind: Any) -> None:
    answer = exported(service, "large", renderingRule=chain("Statistics", Type=kind))
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "rule",
    [chain("Slope"), chain("Hillshade"), chain("Statistics", KernelColumns=15, KernelRows=15)],
    ids=["slope", "hillshade", "focal"],
)
@pytest.mark.parametrize(
    ("bounds", "wkid"),
    [
        (None, 3857),
        ("-180,-90,180,90", 4326),
        ("-180,60,180,90", 4326),
        ("0,-90,360,0", 4326),
        ("-540,-90,-180,90", 4326),
        ("-400,-100,400,100", 4326),
        ("100,80,180,90", 4326),
    ],
)
def test_functions_with_neighbors_work_on_the_whole_world(
    service: Server, rule: Any, bounds: str | None, wkid: int
) -> None:
    extent = asked(service, "", "whole")["fullExtent"]
    given = bounds or ",".join(str(extent[edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))
    where = {"bbox": given, "bboxSR": wkid, "imageSR": wkid, "adjustAspectRatio": False}
    plain, made = (
        pixels(exported(service, "whole", **where, format="tiff", **more))
        for more in ({}, {"renderingRule": rule})
    )
    assert made.shape[1:] == plain.shape[1:]
    assert made[-1].any()
    if rule["rasterFunction"] == "Statistics":
        inside = plain[-1] > 0
        assert made[0][inside] == pytest.approx(plain[0][inside])


def test_tiles_of_the_whole_world_have_functions_with_neighbors(service: Server) -> None:
    answer = service.get(
        url("tile/0/0/0", "whole"),
        **written({"renderingRule": chain("Slope"), "format": "tiff"}),
    )
    assert pixels(answer)[-1].any()
