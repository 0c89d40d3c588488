"""A scene of STAC 0.9 is drawn, and what its migration lost is named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.served import Server, raster, scene, serving
from livemosaic.table.sqlite import SqliteTable


@pytest.fixture
def server(sqlite_table: SqliteTable, folder: Path) -> Iterator[Server]:
    with serving(sqlite_table, folder) as made:
        made.create()
        yield made


def old(server: Server, **rest: Any) -> dict[str, Any]:
    hrefs = {name: server.url(raster(server.folder / f"{name}.tif", n)) for n, name in BANDS}
    document = scene("a", hrefs, stac_version="0.9.0", stac_extensions=["eo"], **rest)
    for index, asset in enumerate(document["assets"].values()):
        asset["eo:bands"] = [index]
    document["properties"]["eo:bands"] = [
        {"name": name, "common_name": common}
        for (_, name), common in zip(BANDS, ("blue", "green", "red"), strict=True)
    ]
    return document


BANDS = [(2, "B02"), (3, "B03"), (4, "B04")]


def test_the_bands_that_its_properties_list_are_found(server: Server) -> None:
    answer = server.post(old(server))
    assert answer.status_code == 200, answer.text
    assert "warnings" not in answer.text
    assert server.picture().at(0) == [4, 3, 2]


def test_what_stands_in_its_collection_is_named(server: Server) -> None:
    document = old(server)
    document["stac_extensions"].append("commons")
    answer = server.post(document)
    assert answer.status_code == 200, answer.text
    assert "extension 'commons'" in str(answer.json()["outcomes"][0]["warnings"])


def test_a_version_before_is_refused(server: Server) -> None:
    answer = server.post(old(server) | {"stac_version": "0.6.2"})
    assert answer.status_code == 400
    assert "0.8 to 1.1" in answer.text
