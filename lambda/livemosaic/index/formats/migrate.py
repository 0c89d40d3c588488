"""Brings the rows of a mosaic to the format of this release, while events arrive.

Every head is read, as of now, and the scene whose rows differ is written anew on the condition that
its head is still the same: an event that comes first wins, and its rows are of this format already.
The mosaic's row gets the new format last. Where a migration is cut off, run it again: what is done
is read and passed over.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce

from livemosaic.index.formats.steps import STEPS, Step
from livemosaic.index.scenes import Index
from livemosaic.index.schema import Head, Tombstone
from livemosaic.index.search import is_shown
from livemosaic.model.mosaic import FORMAT, Mosaic, Watermark
from livemosaic.model.scene import Scene


@dataclass(frozen=True, slots=True)
class Migrated:
    """One scene or tombstone of a mosaic, when it is done."""

    scene: str
    """The key of the scene."""
    changed: bool
    """Whether its rows were written anew."""


@dataclass(frozen=True, slots=True)
class Migration:
    """The migration of one mosaic, as it was stored when that began."""

    index: Index
    mosaic: Mosaic

    def run(self) -> Iterator[Migrated]:
        """Migrates every scene, then the mosaic's own row; yields each scene when it is done.

        Does nothing for a mosaic of this format. Raises `TableBusyError`; run it again then.
        """
        steps = STEPS[self.mosaic.format :]
        if not steps:
            return
        now = datetime.fromtimestamp(self.index.clock(), UTC)
        scenes = _SceneSteps(self.index, self.mosaic, steps, now)
        for head in self.index.every_head(self.mosaic):
            yield Migrated(head.key, scenes.migrate(head))
        self.index.mosaics.migrated(self.mosaic.id, FORMAT, scenes.watermark)


@dataclass(frozen=True, slots=True)
class _SceneSteps:
    """The steps that the scenes of one mosaic take."""

    index: Index
    mosaic: Mosaic
    steps: Sequence[Step]
    now: datetime

    def migrate(self, head: Head | Tombstone) -> bool:
        """Writes a scene anew where it differs; returns whether it did when it was read."""
        if self._is_left_over(head):
            self.index.apply_watermark(self.mosaic, head.key)
        elif self.after(head) is None:
            return False
        self.index.revise(self.mosaic, head.key, self.after)
        return True

    def _is_left_over(self, head: Head | Tombstone) -> bool:
        """Whether a truncation hides a scene whose rows are still there."""
        return isinstance(head, Head) and not is_shown(head, self.mosaic)

    def after(self, head: Head | Tombstone) -> Scene | Tombstone | None:
        """Returns what becomes of a head; None where that is what it is."""
        if isinstance(head, Tombstone):
            ended = reduce(lambda one, step: step.tombstone(one, self.now), self.steps, head)
            return None if ended == head else ended
        stored = head
        for step in self.steps:
            stored = replace(stored, scene=step.scene(self.mosaic, stored, self.now))
        return None if stored.scene == head.scene else stored.scene

    def watermark(self, mark: Watermark) -> Watermark:
        """Returns what becomes of a watermark."""
        return reduce(lambda one, step: step.watermark(one, self.now), self.steps, mark)
