"""The second step, for each shard: which changes of a scene have a newer one."""

from collections import defaultdict
from typing import NamedTuple

from livemosaic.load.work import Work


class _Newest(NamedTuple):
    version: str
    unit: int
    row: int


def settle(work: Work, shard: int) -> None:
    """Writes, for each unit that has any, the scenes of a shard that another row has newer.

    Of two equal versions the one that is read first stays.
    """
    newest: dict[str, _Newest] = {}
    older: dict[int, list[str]] = defaultdict(list)
    for name in work.names(f"versions/{shard:06}"):
        unit = int(name.rpartition("/")[2])
        for line in work.get(name).decode().splitlines():
            digest, row, version = line.split(" ", 2)
            found = _Newest(version, unit, int(row))
            before = newest.setdefault(digest, found)
            if before is found:
                continue
            loser = before if found.version > before.version else found
            newest[digest] = found if loser is before else before
            older[loser.unit].append(f"{digest} {loser.row}")
    for unit, lines in older.items():
        work.put(f"older/{unit:06}/{shard:06}", "\n".join(lines).encode())


def older_ones(work: Work, unit: int) -> set[tuple[str, int]]:
    """Returns the digests and rows of a unit's scenes that another row has newer."""
    found: set[tuple[str, int]] = set()
    for name in work.names(f"older/{unit:06}"):
        for line in work.get(name).decode().splitlines():
            digest, row = line.split(" ")
            found.add((digest, int(row)))
    return found
