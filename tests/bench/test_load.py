"""What the load benchmark says of an index is what the index did."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bench.__main__ import main
from bench.archive import open_archive
from bench.items import MIX, SWATHS
from bench.listed import Listing, send
from bench.load import SHAPE, grow
from bench.places import Emulator, Folder
from livemosaic.errors import TableBusyError
from livemosaic.ingest.item import StacItem
from livemosaic.model.order import Order

SENT = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_scene_is_whole_only_where_no_cell_lacks_it_and_a_second_row_is_no_row():
    expected = [("0", "a"), ("1", "a"), ("0", "b"), ("1", "b"), ("0", "c"), ("1", "d")]
    found = Counter({("0", "a"): 1, ("1", "a"): 2, ("0", "b"): 3, ("1", "d"): 1})
    assert Listing.of(expected, found) == Listing(
        whole=2, partly=1, nowhere=1, rows=6, missing=2, doubled=3
    )


def test_swaths_cut_more_than_half_of_the_scenes_and_leave_some_of_each():
    squares = replace(SWATHS, swath=0)
    left = [area(SWATHS, n) / area(squares, n) for n in range(200)]
    assert 0.1 < min(left) < max(left) == pytest.approx(1, 1e-3)
    assert 0.5 < sum(part < 0.999 for part in left) / len(left) < 0.7


def area(shape, n):
    return StacItem.parse(shape.item(n), order=Order(SENT)).footprint.area


def test_scenes_of_one_place_are_cut_differently():
    assert SWATHS.geometry(0) != SWATHS.geometry(100)


def test_a_load_is_accounted_for_to_the_last_scene(tmp_path):
    growth = grow("sqlite", Folder(tmp_path), (20, 35), 2, 3, peer=False)
    assert (growth.sent, growth.listed, growth.lost) == (35 + 2 - 4, 33, 0)
    assert [(s.first, s.last) for s in growth.slices] == [(0, 20), (22, 35)]
    assert all(s.usage.rows_written > 2 for s in growth.slices)
    assert [s.again_usage.write_units for s in growth.slices] == [0, 0]
    for stage in growth.stages:
        assert set(stage.large) == set(stage.small) == set(MIX)
        assert stage.usage["duplicate"].write_units == 0
        assert stage.usage["moved"].rows_written > stage.usage["newer"].rows_written


class Lossy:
    """A table that commits transactions, and says of some that it was busy."""

    def __init__(self, table, calls=()):
        self.table, self.busy, self.calls = table, calls, 0

    def __getattr__(self, name):
        return getattr(self.table, name)

    def transact(self, actions):
        self.table.transact(actions)
        self.calls += 1
        if self.calls in self.busy:
            raise TableBusyError("the table is busy")


def test_what_failed_comes_again_and_is_counted(sqlite_table):
    with open_archive(SWATHS, Lossy(sqlite_table, calls=(5, 7)), 2) as archive:
        archive.deliver("new", archive.events("new", 12))
        assert archive.sent_again == 2
        assert sorted(archive.listed()) == [SWATHS.scene_id(n) for n in range(12)]


def test_events_that_all_fail_are_not_measured(sqlite_table):
    lossy = Lossy(sqlite_table)
    with open_archive(SWATHS, lossy, 2) as archive:
        lossy.busy = range(1000)
        with pytest.raises(RuntimeError, match="new: failed, not applied"):
            archive.deliver("new", archive.events("new", 12))


@pytest.mark.emulator
def test_what_many_workers_sent_twice_is_listed_once(dynamodb_endpoint):
    sent = send(Emulator(dynamodb_endpoint, ()), SHAPE, 30, 5, peer=False)
    assert [s.workers for s in sent] == [1, 5]
    for s in sent:
        assert (s.once.whole, s.once.missing) == (30, 0)
        assert (s.twice.whole, s.twice.missing, s.twice.doubled) == (30, 0, 0)


def test_the_command_writes_what_it_showed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COGEO_MOSAIC_CACHE_DISABLE", "true")  # as it does, but taken back
    file = tmp_path / "ingest.json"
    options = "--tables sqlite --shapes drone --sizes 30,40 --events 2 --workers 3 --no-peer"
    main(["ingest", *options.split(), "--json", str(file)])
    sheets = json.loads(file.read_text())
    shown = capsys.readouterr().out
    assert all(sheet["title"] in shown for sheet in sheets)
    [load] = [sheet for sheet in sheets if sheet["title"].startswith("Load")]
    assert [row["scenes"] for row in load["rows"]] == ["1–30", "33–40"]
    assert {row["again: write units"] for row in load["rows"]} == {0}
    assert "38 of 38 scenes are listed; 0 are not" in load["notes"][0]
    holds = {row[""]: row["sqlite: holds"] for row in sheets[-1]["rows"]}
    assert holds["write units, all events once more"] == "yes"
    assert holds["scenes lost, doubled or left over"] == "yes"
    assert holds["rows missing or doubled, all sent twice"] == "not measured"


def test_more_events_than_there_are_scenes_to_change_are_refused():
    with pytest.raises(SystemExit, match="40 events of each kind change 480 scenes"):
        main(["ingest", "--sizes", "300,1000"])
