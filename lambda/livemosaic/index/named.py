"""Items that a request names: which of them a mosaic does not have."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from livemosaic.errors import InvalidRequestError
from livemosaic.index.schema import head_partitions
from livemosaic.index.search import SceneReader
from livemosaic.model.mosaic import ANY_COLLECTION, Mosaic
from livemosaic.model.scene import Scene, scene_key
from livemosaic.table import MAX_SK_BYTES

_MAX_KEYS: Final = 3200
"""Scenes that are looked for: 100 ids in 32 collections."""


def missing_items(scenes: SceneReader, mosaic: Mosaic, names: Sequence[str]) -> list[str]:
    """Returns the names, `id` or `collection/id`, that no scene of the mosaic has; a second old.

    In a mosaic of any collection, its collections are found first; where they are too many to look
    into all of them, an id alone counts as found.
    """
    known = [c for c in mosaic.collections if c != ANY_COLLECTION]
    left = _without(scenes, mosaic, names, known or [""])
    if left and ANY_COLLECTION in mosaic.collections:
        more = _collections(scenes, mosaic, _MAX_KEYS // len(left))
        left = [n for n in left if "/" in n] if more is None else left
        left = _without(scenes, mosaic, left, more or [])
    return left


def named_scenes(scenes: SceneReader, mosaic: Mosaic, ids: Sequence[str]) -> list[Scene]:
    """Returns the scenes with these Item ids, of all collections, by key; a second old.

    Raises `InvalidRequestError` in a mosaic of too many collections to look into all of them.
    """
    collections = {c for c in mosaic.collections if c != ANY_COLLECTION}
    if ANY_COLLECTION in mosaic.collections and ids:
        found = _collections(scenes, mosaic, _MAX_KEYS // len(ids))
        if found is None:
            raise InvalidRequestError(
                f"mosaic {mosaic.id!r} has Items of too many collections to find {len(ids)} ids in "
                "all of them; ask for fewer ids"
            )
        collections |= found
    keys = {scene_key(collection, name) for collection in collections for name in ids}
    kept = sorted(key for key in keys if len(key.encode()) <= MAX_SK_BYTES)
    return sorted(scenes.scenes(mosaic, kept), key=lambda scene: scene.key)


def _without(
    scenes: SceneReader, mosaic: Mosaic, names: Sequence[str], collections: Collection[str]
) -> list[str]:
    """Returns the names that are of no scene of these collections."""
    possible = {name: set(_keys(name, collections)) for name in names}
    found = {scene.key for scene in scenes.scenes(mosaic, set().union(*possible.values()))}
    return [name for name, keys in possible.items() if keys.isdisjoint(found)]


def _keys(name: str, collections: Collection[str]) -> Iterator[str]:
    collection, slash, item = name.partition("/")
    pairs = [(c, name) for c in collections] + ([(collection, item)] if slash else [])
    for key in (scene_key(*pair) for pair in pairs):
        if len(key.encode()) <= MAX_SK_BYTES:
            yield key


def _collections(scenes: SceneReader, mosaic: Mosaic, most: int) -> set[str] | None:
    """Returns the collections of all scenes, skipping from one to the next; None if too many."""
    found: set[str] = set()
    for pk in head_partitions(mosaic):
        after: str | None = None
        while head := next(scenes.heads(pk, 1, after=after), None):
            collection = head.key.partition("#")[0]
            found.add(collection)
            if len(found) > most:
                return None
            after = f"{collection}$"  # sorts after every key of the collection, which begins with #
    return found
