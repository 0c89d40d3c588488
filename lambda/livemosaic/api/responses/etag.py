"""ETags of tiles, and what of an If-None-Match still holds (RFC 9110, 8.8.3 and 13.1.2).

A tag is `"{digest}.{count}{end}"`: the digest of all that the tile follows from, how many scenes
the plan looked at, and what ended it (`plan.End`, its first letter). Count and end let a later
request look at just the same scenes and compare, without a pixel.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

from livemosaic.tiler.plan import End, Plan, Seen

_TAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_OWN: Final = re.compile(r"[0-9a-f]{32}\.(\d{1,6})([a-z])")
_ENDS: Final[dict[str, End]] = {end[0]: end for end in get_args(End)}
_MOST_TRIED: Final = 4
"""Tags of one request for which scenes are looked at; others are compared when the tile is made."""


@dataclass(frozen=True, slots=True)
class Basis:
    """All that a tile follows from but its scenes, as values whose `repr` tells them apart."""

    values: tuple[Any, ...]

    def etag(self, seen: Seen) -> str:
        """The strong ETag of the tile that follows from those scenes."""
        digest = hashlib.blake2b(repr((self.values, seen.end)).encode(), digest_size=16)
        for scene in seen.scenes:
            # A reader may meet a scene before all of its rows: what is hidden depends on which.
            digest.update(repr((scene.key, scene.version, sorted(scene.parts))).encode())
        return f'"{digest.hexdigest()}.{len(seen.scenes)}{seen.end[0]}"'


@dataclass(frozen=True, slots=True)
class IfNoneMatch:
    """The tags that a client holds; `*` stands for any. What is no tag is ignored."""

    tags: tuple[str, ...] = ()
    any: bool = False

    @classmethod
    def of(cls, header: str) -> "IfNoneMatch":
        """Read the header, several of which are joined by commas; the empty string is none."""
        tags = dict.fromkeys(f'"{tag}"' for tag in _TAG.findall(header))
        return cls(tuple(tags), header.strip() == "*")

    def holds(self, etag: str | None) -> bool:
        """Whether the client has the tile of that tag, by weak comparison."""
        return self.any or etag in self.tags

    def foreseen(self, basis: Basis, plan: Plan) -> Seen | None:
        """What the tile that the client has was made of, if it is still to be made of the same."""
        for tag, count, end in self._own():
            seen = plan.foreseen(count, end) if count <= plan.max_rows else None
            if seen is not None and basis.etag(seen) == tag:
                return seen
        return None

    def _own(self) -> Iterator[tuple[str, int, End]]:
        for tag in self.tags[:_MOST_TRIED]:
            found = _OWN.fullmatch(tag.strip('"'))
            if found and found[2] in _ENDS:
                yield tag, int(found[1]), _ENDS[found[2]]
