"""What the documentation and `make deploy` say of costs is what is measured."""

import json
from pathlib import Path

import pytest

from bench.costs import SAVED, ArchiveCost, measure
from livemosaic.cli.cost.dollars import PRICES, SceneUnits, million_items, million_tiles
from livemosaic_cdk.context import read
from livemosaic_cdk.tools.deploy import _plan

DOCS = Path(__file__).parents[2] / "docs" / "costs.md"


@pytest.fixture(scope="module")
def measured() -> list[ArchiveCost]:
    return [*measure()]


def test_the_documented_table_is_what_is_measured(measured: list[ArchiveCost]) -> None:
    documented = DOCS.read_text()
    assert [cost.row for cost in measured if cost.row not in documented] == []


def test_the_saved_units_are_what_is_measured(measured: list[ArchiveCost]) -> None:
    saved = [
        ArchiveCost(one["name"], one["assets"], SceneUnits(**one["units"]))
        for one in json.loads(SAVED.read_text())
    ]
    assert [cost.row for cost in saved] == [cost.row for cost in measured]


def test_headers_and_rows_are_a_million_items_greatest_parts(measured: list[ArchiveCost]) -> None:
    for cost in measured:
        parts = million_items(cost.units)
        assert parts["rows"] == pytest.approx(cost.units.write_units * 0.625)
        assert parts["headers"] == pytest.approx(cost.units.header_units * 0.625)


def test_make_deploy_states_the_same(measured: list[ArchiveCost]) -> None:
    plan = _plan(read({"buckets": "scenes"}, {}), "123456789012", first=False)
    dollars = [sum(million_items(cost.units).values()) for cost in measured]
    assert f"1 million items ${min(dollars):.2f} (" in plan
    assert f"${max(dollars):.2f} (" in plan
    tile = sum(million_tiles(1769).values())
    assert f"1 million tiles ${tile:.2f}: " in plan
    assert f"A million tiles that no CDN serves cost ${tile:.2f}: " in DOCS.read_text()


def test_less_memory_costs_less() -> None:
    parts = million_tiles(1024)
    assert parts["Lambda"] < million_tiles(1769)["Lambda"]
    assert parts["HTTP API"] == PRICES["http_api_million_requests"]
