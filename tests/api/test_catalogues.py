"""What requests may name, and legends."""

import morecantile
import pytest
import rasterio
from planetcantile import planetary_tms
from rasterio.io import MemoryFile
from rio_tiler.colormap import cmap
from titiler.core.algorithm import algorithms
from titiler.core.models.OGC import TileMatrixSetList

from api.served import Server, quiet

OTHER_BODIES = [name for name in planetary_tms.list() if not name.startswith("Earth")]
LISTS = {
    "/tileMatrixSets": ("tileMatrixSets", {*morecantile.tms.list(), *OTHER_BODIES}),
    "/algorithms": ("algorithms", algorithms.list()),
    "/colorMaps": ("colormaps", cmap.list()),
}


@pytest.mark.parametrize("path", LISTS)
def test_everything_is_listed_with_a_link_that_leads_to_it(server: Server, path: str) -> None:
    key, names = LISTS[path]
    listed = server.get(path).json()[key]
    assert sorted(one["id"] for one in listed) == sorted(names)
    for one in (listed[0], listed[-1]):
        assert server.get(one["links"][0]["href"]).status_code == 200


@pytest.mark.parametrize("path", LISTS)
def test_what_is_not_there_is_not_found(server: Server, path: str) -> None:
    answer = server.get(f"{path}/nonesuch")
    assert answer.status_code == 404
    assert "'nonesuch'" in answer.json()["detail"]


def test_the_list_of_matrix_sets_is_that_of_the_standard(server: Server) -> None:
    TileMatrixSetList.model_validate(server.get("/tileMatrixSets").json())


def test_a_matrix_set_can_be_made_of_what_is_told(server: Server) -> None:
    for tms_id in morecantile.tms.list():
        told = server.get(f"/tileMatrixSets/{tms_id}").json()
        assert morecantile.TileMatrixSet.model_validate(told) == morecantile.tms.get(tms_id)


def test_an_algorithm_says_what_it_takes(server: Server) -> None:
    told = server.get("/algorithms/hillshade").json()
    assert (told["title"], told["inputs"]) == ("Hillshade", {"nbands": 1})
    assert told["outputs"]["dtype"] == "uint8"
    assert told["parameters"]["azimuth"]["maximum"] == 360
    assert not {"title", "description", "input_nbands"} & set(told["parameters"])


class TestColormap:
    def test_it_tells_the_color_of_each_value(self, server: Server) -> None:
        told = server.get("/colorMaps/viridis").json()
        assert len(told) == 256
        assert told["255"] == [int(part) for part in cmap.get("viridis")[255]]

    @pytest.mark.parametrize(
        ("query", "shape"),
        [
            ({}, (20, 256)),
            ({"orientation": "vertical"}, (256, 20)),
            ({"width": 100, "height": 5}, (5, 100)),
            ({"orientation": "vertical", "width": 7}, (256, 7)),
        ],
        ids=["lying", "upright", "sized", "partly sized"],
    )
    def test_its_legend_goes_through_all_colors(
        self, server: Server, query: dict[str, str], shape: tuple[int, int]
    ) -> None:
        answer = server.get("/colorMaps/viridis", f="png", **query)
        assert answer.headers["Content-Type"] == "image/png"
        with quiet(), MemoryFile(answer.content) as file, file.open() as image:
            assert image.shape == shape
            pixels = image.read()
        colors = cmap.get("viridis")
        assert tuple(pixels[:, 0, 0]) == colors[0]
        assert tuple(pixels[:, -1, -1]) == colors[255]

    @pytest.mark.parametrize(
        ("f", "driver"),
        [("jpg", "JPEG"), ("webp", "WEBP"), ("tif", "GTiff"), ("jp2", "JP2OpenJPEG")],
    )
    def test_it_comes_in_the_formats_of_tiles(self, server: Server, f: str, driver: str) -> None:
        answer = server.get("/colorMaps/viridis", f=f)
        with quiet(), MemoryFile(answer.content) as file, rasterio.open(file) as image:
            assert image.driver == driver

    @pytest.mark.parametrize("query", [{"width": 2049}, {"height": 0}, {"width": "1e3"}])
    def test_a_legend_has_a_size_to_be_drawn(self, server: Server, query: dict[str, str]) -> None:
        assert server.get("/colorMaps/viridis", f="png", **query).status_code == 400
