"""STAC Items and the scenes made of them (STAC 1.0 and 1.1, item-spec; GeoJSON, RFC 7946)."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any, Final

from shapely.geometry import MultiPolygon

from livemosaic.errors import AmbiguousAssetError, InvalidItemError
from livemosaic.geo.footprint import check_axes, footprint, held_pole
from livemosaic.ingest.assets.bands import StatedEncodings, stated_encodings
from livemosaic.ingest.assets.body import check_body
from livemosaic.ingest.assets.choice import choose_assets
from livemosaic.ingest.assets.meaning import stated_meanings
from livemosaic.ingest.assets.media import describe_asset
from livemosaic.ingest.assets.names import select_assets
from livemosaic.ingest.assets.zoom import native_zoom
from livemosaic.ingest.hrefs import ReadableAssets, readable_assets, without_signatures
from livemosaic.ingest.migration import migrate
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import DELETION, Order
from livemosaic.model.rank import rank
from livemosaic.model.raster import encodings_to_text
from livemosaic.model.scene import Scene, check_collection, check_id, is_utf8, time_of
from livemosaic.model.time import parse_time
from livemosaic.storage.allowlist import AllowList

_MAX_ASSETS: Final = 500
"""Every row of a scene holds the hrefs of its assets."""
_REASONS: Final = 3
"""Reasons that a message lists at most."""
_MAX_DEPTH: Final = 16
_MAX_NUMBER: Final = 2**63
_MIN_NUMBER: Final = 1e-130
"""The smallest positive number of DynamoDB."""


@dataclass(frozen=True, slots=True)
class StacItem:
    """A STAC Item that passed all checks that do not depend on a mosaic."""

    collection: str
    """Empty where the Item names none."""
    id: str
    order: str
    """The order of its version (`model.order`)."""
    footprint: MultiPolygon
    """Longitude and latitude, valid, split at the antimeridian, counter-clockwise."""
    properties: Mapping[str, Any]
    assets: Mapping[str, Mapping[str, Any]]
    document: Mapping[str, Any]
    """The Item in STAC 1.0 or 1.1."""
    published: Mapping[str, Any]
    """The Item as it was published, perhaps in an earlier version of STAC."""
    base: str | None
    """URL of the Item; relative hrefs are resolved against it."""
    notes: Sequence[str] = ()
    """Sentences about what a migration from an earlier version lost."""

    @classmethod
    def parse(
        cls, document: Mapping[str, Any], *, order: Order, base: str | None = None
    ) -> "StacItem":
        """Checks an Item, migrated if it is of an earlier version of STAC.

        `InvalidItemError` names the member and its value.
        """
        if document.get("type") != "Feature":
            kind = str(document.get("type"))[:80]
            raise InvalidItemError(f"type is {kind!r}, a STAC Item's is 'Feature'")
        published, present = document, migrate(document)
        document = present.document
        properties = _mapping(document, "properties")
        bbox = document.get("bbox")
        found = footprint(document.get("geometry"), bbox, partial(held_pole, document))
        check_axes(found, {"bbox": bbox, "proj:centroid": _centroid(properties)})
        return cls(
            collection=check_collection(document.get("collection")),
            id=check_id(document.get("id")),
            order=order.of_item(_updated(properties)),
            footprint=found,
            properties=properties,
            assets=_mapping(document, "assets"),
            document=document,
            published=published,
            base=base or _self_link(document),
            notes=present.notes,
        )

    def scene(self, mosaic: Mosaic, allow: AllowList) -> Scene:
        """Returns its scene in a mosaic, with the assets that may be read.

        `InvalidItemError` if the Item has none of those that the mosaic keeps, or if none of them
        may be read.
        """
        kept = self._kept(mosaic)
        check_body(mosaic, self.properties, kept.values())
        found = self._readable(kept, allow)
        stated = self._stated(kept, found.hrefs)
        wanted = {k: v for k, v in self.properties.items() if k in mosaic.properties}
        for name, value in {**wanted, "assets": list(found.hrefs)}.items():
            _check_storable(name, value)
        return Scene(
            collection=self.collection,
            id=self.id,
            version=f"{self.order}#{self._digest(mosaic, allow)}",
            footprint=self.footprint,
            rank=rank(mosaic.sortby, self.properties),
            datetime=time_of(self.properties),
            assets=found.hrefs,
            misstated=stated.problems,
            left_out={key: str(error) for key, error in found.left_out.items()},
            shown_assets=() if mosaic.chosen_assets else self._shown(kept, found.hrefs),
            properties=wanted,
            encodings=encodings_to_text(stated.encodings),
            native_zoom=self._native_zoom(mosaic, kept, found.hrefs),
            meanings=cache(partial(self._meanings, kept, found.hrefs)),
        )

    @property
    def left(self) -> str:
        """Version of its deletion from a mosaic whose filter it does not pass."""
        return f"{self.order}#{DELETION}"

    def _readable(self, kept: Mapping[str, Any], allow: AllowList) -> ReadableAssets:
        found = readable_assets(kept, self.base, allow)
        if found.hrefs:
            return found
        errors = list(found.left_out.values())
        if len(errors) == 1:
            raise errors[0]
        reasons = "; ".join(map(str, errors[:_REASONS]))
        more = f"; and {len(errors) - _REASONS} more" if len(errors) > _REASONS else ""
        raise type(errors[0])(f"none of its {len(errors)} assets may be read: {reasons}{more}")

    def _kept(self, mosaic: Mosaic) -> dict[str, Any]:
        """Returns the assets that the mosaic keeps, by their names there, if they may be read."""
        try:
            keys = select_assets(self.id, self.assets, mosaic.assets, mosaic.default_assets)
        except AmbiguousAssetError as error:
            raise InvalidItemError(str(error)) from error
        found = {name: self.assets[key] for name, key in keys.items()}
        if len(found) > _MAX_ASSETS:
            raise InvalidItemError(
                f"has {len(found):,} GeoTIFF assets, a scene at most {_MAX_ASSETS}; name the "
                f"ones that mosaic {mosaic.id!r} keeps in its `assets`"
            )
        if not found:
            keeps = ", ".join(mosaic.assets) or "GeoTIFF assets"
            has = ", ".join(describe_asset(k, a) for k, a in self.assets.items()) or "none"
            raise InvalidItemError(
                f"has no asset that mosaic {mosaic.id!r} keeps ({keeps}); its assets: {has[:600]}"
            )
        return found

    def _shown(self, kept: Mapping[str, Any], names: Collection[str]) -> tuple[str, ...]:
        """Returns the assets to show of scenes like this one, of the ones with these names."""
        found = {name: asset for name, asset in kept.items() if name in names}
        return choose_assets(found, self.properties, self.id, self.collection)

    def _stated(self, kept: Mapping[str, Any], names: Collection[str]) -> StatedEncodings:
        """Returns the encodings of the assets with these names."""
        found = {name: asset for name, asset in kept.items() if name in names}
        return stated_encodings(found, self.properties)

    def _native_zoom(self, mosaic: Mosaic, kept: Mapping[str, Any], names: Collection[str]) -> int:
        """Returns the zoom of the finest of the assets with these names."""
        _, south, _, north = self.footprint.bounds
        found = (asset for name, asset in kept.items() if name in names)
        return native_zoom(mosaic.tms, found, self.properties, (south, north))

    def _meanings(self, kept: Mapping[str, Any], names: Collection[str]) -> dict[str, str]:
        """Returns what is stated about the values of the assets with these names."""
        keys = {id(asset): key for key, asset in self.assets.items()}
        found = {name: (keys[id(kept[name])], kept[name]) for name in names}
        return stated_meanings(found, self.properties, self.id, self.collection)

    def _digest(self, mosaic: Mosaic, allow: AllowList) -> str:
        """Returns a hash of the Item without its links, and of what the mosaic keeps of Items."""
        content = {k: v for k, v in self.published.items() if k != "links"}
        keeps = [mosaic.assets, mosaic.properties]
        try:
            text = _canonical([content, keeps])
            if "?" in text:  # perhaps a signature
                content["assets"] = without_signatures(content["assets"], allow)
                text = _canonical([content, keeps])
        except RecursionError as error:
            raise InvalidItemError("is nested too deeply to be read") from error
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _check_storable(name: str, value: object, depth: int = 0) -> None:
    """Raises `InvalidItemError` for JSON that no table can hold."""
    if isinstance(value, Mapping | list | tuple) and depth < _MAX_DEPTH:
        inner = [*value, *value.values()] if isinstance(value, Mapping) else value
        for one in inner:
            _check_storable(name, one, depth + 1)
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, Mapping | list | tuple):
        problem = f"is nested more than {_MAX_DEPTH} levels deep"
    elif number and value and not _MIN_NUMBER <= abs(value) < _MAX_NUMBER:  # type: ignore[arg-type]
        problem = f"holds the number {str(value)[:40]}, which is not finite, too large or too small"
    elif isinstance(value, str) and not is_utf8(value):
        problem = "holds half of a surrogate pair, which is not text"
    else:
        return
    raise InvalidItemError(f"{name[:80]!r} {problem}")


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    if not isinstance(value, Mapping):
        raise InvalidItemError(f"{name} is {type(value).__name__}, not an object")
    return value


def _centroid(properties: Mapping[str, Any]) -> Sequence[object]:
    """Returns `proj:centroid` (projection extension 2), which names its axes, as a bbox."""
    centroid = properties.get("proj:centroid")
    place = [centroid.get("lon"), centroid.get("lat")] if isinstance(centroid, Mapping) else []
    return [*place, *place]


def _self_link(document: Mapping[str, Any]) -> str | None:
    links = document.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") == "self":
            href = link.get("href")
            return href if isinstance(href, str) and "://" in href else None
    return None


def _updated(properties: Mapping[str, Any]) -> datetime | None:
    updated = properties.get("updated")
    try:
        return None if updated is None else parse_time(updated)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidItemError(f"updated {str(updated)[:80]!r} is not an RFC 3339 time") from error
