"""The small files of `../shared/faults/pixels`, each of a kind that once was wrong, at a point."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.served import Server, serving
from livemosaic.table.sqlite import SqliteTable

FAULTS = Path(__file__).parents[2].parent / "shared" / "faults" / "pixels"
FILES = [
    "f1_planar_predictor2_u1",
    "f1_planar_predictor3_f4",
    "f2_cmyk_deflate",
    "f3_units_key",
    "f4_negative_scale_y",
    "f6_nodata_fltmin_0",
]


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FAULTS / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not FAULTS.is_dir():
        pytest.skip("shared/faults/pixels is not beside the repository")
    folder = tmp_path_factory.mktemp("faults")
    table = SqliteTable(folder / "table.db")
    with serving(table, FAULTS, signing_keys=str(folder / "signing.keys")) as server:
        for item in lines("items.ndjson"):
            if item["id"] in FILES:
                for asset in item["assets"].values():
                    asset["href"] = server.url(asset["href"])
                server.create(item["id"])
                server.add(item, mosaic=item["id"])
        yield server


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_kind_that_was_wrong_is_right(server: Server, name: str) -> None:
    (right,) = (line for line in lines("right.ndjson") if line["file"] == name)
    answer = server.get(f"/mosaics/{name}/point/{right['lon']},{right['lat']}", bidx=right["bidx"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["skipped"] == []
    expected = right["right"] or [None] * len(right["bidx"])
    assert answer.json()["values"] == expected
