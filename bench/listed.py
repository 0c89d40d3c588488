"""What an index lists after its workers are done: every scene in every cell, once, or not."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final, Self

from bench.archive import open_archive
from bench.items import Shape
from bench.lap import Lap, timed
from bench.peer_index import assets_by_cell, feature, mosaic_of, open_peer, update
from bench.places import Emulator
from bench.report import step
from livemosaic.geo.footprint import footprint
from livemosaic.index.scenes import scene_cover
from livemosaic.index.schema import partition
from livemosaic.table import Table

Listed = Counter[tuple[str, str]]
"""How often each scene is in each cell: by quadkey and a name of the scene."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What should be listed, and what is."""

    whole: int
    """Scenes in each of their cells."""
    partly: int
    nowhere: int
    rows: int
    """Pairs of a scene and one of its cells."""
    missing: int
    doubled: int

    @classmethod
    def of(cls, expected: Collection[tuple[str, str]], found: Listed) -> Self:
        """Compare."""
        missing = [pair for pair in expected if pair not in found]
        scenes = Counter(scene for _, scene in expected)
        lacking = Counter(scene for _, scene in missing)
        nowhere = sum(lacking[scene] == cells for scene, cells in scenes.items())
        return cls(
            whole=len(scenes) - len(lacking),
            partly=len(lacking) - nowhere,
            nowhere=nowhere,
            rows=len(expected),
            missing=len(missing),
            doubled=sum(count - 1 for count in found.values()),
        )


OURS: Final = "livemosaic"
THEIRS: Final = "cogeo-mosaic update()"


@dataclass(frozen=True, slots=True)
class Sent:
    """Some scenes, each sent twice, to an empty index."""

    index: str
    """`OURS` or `THEIRS`."""
    workers: int
    lap: Lap
    """Mean of one event, the first time; on the wall: of all workers together."""
    once: Listing
    twice: Listing


def send(place: Emulator, shape: Shape, count: int, workers: int, *, peer: bool) -> list[Sent]:
    """By one worker and by many, to livemosaic and to the peer."""
    ways = [(OURS, _ours), (THEIRS, _theirs)][: 2 if peer else 1]
    sent = []
    for index, way in ways:
        for hands in (1, workers):
            with step(f"{index}, {count:,} scenes by {hands} at once"):
                sent.append(Sent(index, hands, *way(place, shape, count, hands)))
    return sent


def _ours(place: Emulator, shape: Shape, count: int, workers: int) -> tuple[Lap, Listing, Listing]:
    with place.table() as table, open_archive(shape, table, workers) as archive:
        messages = archive.events("new", count)
        mosaic = archive.services.mosaics.get(shape.name)
        expected = {
            (partition(mosaic, "cell", quadkey), f"{shape.name}#{shape.scene_id(n)}")
            for n in range(count)
            for quadkey in scene_cover(mosaic, footprint(shape.geometry(n))).cells
        }
        cells = {cell for cell, _ in expected}
        lap = archive.deliver("new", messages)
        once = Listing.of(expected, _rows(table, cells))
        archive.deliver("duplicate", messages)
        return lap.per(count), once, Listing.of(expected, _rows(table, cells))


def _rows(table: Table, cells: Iterable[str]) -> Listed:
    found: Listed = Counter()
    for cell in cells:
        after: str | None = ""
        while after is not None:
            page = table.query(cell, after=after or None, consistent=True)
            found.update((cell, row.key.sk.partition("#")[2]) for row in page.rows)
            after = page.next
    return found


def _theirs(
    place: Emulator, shape: Shape, count: int, workers: int
) -> tuple[Lap, Listing, Listing]:
    with open_peer(place, shape, size=1) as index:  # it cannot be empty
        features = [feature(shape.item(n)) for n in range(1, count + 1)]
        expected = {
            (quadkey, href)
            for quadkey, hrefs in mosaic_of(features).tiles.items()
            for href in hrefs
        }
        backends = [index.open() for _ in range(workers)]
        lap = _update(backends, features)
        once = Listing.of(expected, _assets(index.maker, expected))
        _update(backends, features)
        return lap.per(count), once, Listing.of(expected, _assets(index.maker, expected))


def _update(backends: Sequence[Any], features: Sequence[Mapping[str, Any]]) -> Lap:
    """Each worker has a backend of its own and its share of the scenes."""

    def work(number: int) -> None:
        for one in features[number :: len(backends)]:
            update(backends[number], [one])

    with ThreadPoolExecutor(len(backends)) as pool, redirect_stdout(StringIO()):
        return timed(lambda: list(pool.map(work, range(len(backends)))))[1]


def _assets(backend: Any, sent: Collection[tuple[str, str]]) -> Listed:
    hrefs = {href for _, href in sent}
    found = assets_by_cell(backend)
    return Counter({pair: count for pair, count in found.items() if pair[1] in hrefs})
