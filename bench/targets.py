"""Targets of the benchmark, and whether they are met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import TypeVar

from bench.asking import Burst, Sample
from bench.contenders import BACKEND, FLOOR, MEMORY, OURS, PGSTAC, RAW
from bench.report import Sheet


@dataclass(frozen=True, slots=True)
class Unchanged:
    """An answer of 304, without pixels."""

    wall_ms: float
    cpu_ms: float
    requests: int
    """At the object store, of all of them together."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured, by contender."""

    warm: Mapping[str, Sequence[Sample]]
    """At and above the zoom of the index."""
    cold: Mapping[str, Sequence[Sample]]
    bursts: Mapping[str, Sequence[Burst]]
    views: Mapping[str, Sequence[Burst]]
    cold_views: Mapping[str, Sequence[Burst]]
    """Of processes that have made one tile."""
    unchanged: Mapping[str, Unchanged]
    deep: Mapping[int, Mapping[str, Sequence[Sample]]]
    zooms: Sequence[str]


T = TypeVar("T")

Measure = Callable[[str], float | None]
"""Of one of ours, by its name; None where there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Target:
    """A measure with a limit to meet."""

    what: str
    measure: Measure
    most: float | None = None
    least: float | None = None
    """Without `most` and `least` there is no target: the row only compares with another."""

    @property
    def text(self) -> str:
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.most is None else f"≤ {self.most:g}"

    def judged(self, name: str) -> tuple[float | None, str]:
        """The measured value, and whether it meets the target."""
        found = self.measure(name)
        if found is None:
            return None, "not measured"
        if self.least is not None:
            return found, "yes" if found >= self.least else "NO"
        return found, "" if self.most is None else "yes" if found <= self.most else "NO"


def target_sheet(facts: Facts, names: Sequence[str]) -> Sheet:
    """One row for each target, ours on each index."""
    ours = [name for name in OURS if name in names]
    return Sheet(
        f"Targets (warm: {', '.join(facts.zooms)})",
        ("", "target", *(text for name in ours for text in (name, "holds"))),
        [
            (
                target.what,
                target.text,
                *(value for name in ours for value in target.judged(name)),
            )
            for target in _targets(facts)
        ],
        (
            "A single tile may need blocks of two rows of a scene, which lie apart in its file: "
            "compare with the floor's requests.",
            "livemosaic reads the mosaic's own row again after 2 seconds, cogeo-mosaic after 5 "
            "minutes.",
        ),
    )


def _targets(facts: Facts) -> list[Target]:
    return [*_speed_targets(facts), *_request_targets(facts), *_index_targets(facts)]


def _speed_targets(facts: Facts) -> list[Target]:
    warm, cold, bursts = facts.warm, facts.cold, facts.bursts
    return [
        Target("warm median latency / titiler", _ratio(warm, MEMORY, _latency), 0.30),
        Target("the same, both at zlevel 1", _ratio(warm, RAW, _latency)),
        Target("CPU per tile / titiler", _ratio(warm, MEMORY, _cpu), 0.20),
        Target("the same, both at zlevel 1", _ratio(warm, RAW, _cpu)),
        Target("warm median latency / titiler-pgstac", _ratio(warm, PGSTAC, _latency), 0.50),
        Target("cold median latency / titiler", _ratio(cold, MEMORY, _latency), 0.30),
        Target("cold median latency / titiler-pgstac", _ratio(cold, PGSTAC, _latency), 0.30),
        Target("warm median latency / floor", _ratio(warm, FLOOR, _latency), 1.5),
        Target("tiles per s, 8 at once / titiler", _ratio(bursts, MEMORY, _speed), least=4),
        Target("tiles per s, 8 at once / titiler-pgstac", _ratio(bursts, PGSTAC, _speed), least=4),
        Target("a view, time / titiler", _ratio(facts.views, MEMORY, _view_ms)),
        Target("a view, time / titiler-pgstac", _ratio(facts.views, PGSTAC, _view_ms)),
        Target("a view, CPU / titiler", _ratio(facts.views, MEMORY, _view_cpu)),
        Target("304, time / our tile", lambda name: _of_tile(facts, name, "wall_ms"), 0.15),
        Target("304, CPU / our tile", lambda name: _of_tile(facts, name, "cpu_ms"), 0.15),
    ]  # fmt: skip


def _request_targets(facts: Facts) -> list[Target]:
    warm, cold, views = facts.warm, facts.cold, facts.views
    return [
        Target("requests per scene, a view, warm", lambda name: _viewed(views[name]), 1),
        Target("requests per scene, a view, cold", lambda name: _viewed(facts.cold_views[name]), 1),
        Target("requests per scene, lone tiles, warm", lambda name: _requests(warm.get(name)), 1),
        Target("the same, worst tile", lambda name: _worst(warm.get(name)), 1),
        Target("requests per scene, lone tiles, cold", lambda name: _requests(cold.get(name)), 1),
        Target("the same, worst tile", lambda name: _worst(cold.get(name)), 1),
        Target("requests warm / floor", _ratio(warm, FLOOR, _asked)),
        Target("requests cold / floor: more is for headers", _ratio(cold, FLOOR, _asked), 1),
        Target("304, requests for bytes", lambda name: _of_unchanged(facts, name), 0),
    ]


def _index_targets(facts: Facts) -> list[Target]:
    depths = f"{max(facts.deep):,} / {min(facts.deep):,} scenes"
    return [
        Target(f"rows read, {depths}", lambda name: _growth(facts, name, _rows), 1.1),
        Target(f"latency, {depths}", lambda name: _growth(facts, name, _latency), 1.1),
        Target("the same of the floor: noise, if not 1", lambda _: _growth(facts, FLOOR, _latency)),
        Target(f"CPU, {depths}", lambda name: _growth(facts, name, _cpu)),
        Target("index calls per tile", lambda name: _calls(facts.warm.get(name)), 1),
        Target("the same of titiler-dynamodb", lambda _: _calls(facts.warm.get(BACKEND))),
        Target("beside them, for the mosaic's row", lambda name: _own(facts.warm.get(name))),
    ]


def _ratio(by: Mapping[str, Sequence[T]], peer: str, of: Callable[[Sequence[T]], float]) -> Measure:
    def measure(name: str) -> float | None:
        return of(by[name]) / of(by[peer]) if by.get(name) and by.get(peer) else None

    return measure


def _latency(made: Sequence[Sample]) -> float:
    return median(one.wall_ms for one in made)


def _cpu(made: Sequence[Sample]) -> float:
    return mean(one.cpu_ms for one in made)


def _speed(made: Sequence[Burst]) -> float:
    return median(burst.tiles_per_s for burst in made)


def _view_ms(made: Sequence[Burst]) -> float:
    return median(view.wall_ms for view in made)


def _view_cpu(made: Sequence[Burst]) -> float:
    return mean(view.cpu_ms for view in made)


def _rows(made: Sequence[Sample]) -> float:
    return mean(one.rows or 0 for one in made)


def _requests(made: Sequence[Sample] | None) -> float | None:
    if not made:
        return None
    return sum(one.traffic.requests for one in made) / sum(one.shown for one in made)


def _viewed(made: Sequence[Burst]) -> float | None:
    if not made:
        return None
    return sum(one.traffic.requests for one in made) / sum(one.shown for one in made)


def _asked(made: Sequence[Sample]) -> float:
    return mean(one.traffic.requests for one in made)


def _worst(made: Sequence[Sample] | None) -> float | None:
    return max(one.traffic.requests / one.shown for one in made) if made else None


def _calls(made: Sequence[Sample] | None) -> float | None:
    return mean(one.calls or 0 for one in made) if made else None


def _own(made: Sequence[Sample] | None) -> float | None:
    return mean(one.own_calls for one in made) if made else None


def _of_tile(facts: Facts, name: str, what: str) -> float | None:
    if name not in facts.unchanged or not facts.warm.get(name):
        return None
    tile = median(getattr(one, what) for one in facts.warm[name])
    found: float = getattr(facts.unchanged[name], what) / tile
    return found


def _of_unchanged(facts: Facts, name: str) -> float | None:
    return facts.unchanged[name].requests if name in facts.unchanged else None


def _growth(facts: Facts, name: str, of: Callable[[Sequence[Sample]], float]) -> float | None:
    few, many = facts.deep[min(facts.deep)], facts.deep[max(facts.deep)]
    return of(many[name]) / of(few[name]) if name in few and name in many else None
