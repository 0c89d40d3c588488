"""The third step: what each mosaic knows where each unit begins, and in the end."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from livemosaic.index.learning.traits import taught, widened
from livemosaic.index.registry.mosaic import from_item, put_of, to_item
from livemosaic.index.registry.row import Registry
from livemosaic.load.survey import Lessons
from livemosaic.load.work import DATA, Work
from livemosaic.model.mosaic import Mosaic
from livemosaic.table.attributes import to_json_line


def fold(work: Work) -> None:
    """Writes what mosaics know at the beginning of units, and their own rows.

    A state is written where it differs from that of the unit before.
    """
    plan = work.plan
    known = {mosaic.id: mosaic for mosaic in plan.mosaics}
    states: list[tuple[int, Mapping[str, Any]]] = []
    for n in range(len(plan.units)):
        state = {name: _without_bounds(mosaic) for name, mosaic in known.items()}
        if not states or states[-1][1] != state:
            states.append((n, state))
        lessons = work.get_json(f"lessons/{n:06}")["mosaics"]
        known |= {name: learned(known[name], Lessons.from_json(lessons[name])) for name in lessons}
    work.put_json("states", states)
    work.put(f"{DATA}mosaics.json", _rows([*known.values()]))


def known_at(work: Work, unit: int) -> dict[str, Mosaic]:
    """Returns the mosaics by id, as they are known where a unit begins; without their bounds."""
    before = [state for n, state in work.get_json("states") if n <= unit]
    return {name: from_item(row) for name, row in before[-1].items()}


def learned(mosaic: Mosaic, lessons: Lessons) -> Mosaic:
    """Returns a mosaic with the scenes of a unit, one after the other.

    What left it as it is does so again, until something else changes it.
    """
    settled: set[int] = set()
    for n in lessons.order:
        if n in settled:
            continue
        after = taught(mosaic, lessons.traits[n])
        settled = {*settled, n} if after == mosaic else set()
        mosaic = after
        if len(settled) == len(lessons.traits):
            break
    return mosaic if lessons.bounds is None else widened(mosaic, lessons.bounds)


def _without_bounds(mosaic: Mosaic) -> Mapping[str, Any]:
    return to_item(replace(mosaic, bounds=None))


def _rows(mosaics: list[Mosaic]) -> bytes:
    """Returns the rows of mosaics and of their registry as DynamoDB imports them."""
    registry = Registry()
    lines = []
    for mosaic in mosaics:
        put = registry.after(mosaic.id)
        registry = Registry.from_item(put.item)
        row = put_of(replace(mosaic, revision=2 if mosaic.bounds else 1))
        lines.append(to_json_line(row.key, row.item))
    return b"".join([*lines, *([to_json_line(put.key, put.item)] if mosaics else [])])
