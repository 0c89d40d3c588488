"""The effect of a change on a scene, and what is newer where it had none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from livemosaic.index.schema import Head, Tombstone
from livemosaic.model.order import moment_of, unmarked

Change = Literal["applied", "unchanged", "outdated", "contested", "deleted", "truncated"]
"""`contested`: another document has the same version. Of the two, the one with the larger content
hash is shown, in whatever order they came."""

NewerKind = Literal["version", "deletion", "truncation"]
_WORDS: Final[Mapping[NewerKind, str]] = {
    "version": "a version of",
    "deletion": "deleted",
    "truncation": "truncated",
}


@dataclass(frozen=True, slots=True)
class Newer:
    """What a mosaic has that is newer than a change, which therefore shows nothing."""

    kind: NewerKind
    """A version of the Item, its deletion, or a truncation of its collection."""
    time: str
    """The moment of that, in UTC."""

    def __str__(self) -> str:
        """Returns it as a message names it: `deleted 2026-11-27T10:00:00Z`."""
        return f"{_WORDS.get(self.kind, self.kind)} {self.time.replace('.000000', '')}"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change did to a scene, or to a collection, of one mosaic."""

    change: Change
    newer: Newer | None = None
    """Set where the change is `outdated`, or `contested` and another document is shown."""
    other_kinds: Mapping[str, str] = field(default_factory=dict)
    """As in `Scene`, of the scene that the mosaic has now."""
    replaced: str = field(default="", compare=False)
    """The version that was there before; empty where there was none, or nothing was written."""
    region: str = field(default="", compare=False)
    """Region of `index.overviews` in which overviews are outdated now; empty where none is."""


def newest(head: Head | Tombstone | None, mark: str) -> Newer:
    """Returns the newest there is of a scene: its head, or the watermark of its collection."""
    if head is None or mark >= unmarked(head.version):
        return Newer("truncation", moment_of(mark))
    return Newer("version" if isinstance(head, Head) else "deletion", moment_of(head.version))
