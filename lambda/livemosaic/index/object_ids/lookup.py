"""From numbers of scenes to scenes."""

from collections.abc import Sequence
from itertools import islice

from livemosaic.errors import InvalidRequestError
from livemosaic.index.object_ids.numbers import hash_in, hash_of_key, number_of_scene
from livemosaic.index.partitions import Area
from livemosaic.index.search import SceneReader
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene


def scene_numbered(
    scenes: SceneReader, mosaic: Mosaic, area: Area, number: int, most: int
) -> Scene | None:
    """Returns the scene of a number, a second old; None where there is none.

    `area` is the cell of the number (`numbers.place_of`). Raises `InvalidRequestError` where two
    scenes have the number, and where more than `most` rows of the index would be read.
    """
    found = dict.fromkeys(_keys_of(scenes, mosaic, area, number, most))
    same = [each for each in scenes.scenes(mosaic, found) if number_of_scene(each) == number]
    if len(same) > 1:
        raise _ambiguous(number, same)
    return same[0] if same else None


def _keys_of(scenes: SceneReader, mosaic: Mosaic, area: Area, number: int, most: int) -> list[str]:
    """Returns the keys of scenes in an area whose hash is that of a number."""
    wanted, met = hash_in(number), scenes.find(mosaic, area)
    keys = [scene.key for scene in islice(met, most) if hash_of_key(scene.key) == wanted]
    if not keys and next(met, None) is not None:
        raise InvalidRequestError(
            f"object id {number} was not found among the first {most:,} items of its place; name "
            "the item by its id, as collection/id"
        )
    return keys


def _ambiguous(number: int, scenes: Sequence[Scene]) -> InvalidRequestError:
    names = ", ".join(f"{each.collection}/{each.id}"[:80] for each in scenes[:5])
    return InvalidRequestError(
        f"object id {number} is of {len(scenes)} items: name one by its id, {names}"
    )
