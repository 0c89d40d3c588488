"""Scenes by what requests call them: `id`, or `collection/id`, wherever they are."""

from collections.abc import Iterator, Sequence

from livemosaic.cells import cell_grid
from livemosaic.covers import uncut
from livemosaic.errors import InvalidRequestError
from livemosaic.footprint import centre
from livemosaic.index import Index
from livemosaic.merge import Found
from livemosaic.model import Mosaic, Scene, scene_key


def named(index: Index, mosaic: Mosaic, names: Sequence[str]) -> Iterator[Found]:
    """The scenes of some names, in their order, read by their heads; those gone are left out.

    `InvalidRequestError` for an id alone where that does not tell which scene is meant.
    """
    possible = {name: _keys(mosaic, name) for name in names}
    keys = dict.fromkeys(key for keys in possible.values() for key in keys)
    scenes = {scene.key: scene for scene in index.scenes(mosaic, keys)}
    for name, keys_of_name in possible.items():
        found = [scenes[key] for key in keys_of_name if key in scenes]
        if not found and "/" not in name and not mosaic.only_collection:
            raise InvalidRequestError(
                f"mosaic {mosaic.id!r} takes scenes of more than one collection, and has no "
                f"{name[:80]!r} without one: write it as collection/id"
            )
        yield from (met for scene in found[:1] if (met := _met(mosaic, scene)))


def _keys(mosaic: Mosaic, name: str) -> list[str]:
    """An id may hold a slash itself."""
    collection, slash, scene_id = name.partition("/")
    alone = scene_key(mosaic.only_collection, name)
    return [alone, scene_key(collection, scene_id)] if slash else [alone]


def _met(mosaic: Mosaic, scene: Scene) -> Found | None:
    """A scene as who reads cells would meet it; None where the grid shows nothing of it."""
    part = uncut(cell_grid(mosaic.tms), scene.footprint)
    if part is None:
        return None
    return Found(
        key=scene.key,
        rank=scene.rank,
        version=scene.version,
        datetime=scene.datetime,
        assets=scene.assets,
        properties=scene.properties,
        parts=(("", part),),
        centre=centre(scene.footprint),
    )
