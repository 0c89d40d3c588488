"""Cost of an event in time and DynamoDB units, and whether it grows with the archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from bench import grown, listed
from bench.archive import Timing, open_archive
from bench.items import KINDS, MIX, SHAPES, Kind, Shape
from bench.load import SHAPE, four_cells, grow
from bench.places import Emulator, Place, open_places
from bench.report import Sheet, show, step

Timings = Mapping[tuple[str, str, Kind], Timing]
"""By table, shape and kind of event."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    tables: Sequence[str]
    """Among `sqlite` and `dynamodb`."""
    shapes: Sequence[str]
    """Names of `SHAPES`."""
    sizes: Sequence[int]
    """Scenes in the mosaic that is filled, where it is looked at. Kinds of events are compared at
    the first."""
    events: int
    """Events timed of each kind, one at a time and again side by side."""
    workers: int
    peer: bool

    def quick(self) -> Self:
        """Less of everything."""
        return replace(self, shapes=self.shapes[:1], sizes=(400, 1000, 2000), events=10)


def run(options: Options) -> list[Sheet]:
    """Measure, and print each table as soon as it is known."""
    _check(options)
    shapes = [shape for shape in SHAPES if shape.name in options.shapes]
    sheets = []

    def shown(sheet: Sheet) -> None:
        sheets.append(sheet)
        show(sheet)

    with open_places(options.tables) as places:
        timings = {
            (name, shape.name, kind): timing
            for name, place in places.items()
            for shape in shapes
            for kind, timing in _kinds(name, place, shape, options).items()
        }
        with step("scenes in four cells"):
            prices = four_cells(next(iter(places.values())))
        shown(_price(timings))
        shown(_speed(timings, options))
        sent: list[listed.Sent] = []
        for place in places.values():
            if isinstance(place, Emulator):
                sent += listed.send(
                    place, SHAPE, options.sizes[0], options.workers, peer=options.peer
                )
                shown(grown.listing(sent))
        growths = []
        for name, place in places.items():
            growth = grow(
                name, place, options.sizes, options.events, options.workers, peer=options.peer
            )
            shown(grown.load(growth, options.workers))
            growths.append(growth)
    shown(grown.growth(growths))
    shown(grown.kinds(growths))
    if options.peer:
        shown(grown.beside(growths))
    shown(grown.targets(growths, sent, prices))
    return sheets


def _check(options: Options) -> None:
    changing = options.events * max(2 * (len(KINDS) - 1), len(options.sizes) * (len(MIX) - 1))
    if options.sizes[0] < changing:
        raise SystemExit(
            f"{options.events} events of each kind change {changing} scenes; the first size is "
            f"only {options.sizes[0]}"
        )
    if unknown := set(options.shapes) - {shape.name for shape in SHAPES}:
        raise SystemExit(
            f"there is no shape {', '.join(unknown)}: {', '.join(shape.name for shape in SHAPES)}"
        )


def _kinds(name: str, place: Place, shape: Shape, options: Options) -> dict[Kind, Timing]:
    with place.table() as table, open_archive(shape, table, options.workers) as archive:
        with step(f"{name}, {shape.name}: {options.sizes[0]:,} scenes"):
            archive.fill(options.sizes[0])
        with step(f"{name}, {shape.name}: events"):
            return {kind: archive.time(kind, options.events) for kind in KINDS}


def _price(timings: Timings) -> Sheet:
    table = next(iter(timings))[0]
    return Sheet(
        "Price of one event, in units of DynamoDB on demand",
        ("scenes", "event", "rows written", "KB written", "write units", "read units"),
        [
            (
                shape,
                KINDS[kind],
                timing.usage.rows_written,
                timing.usage.bytes_written / 1024,
                timing.usage.write_units,
                timing.usage.read_units,
            )
            for (name, shape, kind), timing in timings.items()
            if name == table
        ],
        (
            "Computed from the calls (bench/meter.py), not asked of DynamoDB. In a transaction a "
            "row takes 2 units per KB.",
            "One message in a batch: each batch reads the list of mosaics, 1 unit here.",
        ),
    )


def _speed(timings: Timings, options: Options) -> Sheet:
    return Sheet(
        f"Events per second, {options.sizes[0]:,} scenes already there",
        (
            "table",
            "scenes",
            "event",
            "ms",
            "CPU ms",
            "/s",
            f"/s, {options.workers} workers",
            "speed-up",
        ),
        [
            (
                name,
                shape,
                KINDS[kind],
                timing.alone.wall_ms,
                timing.alone.cpu_ms,
                1000 / timing.alone.wall_ms,
                1000 / timing.together.wall_ms,
                timing.alone.wall_ms / timing.together.wall_ms,
            )
            for (name, shape, kind), timing in timings.items()
        ],
        (
            "ms and CPU are of one event, one at a time, the median. dynamodb is the emulator, a "
            "process on the same",
            "cores whose CPU is not counted: it shows how many calls there are, not how fast AWS "
            "answers.",
        ),
    )
