"""A mosaic under load: workers fill it, and what an event takes is looked at as it grows.

Machines are noisy, so a large mosaic is not compared with its own youth but with a small one
beside it, event by event in turn; and so is the peer.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.archive import Archive, open_archive
from bench.items import MIX, SWATHS, Kind, Shape
from bench.lap import Lap
from bench.meter import Usage
from bench.peer_index import PeerIndex, open_peer
from bench.places import Place
from bench.report import step
from livemosaic.geo.footprint import footprint
from livemosaic.index.scenes import scene_cover

SHAPE: Final = SWATHS
SLICE: Final = 1000
_FEW: Final = 100
MOST_OF_PEER: Final = 10_000
"""Scenes in a mosaic of the peer: not far beyond, a list of assets outgrows a row of DynamoDB."""
MINZOOMS: Final = (0, 4, 6)
"""Of a mosaic; imagery of 10 m shows little below the last."""
OPENED: Final = "cogeo-mosaic update(), mosaic opened"
MADE: Final = "cogeo-mosaic update(), mosaic in memory"


@dataclass(frozen=True, slots=True)
class Slice:
    """Some new events by all workers, and then each of them once more. All means of one event."""

    first: int
    last: int
    """Scenes there before and after."""
    lap: Lap
    """On the wall: of all workers together."""
    served_ms: float
    """CPU of the emulator."""
    usage: Usage
    again: Lap
    again_usage: Usage


@dataclass(frozen=True, slots=True)
class Stage:
    """Events one at a time at some size. Laps in the order of the rounds."""

    size: int
    large: Mapping[Kind, Sequence[Lap]]
    small: Mapping[Kind, Sequence[Lap]]
    """In the mosaic beside it."""
    usage: Mapping[Kind, Usage]
    """Means of one event in the large one."""
    peers: Mapping[str, Sequence[Lap]]
    """Of one new scene, by the peer's name."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A mosaic on one table from its first scene to its last."""

    table: str
    slices: Sequence[Slice]
    stages: Sequence[Stage]
    sent: int
    """Scenes that should be there at the end: added, and not deleted."""
    sent_again: int
    """Events that failed, as the table was busy, and were sent again."""
    lost: int
    """Scenes of these that are missing."""
    listed: int
    """Listed scenes, including duplicates and scenes that should be deleted."""


def four_cells(place: Place) -> dict[int, Usage]:
    """The median price of a new scene in four cells, by the mosaic's minzoom."""
    return {minzoom: _four_cells(place, replace(SHAPE, minzoom=minzoom)) for minzoom in MINZOOMS}


def _four_cells(place: Place, shape: Shape) -> Usage:
    with place.table() as table, open_archive(shape, table, 1) as archive:
        archive.fill(_FEW)  # one in each place: the mosaic's own row is as it will be
        mosaic = archive.services.mosaics.get(shape.name)
        usages = []
        for n in range(_FEW, 2 * _FEW):
            archive.add()
            usage = archive.meter.take()
            if len(scene_cover(mosaic, footprint(shape.geometry(n))).cells) == 4:
                usages.append(usage)
    return sorted(usages, key=lambda usage: usage.write_units)[len(usages) // 2]


def grow(
    name: str, place: Place, sizes: Sequence[int], events: int, workers: int, *, peer: bool
) -> Growth:
    """Fill a mosaic, and look at it at each of the sizes."""
    slices: list[Slice] = []
    stages: list[Stage] = []
    with ExitStack() as stack:
        large, small = (
            stack.enter_context(open_archive(SHAPE, stack.enter_context(place.table()), workers))
            for _ in range(2)
        )
        small.fill(sizes[0])
        for size in sizes:
            with step(f"{name}, {workers} workers: up to {size:,} scenes"):
                while large.size < size:
                    slices.append(_slice(place, large, min(SLICE, size - large.size)))
            with (
                step(f"{name}: events at {size:,} scenes"),
                _peers(place, size, wanted=peer) as peers,
            ):
                stages.append(_stage(size, large, small, peers, events))
        with step(f"{name}: what is listed"):
            sent = {SHAPE.scene_id(n) for n in range(large.size)} - large.deleted
            listed = list(large.listed())
    return Growth(
        name,
        slices,
        stages,
        sent=len(sent),
        sent_again=large.sent_again,
        lost=len(sent.difference(listed)),
        listed=len(listed),
    )


def _slice(place: Place, archive: Archive, count: int) -> Slice:
    first = archive.size
    messages = archive.events("new", count)
    archive.meter.take()
    served = place.cpu_s()
    lap = archive.deliver("new", messages)
    served_ms = 1000 * (place.cpu_s() - served) / count
    usage = archive.meter.take().per(count)
    again = archive.deliver("duplicate", messages)
    again_usage = archive.meter.take().per(count)
    return Slice(
        first, archive.size, lap.per(count), served_ms, usage, again.per(count), again_usage
    )


Peers = Mapping[str, tuple[PeerIndex, Any]]
"""A mosaic of the peer and one of its backends, by name."""


@contextmanager
def _peers(place: Place, size: int, *, wanted: bool) -> Iterator[Peers]:
    if not wanted or size > MOST_OF_PEER:
        yield {}
        return
    with open_peer(place, SHAPE, size) as index:
        yield {OPENED: (index, index.open()), MADE: (index, index.maker)}


def _stage(
    size: int,
    large: Archive,
    small: Archive,
    peers: Peers,
    events: int,
) -> Stage:
    laps: dict[Kind, tuple[list[Lap], list[Lap]]] = {kind: ([], []) for kind in MIX}
    usage = dict.fromkeys(MIX, Usage())
    others: dict[str, list[Lap]] = {name: [] for name in peers}
    large.meter.take()
    for n in range(events):
        for kind in MIX:
            in_turn = [(large, laps[kind][0]), (small, laps[kind][1])]
            for archive, its in in_turn[:: 1 if n % 2 else -1]:
                its.append(archive.once(kind))
            usage[kind] += large.meter.take()
        for name, (index, backend) in peers.items():
            others[name].append(index.add(backend))
    return Stage(
        size,
        {kind: pair[0] for kind, pair in laps.items()},
        {kind: pair[1] for kind, pair in laps.items()},
        {kind: total.per(events) for kind, total in usage.items()},
        others,
    )
