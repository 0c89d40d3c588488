"""The second step of an export by jobs: draws the tiles of a region, or takes them over."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.export.jobs.parts import DrawnPart, drawn
from livemosaic.export.jobs.work import ExportPlan, ExportWork, Region
from livemosaic.export.pmtiles.reader import Archive
from livemosaic.export.schedule.status import request_of
from livemosaic.export.tiles.archive import ArchiveDesign, ArchiveExport
from livemosaic.export.tiles.drawing import Before
from livemosaic.export.tiles.ledger import TileLedger
from livemosaic.export.tiles.publishing import ArchivePlace, ArchivePublisher, opened
from livemosaic.index.mosaics import Mosaics
from livemosaic.storage.objects import ObjectError


class UnfinishedError(LivemosaicError):
    """A region takes longer than a run; what was drawn is kept, and the next run goes on."""


def draw(
    work: ExportWork,
    mosaics: Mosaics,
    publisher: ArchivePublisher,
    unit: Region,
    late: Callable[[], bool],
) -> None:
    """Writes the tiles of a region, and their index; raises as `planned`.

    Raises `UnfinishedError` where it is `late` before all are drawn: call it again.
    """
    made = work.plan
    design = planned(made, mosaics, publisher)
    begun = f"{unit.name}.begun"
    earlier: list[str] = work.find_json(begun) or []
    done = {n for name in earlier for n in DrawnPart.from_bytes(work.get(name)).looked}
    with _before(made, unit) as before:
        zooms = range(unit.top.zoom, unit.last + 1)
        export = ArchiveExport(design.artist(before), zooms, made.settings)
        part, bodies = asyncio.run(drawn(export, unit.top, done, late))
    name = f"{unit.name}.{_digest(bodies)}.tiles"
    work.put(name, bodies)
    index = replace(part, bodies=name, earlier=earlier).to_bytes()
    if not part.looked:
        work.put(f"{unit.name}.index", index)
        return
    name = f"{unit.name}.{_digest(index)}.index"
    work.put(name, index)
    work.put_json(begun, [*earlier, name])
    raise UnfinishedError(
        f"{unit.title} is not drawn yet: {len(done) + len(part.looked)} of its tiles are; "
        "the next run goes on"
    )


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def planned(made: ExportPlan, mosaics: Mosaics, publisher: ArchivePublisher) -> ArchiveDesign:
    """Returns how the tiles of a plan are made.

    Raises `InvalidRequestError` where tiles would be drawn in another way than the plan has it, and
    `NotFoundError` where the mosaic is gone.
    """
    mosaic = mosaics.get(made.mosaic)
    ranges = tuple((low, high) for low, high in made.rescale or ())
    design = request_of(made.export, made.place, ranges).design(publisher, mosaic)
    if design.settings != made.settings:
        raise InvalidRequestError(
            f"settings of mosaic {made.mosaic!r}, or the code of the deployment, changed while its "
            "archive was made"
        )
    return design


@contextmanager
def _before(made: ExportPlan, unit: Region) -> Iterator[Before]:
    """Opens what the last export knew of a region's tiles, of one edition of each object."""
    place = ArchivePlace(made.place)
    with opened(place.ledger) as read_ledger, opened(place.to) as read_archive:
        if not (read_ledger and read_archive):
            yield Before()
            return
        try:
            ledger = TileLedger.of_spans(read_ledger, unit.spans, made.settings)
            before = Before(ledger, Archive.open(read_archive) if len(ledger.records) else None)
        except (ValueError, ObjectError):
            before = Before()
        yield before
