"""A mosaic across ±180° through rio-tiler's face: its tiles on both sides."""

from collections.abc import Iterator

import morecantile
import numpy as np
import pytest
from affine import Affine
from rio_tiler.errors import TileOutsideBounds

import livemosaic
from api.served import Server, on_socket, scene, serving
from cogs import write_cog
from items import box
from livemosaic.table.sqlite import SqliteTable

WEB = morecantile.tms.get("WebMercatorQuad")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """`m` has 7 from 178° to 182°, 3 km a pixel or so."""
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as made, on_socket(made) as url:
        made.create()
        path = write_cog(
            folder / "across.tif", np.full((1, 256, 256), 7, "uint8"),
            crs="EPSG:4326", transform=Affine(4 / 256, 0, 178, 0, -4 / 256, 2),
        )  # fmt: skip
        item = scene("across", made.url(path))
        made.add({**item, "geometry": box(178, -2, 182, 2)})
        yield made, url


@pytest.mark.parametrize("tms", ["WebMercatorQuad", "WorldCRS84Quad"])
@pytest.mark.parametrize("lon", [178.5, 179.5, -179.5, -178.5])
def test_its_tiles_are_on_both_sides(server: tuple[Server, str], tms: str, lon: float) -> None:
    made = morecantile.tms.get(tms)
    with livemosaic.open(server[1]) as connection:
        reader = livemosaic.Reader(connection["m"], tms=made)
        x, y, z = made.tile(lon, 0.5, 7)
        image = reader.tile(x, y, z)
        column, row = map(int, ~image.transform @ made.xy(lon, 0.5))
        assert image.array[:, row, column].tolist() == [7]
        with pytest.raises(TileOutsideBounds):
            reader.tile(*made.tile(-170, 0.5, 7))


def test_both_names_of_the_meridian_are_one_place(server: tuple[Server, str]) -> None:
    for lon in ("180", "-180"):
        answer = server[0].get(f"/mosaics/m/point/{lon},0.5")
        assert answer.json()["values"] == [7], lon
    for lon in (180, -180, 180.5, 539.5, -181.5):
        answer = server[0].get(
            "/arcgis/rest/services/m/ImageServer/identify",
            geometry=f"{lon},0.5", inSR=4326, f="json",
        )  # fmt: skip
        assert answer.json()["value"] == "7", lon
