"""Requests of WMS: names of parameters in any case, versions, and values that several operations
share.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode

from pydantic import ValidationError
from rasterio.crs import CRS
from starlette.types import Scope

from livemosaic.api.access import TOKEN_PARAMETER
from livemosaic.api.params.crs import crs_of, has_north_first
from livemosaic.api.params.names import KnownNames, names_of
from livemosaic.api.params.pixels import ReadQuery, RenderQuery
from livemosaic.api.responses.errors import describe_errors
from livemosaic.api.wms.exceptions import ExceptionForm, ServiceError, Version
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import FARTHEST, THINNEST
from livemosaic.geo.crs import LONLAT
from livemosaic.model.raster import BBox, Grid
from livemosaic.model.render import Format
from livemosaic.render.exports.png8 import MEDIA_TYPE as PNG8
from livemosaic.settings import Settings
from livemosaic.tiler.rules.parameters import MosaicRuleQuery

FORMATS: Final[dict[str, Format]] = {
    "image/png": "png",
    PNG8: "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "image/tiff": "tif",
}
"""Formats of maps by media type; a GeoTIFF has values, where no style makes colors of them."""
_ALSO: Final[dict[str, Format]] = {
    "image/jpg": "jpeg",
    "image/geotiff": "tif",
    "image/tiff;application=geotiff": "tif",
    "image/png8": "png",
    "image/png;mode=24bit": "png",
    "image/png;mode=32bit": "png",
}
_BY_NAME: Final = {name.replace(" ", ""): found for name, found in (FORMATS | _ALSO).items()}
_PALETTED: Final = ("image/png8", PNG8.replace(" ", ""))
_OWN: Final = frozenset(
    (
        *("service", "request", "version", "wmtver", "layers", "styles", "crs", "srs", "bbox"),
        *("width", "height", "format", "transparent", "bgcolor", "exceptions", "time"),
        *("elevation", "query_layers", "info_format", "feature_count", "i", "j", "x", "y"),
        *("layer", "style", "sld", "sld_body", "sld_version", "updatesequence"),
    )
)
"""Parameters of the standard, in lower case."""
_OF_OTHER_SERVERS: Final = frozenset(
    (
        *("dpi", "map_resolution", "format_options", "tiled", "tilesorigin", "scale", "rule"),
        *("legend_options", "angle", "language", "map", "buffer", "sldversion", "remote_ows"),
    )
)
"""Parameters that clients add for other servers, without an effect here."""
_OLDER: Final = re.compile(r"\s*(\d{1,3})(?:\.(\d{1,3}))?(?:\.(\d{1,3}))?\s*", re.ASCII)
_HEX: Final = re.compile("(?:0[xX]|#)?([0-9A-Fa-f]{6})")
_MAX_SIDE: Final = 100_000
_MAX_CRS: Final = 4000
_MAX_NUMBER: Final = 64
"""Characters."""
_FORMS: Final[Mapping[str, ExceptionForm]] = {
    "inimage": "inimage",
    "application/vnd.ogc.se_inimage": "inimage",
    "blank": "blank",
    "application/vnd.ogc.se_blank": "blank",
}


class WmsParameters(MosaicRuleQuery, RenderQuery, ReadQuery):
    """Our own parameters of images, which WMS calls vendor-specific (OGC 06-042, 6.8.3)."""


_VENDOR: Final = names_of(WmsParameters)
_NAMES: Final = KnownNames(
    _VENDOR.names | {TOKEN_PARAMETER}, _VENDOR.lists, any_case=_OWN | _OF_OTHER_SERVERS
)
_CANONICAL: Final = {name.lower(): name for name in _NAMES.names}


def canonical_query(scope: Scope) -> None:
    """Writes the query of a request with the names that we have: parameters of WMS may be in any
    case (OGC 06-042, 6.8.1), and so may ours.
    """
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    named = [(_CANONICAL.get(name.lower(), _lowered(name)), value) for name, value in pairs]
    scope["query_string"] = urlencode(named).encode()


def _lowered(name: str) -> str:
    lower = name.lower()
    return lower if lower in _NAMES.any_case or lower.startswith("dim_") else name


@dataclass(frozen=True, slots=True)
class WmsRequest:
    """The query of a request, after `canonical_query`."""

    values: Mapping[str, str]
    """Parameters of the standard, by name in lower case."""
    vendor: tuple[tuple[str, str], ...]
    """Our own parameters, as given; with the access token."""
    unknown: tuple[str, ...]
    """Names of parameters without an effect."""

    @classmethod
    def of(cls, query: bytes) -> "WmsRequest":
        """Parses a query; `InvalidRequestError` for misspelled and contradicting parameters."""
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        values: dict[str, str] = {}
        for name, value in pairs:
            if name in _OWN and values.setdefault(name, value) != value:
                raise InvalidRequestError(f"{name.upper()} is given more than once, with {value!r}")
        unknown = [name for name in _NAMES.check(query) if not name.startswith("dim_")]
        vendor = tuple((name, value) for name, value in pairs if name in _NAMES.names)
        return cls(values, vendor, tuple(unknown))

    def get(self, name: str) -> str:
        """Returns a parameter of the standard; an empty text where it is missing."""
        return self.values.get(name, "").strip()

    def need(self, name: str) -> str:
        """Returns a parameter of the standard; `InvalidRequestError` where it is missing."""
        if not (found := self.get(name)):
            raise InvalidRequestError(f"{name.upper()} is missing")
        return found

    @property
    def version(self) -> Version:
        """The version of the answer: the newest that is not above the requested one, else the
        oldest (OGC 06-042, 6.2.4); 1.3.0 if none is requested."""
        return version_of(self.values)

    def parameters(self) -> WmsParameters:
        """Parses our own parameters; raises `InvalidRequestError`."""
        given: dict[str, str | list[str]] = {}
        for name, value in self.vendor:
            if name in _VENDOR.lists:
                given[name] = [*given.get(name, []), value]
            elif name in _VENDOR.names:
                given[name] = value
        try:
            return WmsParameters.model_validate(given)
        except ValidationError as error:
            raise InvalidRequestError(describe_errors(error.errors())) from error

    def size(self, settings: Settings, layers: int = 1) -> tuple[int, int]:
        """Returns WIDTH and HEIGHT; `InvalidRequestError` beyond what the server draws of all
        layers together."""
        width, height = (_whole(name, self.need(name)) for name in ("width", "height"))
        most = settings.max_image_pixels
        if width * height * layers > most:
            of_layers = f" of {layers} layers" if layers > 1 else ""
            raise InvalidRequestError(
                f"WIDTH={width:,} and HEIGHT={height:,}{of_layers} are "
                f"{width * height * layers:,} pixels; this server draws {most:,} at most"
            )
        return width, height

    def grid(self, settings: Settings, layers: int = 1) -> Grid:
        """Returns the pixels of the map, x before y, whatever the order of the axes of its CRS is.

        The box may reach beyond the poles, and any times around the world, as maps of clients do
        that show all of it. Raises `ServiceError` and `InvalidRequestError`.
        """
        name, crs = self._crs()
        a0, b0, a1, b1 = self._corners()
        swapped = self.version == "1.3.0" and is_north_first(name)
        bounds = (b0, a0, b1, a1) if swapped else (a0, b0, a1, b1)
        width, height = self.size(settings, layers)
        _check_bounds(bounds, self.get("bbox"))
        return Grid(crs, bounds, width, height)

    def _crs(self) -> tuple[str, CRS]:
        parameter = "crs" if self.version == "1.3.0" else "srs"
        name = self.need(parameter)
        if name.upper().startswith("AUTO"):
            raise ServiceError(
                "InvalidCRS",
                f"{parameter.upper()} {name[:80]!r}: automatic projections are not "
                "offered; name one that is fixed, such as EPSG:32632",
            )
        try:
            return name, LONLAT if name.upper() == "CRS:84" else crs_of(name[:_MAX_CRS])
        except InvalidRequestError as error:
            raise ServiceError("InvalidCRS", str(error)) from error

    def _corners(self) -> BBox:
        text = self.need("bbox")
        try:
            first, second, third, fourth = map(float, text.split(","))
        except ValueError as error:
            raise InvalidRequestError(
                f"BBOX {text[:80]!r} must be four numbers: minimum x and y, then maximum x and y"
            ) from error
        return first, second, third, fourth

    def pixel(self, width: int, height: int) -> tuple[int, int]:
        """Returns the column and row of GetFeatureInfo, from the upper left; raises
        `ServiceError`."""
        names = ("i", "j") if self.version == "1.3.0" else ("x", "y")
        texts = [self.need(name) for name in names]
        try:
            column, row = (int(text[:_MAX_NUMBER]) for text in texts)
        except ValueError:
            column = row = -1
        if not (0 <= column < width and 0 <= row < height):
            shown = ", ".join(f"{n.upper()}={t[:20]}" for n, t in zip(names, texts, strict=True))
            raise ServiceError(
                "InvalidPoint", f"{shown} is no pixel of a map of {width} × {height} pixels"
            )
        return column, row

    def format(self) -> Format:
        """Returns FORMAT of a map; raises `ServiceError` for one that is not offered."""
        text = self.need("format")
        found = _BY_NAME.get(_plain(text))
        if found is None:
            raise ServiceError(
                "InvalidFormat", f"FORMAT {text[:80]!r} is not offered; {', '.join(FORMATS)} are"
            )
        return found

    @property
    def is_paletted(self) -> bool:
        """Whether FORMAT is a PNG with a palette of 8 bits."""
        return _plain(self.get("format")) in _PALETTED

    def background(self) -> tuple[int, int, int] | None:
        """Returns BGCOLOR, white by default; None of a transparent map, which no JPEG is."""
        wanted = self.get("transparent").upper() or "FALSE"
        if wanted not in ("TRUE", "FALSE"):
            raise InvalidRequestError(f"TRANSPARENT {wanted[:20]!r} must be TRUE or FALSE")
        text = self.get("bgcolor") or "0xFFFFFF"
        found = _HEX.fullmatch(text)
        if found is None:
            raise InvalidRequestError(f"BGCOLOR {text[:20]!r} must be like 0xFFFFFF")
        red, green, blue = bytes.fromhex(found[1])
        is_transparent = wanted == "TRUE" and self.format() != "jpeg"
        return None if is_transparent else (red, green, blue)

    def feature_count(self) -> int:
        """Returns the scenes that GetFeatureInfo lists at most: 1 by default."""
        text = self.get("feature_count") or "1"
        return _whole("feature_count", text)


def _plain(media_type: str) -> str:
    return media_type.lower().replace(" ", "")


def _check_bounds(bounds: BBox, text: str) -> None:
    left, bottom, right, top = bounds
    farthest = max(map(abs, bounds))
    if not farthest < FARTHEST:
        raise InvalidRequestError(
            f"BBOX {text[:80]!r} must be finite numbers, of places on a globe"
        )
    if not min(right - left, top - bottom) > THINNEST * max(1.0, farthest):
        raise InvalidRequestError(
            f"BBOX {text[:80]!r} is empty or inverted: each minimum comes first"
        )


def version_of(values: Mapping[str, str]) -> Version:
    """Returns the version that parameters, named in lower case, ask for; see `WmsRequest`."""
    text = values.get("version") or values.get("wmtver") or ""
    found = _OLDER.fullmatch(text)
    if not text or found is None:
        return "1.3.0"
    return "1.3.0" if tuple(int(part or 0) for part in found.groups()) >= (1, 3, 0) else "1.1.1"


def exception_form(values: Mapping[str, str]) -> ExceptionForm:
    """Returns the form of exceptions that parameters, named in lower case, ask for."""
    return _FORMS.get(values.get("exceptions", "").strip().lower(), "xml")


def is_north_first(name: str) -> bool:
    """Whether WMS 1.3.0 has coordinates of a CRS north before east."""
    return name.upper() != "CRS:84" and has_north_first(name)


def _whole(name: str, text: str) -> int:
    try:
        found = int(text[:_MAX_NUMBER])
    except ValueError:
        found = 0
    if not 1 <= found <= _MAX_SIDE:
        raise InvalidRequestError(
            f"{name.upper()} {text[:20]!r} must be a whole number from 1 to {_MAX_SIDE:,}"
        )
    return found
