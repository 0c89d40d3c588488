"""Result tables of a mosaic under load."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median, quantiles

from bench.items import KINDS, Kind
from bench.lap import Lap
from bench.listed import OURS, Sent
from bench.load import MADE, OPENED, SHAPE, Growth, Slice, Stage
from bench.meter import Usage
from bench.report import Sheet, Value
from bench.targets import Target

Measure = Callable[[Lap], float]
_MEASURES: Mapping[str, Measure] = {"ms": lambda lap: lap.wall_ms, "CPU ms": lambda lap: lap.cpu_ms}


def load(growth: Growth, workers: int) -> Sheet:
    """The mosaic's first scenes to its last."""
    stops = {stage.size for stage in growth.stages}
    slices = [growth.slices[0], *(s for s in growth.slices[1:] if s.last in stops)]
    walls, cpus = ([measure(s.lap) for s in growth.slices] for measure in _MEASURES.values())
    return Sheet(
        f"Load: {growth.slices[-1].last:,} scenes ({SHAPE.name}, {len(SHAPE.kept)} assets) into "
        f"one mosaic on {growth.table} by {workers} workers",
        (
            "scenes",
            "events/s",
            "/s, a worker",
            "ms",
            "CPU ms",
            "emulator's",
            "write units",
            "read units",
            "rows",
            "bytes/row",
            "again: CPU ms",
            "again: write units",
        ),
        [_sliced(s, workers) for s in slices],
        (
            f"At the end, after the events of the tables below, {growth.listed:,} of "
            f"{growth.sent:,} scenes are listed; {growth.lost:,} are not. "
            f"{growth.sent_again:,} events failed on a busy table and were redelivered.",
            f"Per event, of slices of {growth.slices[0].last:,}, min, median, p90: "
            f"{_spread_text(walls)} ms, {_spread_text(cpus)} ms of CPU.",
            "ms: wall time of all workers divided by events. The workers are threads and share one "
            "processor; the",
            "emulator's CPU is additional. Again: each event delivered once more. No COG headers "
            "are read.",
        ),
    )


def _sliced(s: Slice, workers: int) -> Sequence[Value]:
    return (
        f"{s.first + 1:,}–{s.last:,}",
        1000 / s.lap.wall_ms,
        1000 / s.lap.wall_ms / workers,
        s.lap.wall_ms,
        s.lap.cpu_ms,
        s.served_ms,
        s.usage.write_units,
        s.usage.read_units,
        s.usage.rows_written,
        s.usage.bytes_written / s.usage.rows_written,
        s.again.cpu_ms,
        s.again_usage.write_units,
    )


def growth(growths: Sequence[Growth]) -> Sheet:
    """Whether an event of the mix takes longer in a larger mosaic."""
    small = growths[0].stages[0].size
    return Sheet(
        f"One event of a mix, one at a time, as the mosaic grows, beside one of {small:,} scenes",
        (
            "table",
            "scenes",
            *(f"{name}{what}" for name in _MEASURES for what in (" min", "", " p90")),
            *(f"{name} / {small:,}" for name in _MEASURES),
        ),
        [
            (
                growth.table,
                stage.size,
                *(value for measure in _MEASURES.values() for value in _spread(stage, measure)),
                *(_ratio(stage, measure) for measure in _MEASURES.values()),
            )
            for growth in growths
            for stage in growth.stages
        ],
        (
            "An event in the large mosaic and one like it in the small one, in turn. The ratio is "
            "the median of all pairs'",
            "sums over the mix (new, changed, moved, deleted, unchanged). A table's first line "
            "compares like with like.",
        ),
    )


def _spread(stage: Stage, measure: Measure) -> tuple[float, float, float]:
    values = [total / len(stage.large) for total in _rounds(stage.large, measure)]
    return min(values), median(values), _p90(values)


def _ratio(stage: Stage, measure: Measure) -> float:
    pairs = zip(_rounds(stage.large, measure), _rounds(stage.small, measure), strict=True)
    return median(large / small for large, small in pairs)


def _rounds(laps: Mapping[Kind, Sequence[Lap]], measure: Measure) -> Iterator[float]:
    """The sum over all kinds, of each round."""
    return (sum(map(measure, each)) for each in zip(*laps.values(), strict=True))


def kinds(growths: Sequence[Growth]) -> Sheet:
    """Cost of an event by kind, at the last size."""
    first, last = (growths[0].stages[n].size for n in (0, -1))
    return Sheet(
        f"Kinds of events at {last:,} scenes",
        (
            "table",
            "event",
            "ms",
            "CPU ms",
            f"ms / {first:,}",
            f"CPU / {first:,}",
            "rows written",
            "write units",
            "read units",
        ),
        [
            (
                growth.table,
                KINDS[kind],
                *(median(map(measure, stage.large[kind])) for measure in _MEASURES.values()),
                *(
                    median(map(measure, stage.large[kind]))
                    / median(map(measure, stage.small[kind]))
                    for measure in _MEASURES.values()
                ),
                stage.usage[kind].rows_written,
                stage.usage[kind].write_units,
                stage.usage[kind].read_units,
            )
            for growth in growths
            for stage in growth.stages[-1:]
            for kind in stage.large
        ],
        ("One at a time, medians. Each is a batch of its own, which reads the list of mosaics.",),
    )


def beside(growths: Sequence[Growth]) -> Sheet:
    """Adding a scene, next to the peer."""
    return Sheet(
        f"Adding one {SHAPE.name} scene, by the number of scenes already there",
        ("table", "scenes", "index", "ms min", "ms", "ms p90", "CPU ms", "ours/it", "CPU ours/it"),
        [
            (
                growth.table,
                stage.size,
                index,
                min(lap.wall_ms for lap in laps),
                median(lap.wall_ms for lap in laps),
                _p90([lap.wall_ms for lap in laps]),
                median(lap.cpu_ms for lap in laps),
                *(_beside(stage.large["new"], laps, measure) for measure in _MEASURES.values()),
            )
            for growth in growths
            for stage in growth.stages
            if stage.peers
            for index, laps in {"livemosaic": stage.large["new"], **stage.peers}.items()
        ],
        (
            "In turn; the ground stays the same, the stack on it grows. cogeo-mosaic puts an asset "
            "into lists; livemosaic",
            "compares versions and keeps order, footprint, four assets, coarse cells. In memory: "
            "by the backend that wrote the",
            "mosaic, and hashes all of it for each cell; opened: by any other one.",
        ),
    )


def _beside(ours: Sequence[Lap], theirs: Sequence[Lap], measure: Measure) -> float:
    return median(measure(a) / measure(b) for a, b in zip(ours, theirs, strict=True))


def listing(sent: Sequence[Sent]) -> Sheet:
    """Scenes listed after the workers are done."""
    return Sheet(
        "Scenes listed at the end, on dynamodb, delivered once and then once more",
        (
            "index",
            "workers",
            "ms",
            "scenes whole",
            "partly",
            "nowhere",
            "rows",
            "missing",
            "after twice: missing",
            "doubled",
        ),
        [
            (
                s.index,
                s.workers,
                s.lap.wall_ms,
                s.once.whole,
                s.once.partly,
                s.once.nowhere,
                s.once.rows,
                s.once.missing,
                s.twice.missing,
                s.twice.doubled,
            )
            for s in sent
        ],
        (
            "Rows: pairs of a scene and one of its cells. Each worker of cogeo-mosaic has its own "
            "backend, without a cache, as",
            "if it were a separate process; ms: wall time of all workers divided by events.",
        ),
    )


def targets(
    growths: Sequence[Growth], sent: Sequence[Sent], four_cells: Mapping[int, Usage]
) -> Sheet:
    """Targets of the load test, and whether they are met."""
    by_table = {growth.table: growth for growth in growths}
    return Sheet(
        "Targets",
        ("", "target", *(text for name in by_table for text in (name, f"{name}: holds"))),
        [
            (
                target.what,
                target.text,
                *(value for name in by_table for value in target.judged(name)),
            )
            for target in _targets(by_table, sent, four_cells)
        ],
        (
            "A scene also has rows in coarser cells, down to the mosaic's minzoom: the cost "
            "depends on it.",
        ),
    )


def _targets(
    growths: Mapping[str, Growth], sent: Sequence[Sent], four_cells: Mapping[int, Usage]
) -> Iterator[Target]:
    stages = {table: growth.stages for table, growth in growths.items()}
    sizes = [stage.size for stage in next(iter(stages.values()))]
    for name, measure in _MEASURES.items():
        flat = {table: _ratio(its[-1], measure) for table, its in stages.items()}
        what = f"{name} of an event at {sizes[-1]:,} scenes / at {sizes[0]:,}"
        yield Target(what, flat.get, most=1.2)
    for peer in (OPENED, MADE):
        compared = {
            table: _beside(stage.large["new"], stage.peers[peer], _MEASURES["ms"])
            for table, its in stages.items()
            for stage in its
            if stage.peers  # the largest is the last
        }
        yield Target(f"ms of a new scene / {peer}", compared.get, most=0.1)
    for minzoom, usage in four_cells.items():
        units = dict.fromkeys(growths, usage.write_units)
        yield Target(f"write units, scene in 4 cells, minzoom {minzoom}", units.get, most=16)
    again = {
        table: sum(s.again_usage.write_units for s in growth.slices)
        for table, growth in growths.items()
    }
    yield Target("write units, all events once more", again.get, most=0)
    wrong = {table: g.lost + abs(g.listed - g.sent) for table, g in growths.items()}
    yield Target("scenes lost, doubled or left over", wrong.get, most=0)
    ours = [s for s in sent if s.index == OURS]
    rows = sum(s.once.missing + s.twice.missing + s.twice.doubled for s in ours)
    lacking = {"dynamodb": rows} if ours else {}
    yield Target("rows missing or doubled, all sent twice", lacking.get, most=0)


def _p90(values: Sequence[float]) -> float:
    return quantiles(values, n=10)[-1]


def _spread_text(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in (min(values), median(values), _p90(values)))
