"""What an event costs: time, and units of DynamoDB; and whether that grows with the archive."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from bench.archive import WORKERS, Archive, Timing, open_archive
from bench.items import KINDS, SHAPES, Kind, Shape
from bench.lap import Lap
from bench.peer_index import PeerIndex, open_peer
from bench.places import Place, open_places
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
    """Scenes already there: kinds are compared at the first, growth is shown over all (of the
    first of `SHAPES`, to whose size the peer's zoom is set)."""
    events: int
    """Events timed of each kind, one at a time and again side by side."""
    peer: bool


def run(options: Options) -> list[Sheet]:
    """Measure, and print each table as soon as it is known."""
    least = 2 * options.events * (len(KINDS) - 1)
    if options.sizes[0] < least:
        raise SystemExit(
            f"{options.events} events of each kind change {least} scenes; the first size is only "
            f"{options.sizes[0]}"
        )
    shapes = [shape for shape in SHAPES if shape.name in options.shapes]
    if len(shapes) < len(options.shapes):
        raise SystemExit(f"the shapes are {', '.join(shape.name for shape in SHAPES)}")
    with open_places(options.tables) as places:
        timings = {
            (name, shape.name, kind): timing
            for name, place in places.items()
            for shape in shapes
            for kind, timing in _kinds(name, place, shape, options).items()
        }
        sheets = [_price(timings), _speed(timings, options)]
        for sheet in sheets:
            show(sheet)
        grown = [
            row
            for name, place in places.items()
            for row in _growth(name, place, SHAPES[0], options)
        ]
    sheets.append(_grown(grown, SHAPES[0], options))
    show(sheets[-1])
    return sheets


def _kinds(name: str, place: Place, shape: Shape, options: Options) -> dict[Kind, Timing]:
    with place.table() as table, open_archive(shape, table) as archive:
        with step(f"{name}, {shape.name}: {options.sizes[0]:,} scenes"):
            archive.fill(options.sizes[0])
        with step(f"{name}, {shape.name}: events"):
            return {kind: archive.time(kind, options.events) for kind in KINDS}


@dataclass(frozen=True, slots=True)
class _Growth:
    """What adding one scene takes, by the number of scenes already there."""

    index: str
    table: str
    laps: Sequence[Lap]


def _growth(name: str, place: Place, shape: Shape, options: Options) -> list[_Growth]:
    """Archives of all sizes in turn: what else the machine does meanwhile hits them alike."""
    subjects: dict[tuple[str, int], Archive | PeerIndex] = {}
    with ExitStack() as stack:
        for size in options.sizes:
            with step(f"{name}, {shape.name}: {size:,} scenes, livemosaic"):
                table = stack.enter_context(place.table())
                archive = stack.enter_context(open_archive(shape, table))
                archive.fill(size)
            subjects["livemosaic", size] = archive
            if options.peer:
                with step(f"{name}, {shape.name}: {size:,} scenes, cogeo-mosaic"):
                    peer = stack.enter_context(open_peer(place, shape, size))
                subjects["cogeo-mosaic update()", size] = peer
        with step(f"{name}, {shape.name}: one more"):
            rounds = [
                {which: subject.add() for which, subject in subjects.items()}
                for _ in range(options.events)
            ]
    medians = {which: _median([laps[which] for laps in rounds]) for which in subjects}
    indexes = dict.fromkeys(index for index, _ in subjects)
    return [
        _Growth(index, name, [medians[index, size] for size in options.sizes]) for index in indexes
    ]


def _median(laps: Sequence[Lap]) -> Lap:
    return Lap(median(lap.wall_ms for lap in laps), median(lap.cpu_ms for lap in laps))


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
        ("table", "scenes", "event", "ms", "CPU ms", "/s", f"/s, {WORKERS} workers", "speed-up"),
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


def _grown(growth: Sequence[_Growth], shape: Shape, options: Options) -> Sheet:
    ours = {g.table: g.laps[-1] for g in growth if g.index == "livemosaic"}
    columns = [f"{what} at {size:,}" for what in ("ms", "CPU ms") for size in options.sizes]
    return Sheet(
        f"Adding one {shape.name} scene, by the number of scenes already there",
        (
            "table",
            "index",
            *columns,
            "ms last/first",
            "CPU last/first",
            "ms ours/it",
            "CPU ours/it",
        ),
        [
            (
                g.table,
                g.index,
                *(lap.wall_ms for lap in g.laps),
                *(lap.cpu_ms for lap in g.laps),
                g.laps[-1].wall_ms / g.laps[0].wall_ms,
                g.laps[-1].cpu_ms / g.laps[0].cpu_ms,
                ours[g.table].wall_ms / g.laps[-1].wall_ms,
                ours[g.table].cpu_ms / g.laps[-1].cpu_ms,
            )
            for g in growth
        ],
        (
            "The ground stays the same, the stack on it grows; in turn, in one run. cogeo-mosaic "
            "puts an asset into lists,",
            "in place; livemosaic compares versions and keeps order, footprint and coarse cells.",
        ),
    )
