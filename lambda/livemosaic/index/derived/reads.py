"""The scenes of a derived mosaic: all of its members, in one order, each once.

A scene that several members have is the one that is on top: of the smallest layer, then rank, then
of the source that is named first.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from livemosaic.errors import InvalidRequestError
from livemosaic.index.partitions import Area
from livemosaic.index.schema import head_key, parse_head
from livemosaic.model.derived.sources import Member
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import IndexedScene, Scene
from livemosaic.table import Key

if TYPE_CHECKING:
    from livemosaic.index.search import SceneReader

_BATCH: Final = 32
_LAYER_DIGITS: Final = 2


class _Place(NamedTuple):
    """Sorts scenes of equal key, the one on top first."""

    layer: int
    rank: str
    nth: int
    """Of the member among all members."""


def found_scenes(
    reader: "SceneReader", mosaic: Mosaic, area: Area, after: str = ""
) -> Iterator[IndexedScene]:
    """The scenes of the members that share a cell with an area, in order; see `SceneReader.find`.

    The first pages of all members are read side by side. Scenes that the filter of their source
    denies are among them, marked (`is_left_out`), so that they count as what was looked at.
    """
    begin, after_rank = _split(after)
    wanted = [
        (nth, member)
        for nth, member in enumerate(mosaic.members)
        if member.layer >= begin and member.is_in_scale(area.scale)
    ]
    wanted.sort(key=lambda each: each[1].layer)
    opened = {
        nth: reader.opened(m.mosaic, area, after_rank if m.layer == begin else "")
        for nth, m in wanted
    }
    given: dict[str, int] = {}
    for _, layer in groupby(wanted, key=lambda each: each[1].layer):
        streams = [_of_member(nth, member, opened[nth]) for nth, member in layer]
        for nth, scene in heapq.merge(*streams, key=_in_order):
            if scene.is_left_out or given.setdefault(scene.key, nth) == nth:
                yield scene


def _of_member(
    nth: int, member: Member, scenes: Iterator[IndexedScene]
) -> Iterator[tuple[int, IndexedScene]]:
    for scene in scenes:
        yield nth, member.met(scene)


def _in_order(each: tuple[int, IndexedScene]) -> tuple[str, int]:
    return each[1].position, each[0]


def _split(position: str) -> tuple[int, str]:
    """The layer of a position, and what is after it; of an empty one the first."""
    if not position:
        return 0, ""
    digits = position[:_LAYER_DIGITS]
    if not (digits.isascii() and digits.isdecimal()):
        raise InvalidRequestError(f"token {position[:80]!r} is not one that was given out")
    return int(digits), position[_LAYER_DIGITS:]


def scenes_of(reader: "SceneReader", mosaic: Mosaic, keys: Iterable[str]) -> Iterator[Scene]:
    """The scenes with these keys in their order; see `SceneReader.scenes`."""
    remaining = iter(keys)
    while chunk := list(islice(remaining, _BATCH)):
        found = _on_top(reader, mosaic, chunk)
        yield from (found[key][1] for key in chunk if key in found)


def listed_scenes(
    reader: "SceneReader", mosaic: Mosaic, *, limit: int, token: str = ""
) -> tuple[list[Scene], str | None]:
    """A page of scenes, member by member; see `SceneReader.list_scenes`.

    It may have fewer scenes than `limit`, as all that are examined count. A token is
    `{member}/{token of the member}`.
    """
    first, _, inner = token.partition("/")
    last = len(mosaic.members) - 1
    if token and not (first.isascii() and first.isdecimal() and int(first) <= last):
        raise InvalidRequestError(f"token {token[:80]!r} is not one that was given out")
    scenes: list[Scene] = []
    nth, examined = int(first or 0), 0
    while nth <= last and examined < limit:
        member, left = mosaic.members[nth].mosaic, limit - examined
        page, following = reader.list_scenes(member, limit=left, token=inner)
        scenes += _of_one(reader, mosaic, nth, page)
        examined += len(page)
        nth, inner = (nth + 1, "") if following is None else (nth, following)
    return scenes, f"{nth}/{inner}" if nth <= last else None


def token_of(mosaic: Mosaic, scene: Scene, own: str) -> str:
    """The token of the page after a scene that was listed; `own` is that of its member's page.

    Of several members that are one mosaic it is of the first that shows the scene.
    """
    nth = next(
        nth
        for nth, member in enumerate(mosaic.members)
        if (member.name, member.layer) == (scene.source, scene.layer) and member.takes(scene)
    )
    return f"{nth}/{own}"


def every_scene(reader: "SceneReader", mosaic: Mosaic) -> Iterator[Scene]:
    """All scenes in no useful order, as stored now."""
    for nth, member in enumerate(mosaic.members):
        scenes = reader.every_scene(member.mosaic)
        while chunk := list(islice(scenes, _BATCH)):
            yield from _of_one(reader, mosaic, nth, chunk)


def _of_one(
    reader: "SceneReader", mosaic: Mosaic, nth: int, scenes: Sequence[Scene]
) -> list[Scene]:
    """The scenes of a member that show: they pass its filters, and no other member's is above."""
    member = mosaic.members[nth]
    taken = [member.shown(scene) for scene in scenes if member.takes(scene)]
    above = _on_top(reader, mosaic, [scene.key for scene in taken], but=nth)
    return [
        scene
        for scene in taken
        if scene.key not in above or _Place(member.layer, scene.rank, nth) < above[scene.key][0]
    ]


def _on_top(
    reader: "SceneReader", mosaic: Mosaic, keys: Sequence[str], but: int | None = None
) -> Mapping[str, tuple[_Place, Scene]]:
    """The scene of each key that is on top, a second old, and its place; of all members but one."""
    asked = [
        (nth, member, head_key(member.mosaic, key))
        for nth, member in enumerate(mosaic.members)
        if nth != but
        for key in keys
    ]
    items = reader.table.batch_get(list(dict.fromkeys(key for _, _, key in asked)))
    found: dict[str, tuple[_Place, Scene]] = {}
    for nth, member, key in asked:
        scene = _shown(member, key, items.get(key))
        if scene is not None:
            place = _Place(member.layer, scene.rank, nth)
            if scene.key not in found or place < found[scene.key][0]:
                found[scene.key] = place, scene
    return found


def _shown(member: Member, key: Key, item: Mapping[str, object] | None) -> Scene | None:
    """A scene as the derived mosaic has it, by its head; None where it shows none."""
    from livemosaic.index.search import is_shown

    head = None if item is None else parse_head(key.sk, item)
    if not is_shown(head, member.mosaic) or not member.takes(head.scene):
        return None
    return member.shown(head.scene)
