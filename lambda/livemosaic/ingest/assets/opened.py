"""Which assets of a scene most requests open: ingestion keeps their headers in the table. Pure.

A header is two to five write units, for each asset: of an Item with 16 of them, twice what all rows
of its scene cost. Assets without one are read as well, by one request more where they are opened.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from pydantic import ValidationError

from livemosaic.errors import AmbiguousAssetError, LivemosaicError
from livemosaic.model.assets import find_asset
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene
from livemosaic.render.expression import Expression
from livemosaic.render.named_renders import parameters_of


def opened_hrefs(mosaic: Mosaic, scene: Scene) -> list[str]:
    """Returns the hrefs of the assets that requests open which name none.

    Shown by default, by the mosaic's named renders, or by its overviews; all of the scene's, where
    the mosaic names the assets that it keeps. A name that fits several assets is passed over.
    """
    if mosaic.assets:
        return list(scene.assets.values())
    shown = mosaic.shown_assets or scene.shown_assets
    names = [*shown, *(mosaic.overviews.assets if mosaic.overviews else ())]
    for name in mosaic.renders:
        names += _of_render(mosaic, name, scene.assets)
    return [scene.assets[key] for key in dict.fromkeys(_keys(names, scene.assets))]


def _of_render(mosaic: Mosaic, name: str, assets: Mapping[str, str]) -> Sequence[str]:
    """Returns the assets that a render or its expression names; none of one that is not valid."""
    with suppress(LivemosaicError, ValidationError):  # stored by another release: no Item fails
        read = parameters_of(mosaic, name).read()
        if read.assets or not read.expression:
            return read.assets
        return Expression.parse(read.expression).assets(assets)
    return ()


def _keys(names: Sequence[str], assets: Mapping[str, str]) -> Iterator[str]:
    for name in names:
        with suppress(AmbiguousAssetError):
            if (key := find_asset(name, assets)) is not None:
                yield key
