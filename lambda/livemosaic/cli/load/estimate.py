"""What a load will cost, by the first rows of its files."""

import math
import time
from dataclasses import dataclass
from itertools import islice
from typing import Final

from livemosaic.cli.cost.dollars import PRICES
from livemosaic.load.plan import LoadPlan, Unit
from livemosaic.load.scenes import SceneMaker
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import item_size
from livemosaic.table.attributes import to_json_line

_SAMPLE: Final = 400
_GB: Final = 1024**3
_MEMORY_GB: Final = 1769 / 1024
_PASSES: Final = 2
"""Scenes are made twice."""
_UNIT_PUTS: Final = 5
"""Objects that a unit writes, and versions for each shard."""
_TRANSITIONS: Final = 3
"""State transitions of one unit in one step."""


@dataclass(frozen=True, slots=True)
class LoadEstimate:
    """What a load takes, and dollars by part."""

    items: int
    rows: int
    bytes: int
    """Of the files of the import, uncompressed."""
    seconds: float
    """Of one processor."""
    dollars: dict[str, float]
    by_events: float
    """Dollars for the write units of the same rows, if events wrote them."""

    @property
    def total(self) -> float:
        """Dollars of all parts."""
        return sum(self.dollars.values())


@dataclass(frozen=True, slots=True)
class RowSample:
    """What one Item takes, on average."""

    rows: float
    bytes: float
    seconds: float
    write_units: float


def estimated(plan: LoadPlan, allow: AllowList) -> LoadEstimate:
    """Returns what a load of a plan takes, by a sample of the first Items of each of some files."""
    return estimate_of(plan, sample(plan, allow))


def sample(plan: LoadPlan, allow: AllowList) -> RowSample:
    """Measures the first Items of a plan."""
    maker = SceneMaker(plan, allow, {each.id: each for each in plan.mosaics})
    items = rows = size = units = 0
    started = time.process_time()
    for file in range(min(len(plan.files), 4)):
        unit = Unit(file, 0, min(_SAMPLE, sum(plan.files[file].groups)))
        for row in islice(maker.rows(unit), _SAMPLE):
            items += 1
            for put in (put for scene in row.scenes for put in scene.puts):
                rows += 1
                size += len(to_json_line(put.key, put.item))
                units += 2 * math.ceil(item_size(put.key, put.item) / 1024)
    spent = time.process_time() - started
    n = max(1, items)
    return RowSample(rows / n, size / n, spent / n, units / n)


def estimate_of(plan: LoadPlan, one: RowSample) -> LoadEstimate:
    """Returns what all Items of a plan take, each as much as one."""
    items, units = plan.total, len(plan.units)
    size, seconds = items * one.bytes, items * one.seconds * _PASSES
    puts = units * (_UNIT_PUTS + plan.shards)
    gets = units * (_UNIT_PUTS + 2 * plan.shards)
    dollars = {
        "import": size / _GB * PRICES["dynamodb_import_gb"],
        "Lambda": seconds * _MEMORY_GB * PRICES["lambda_gb_second"]["arm64"],
        "S3": puts / 1e6 * PRICES["s3_million_puts"] + gets / 1e6 * PRICES["s3_million_gets"],
        "Step Functions": (
            units * _PASSES * _TRANSITIONS / 1e6 * PRICES["states_million_transitions"]
        ),
    }
    by_events = items * one.write_units / 1e6 * PRICES["dynamodb_million_writes"]
    return LoadEstimate(items, round(items * one.rows), round(size), seconds, dollars, by_events)
