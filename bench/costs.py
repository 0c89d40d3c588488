"""What scenes of three kinds of archives cost, measured on rows that ingestion writes.

The table in docs/costs.md, and what `make deploy` says of Items, follow from it: after a change of
rows or prices, `python -m bench.costs` prints the one and saves the other.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.items import SHAPES, Shape, event
from livemosaic.cli.cost.dollars import SceneUnits, million_items, month_of_storage
from livemosaic.cli.cost.sample import sample
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.storage.allowlist import AllowList
from livemosaic.table.sqlite import SqliteTable

SCENES: Final = 40
_HEADER_BYTES: Final = 2000
"""Measured: the compressed header of a Sentinel-2 COG, 10,980² in blocks of 1,024². Smaller blocks
have more entries: three to five units for 512²."""
_HEADER_UNITS: Final = 2
_EVER: Final = ""
SAVED: Final = Path(__file__).parents[1] / "infra/livemosaic_cdk/tools/measured.json"


@dataclass(frozen=True, slots=True)
class ArchiveCost:
    """What the scenes of an archive cost."""

    name: str
    assets: int
    """That the mosaic keeps of each scene."""
    units: SceneUnits

    @property
    def row(self) -> str:
        """The row in the documentation."""
        units = self.units
        items = sum(million_items(units).values())
        storage = sum(month_of_storage(1_000_000 * units.stored_bytes).values())
        return (
            f"| {self.name} | {self.assets} | {units.write_units:.1f} | {units.header_units:.0f} "
            f"| {units.stored_bytes / 1024:.1f} | ${items:.2f} | ${storage:.2f} |"
        )


def measure() -> Iterator[ArchiveCost]:
    """Yields what the scenes of each archive cost, by how many assets a mosaic keeps."""
    for shape in SHAPES:
        for kept in dict.fromkeys((shape.kept[:1], shape.kept, shape.assets)):
            yield ArchiveCost(shape.name, len(kept), _units(replace(shape, kept=kept)))


def _units(shape: Shape) -> SceneUnits:
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        table = SqliteTable(Path(folder) / "index.db")
        index = Index(table, Mosaics(table), pool)
        keeps = () if shape.kept == shape.assets else shape.kept
        mosaic = index.mosaics.create(replace(shape.mosaic, assets=keeps))
        ingest = Ingest(index, AllowList(("https://",)))
        outcomes = ingest.batch([event(shape, "new", n) for n in range(SCENES)])
        assert {outcome.status for outcome in outcomes} == {"done"}
        rows = sample(index, index.mosaics.get(mosaic.id), SCENES, _EVER).units
        table.close()
    headers = len(outcomes[-1].changes[0].hrefs)
    stored = rows.stored_bytes + headers * _HEADER_BYTES
    return replace(rows, header_units=headers * _HEADER_UNITS, stored_bytes=stored)


def main() -> None:
    """Print the rows of the documentation, and save the units that `make deploy` reads."""
    found = [*measure()]
    print(*(cost.row for cost in found), sep="\n")
    SAVED.write_text(json.dumps([asdict(cost) for cost in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
