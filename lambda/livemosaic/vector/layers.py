"""The layers of vector tiles: their names, and what descriptions say of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import LayerName

USUAL: Final[tuple[LayerName, ...]] = ("footprints", "density")
"""The layers of a tile that is requested without naming any."""
TEXTS: Final[Mapping[LayerName, str]] = {
    "footprints": "Footprints of scenes, the topmost last",
    "density": "Squares that count scenes, in place of more than 2,000 footprints in a tile",
    "coverage": "Where the image of the tile has valid pixels",
}
_OWN: Final[Mapping[str, str]] = {"id": "String", "collection": "String", "datetime": "String"}
_COUNTS: Final[Mapping[str, str]] = {"count": "Number", "newest": "String"}


def layers_of(text: str) -> tuple[LayerName, ...]:
    """Returns the layers that names with commas between are.

    Raises `InvalidRequestError` for other names, and for a layer that is named twice.
    """
    names = [part.strip() for part in text.split(",")]
    known = {str(name): name for name in get_args(LayerName)}
    for name in names:
        if name not in known:
            raise InvalidRequestError(
                f"there is no layer {name[:40]!r}; there are {', '.join(known)}"
            )
        if names.count(name) > 1:
            raise InvalidRequestError(f"layer {name} is named twice")
    return tuple(known[name] for name in names)


def fields_of(mosaic: Mosaic, name: LayerName) -> Mapping[str, str]:
    """Returns what features of a layer have; of kept properties, items decide the types."""
    if name == "footprints":
        return {**dict.fromkeys(mosaic.fields, "Kept property of the Item"), **_OWN}
    return _COUNTS if name == "density" else {}


def vector_layers(
    mosaic: Mosaic, names: Sequence[LayerName], zooms: tuple[int, int], of_images: int
) -> list[dict[str, Any]]:
    """Returns `vector_layers` of TileJSON 3.0.0 (3.3) for tiles of some zooms, both included.

    `of_images` is the first zoom of images, at which coverage begins.
    """
    first, last = zooms
    return [
        {
            "id": name,
            "description": TEXTS[name],
            "minzoom": max(first, of_images) if name == "coverage" else first,
            "maxzoom": last,
            "fields": fields_of(mosaic, name),
        }
        for name in names
    ]
