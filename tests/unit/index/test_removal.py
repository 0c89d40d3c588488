"""Deleted mosaics of any size are removed by many workers, whatever interrupts them."""

import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from shapely.geometry import box as polygon

from bench.meter import Metered
from interruptions import Hook, Hooked
from livemosaic.errors import NotFoundError
from livemosaic.index import scenes
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.removal.shards import Removal
from livemosaic.index.scenes import Index
from livemosaic.index.schema import SHARDS, mosaic_prefix
from livemosaic.model.mosaic import Mosaic
from livemosaic.table import Key, Table
from livemosaic.table.sqlite import SqliteTable
from unit.index.test_scenes import scene

SCENES = 150


class CrashError(Exception):
    """The process of a worker ends."""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def index_of(table: Table, pool: ThreadPoolExecutor) -> Index:
    return Index(table, Mosaics(table), pool)


def filled(index: Index, *names: str, count: int = SCENES) -> list[Mosaic]:
    """Mosaics of scenes of two cells or so, some of them moved and some deleted."""
    made = [index.mosaics.create(Mosaic(id=name)) for name in names]
    for mosaic in made:
        for n in range(count):
            place = polygon(n % 20, 40 + n % 7, n % 20 + 1, 41 + n % 7)
            index.apply(mosaic, scene(f"s{n}", place))
            if n % 10 == 0:
                index.apply(mosaic, scene(f"s{n}", polygon(1, 1, 2, 2), version=2, day=2))
            if n % 25 == 1:
                index.delete(mosaic, f"s2#s{n}", "2026-02-03T00:00:00Z#deleted")
    return made


def rows(table: Table, mosaic: Mosaic) -> list[Key]:
    """All rows of a mosaic but its change feed, which expires within a day."""
    found = table.scan(mosaic_prefix(mosaic))
    return [row.key for row in found if "#feed" not in row.key.pk]


def never() -> bool:
    return False


def test_workers_of_all_shards_leave_nothing_and_no_other_mosaic_lacks_a_row(
    table: Table, pool: ThreadPoolExecutor
) -> None:
    index = index_of(table, pool)
    doomed, other = filled(index, "doomed", "other", count=60)
    before = sorted(rows(table, other))
    removal = Removal(index, index.mosaics.mark_deleting("doomed"))
    with ThreadPoolExecutor(6) as workers:
        done = list(
            workers.map(lambda n: removal.clear(n, never) and removal.finish(), range(SHARDS))
        )
    assert any(done)
    assert rows(table, doomed) == []
    assert sorted(rows(table, other)) == before
    assert index.mosaics.create(Mosaic(id="doomed")).generation != doomed.generation


def test_what_time_ran_out_for_is_removed_by_the_next_ones_and_counted(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "_PURGED_AT_ONCE", 2)
    table = SqliteTable(tmp_path / "index.db")
    index = index_of(table, pool)
    [mosaic] = filled(index, "doomed")
    removal = Removal(index, index.mosaics.mark_deleting("doomed"))
    counts = []
    for _ in range(1000):
        looks = iter([False] * 3)
        done = [removal.clear(n, lambda looks=looks: next(looks, True)) for n in range(SHARDS)]
        if all(done):
            break
        assert not removal.finish() or not rows(table, mosaic)
        counts.append(removal.removed())
    assert counts == sorted(counts)
    assert len(counts) > 1
    assert removal.removed() == SCENES, "each scene is counted once, also where a deletion was"
    assert removal.finish()
    assert rows(table, mosaic) == []
    table.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_worker_that_dies_before_any_write_is_followed_by_one_that_ends_it(
    tmp_path: Path, pool: ThreadPoolExecutor, seed: int
) -> None:
    table = SqliteTable(tmp_path / "index.db")
    [mosaic] = filled(index_of(table, pool), "doomed", count=40)
    index_of(table, pool).mosaics.mark_deleting("doomed")
    chance = random.Random(seed)
    deaths = 0

    def die() -> None:
        raise CrashError

    runs = 0
    while (doomed := Mosaics(table).doomed("doomed")) is not None:
        runs += 1
        assert runs < 1000
        hooked = Hooked(table, Hook(chance.randrange(10 + 2 * runs), die))
        removal = Removal(index_of(hooked, pool), doomed)
        try:
            if removal.clear(chance.randrange(SHARDS), never):
                removal.finish()
        except CrashError:
            deaths += 1
    assert deaths > 0
    assert rows(table, mosaic) == []
    table.close()


WORKER = """
import os, random, signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.removal.shards import Removal
from livemosaic.index.scenes import Index
from livemosaic.table.sqlite import SqliteTable

class Mortal:
    def __init__(self, table, left):
        self.table, self.left = table, left
    def __getattr__(self, name):
        self.left -= 1
        if self.left == 0:  # while this call, or another one, is at work
            after_s = random.uniform(0, 0.002)
            threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return getattr(self.table, name)

table = Mortal(SqliteTable(sys.argv[1]), int(sys.argv[2]))
index = Index(table, Mosaics(table), ThreadPoolExecutor(4))
while (doomed := index.mosaics.doomed("doomed")) is not None:
    removal = Removal(index, doomed)
    if removal.clear(random.randrange(16), lambda: False):
        removal.finish()
"""


@pytest.mark.slow
def test_processes_that_are_killed_again_and_again_remove_it_all_the_same(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    """SIGKILL at random calls, of two workers at a time; one is let live in the end."""
    table = SqliteTable(tmp_path / "index.db")
    doomed, other = filled(index_of(table, pool), "doomed", "other")
    before = sorted(rows(table, other))
    Mosaics(table).mark_deleting("doomed")
    command = [sys.executable, "-c", textwrap.dedent(WORKER), str(tmp_path / "index.db")]
    chance, killed = random.Random(1), 0
    for _ in range(3):
        left = len(rows(table, doomed))
        lives = [str(chance.randrange(2, 12)) for _ in range(2)]
        workers = [subprocess.Popen([*command, calls]) for calls in lives]
        killed += sum(worker.wait(120) == -signal.SIGKILL for worker in workers)
        assert len(rows(table, doomed)) <= left
    assert killed > 0
    subprocess.run([*command, "0"], check=True, timeout=120)
    assert rows(table, doomed) == []
    assert sorted(rows(table, other)) == before
    with pytest.raises(NotFoundError):
        Mosaics(table).get("doomed")
    table.close()


def test_removal_costs_what_the_rows_cost_once(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """A write unit for each row of up to 1 kB; a transaction would take two."""
    table = SqliteTable(tmp_path / "index.db")
    metered = Metered(table)
    index = index_of(metered, pool)
    mosaic = index.mosaics.create(Mosaic(id="doomed"))
    for n in range(60):
        index.apply(mosaic, scene(f"s{n}", polygon(n % 20, 40, n % 20 + 1, 41)))
    removal = Removal(index, index.mosaics.mark_deleting("doomed"))
    there = len(rows(table, mosaic))
    metered.take()
    for shard in range(SHARDS):
        removal.clear(shard, never)
    counts = SHARDS  # one row each that says how many are gone
    assert there <= metered.take().write_units <= there + counts
    table.close()
