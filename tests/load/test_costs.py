"""docs/load.md states what a load costs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.items import SHAPES
from livemosaic.cli.load.estimate import estimate_of, sample
from load.archives import ALLOW, planned
from sources.parquet import write

DOCS = Path(__file__).parents[2] / "docs" / "load.md"
ROW = re.compile(
    r"^\| (?P<shape>[\w-]+) \| (?P<kept>\d+) \| (?P<kb>[\d.]+) \| \$(?P<part>[\d,]+) "
    r"\| \$(?P<total>[\d,]+) \| \$(?P<events>[\d,]+) \|$",
    re.MULTILINE,
)
STATED = {(row["shape"], int(row["kept"])): row for row in ROW.finditer(DOCS.read_text())}


def dollars(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.mark.parametrize(("name", "kept"), STATED, ids=str)
def test_the_table_is_true(name: str, kept: int, tmp_path: Path) -> None:
    [shape] = (each for each in SHAPES if each.name == name)
    only = ("visual",) if "visual" in shape.assets else shape.assets[:1]
    mosaic = replace(shape.mosaic, assets=only if kept == 1 else shape.assets[:kept])
    path = write(tmp_path / "items.parquet", [shape.item(n) for n in range(200)])
    plan = planned([path], [mosaic], 20_000)
    one = replace(sample(plan, ALLOW), seconds=0.006)  # measured; a test has not the time
    archive = replace(plan.files[0], groups=[1_000_000] * 100)
    whole = estimate_of(replace(plan, files=[archive], shard_rows=1_000_000), one)
    stated = STATED[name, kept]
    assert one.bytes / 1024 == pytest.approx(float(stated["kb"]), rel=0.03)
    assert whole.dollars["import"] == pytest.approx(dollars(stated["part"]), rel=0.03)
    assert whole.total == pytest.approx(dollars(stated["total"]), rel=0.1)
    assert whole.by_events == pytest.approx(dollars(stated["events"]), rel=0.03)


def test_every_shape_is_stated() -> None:
    assert {name for name, _ in STATED} == {shape.name for shape in SHAPES}
