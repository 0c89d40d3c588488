"""Where the pixels of a GeoTIFF come from, as its metadata."""

import json
from dataclasses import fields
from typing import Final

import livemosaic
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rule import DEFAULT, Rule
from livemosaic.tiler.picture import Picture

_MOST: Final = 8192
"""Characters of the list of scenes."""


def tags_of(mosaic: Mosaic, made: Picture, rule: Rule) -> dict[str, str]:
    """Returns the metadata of an image: mosaic, scenes, their times, rule, overviews, limits.

    Nothing of the moment at which it is made: two GeoTIFFs of one ETag are the same bytes.
    """
    found = {
        "TIFFTAG_SOFTWARE": f"livemosaic {livemosaic.__version__}",
        "MOSAIC": mosaic.id,
        "SCENES": _listed(made.scenes),
        "SCENE_TIMES": made.times,
        "RULE": _changed(rule),
        "OVERVIEW": "" if made.shown is None else f"zoom {made.shown.zoom}",
        "TRUNCATED": made.truncated,
    }
    return {name: value for name, value in found.items() if value}


def _changed(rule: Rule) -> str:
    """Returns what a rule has other than the default, as JSON; `{}` for the default."""
    values = {one.name: getattr(rule, one.name) for one in fields(rule)}
    changed = {name: value for name, value in values.items() if value != getattr(DEFAULT, name)}
    return json.dumps(changed, default=dict)


def _listed(names: object) -> str:
    text = json.dumps(names, ensure_ascii=False)
    return text if len(text) <= _MOST else text[:_MOST].rpartition(",")[0] + ", …"
