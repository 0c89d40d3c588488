"""Scenes: what a mosaic keeps of a STAC Item, and how a scene is identified and ranked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shapely.geometry import MultiPolygon

from livemosaic.errors import InvalidItemError
from livemosaic.model.raster import USUAL_MAXZOOM, LonLat
from livemosaic.model.time import parse_time

_MAX_ID_BYTES: Final = 512
Part = tuple[str, bytes]
"""Quadkey of a cell, and what is stored of a footprint there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The part of a STAC Item that a mosaic keeps."""

    collection: str
    id: str
    version: str
    """`{order key}#{content hash}`: the larger string is the newer version."""
    footprint: MultiPolygon
    """Longitude and latitude (OGC:CRS84), valid, split at the antimeridian."""
    rank: str
    """Sorts the scenes of a mosaic by their UTF-8 bytes; the smallest is on top."""
    datetime: str | None = None
    assets: Mapping[str, str] = field(default_factory=dict)
    """Href by asset key."""
    left_out: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Why an asset that the mosaic keeps is not among `assets`, by its key; not stored."""
    misstated: Sequence[str] = field(default=(), compare=False)
    """A sentence for each nodata, scale or offset of its Item that cannot be used; not stored."""
    shown_assets: tuple[str, ...] = field(default=(), compare=False)
    """Assets to show of scenes like it, chosen from its Item where the mosaic has not chosen
    yet; not stored with the scene."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    encodings: str = ""
    """What the numbers in the assets mean, as text: see `model.raster`."""
    meanings: Callable[[], Mapping[str, str]] = field(default=dict, compare=False, repr=False)
    """Returns what its Item states about the values of its assets, by name: see
    `index.learning.meanings`. Not stored with the scene; empty where the scene was read. Called
    only where the mosaic may not know it yet, as it takes as long as all else of a scene."""
    native_zoom: int = field(default=USUAL_MAXZOOM, compare=False)
    """The lowest zoom whose pixels are as fine as its own, as far as its Item states them; not
    stored with the scene."""
    other_kinds: Mapping[str, str] = field(default_factory=dict)
    """How assets differ from what its mosaic has by the same name, as `nir08, not red`. They are
    left out of images that name them, or show them by default."""
    source: str = ""
    """In a derived mosaic, the source that it is from (`Member.name`); not stored."""
    layer: int = 0
    """In a derived mosaic, the layer of the stack that it is in: 0 is on top, whatever the rank."""

    @property
    def key(self) -> str:
        """Identity within a mosaic: STAC ids are unique only within their collection."""
        return scene_key(self.collection, self.id)

    def shows(self, asset: str) -> bool:
        """Whether images of an asset have the scene: it has the asset, and of no other kind."""
        return asset in self.assets and asset not in self.other_kinds


@dataclass(frozen=True, slots=True)
class IndexedScene:
    """A scene as read from index cells: all that planning and reading a tile needs."""

    key: str
    rank: str
    version: str
    datetime: str | None
    assets: Mapping[str, str]
    properties: Mapping[str, Any]
    parts: tuple[Part, ...]
    """The part of the footprint in each cell in which the scene was met."""
    centre: LonLat | None = None
    """Centre of the footprint; None in rows written before it was kept."""
    encodings: str = ""
    """As in `Scene`; empty in rows written before they were kept."""
    other_kinds: Mapping[str, str] = field(default_factory=dict)
    """As in `Scene`; empty in rows written before they were kept."""
    passing_parts: tuple[Part, ...] = ()
    """Parts of moved rows, beside rows that stay: the table takes them away some time later."""
    source: str = ""
    """As in `Scene`."""
    layer: int = 0
    """As in `Scene`."""
    inside: LonLat | None = None
    """A place of a footprint that does not hold its centre; None of others, and of rows written
    before it was kept."""
    is_left_out: bool = False
    """Whether the filter of its source denies it: it was looked at, and takes no part."""

    @property
    def lasting_parts(self) -> list[Part]:
        """The parts without passing ones, sorted: other parts are another image."""
        return sorted(part for part in self.parts if part not in self.passing_parts)

    @property
    def position(self) -> str:
        """The place in the stored order, as the keys of its rows have it: `{rank}#{key}`.

        In a derived mosaic two digits for its layer are before it.
        """
        own = f"{self.rank}#{self.key}"
        return f"{self.layer:02}{own}" if self.source else own

    @property
    def is_overview(self) -> bool:
        """Whether it stands for an overview cell: the keys of STAC Items have a `#`."""
        return "#" not in self.key

    @property
    def collection(self) -> str:
        """The STAC collection; empty where the Item had none."""
        return self.key.partition("#")[0]

    @property
    def id(self) -> str:
        """The id of the STAC Item."""
        return self.key.partition("#")[2]


def scene_key(collection: str, scene_id: str) -> str:
    """`{collection}#{id}`; a collection id never holds `#`, an item id may."""
    return f"{collection}#{scene_id}"


def check_collection(value: object) -> str:
    """Returns a collection id, empty for None; raises `InvalidItemError` for an invalid one."""
    if value is None:
        return ""
    if not isinstance(value, str) or "#" in value or _bad_text(value):
        raise InvalidItemError(
            f"collection {str(value)[:80]!r} must be text of at most {_MAX_ID_BYTES} bytes "
            "without '#' or control characters"
        )
    return value


def check_id(value: object) -> str:
    """Returns an Item's id; raises `InvalidItemError` for an invalid one."""
    if not isinstance(value, str) or not value or _bad_text(value):
        raise InvalidItemError(
            f"id {str(value)[:80]!r} must be text of 1 to {_MAX_ID_BYTES} bytes without control "
            "characters"
        )
    return value


def _bad_text(value: str) -> bool:
    if not is_utf8(value) or len(value.encode()) > _MAX_ID_BYTES:
        return True
    return any(ord(c) < 32 or ord(c) == 127 for c in value)


def is_utf8(text: str) -> bool:
    """Whether text can be written as UTF-8: False for half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, from "\ud800" in JSON
        return False
    return True


def time_of(properties: Mapping[str, Any]) -> str | None:
    """Returns `datetime`, or `start_datetime` where it is null (STAC common metadata)."""
    for name in ("datetime", "start_datetime"):
        value = properties.get(name)
        if value is None:
            continue
        try:
            parse_time(value)
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidItemError(f"{name} {str(value)[:80]!r} is not an RFC 3339 time") from error
        return str(value)
    return None
