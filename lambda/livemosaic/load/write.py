"""The fourth step, for each unit, and the last: rows that DynamoDB imports, and their counts."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Final

from livemosaic.errors import SourceUnavailableError
from livemosaic.load.fold import known_at
from livemosaic.load.plan import digest_of
from livemosaic.load.scenes import LoadedRow, SceneMaker, rejected
from livemosaic.load.settle import older_ones
from livemosaic.load.survey import UnitDigest
from livemosaic.load.work import DATA, Work
from livemosaic.table.attributes import to_json_line

COUNTED: Final = (
    "items",
    "scenes",
    "removed",
    "older",
    "truncated",
    "unwanted",
    "rejected",
    "incomplete",
    "rows",
    "bytes",
)
REPORT: Final = "report"
REJECTED: Final = "rejected"


def write(work: Work, n: int) -> None:
    """Writes the rows of a unit's scenes, its rejected Items, and its counts."""
    plan = work.plan
    maker = SceneMaker(plan, work.allow, known_at(work, n))
    older = older_ones(work, n)
    counts = Counter(dict.fromkeys(COUNTED, 0))
    seen = UnitDigest()
    with work.writing(f"{DATA}{n:06}.json") as data, work.writing(f"{REJECTED}/{n:06}") as refused:
        for row in maker.rows(plan.units[n]):
            data.writelines(_lines(row, older, seen, counts))
            if row.problem:
                refused.write(json.dumps(rejected(row)).encode() + b"\n")
        if seen.digest != work.get_json(f"lessons/{n:06}")["seen"]:
            raise SourceUnavailableError(
                f"unit {n} has other scenes than when it was surveyed: servers of assets answer "
                "differently, or the deployment changed; begin anew"
            )
    work.put_json(f"counts/{n:06}", counts)


def _lines(
    row: LoadedRow, older: set[tuple[str, int]], seen: UnitDigest, counts: Counter[str]
) -> list[bytes]:
    """Returns the rows of an Item as DynamoDB imports them, and counts what it is."""
    lines: list[bytes] = []
    for scene in row.scenes:
        digest = digest_of(scene.mosaic, scene.key)
        seen.add(digest, scene)
        if (digest, row.entry.line) in older:
            counts["older"] += 1
            continue
        counts["scenes" if scene.is_shown else "removed"] += 1
        counts["incomplete"] += scene.left_out > 0
        lines += [to_json_line(put.key, put.item) for put in scene.puts]
    counts["items"] += 1
    counts["truncated"] += row.outdated
    counts["rejected"] += bool(row.problem)
    counts["unwanted"] += not (row.scenes or row.outdated or row.problem)
    counts["rows"] += len(lines)
    counts["bytes"] += sum(map(len, lines))
    return lines


def finish(work: Work) -> Mapping[str, int]:
    """Adds up the counts of all units; writes and returns them.

    `items`, of which some are `rejected`, or `unwanted` by all mosaics; `scenes`, of which some are
    `incomplete` (an asset may not be read); `removed` (they do not pass a filter); `older` than
    another in the files; `truncated` since; `rows` and `bytes` of the import.
    """
    total: Counter[str] = Counter()
    for n in range(len(work.plan.units)):
        total.update(work.get_json(f"counts/{n:06}"))
    mosaics = work.get(f"{DATA}mosaics.json")
    total["rows"] += mosaics.count(b"\n")
    total["bytes"] += len(mosaics)
    work.put_json(REPORT, total)
    return total
