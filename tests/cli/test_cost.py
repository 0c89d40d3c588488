"""`livemosaic cost`: dollars by the rows of a mosaic's own scenes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.meter import Metered
from items import item, message
from livemosaic.cli import app
from livemosaic.cog.headers import Header
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.objects import Edition
from livemosaic.table import Put
from livemosaic.table.keys import header_key
from livemosaic.table.sqlite import SqliteTable
from proof.programs import InTurn

HREF = "https://example.com/a.tif"


class Filled:
    """An index with scenes, and what they cost when they came."""

    def __init__(self, folder: Path, scenes: int, **settings: Any) -> None:
        self.url = f"sqlite:///{folder}/index.db"
        self.meter = Metered(SqliteTable(folder / "index.db"))
        index = Index(self.meter, Mosaics(self.meter), InTurn())
        index.mosaics.create(Mosaic(id="m", **settings))
        self.ingest = Ingest(index, AllowList(("https://",)))
        self.add(range(scenes))

    def add(self, numbers: range) -> None:
        sent = [message(item(f"s{n:04}", href=HREF), n) for n in numbers]
        assert {outcome.status for outcome in self.ingest.batch(sent)} <= {"done"}

    def cost(self, *options: str) -> dict[str, Any]:
        return json.loads(self.text("--json", *options))

    def text(self, *options: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["--index", self.url, "cost", "m", *options])
        assert result.exit_code == code, result.output
        return result.output


@pytest.mark.parametrize("overviews", [None, OverviewPolicy()], ids=["", "with overviews"])
def test_the_units_of_a_scene_are_the_ones_that_ingestion_took(
    tmp_path: Path, overviews: OverviewPolicy | None
) -> None:
    filled = Filled(tmp_path, 20, overviews=overviews)
    filled.meter.take()
    filled.add(range(1000, 1010))
    took = filled.meter.take().per(10)
    units = filled.cost()["units"]
    deleted = 0 if overviews is None else 1  # of the mark, later, by a builder
    assert units["write_units"] == took.write_units + deleted
    assert units["stored_bytes"] == pytest.approx(took.bytes_written, rel=0.4)


def test_headers_count(tmp_path: Path) -> None:
    filled = Filled(tmp_path, 5)
    without = filled.cost()
    header = Header(bytes(range(256)) * 10, Edition(1000, "etag", ""))
    row = header.to_item() | {"bytes": b"x" * 2500}
    filled.meter.transact([Put(header_key(HREF), row)])
    found = filled.cost()
    assert (without["units"]["header_units"], found["units"]["header_units"]) == (0, 3)
    assert found["units"]["stored_bytes"] > without["units"]["stored_bytes"] + 2500


def test_few_scenes_are_counted_and_many_estimated(tmp_path: Path) -> None:
    filled = Filled(tmp_path, 300)
    counted = filled.cost("--sample", "1000")
    assert (counted["scenes"], counted["scenes_are"]) == (300, "counted")
    rough = filled.cost("--sample", "10")
    assert rough["scenes_are"] == "estimated"
    assert 150 < rough["scenes"] < 600


def test_dollars_grow_with_what_is_given(tmp_path: Path) -> None:
    filled = Filled(tmp_path, 10)
    small = filled.cost("--scenes", "1000000", "--items", "0")
    large = filled.cost("--scenes", "2000000", "--items", "1000000", "--tiles", "1000000")
    assert small["ingestion"]["rows"] == small["images"]["traffic"] == 0
    assert large["storage"]["storage"] == pytest.approx(2 * small["storage"]["storage"])
    assert large["ingestion"]["rows"] == pytest.approx(0.625 * large["units"]["write_units"])
    parts = (large["storage"], large["ingestion"], large["images"])
    assert large["total"] == pytest.approx(sum(sum(part.values()) for part in parts))


def test_a_table_for_people(tmp_path: Path) -> None:
    text = Filled(tmp_path, 3).text("--tiles", "1000000")
    assert "3 scenes (counted)" in text
    assert "1,000,000 tiles" in text
    assert "all of it" in text
    assert "A scene takes" in text


def test_an_empty_mosaic_costs_nothing(tmp_path: Path) -> None:
    filled = Filled.__new__(Filled)
    filled.url = f"sqlite:///{tmp_path}/index.db"
    Mosaics(SqliteTable(tmp_path / "index.db")).create(Mosaic(id="m"))
    assert filled.cost()["total"] == 0


@pytest.mark.parametrize("option", ["--scenes", "--items"])
def test_an_empty_mosaic_does_not_say_what_scenes_cost(tmp_path: Path, option: str) -> None:
    filled = Filled(tmp_path, 0)
    assert "has no scene yet" in filled.text(option, "1000000", code=1)
    assert filled.cost("--tiles", "1000000")["total"] > 0
    assert "A scene takes" not in filled.text()


def test_a_mosaic_that_is_not_there_is_named(tmp_path: Path) -> None:
    filled = Filled.__new__(Filled)
    filled.url = f"sqlite:///{tmp_path}/index.db"
    SqliteTable(tmp_path / "index.db").close()
    assert "there is no mosaic 'm'" in filled.text(code=1)
