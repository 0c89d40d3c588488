"""ETags of images, and the evaluation of If-None-Match (RFC 9110, 8.8.3 and 13.1.2).

A tag is `"{digest}.{count}{end}"`: the digest of everything that determines the image, the number
of scenes that the plan visited, and the first letter of the reason why it ended (`plan.End`). Count
and end let a later request visit exactly these scenes and compare, without reading a pixel.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

from livemosaic.tiler.plan import End, Plan, Seen

_TAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_OWN: Final = re.compile(r"[0-9a-f]{32}\.(\d{1,6})([A-Za-z])")
_ENDS: Final[dict[str, End]] = {end[0]: end for end in get_args(End)}
_MOST_TRIED: Final = 4
"""Tags of one request for which scenes are visited; others are compared with the new image."""


@dataclass(frozen=True, slots=True)
class Basis:
    """Everything but scenes that determines an image, as values with a distinctive `repr`."""

    values: tuple[Any, ...]
    of_scenes: tuple[Any, ...] = ()
    """What determines the image of any scene, but not an image without scenes."""
    of_nothing: tuple[Any, ...] = ()
    """What determines an image without scenes alone."""

    @property
    def digest(self) -> str:
        """Of all of it: the same for two requests of one image."""
        return hashlib.blake2b(
            repr((self.values, self.of_scenes, self.of_nothing)).encode()
        ).hexdigest()

    def etag(self, seen: Seen) -> str:
        """Returns the strong ETag of the image of the given scenes."""
        digest = hashlib.blake2b(repr((self.values, seen.end)).encode(), digest_size=16)
        digest.update(repr(self.of_scenes if seen.scenes else self.of_nothing).encode())
        for scene in seen.scenes:
            # A reader may find a scene before all of its rows; these decide what it hides.
            # Encodings may be added to a stored scene, whose version stays the same.
            one = scene.key, scene.version, scene.lasting_parts, scene.encodings
            digest.update(repr((*one, scene.source) if scene.source else one).encode())
        if seen.beyond:
            digest.update(repr(seen.beyond).encode())
        return f'"{digest.hexdigest()}.{len(seen.scenes)}{seen.end[0]}"'


@dataclass(frozen=True, slots=True)
class IfNoneMatch:
    """The tags in an If-None-Match header, or `*` for any; malformed tags are ignored."""

    tags: tuple[str, ...] = ()
    any: bool = False

    @classmethod
    def of(cls, header: str) -> "IfNoneMatch":
        """Parses the header; several are joined by commas, and an empty one has no tags."""
        tags = dict.fromkeys(f'"{tag}"' for tag in _TAG.findall(header))
        return cls(tuple(tags), header.strip() == "*")

    def matches(self, etag: str | None) -> bool:
        """Whether the client has the image with this tag, by weak comparison."""
        return self.any or etag in self.tags

    def unchanged(self, basis: Basis, plan: Plan) -> Seen | None:
        """Returns the scenes of the client's image if a new one would have the same ETag."""
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
