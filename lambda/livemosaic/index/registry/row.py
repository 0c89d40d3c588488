"""The registry row: its version grows with each change of a mosaic that ingestion must know of.

| row      | pk         | sk         | attributes                                          |
|----------|------------|------------|-----------------------------------------------------|
| registry | `registry` | `registry` | `version`, `changed` (pairs: a version, the mosaic) |

It is written in the transaction of the change. So who reads it as of now, and finds the version of
the mosaics that he has, has all of them as of now; otherwise `changed` names what to read again.
What grows with scenes (`GROWN`) is no such change: the row would be hot.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from livemosaic.model.mosaic import Mosaic
from livemosaic.table import ABSENT, Equals, Expect, Item, Key, Put

REGISTRY: Final = Key("registry", "registry")
GROWN: Final = (
    "revision",
    "bounds",
    "fit",
    "levels",
    "native_zoom",
    "known_assets",
    "chosen_assets",
    "meanings",
)
"""Attributes of a mosaic that grow with its scenes: writers may know older ones."""
_NAMED: Final = 32
"""Changes that the row names: less than 4 kB, a read unit."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The version of all mosaics, and which of them changed last."""

    version: int = 0
    changed: Sequence[tuple[int, str]] = ()
    """Version and mosaic of each change, the last one last."""

    @classmethod
    def from_item(cls, item: Item | None) -> Self:
        """The value of the row; of a table without one, whose mosaics an earlier release made."""
        if item is None:
            return cls()
        return cls(int(item["version"]), [(int(n), mosaic) for n, mosaic in item["changed"]])

    def after(self, mosaic_id: str) -> Put:
        """The write of the row with a change of a mosaic; it fails where another came first."""
        changed = [*self.changed, (self.version + 1, mosaic_id)][-_NAMED:]
        item = {"version": self.version + 1, "changed": [list(each) for each in changed]}
        expect: Expect = Equals("version", self.version) if self.version else ABSENT
        return Put(REGISTRY, item, expect)

    def since(self, version: int) -> set[str] | None:
        """The mosaics that changed after a version; None where the row names not all of them."""
        later = {mosaic for number, mosaic in self.changed if number > version}
        known = sum(number > version for number, _ in self.changed)
        return later if 0 <= self.version - version == known else None


def is_growth(before: Mosaic, after: Mosaic) -> bool:
    """Whether two states of a mosaic differ in what grows with its scenes only."""
    return after == replace(before, **{name: getattr(after, name) for name in GROWN})
