"""STAC Items become scenes (STAC 1.0 and 1.1, item-spec; GeoJSON, RFC 7946)."""

import hashlib
import json
import math
import posixpath
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from shapely.geometry import MultiPolygon

from livemosaic.errors import InvalidItemError
from livemosaic.footprint import check_axes, footprint
from livemosaic.hrefs import AllowList
from livemosaic.model import Mosaic, Scene

_MAX_ID_BYTES: Final = 512
_MAX_ASSETS: Final = 500
"""Their hrefs are in every row of a scene."""
_MAX_DEPTH: Final = 16
_MAX_NUMBER: Final = 2**63
_MIN_NUMBER: Final = 1e-130
"""The smallest that DynamoDB holds, but for 0."""
MAX_SKEW: Final = timedelta(days=1)
"""A version further in the future than this would keep every later event out."""
UNRANKED: Final = "~"
"""Rank of a scene without the property to sort by: after every hexadecimal digit."""
DELETION: Final = "~deleted"
"""Content of a tombstone's version: at equal order keys a deletion wins over any content hash."""
_TIFF_TYPES: Final = ("image/tiff", "image/vnd.stac.geotiff", "image/geotiff")
_NOT_DATA: Final = frozenset({"thumbnail", "overview", "metadata"})


@dataclass(frozen=True, slots=True)
class StacItem:
    """A STAC Item that has been checked as far as no mosaic is needed to judge it."""

    collection: str
    """Empty where the Item names none."""
    id: str
    order: str
    """Order key of its version: `properties.updated`, else the time of its event, in UTC."""
    footprint: MultiPolygon
    """Longitude and latitude, valid, split at the antimeridian, counter-clockwise."""
    properties: Mapping[str, Any]
    assets: Mapping[str, Mapping[str, Any]]
    document: Mapping[str, Any]
    base: str | None
    """Where the Item was found; relative hrefs are resolved against it."""

    @classmethod
    def parse(
        cls, document: Mapping[str, Any], *, event_time: datetime, base: str | None = None
    ) -> "StacItem":
        """Check an Item; `InvalidItemError` names what is wrong and the value."""
        if document.get("type") != "Feature":
            kind = str(document.get("type"))[:80]
            raise InvalidItemError(f"type is {kind!r}, a STAC Item's is 'Feature'")
        version = str(document.get("stac_version"))[:80]
        if not version.startswith("1."):
            raise InvalidItemError(f"stac_version is {version!r}; 1.0 and 1.1 are read")
        properties = _mapping(document, "properties")
        bbox = document.get("bbox")
        found = footprint(document.get("geometry"), bbox)
        check_axes(found, {"bbox": bbox, "proj:centroid": _centroid(properties)})
        return cls(
            collection=check_collection(document.get("collection")),
            id=check_id(document.get("id")),
            order=_order(properties.get("updated"), event_time),
            footprint=found,
            properties=properties,
            assets=_mapping(document, "assets"),
            document=document,
            base=base or _self_link(document),
        )

    def scene(self, mosaic: Mosaic, allow: AllowList) -> Scene:
        """What a mosaic keeps of it; `InvalidItemError` where that is nothing, or forbidden."""
        assets = self._kept(mosaic)
        for href in assets.values():
            allow.check(href)
        wanted = {k: v for k, v in self.properties.items() if k in mosaic.properties}
        for name, value in {**wanted, "assets": list(assets)}.items():
            _check_storable(name, value)
        return Scene(
            collection=self.collection,
            id=self.id,
            version=f"{self.order}#{self._digest(mosaic)}",
            footprint=self.footprint,
            rank=rank(mosaic.sortby, self.properties),
            datetime=_time_of(self.properties),
            assets=assets,
            properties=wanted,
        )

    @property
    def left(self) -> str:
        """The version at which it leaves a mosaic whose filter it does not pass."""
        return f"{self.order}#{DELETION}"

    def _kept(self, mosaic: Mosaic) -> dict[str, str]:
        wanted = mosaic.assets or tuple(k for k, a in self.assets.items() if _is_raster(a))
        found = [k for k in wanted if k in self.assets]
        if len(found) > _MAX_ASSETS:
            raise InvalidItemError(
                f"has {len(found):,} GeoTIFF assets, a scene at most {_MAX_ASSETS}; say which of "
                f"them mosaic {mosaic.id!r} keeps, in its `assets`"
            )
        kept = {k: self._href(k) for k in found}
        if not kept:
            keeps = ", ".join(mosaic.assets) or "GeoTIFF assets"
            has = ", ".join(self.assets) or "none"
            raise InvalidItemError(
                f"has no asset that mosaic {mosaic.id!r} keeps ({keeps}); its assets: {has[:300]}"
            )
        return kept

    def _href(self, key: str) -> str:
        asset = self.assets[key]
        href = asset.get("href") if isinstance(asset, Mapping) else None
        if not isinstance(href, str) or not href:
            raise InvalidItemError(f"asset {key[:80]!r} has no href")
        return resolve(href, self.base)

    def _digest(self, mosaic: Mosaic) -> str:
        """Content hash: the Item less its links, and what the mosaic would keep of any Item."""
        content = {k: v for k, v in self.document.items() if k != "links"}
        keeps = [mosaic.assets, mosaic.properties]
        try:
            text = json.dumps([content, keeps], sort_keys=True, separators=(",", ":"))
        except RecursionError as error:
            raise InvalidItemError("is nested too deeply to be read") from error
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def deletion_version(time: datetime) -> str:
    """The version of a deletion at that time."""
    return f"{utc_text(time)}#{DELETION}"


def check_collection(value: object) -> str:
    """A collection id; empty for none."""
    if value is None:
        return ""
    if not isinstance(value, str) or "#" in value or _bad_text(value):
        raise InvalidItemError(
            f"collection {str(value)[:80]!r} must be text of at most {_MAX_ID_BYTES} bytes "
            "without '#' or control characters"
        )
    return value


def check_id(value: object) -> str:
    """An Item's id."""
    if not isinstance(value, str) or not value or _bad_text(value):
        raise InvalidItemError(
            f"id {str(value)[:80]!r} must be text of 1 to {_MAX_ID_BYTES} bytes without control "
            "characters"
        )
    return value


def _bad_text(value: str) -> bool:
    if not _is_utf8(value) or len(value.encode()) > _MAX_ID_BYTES:
        return True
    return any(ord(c) < 32 or ord(c) == 127 for c in value)


def _check_storable(name: str, value: object, depth: int = 0) -> None:
    """Refuse what JSON can say and no table can hold."""
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
    elif isinstance(value, str) and not _is_utf8(value):
        problem = "holds half of a surrogate pair, which is not text"
    else:
        return
    raise InvalidItemError(f"{name[:80]!r} {problem}")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, from "\ud800" in JSON
        return False
    return True


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    if not isinstance(value, Mapping):
        raise InvalidItemError(f"{name} is {type(value).__name__}, not an object")
    return value


def _centroid(properties: Mapping[str, Any]) -> Sequence[object]:
    """`proj:centroid` (projection extension 2), which names its axes, as a box."""
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


def _is_raster(asset: object) -> bool:
    if not isinstance(asset, Mapping):
        return False
    roles = asset.get("roles")
    if isinstance(roles, list) and _NOT_DATA.intersection(r for r in roles if isinstance(r, str)):
        return False
    media = str(asset.get("type", "")).lower()
    path = urlsplit(str(asset.get("href", ""))).path.lower()
    return media.startswith(_TIFF_TYPES) or (not media and path.endswith((".tif", ".tiff")))


def resolve(href: str, base: str | None) -> str:
    """An href as an absolute one; a relative one starts from the folder of `base`."""
    if "://" in href or href.startswith("/"):
        return href
    if base is None:
        raise InvalidItemError(
            f"href {href[:200]!r} is relative, and the Item says nowhere where it is: add a link "
            "with rel 'self', or make the href absolute"
        )
    scheme, found, rest = base.rpartition("://")
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(rest), href))
    return f"{scheme}{found}{joined}"


def rank(sortby: str, properties: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that sort as the property does; `~` where it is missing.

    The bits of an IEEE 754 double sort like the number once the sign bit is flipped, and all bits
    of a negative one.
    """
    name = sortby.lstrip("+-")
    value = properties.get(name)
    number = _time_number(properties) if name == "datetime" else _number(value)
    if number is None:
        return UNRANKED
    (bits,) = struct.unpack(
        ">Q", struct.pack(">d", (-number if sortby[0] == "-" else number) + 0.0)
    )
    return f"{bits ^ ((1 << 64) - 1 if bits >> 63 else 1 << 63):016x}"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = parse_time(value).timestamp() if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):  # no time; an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _time_number(properties: Mapping[str, Any]) -> float | None:
    text = _time_of(properties)
    return None if text is None else _number(text)


def _time_of(properties: Mapping[str, Any]) -> str | None:
    """`datetime`, or the start of the Item's time range where it is null (STAC common metadata)."""
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


def parse_time(text: str) -> datetime:
    """RFC 3339 text in UTC, which it means where it names no offset; `ValueError` if it is none."""
    time = datetime.fromisoformat(text.strip().upper())
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(f"{text[:80]!r} is before or after all years") from error


def _order(updated: object, event_time: datetime) -> str:
    if updated is None:
        return utc_text(event_time)
    try:
        time = parse_time(updated)  # type: ignore[arg-type]
        text = utc_text(time)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidItemError(f"updated {str(updated)[:80]!r} is not an RFC 3339 time") from error
    if time > event_time + MAX_SKEW:
        raise InvalidItemError(
            f"updated {updated!r} is more than a day after its event ({utc_text(event_time)}): it "
            "would keep every later version out"
        )
    return text


def utc_text(time: datetime) -> str:
    """RFC 3339 in UTC with microseconds: such texts sort as the times do."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
