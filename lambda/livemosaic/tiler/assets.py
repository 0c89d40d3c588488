"""The assets of a scene that a request reads. Pure."""

from collections.abc import Collection, Sequence

from livemosaic.errors import AmbiguousAssetError, InvalidRequestError, UnreadableAssetError
from livemosaic.model.assets import find_asset, is_pattern, names_file
from livemosaic.model.mosaic import MAX_KNOWN_ASSETS, Mosaic
from livemosaic.model.raster import Encoding, encodings_from_text
from livemosaic.model.render import Read
from livemosaic.model.scene import IndexedScene, Scene
from livemosaic.render.expression import Expression


def asked_for(mosaic: Mosaic, read: Read, expression: Expression | None) -> tuple[str, ...]:
    """Returns the assets that a request or its expression names; empty for the defaults.

    Raises `InvalidRequestError` for an asset that the mosaic does not know, if it knows any; names
    of files, and patterns for them, are looked for in each scene.
    """
    known = tuple(dict.fromkeys((*mosaic.assets, *mosaic.known_assets)))
    named = read.assets or (expression.assets(known) if expression else ())
    strangers = [name for name in named if name not in known and not names_file(name)]
    strangers += expression.strangers(known) if expression else ()
    if strangers and 0 < len(known) < MAX_KNOWN_ASSETS:
        raise InvalidRequestError(
            f"there is no asset {strangers[0][:80]!r} in mosaic {mosaic.id!r}; there are: "
            f"{', '.join(known)[:300]}"
        )
    return named


def chosen_assets(mosaic: Mosaic, scene: IndexedScene, read: Read) -> dict[str, str]:
    """Returns the hrefs of a scene that a request reads, in order, by the names of the assets.

    The requested assets; else the ones that the mosaic shows, which are the same of every scene.
    Raises `UnreadableAssetError` for an asset that the scene does not have, or has of another kind
    than its mosaic, and for a name that several of its assets have.
    """
    wanted = read.assets or mosaic.shown_assets
    if unfit := lacking(mosaic, scene, wanted) or unlike(scene, wanted):
        raise UnreadableAssetError(unfit, "request")
    try:
        return {name: scene.assets[_key(mosaic, scene, name) or name] for name in wanted}
    except AmbiguousAssetError as error:
        raise UnreadableAssetError(str(error), "request") from error


def encodings_of(scene: IndexedScene, names: Collection[str]) -> dict[str, Encoding]:
    """Returns what the numbers in assets of a scene mean, where its Item states it, by name."""
    stated = encodings_from_text(scene.encodings)
    keys = {name: find_asset(name, scene.assets) or name for name in names if stated}
    return {name: stated[key] for name, key in keys.items() if key in stated}


def unlike(scene: IndexedScene | Scene, wanted: Sequence[str]) -> str:
    """Returns which of the wanted assets are of another kind than the mosaic's, in words.

    Empty where none is. Only an asset that is named as it is stored can be: a pattern for files
    means whatever it matches.
    """
    for name in wanted:
        if name in scene.other_kinds:
            return f"has another kind of asset {name[:80]!r}: {scene.other_kinds[name]}"
    return ""


def lacking(mosaic: Mosaic, scene: IndexedScene | Scene, wanted: Sequence[str]) -> str:
    """Returns which of the wanted assets a scene lacks, in words; empty where it has all."""
    for name in wanted:
        if name not in scene.assets and not _is_found(mosaic, scene, name):
            return f"has no asset {name[:80]!r}"
    return "" if wanted else "has no assets that its mosaic shows yet"


def _is_found(mosaic: Mosaic, scene: IndexedScene | Scene, name: str) -> bool:
    try:
        return _key(mosaic, scene, name) is not None
    except AmbiguousAssetError:
        return True  # the read says which


def _key(mosaic: Mosaic, scene: IndexedScene | Scene, name: str) -> str | None:
    """Returns the key that a name stands for in a scene; `AmbiguousAssetError` where several may.

    A name that is a key in the mosaic never is the file of another asset: `SR_B4.TIF` is the key
    of red in some catalogues, and the file of `nir08` in others. Patterns are always for files.
    """
    if name in scene.assets:
        return name
    if name in mosaic.known_assets and not is_pattern(name):
        return None
    return find_asset(name, scene.assets)
