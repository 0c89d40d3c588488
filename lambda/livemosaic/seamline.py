"""The polygon along which a scene is cut, as its Item keeps it. Pure."""

from shapely.geometry import MultiPolygon

from livemosaic.errors import InvalidItemError
from livemosaic.footprint import footprint
from livemosaic.merge import Found
from livemosaic.rule import Rule


def seamline(scene: Found, rule: Rule) -> MultiPolygon | None:
    """In longitude and latitude; None where its footprint stands for it.

    That is so for other methods than `seamline`, and for scenes that keep none that can be used.
    """
    if rule.method != "seamline":
        return None
    try:
        return footprint(scene.properties.get(rule.kept_in))
    except InvalidItemError:
        return None
