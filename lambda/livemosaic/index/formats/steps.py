"""The steps from each format of a mosaic's rows to the next. Pure.

| format | |
|---|---|
| 0 | versions by `updated`, or the time of the event; ranks of equal scenes by `updated` first |
| 1 | versions by the time of the event (docs/order.md); ranks by `processing:datetime` first |
| 2 | hrefs of a scene may be stored without what they all begin with (`hrefs`) |

A change of what rows mean is a new format: `model.mosaic.FORMAT`, a line here, and a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from livemosaic.index.schema import Head, Tombstone
from livemosaic.model.mosaic import FORMAT, Mosaic, Watermark
from livemosaic.model.order import not_after
from livemosaic.model.rank import PROCESSED, processed_at
from livemosaic.model.scene import Scene


@dataclass(frozen=True, slots=True)
class Step:
    """Makes rows of one format rows of the next; each function changes nothing a second time."""

    scene: Callable[[Mosaic, Head, datetime], Scene]
    """The scene of a head, at the time of the migration; a later format may change it again."""
    tombstone: Callable[[Tombstone, datetime], Tombstone]
    watermark: Callable[[Watermark, datetime], Watermark]


def _ordered(mosaic: Mosaic, head: Head, now: datetime) -> Scene:
    """A moment ahead of the clock was an `updated`: it would keep later events out."""
    rank = processed_at(head.scene.rank, _processed(mosaic, head.scene))
    return replace(head.scene, version=not_after(head.version, now), rank=rank)


def _processed(mosaic: Mosaic, scene: Scene) -> object:
    """Returns the time of processing that counts now; None where that is not known from the rows.

    A row has only the properties that its mosaic keeps. Of another one the Item may have the time,
    and the rank stays as it is until the Item comes again.
    """
    for name in PROCESSED:
        if name in scene.properties or name not in mosaic.properties:
            return scene.properties.get(name)
    return None


def _ended(tombstone: Tombstone, now: datetime) -> Tombstone:
    return replace(tombstone, version=not_after(tombstone.version, now))


def _marked(mark: Watermark, now: datetime) -> Watermark:
    return replace(mark, version=not_after(mark.version, now))


def _same_scene(_: Mosaic, head: Head, __: datetime) -> Scene:
    """Rows with whole hrefs stay as they are: readers of format 2 read both."""
    return head.scene


_SHORT_HREFS: Final = Step(_same_scene, lambda tombstone, _: tombstone, lambda mark, _: mark)
STEPS: Final[Sequence[Step]] = (Step(_ordered, _ended, _marked), _SHORT_HREFS)
"""The nth makes rows of format n rows of format n + 1."""

if len(STEPS) != FORMAT:  # pragma: no cover
    raise AssertionError(f"{len(STEPS)} steps do not lead to format {FORMAT}")
