"""Removes the scenes of a deleted mosaic, each shard of their heads by a worker of its own.

Rows, `m` standing for `{mosaic}.{generation}`:

| row     | pk            | sk        | attributes          |
|---------|---------------|-----------|---------------------|
| removed | `{m}#removed` | `{shard}` | `scenes`, `expires` |

`scenes` is how many scenes of the shard were removed, about: what a worker that died had removed
since it counted is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from livemosaic.index.scenes import Index
from livemosaic.index.schema import SHARDS, mosaic_prefix, partition
from livemosaic.model.mosaic import Mosaic
from livemosaic.table import Key, Put
from livemosaic.table.groups import rows_of

_COUNTED: Final = 1024
"""Scenes after which their number is written."""
_KEPT_S: Final = 14 * 24 * 3600
"""How long a number stays that nobody deletes."""


@dataclass(frozen=True, slots=True)
class Removal:
    """The removal of one mosaic, which is marked as deleting.

    Any number of workers may be at work, on any shards; what was interrupted is done by the next.
    """

    index: Index
    mosaic: Mosaic

    def clear(self, shard: int, late: Callable[[], bool]) -> bool:
        """Removes the scenes of a shard until it is late; returns whether none is left."""
        done = written = self._counted(shard)
        for keys in self.index.purge(self.mosaic, [shard]):
            done += len(keys)
            if done - written >= _COUNTED:
                self._count(shard, done)
                written = done
            if late():
                self._count(shard, done)
                return False
        if done > written:
            self._count(shard, done)
        return True

    def finish(self) -> bool:
        """Forgets the mosaic if no scene of it is left; returns whether that is so."""
        if any(self._has_scenes(shard) for shard in range(SHARDS)):
            return False
        self.index.table.remove([self._key(shard) for shard in range(SHARDS)])
        self.index.mosaics.forget(self.mosaic)
        return True

    def removed(self) -> int:
        """The number of scenes that are gone, about."""
        rows = rows_of(self.index.table, self._key(0).pk)
        return sum(int(row.item["scenes"]) for row in rows)

    def _has_scenes(self, shard: int) -> bool:
        pk = partition(self.mosaic, "scenes", str(shard))
        return next(iter(rows_of(self.index.table, pk, limit=1)), None) is not None

    def _counted(self, shard: int) -> int:
        item = self.index.table.get(self._key(shard))
        return 0 if item is None else int(item["scenes"])

    def _count(self, shard: int, scenes: int) -> None:
        expires = int(self.index.clock()) + _KEPT_S
        self.index.table.transact([Put(self._key(shard), {"scenes": scenes, "expires": expires})])

    def _key(self, shard: int) -> Key:
        return Key(f"{mosaic_prefix(self.mosaic)}removed", str(shard))
