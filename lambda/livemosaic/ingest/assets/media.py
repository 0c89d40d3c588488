"""Media types, file extensions and roles of STAC assets: which assets are GeoTIFFs. Pure.

Catalogues declare GeoTIFFs as `image/tiff; application=geotiff`, `image/x.geotiff`,
`image/vnd.stac.geotiff` (STAC 0.8), `GeoTIFF`, `application/octet-stream`, or not at all.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from livemosaic.errors import InvalidItemError
from livemosaic.model.assets import last_part

_TIFF: Final = re.compile(
    r"(?:(?:image|application)/)?(?:x[.-]|vnd\.|vnd\.stac\.)?(?:(?:geo|geo\+|big)?tiff?|cog)"
)
_SEPARATORS: Final = re.compile(r"[;,:\s]")
"""Between a media type and its parameters, as the field has them."""
_QUOTES: Final = "\"' \t\n"
_ANY: Final = frozenset({"application/octet-stream", "binary/octet-stream", "application/binary"})
"""Types of object stores for files of any kind: the extension decides."""
_TIFF_EXTENSIONS: Final = (".tif", ".tiff", ".gtiff", ".geotiff")

_NOT_READ: Final = (
    ("JPEG 2000", r"image/(?:jp2|jpx|jpm|jpeg2000|j2k|x-jp2)", ("jp2", "j2k", "jpx", "jpf")),
    ("Zarr", r"application/(?:vnd\+|vnd\.|x-)?zarr", ("zarr",)),
    ("netCDF", r"application/(?:x-|vnd\.)?netcdf", ("nc", "nc4", "cdf")),
    (
        "HDF",
        r"application/(?:x-|vnd\.)?hdf(?:[-.]?eos)?[45]?",
        ("hdf", "hdf4", "hdf5", "h4", "h5", "he5"),
    ),
    ("a point cloud", r"application/(?:vnd\.las(?:zip)?|x-las)", ("las", "laz")),
    ("GRIB", r"application/(?:x-|wmo-)?grib2?", ("grb", "grb2", "grib", "grib2")),
    ("NITF", r"(?:application|image)/(?:x-|vnd\.)?nitf", ("ntf", "nitf")),
    ("a GDAL virtual dataset", r"application/(?:x-gdal-)?vrt", ("vrt",)),
    ("PNG", r"image/(?:vnd\.stac\.)?png", ("png",)),
    ("JPEG", r"image/jpe?g", ("jpg", "jpeg")),
    ("WebP", r"image/webp", ("webp",)),
    ("GIF", r"image/gif", ("gif",)),
)
"""Formats that are not read: name, media type and extensions."""
_OF_MEDIA: Final = [(name, re.compile(media)) for name, media, _ in _NOT_READ]
_OF_EXTENSION: Final = {tail: name for name, _, tails in _NOT_READ for tail in tails}
_NOT_DATA: Final = frozenset({"thumbnail", "overview", "metadata"})
_DATA: Final = frozenset({"data", "visual"})
AUXILIARY_ROLES: Final = frozenset(
    {
        *("cloud", "cloud-shadow", "data-mask", "land-water", "mask", "quality", "saturation"),
        *("snow-ice", "water-mask", "azimuth", "incidence-angle", "local-incidence-angle", "date"),
        *("sun-azimuth", "sun-elevation", "view-angle", "noise-power", "date-offset", "metadata"),
        *("terrain-illumination", "terrain-occlusion", "terrain-shadow", "graphic"),
    }
)
"""Roles of pixels that describe other pixels (STAC best practices, "List of Asset Roles")."""


def is_geotiff(key: str, asset: object) -> bool:
    """Whether an asset is a GeoTIFF with pixels to show, by its media type, path and roles.

    `visual` is one even where its role is `overview`, as in Earth Search v0.
    """
    if not isinstance(asset, Mapping) or unread_format(asset):
        return False
    roles = roles_of(asset)
    if roles & _NOT_DATA and not roles & _DATA and key.lower() != "visual":
        return False
    media = media_type(asset)
    if _TIFF.fullmatch(media):
        return True
    return (not media or media in _ANY) and _path(asset).endswith(_TIFF_EXTENSIONS)


def unread_format(asset: Mapping[str, Any]) -> str:
    """Returns the name of the format of an asset that is never read; empty for others."""
    media, path = media_type(asset), _path(asset)
    extension = path.rpartition("/")[2].rpartition(".")[2]
    if extension in _OF_EXTENSION:
        return _OF_EXTENSION[extension]
    if ".zarr/" in path:  # an array in a store, which is a folder
        return "Zarr"
    if not media or _TIFF.fullmatch(media):
        return ""
    return next((name for name, like in _OF_MEDIA if like.fullmatch(media)), "")


def check_readable(key: str, asset: object) -> None:
    """Raises `InvalidItemError` for an asset that a mosaic keeps and that can never be read.

    Only a media type or an extension can show that; without either it may be a GeoTIFF.
    """
    if not isinstance(asset, Mapping):
        return
    media, unread = media_type(asset), unread_format(asset)
    if unread:
        raise InvalidItemError(
            f"asset {key[:80]!r} is {media or last_part(_path(asset))}: {unread} is not read, only "
            "GeoTIFF is"
        )
    is_tiff = not media or media in _ANY or _TIFF.fullmatch(media)
    if not is_tiff and not _path(asset).endswith(_TIFF_EXTENSIONS):
        raise InvalidItemError(f"asset {key[:80]!r} is {media[:80]}: only GeoTIFF is read")


def describe_asset(key: str, asset: object) -> str:
    """Returns the key with what decides whether the asset is read: `B04 (image/jp2: JPEG 2000)`."""
    if not isinstance(asset, Mapping):
        return f"{key} (not an object)"
    media, unread = media_type(asset), unread_format(asset)
    facts = [media[:60] or "no media type", *sorted(roles_of(asset) & _NOT_DATA)]
    return f"{key[:80]} ({', '.join(facts)}{f': {unread} is not read' if unread else ''})"


def media_type(asset: Mapping[str, Any]) -> str:
    """Returns the media type in lower case without parameters; empty where there is none."""
    given = asset.get("type")
    words = _SEPARATORS.split(given.strip(_QUOTES)) if isinstance(given, str) else [""]
    return words[0].lower()


def roles_of(asset: Mapping[str, Any]) -> frozenset[str]:
    """Returns the roles of an asset, in lower case."""
    roles = asset.get("roles")
    given = roles if isinstance(roles, list) else []
    return frozenset(role.lower() for role in given if isinstance(role, str))


def _path(asset: Mapping[str, Any]) -> str:
    try:
        return urlsplit(str(asset.get("href") or "")).path.lower().rstrip("/")
    except ValueError:  # a malformed IPv6 address
        return ""
