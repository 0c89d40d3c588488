"""The objects of one export by jobs, in a folder of their own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, Self

from livemosaic.export.pmtiles.writer import ArchiveContent
from livemosaic.geo.cells import Cell
from livemosaic.model.mosaic import ScheduledExport
from livemosaic.storage.folder import Folder
from livemosaic.storage.objects import AbsentError

UNITS: Final = "units.json"
"""Regions to be drawn, a JSON list that the state machine reads."""
PIECES: Final = "pieces.json"
"""Pieces of the archive to be uploaded, such a list, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What all jobs of an export go by."""

    mosaic: str
    export: ScheduledExport
    place: str
    """`s3://` URL of the archive."""
    minzoom: int
    maxzoom: int
    rescale: Sequence[Sequence[float]] | None
    """Ranges in place of `rescale=auto`, if the render has it."""
    settings: str
    """See `ArchiveDesign.settings`: all jobs must draw alike."""
    content: ArchiveContent
    warnings: Sequence[str] = ()
    """What was foreseen that the archive lacks."""

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON value."""
        return asdict(self)

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Self:
        """Reads what `to_json` returns."""
        bounds = tuple(found["content"]["bounds"])
        content = ArchiveContent(**{**found["content"], "bounds": bounds})
        export = ScheduledExport.of(found["export"])
        return cls(**{**found, "export": export, "content": content})


@dataclass(frozen=True, slots=True)
class Region:
    """A region: tiles within one, down to a zoom."""

    top: Cell
    last: int
    spans: Sequence[tuple[int, int]] = ()
    """Of the records of the last export's ledger; see `TileLedger.spans`."""

    @property
    def name(self) -> str:
        """Name of its objects."""
        return f"parts/{self.top.zoom}-{self.top.x}-{self.top.y}"

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"tile {self.top.zoom}/{self.top.x}/{self.top.y}, down to zoom {self.last},"

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON value."""
        z, x, y = self.top.zoom, self.top.x, self.top.y
        return {"z": z, "x": x, "y": y, "last": self.last, "spans": self.spans}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Self:
        """Reads what `to_json` returns."""
        spans = [(start, stop) for start, stop in found["spans"]]
        return cls(Cell(found["z"], found["x"], found["y"]), found["last"], spans)


@dataclass(frozen=True)
class ExportWork:
    """The objects by the steps that write them. Raises `ObjectError`."""

    folder: Folder

    @cached_property
    def plan(self) -> ExportPlan:
        """The plan."""
        return ExportPlan.of_json(self.get_json("plan.json"))

    @property
    def units(self) -> list[Region]:
        """All regions."""
        return [Region.of_json(each) for each in self.get_json(UNITS)]

    def put(self, name: str, body: bytes) -> None:
        """Writes bytes."""
        self.folder.put(name, body)

    def get(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Returns an object, or bytes of a half-open range."""
        return self.folder.read(self.folder.href(name), stop, start)

    def put_json(self, name: str, value: Any) -> None:
        """Writes a JSON value."""
        self.put(name, json.dumps(value).encode())

    def get_json(self, name: str) -> Any:
        """Returns a JSON value."""
        return json.loads(self.get(name))

    def find_json(self, name: str) -> Any:
        """Returns a JSON value; None where it was not written."""
        try:
            return self.get_json(name)
        except AbsentError:
            return None
