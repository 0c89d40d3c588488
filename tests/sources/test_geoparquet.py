"""Rows of stac-geoparquet."""

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow.parquet import write_table

from items import NOW, item
from livemosaic.errors import InvalidRequestError
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.sources.geoparquet import Parquet
from livemosaic.model.order import Order
from sources.parquet import write


def document(n: int) -> dict[str, Any]:
    """Every other one has an asset and a property more."""
    href = f"https://example.com/{n}.tif"
    assets = {"visual": {"href": href, "type": "image/tiff; application=geotiff"}}
    if n % 2:
        assets["nir"] = {"href": f"https://example.com/{n}-nir.tif", "type": "image/tiff"}
    more = {"eo:cloud_cover": n / 2} if n % 2 else {}
    return item(f"s{n:04}", assets=assets, properties=more, updated="2026-02-01T00:00:00.5Z")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "items.parquet", [document(n) for n in range(600)])


def test_rows_are_the_items_that_were_written(path: Path) -> None:
    """What a column has and an Item has not is not there; times are the same."""
    entries = list(Parquet(str(path)).read(NOW, None))
    assert [entry.line for entry in entries] == list(range(1, 601))
    assert Parquet(str(path)).rows() == 600
    for n in (2, 3):
        body: Any = entries[n].message.body
        found = StacItem.parse(body, order=Order(NOW), base=None)
        wanted = StacItem.parse(document(n), order=Order(NOW), base=None)
        assert (found.id, found.collection) == (wanted.id, wanted.collection)
        assert (found.order, found.footprint) == (wanted.order, wanted.footprint)
        assert body["assets"] == document(n)["assets"]
        assert body["geometry"] == document(n)["geometry"]
        assert body["properties"].get("eo:cloud_cover") == (1.5 if n == 3 else None)
        assert ("eo:cloud_cover" in body["properties"]) is (n == 3)


@pytest.mark.parametrize("row", [1, 255, 256, 300, 599, 600])
def test_reading_goes_on_behind_any_row(path: Path, row: int) -> None:
    source = Parquet(str(path))
    mark = list(source.read(NOW, None))[row - 1].mark
    assert mark
    rest = [entry.line for entry in source.read(NOW, mark.place)]
    assert rest == list(range(row + 1, 601))


def test_another_file_by_the_same_name_is_noticed(path: Path) -> None:
    before = Parquet(str(path)).identity
    write(path, [document(1)])
    assert Parquet(str(path)).identity != before


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "No such file"), (b"", "size is 0"), (b"PAR1 no parquet at all PAR1", "footer")],
    ids=["missing", "empty", "other"],
)
def test_what_is_no_parquet_is_named(tmp_path: Path, text: bytes | None, says: str) -> None:
    path = tmp_path / "items.parquet"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(InvalidRequestError, match=says) as told:
        list(Parquet(str(path)).read(NOW, None))
    assert "items.parquet" in str(told.value)


def test_a_file_that_is_cut_short_or_changed_inside_is_named(path: Path) -> None:
    body = path.read_bytes()
    for broken in (body[: len(body) // 2], bytes(20_000) + body[20_000:]):
        path.write_bytes(broken)
        with pytest.raises(InvalidRequestError, match=r"cannot read '.*items\.parquet': \w"):
            list(Parquet(str(path)).read(NOW, None))


def test_a_row_that_is_no_item_has_the_reason_with_it_and_the_others_go_on(tmp_path: Path) -> None:
    point = b"\x01\x01\0\0\0" + bytes(16)
    table = pyarrow.table({"id": ["a", "b", "c"], "geometry": [point, b"no WKB", point]})
    write_table(table, tmp_path / "other.parquet")
    first, second, third = Parquet(str(tmp_path / "other.parquet")).read(NOW, None)
    assert "geometry is not WKB: " in second.problem
    assert [entry.message.body["id"] for entry in (first, third)] == ["a", "c"]
