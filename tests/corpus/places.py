"""Where pixels lie: tie points, scales, matrices and keys, as GDAL and others write them."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from .by_gdal import written
from .case import Case, pixels
from .tags import ASCII, FLOAT, SHORT, Tag, doubles, geokeys, retag, shorts, text

_SCALE, _TIES, _MATRIX = 33550, 33922, 34264
_FEET, _US_FEET, _METRE = 9002, 9003, 9001
_UTM: Final = {1024: 1, 1025: 1, 3072: 32633}
_POINT: Final = _UTM | {1025: 2}
_NO_CRS: Final = r"no georeferencing|CRS"


@cache
def _plain() -> bytes:
    return written(pixels("place", "u1", 3), tile=(64, 64), overviews=(2, 4))


def cases() -> Iterator[Case]:
    yield from _transforms()
    yield from _keys()
    yield from _systems()
    yield from _directories()


def _case(name: str, tags: Mapping[int, Tag | None], **how: Any) -> Case:
    return Case(f"place {name}", lambda: retag(_plain(), tags), **how)


def _transforms() -> Iterator[Case]:
    ties = {
        "at 0, 0": (0, 0, 0, 500_000, 4_500_000, 0),
        "at 10, 20": (10, 20, 0, 500_100, 4_499_800, 0),
        "at a half": (0.5, 0.5, 0, 500_005, 4_499_995, 0),
        "at the lower left": (0, 136, 0, 500_000, 4_498_640, 0),
        "beyond": (-50, 1000, 0, 499_500, 4_490_000, 0),
        "several": (0, 0, 0, 500_000, 4_500_000, 0, 200, 0, 0, 502_000, 4_500_000, 0,
                    0, 136, 0, 500_000, 4_498_640, 0),
        "none": (),
        "short": (0, 0, 0, 500_000),
    }  # fmt: skip
    scales = {
        "10": (10, 10, 0), "10 × 20": (10, 20, 0), "-y": (10, -10, 0), "-x": (-10, 10, 0),
        "-x -y": (-10, -10, 0), "two numbers": (10, 10), "zero": (0, 0, 0), "x zero": (0, 10, 0),
        "z": (10, 10, 1), "none": (),
    }  # fmt: skip
    matrices = {
        "none": (),
        "north up": (10, 0, 0, 600_000, 0, -10, 0, 4_600_000, 0, 0, 0, 0, 0, 0, 0, 1),
        "south up": (10, 0, 0, 600_000, 0, 10, 0, 4_600_000, 0, 0, 0, 0, 0, 0, 0, 1),
        "rotated": (8, 6, 0, 600_000, 6, -8, 0, 4_600_000, 0, 0, 0, 0, 0, 0, 0, 1),
        "singular": (10, 10, 0, 600_000, 10, 10, 0, 4_600_000, 0, 0, 0, 0, 0, 0, 0, 1),
        "zeros": (0,) * 16,
        "short": (10, 0, 0, 600_000, 0, -10),
    }
    for point, keys in (("area", _UTM), ("point", _POINT)):
        for (tie, t), (scale, s), (matrix, m) in (
            (a, b, c) for a in ties.items() for b in scales.items() for c in matrices.items()
        ):
            if matrix not in ("none", "rotated") and (tie, scale) not in (
                ("none", "none"), ("at 0, 0", "10"), ("several", "none"), ("none", "10"),
            ):  # fmt: skip
                continue
            tags: dict[int, Tag | None] = {
                _TIES: doubles(*t) if t else None,
                _SCALE: doubles(*s) if s else None,
                _MATRIX: doubles(*m) if m else None,
            }
            refused = r"no georeferencing|decoded|damaged"
            gcps = scale in ("none", "zero", "x zero") and tie == "several" and matrix == "none"
            yield _case(
                f"tie {tie}, scale {scale}, matrix {matrix}, {point}",
                tags | geokeys(keys),
                refused=refused if gcps or _nowhere(tie, scale, matrix) else "",
            )


def _nowhere(tie: str, scale: str, matrix: str) -> bool:
    """GDAL has no transform or a singular one for it, or none of its own."""
    scaled = scale not in ("none", "zero", "x zero")
    if scaled:
        return tie in ("none", "short")
    return matrix in ("none", "zeros", "singular", "short")


def _keys() -> Iterator[Case]:
    """Keys beside a code, which change what it means or do not."""
    geographic: dict[int, Any] = {1024: 2, 1025: 1, 2048: 4326}
    feet: dict[int, Any] = {1024: 1, 1025: 1, 3072: 2924}  # NAD83(HARN) / Virginia North (ftUS)
    sets: dict[str, dict[int, Any]] = {
        "utm": _UTM,
        "utm metre": _UTM | {3076: _METRE},
        "utm feet": _UTM | {3076: _FEET},
        "utm US feet": _UTM | {3076: _US_FEET},
        "utm unit size": _UTM | {3076: 32767, 3077: 0.3048},
        "utm unit size alone": _UTM | {3077: 0.3048},
        "utm links": _UTM | {3076: 9034},
        "utm unknown unit": _UTM | {3076: 32766},
        "feet": feet,
        "feet as US feet": feet | {3076: _US_FEET},
        "feet as metre": feet | {3076: _METRE},
        "feet as feet": feet | {3076: _FEET},
        "metre code as US feet": {1024: 1, 1025: 1, 3072: 3968, 3076: _US_FEET},
        "geographic": geographic,
        "geographic degree": geographic | {2054: 9102},
        "geographic radian": geographic | {2054: 9101},
        "geographic grad": geographic | {2054: 9105},
        "geographic arc seconds": geographic | {2054: 9104},
        "geographic unit size": geographic | {2054: 32767, 2055: 0.01745329251994328},
        "geographic other ellipsoid": geographic | {2056: 7004},
        "geographic own axes": geographic | {2057: 6378137.0, 2059: 298.257223563},
        "geographic meridian": geographic | {2051: 8903},
        "geographic meridian degrees": geographic | {2061: 2.33722917},
        "geographic linear unit": geographic | {2052: _FEET},
        "geographic projected too": geographic | {3072: 32633},
        "utm of another datum": _UTM | {2048: 4267},
        "utm of its datum": _UTM | {2048: 4326, 2054: 9102},
        "utm geographic model": _UTM | {1024: 2},
        "utm geocentric model": _UTM | {1024: 3},
        "geographic projected model": geographic | {1024: 1},
        "no model": {1025: 1, 3072: 32633},
        "no model geographic": {1025: 1, 2048: 4326},
        "user defined model": _UTM | {1024: 32767},
        "no raster type": {1024: 1, 3072: 32633},
        "raster type 0": _UTM | {1025: 0},
        "raster type 3": _UTM | {1025: 3},
        "utm false easting": _UTM | {3082: 0.0, 3083: 1000.0},
        "utm projection": _UTM | {3074: 16033},
        "utm other projection": _UTM | {3074: 16032},
        "utm transformation": _UTM | {3075: 1, 3080: 12.0, 3081: 0.0, 3092: 0.9996, 3082: 500000.0},
        "utm citation": _UTM | {1026: "WGS 84 / UTM zone 33N", 3073: "UTM"},
        "utm other citation": _UTM | {1026: "WGS 84 / UTM zone 11N"},
        "utm units citation": _UTM | {3073: "LUnits = US Foot"},
        "citation only": {1024: 1, 1025: 1, 1026: "WGS 84 / UTM zone 33N"},
        "citation only of PCS": {1024: 1, 1025: 1, 3073: "WGS_1984_UTM_Zone_33N"},
        "nothing": {1025: 1},
        "model only": {1024: 1, 1025: 1},
        "code 0": _UTM | {3072: 0},
        "user code": _UTM | {3072: 32767},
        "unknown code": _UTM | {3072: 31},
        "ESRI code": _UTM | {3072: 54},
        "private code": _UTM | {3072: 40000},
        "ESRI PE": _UTM | {3072: 32767, 1026: 'ESRI PE String = PROJCS["WGS_1984_Plate_Carree",'
            'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
            'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],'
            'PROJECTION["Plate_Carree"],PARAMETER["False_Easting",0.0],'
            'PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",0.0],UNIT["Meter",1.0]]'},
        "ESRI PE beside a code": _UTM | {3073: 'ESRI PE String = PROJCS["WGS_1984_UTM_Zone_11N",'
            'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
            'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],'
            'PROJECTION["Transverse_Mercator"],PARAMETER["False_Easting",500000.0],'
            'PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",-117.0],'
            'PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'},
        "ESRI PE of a web map": {1024: 1, 1025: 1, 3072: 3857,
            1026: "PCS Name = WGS_1984_Web_Mercator_Auxiliary_Sphere",
            3073: "WGS_1984_Web_Mercator_Auxiliary_Sphere"},
        "imagine": _UTM | {1026: "IMAGINE GeoTIFF Support\nCopyright 1991\nProjection Name = UTM\n"
            "Units = meters\nGeoTIFF Units = meters"},
        "imagine feet": _UTM | {1026: "IMAGINE GeoTIFF Support\nProjection Name = UTM\n"
            "Units = us_survey_feet\nGeoTIFF Units = us_survey_feet", 3076: _US_FEET},
        "mercator": {1024: 1, 1025: 1, 3072: 3857},
        "old web mercator": {1024: 1, 1025: 1, 3072: 3785},
        "google": {1024: 1, 1025: 1, 3072: 32767, 1026: "WGS 84 / Pseudo-Mercator", 3075: 7,
                   2048: 4326, 3076: _METRE, 3080: 0.0, 3081: 0.0, 3092: 1.0, 3082: 0.0, 3083: 0.0},
        "vertical": _UTM | {4096: 5773},
        "vertical with unit": _UTM | {4096: 5773, 4097: "EGM96", 4098: 5171, 4099: _METRE},
        "vertical feet": _UTM | {4096: 6360, 4099: _US_FEET},
        "vertical user": _UTM | {4096: 32767, 4097: "a datum", 4099: _METRE},
        "vertical ellipsoid": _UTM | {4096: 5030},
        "vertical geographic": geographic | {4096: 5773},
        "vertical 3D": {1024: 2, 1025: 1, 2048: 4979},
        "polar": {1024: 1, 1025: 1, 3072: 3413},
        "ease": {1024: 1, 1025: 1, 3072: 6933},
        "compound code": {1024: 1, 1025: 1, 3072: 7405},
        "geographic code as PCS": {1024: 1, 1025: 1, 3072: 4326},
        "PCS code as geographic": {1024: 2, 1025: 1, 2048: 32633},
        "north and east swapped": {1024: 1, 1025: 1, 3072: 2193},
        "gauss krüger": {1024: 1, 1025: 1, 3072: 31467},
        "south oriented": {1024: 1, 1025: 1, 3072: 2053},
        "private key": _UTM | {5000: 1, 60000: 7},
        "towgs84": _UTM | {2062: 100.0},
        "coordinate epoch": geographic | {5120: 2020.5},
    }  # fmt: skip
    for name, keys in sets.items():
        for minor in (0, 1):
            # The reader may refuse only what GDAL has no CRS for; `compare` checks that.
            angular = keys.get(1024) == 2 or 2048 in keys or keys.get(3072) == 4326
            place = {_SCALE: doubles(1e-3, 1e-3, 0), _TIES: doubles(0, 0, 0, 15, 40, 0)}
            yield _case(f"keys {name} 1.{minor}", (place if angular else {}) | geokeys(keys, minor))


def _systems() -> Iterator[Case]:
    """CRSs as GDAL writes their keys."""
    sinusoidal = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m"
    here = Affine(10, 0, 500_000, 0, -10, 4_500_000)
    degrees = Affine(1e-3, 0, 15, 0, -1e-3, 40)
    systems: dict[str, tuple[Any, Affine]] = {
        **{f"EPSG:{n}": (f"EPSG:{n}", here) for n in (
            32633, 32733, 32601, 3857, 3395, 3413, 3031, 3995, 6931, 6932, 6933, 3408, 3410, 5070,
            3035, 2154, 27700, 2056, 21781, 28992, 31370, 2193, 2263, 2272, 2924, 2926, 3968,
            26918, 26718, 3577, 7844 + 0, 9473, 102100, 5514, 2180, 3006, 25832, 4087, 32661, 3112,
            28355, 7855, 20790, 2053, 29873, 3078, 24378, 27572, 3375, 5880, 8857,
        ) if n not in (7844, 102100)},
        **{f"EPSG:{n}": (f"EPSG:{n}", degrees) for n in (
            4326, 4269, 4258, 4267, 7844, 4283, 4674, 4979, 4490, 4979, 4807, 4901, 4937,
        )},
        **{f"ESRI:{n}": (f"ESRI:{n}", here) for n in (
            54009, 54008, 54012, 54030, 102001, 102003, 102008, 102039, 53008, 102100, 54034, 54052,
        )},
        "OGC:CRS84": ("OGC:CRS84", degrees),
        "sinusoidal": (sinusoidal, here),
        "laea": ("+proj=laea +lat_0=47 +lon_0=9 +datum=WGS84 +units=m", here),
        "lcc feet": ("+proj=lcc +lat_1=33 +lat_2=45 +lat_0=39 +lon_0=-96 +units=us-ft", here),
        "merc false easting": ("+proj=merc +lon_0=100 +x_0=3900000 +y_0=9e5 +ellps=bessel", here),
        "merc 2SP": ("+proj=merc +lat_ts=33 +lon_0=15 +datum=WGS84", here),
        "stere": ("+proj=stere +lat_0=90 +lat_ts=71 +lon_0=-45 +datum=WGS84", here),
        "omerc": ("+proj=omerc +lat_0=4 +lonc=102.25 +alpha=323.02 +k=0.99984 +R=6371000", here),
        "geos": ("+proj=geos +h=35785831 +lon_0=0 +ellps=GRS80 +units=m", here),
        "aea km": ("+proj=aea +lat_1=29.5 +lat_2=45.5 +lon_0=-96 +datum=NAD83 +units=km", here),
        "eqc": ("+proj=eqc +lat_ts=30 +datum=WGS84", here),
        "sphere": ("+proj=longlat +R=6371229", degrees),
        "paris": ("+proj=longlat +ellps=clrk80ign +pm=paris", degrees),
        "rotated pole": ("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39 +lon_0=18", degrees),
        "mars": ("+proj=longlat +a=3396190 +b=3376200", degrees),
        "EPSG:32633+5773": ("EPSG:32633+5773", here),
        "EPSG:4326+5773": ("EPSG:4326+5773", degrees),
        "EPSG:2263+6360": ("EPSG:2263+6360", here),
        "local": ('LOCAL_CS["a plan",UNIT["metre",1]]', here),
    }  # fmt: skip
    for name, (crs, transform) in systems.items():
        for version in ("1.0", "1.1"):
            for flavor in ("STANDARD", "ESRI_PE"):
                if flavor == "ESRI_PE" and version == "1.1":
                    continue
                yield Case(
                    f"crs {name} {version} {flavor}",
                    _of_crs(
                        crs, transform, {"geotiff_version": version, "geotiff_keys_flavor": flavor}
                    ),
                    refused=_NO_CRS if name == "local" else "",
                )  # fmt: skip


def _of_crs(crs: Any, transform: Affine, how: dict[str, Any]) -> Callable[[], bytes]:
    return lambda: written(
        pixels("place", "u1"), crs=CRS.from_user_input(crs), transform=transform, **how
    )


def _directories() -> Iterator[Case]:
    """Directories that are legal, or usual, but not as GDAL writes them."""
    utm = (1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)
    tagged: dict[str, dict[int, Tag | None]] = {
        "no samples per pixel": {277: None},
        "no photometric": {262: None},
        "no planar configuration": {284: None},
        "no compression": {259: None},
        "no sample format": {339: None},
        "bits once": {258: shorts(8)},
        "sample format once": {339: shorts(1)},
        "sample format void": {339: shorts(4, 4, 4)},
        "orientation 3": {274: shorts(3)},
        "orientation 4": {274: shorts(4)},
        "fill order 2": {266: shorts(2)},
        "fill order 1": {266: shorts(1)},
        "predictor 2 of none": {317: shorts(2)},
        "predictor 3 of none": {317: shorts(3)},
        "predictor 7": {317: shorts(7)},
        "type 14": {65000: Tag(3, (1,)), 65001: Tag(12, (1.0,))},
        "resolution of floats": {282: Tag(FLOAT, (72.0,)), 283: Tag(FLOAT, (72.0,))},
        "resolution of shorts": {282: shorts(72), 283: shorts(72)},
        "resolution by zero": {282: Tag(5, ((1, 0),)), 283: Tag(5, ((1, 0),))},
        "text without an end": {305: Tag(ASCII, b"livemosaic")},
        "text of one letter": {305: Tag(ASCII, b"x")},
        "text in Latin 1": {270: Tag(ASCII, "Vermögen\0".encode("latin-1"))},
        "text in UTF-8": {270: Tag(ASCII, "Vermögen\0".encode())},
        "texts": {270: Tag(ASCII, b"one\0two\0")},
        "empty text": {270: Tag(ASCII, b"\0")},
        "document name": {269: text("a document")},
        "width as short": {256: shorts(200), 257: shorts(136)},
        "extra samples of color": {338: shorts(0, 0, 0)},
        "min and max": {280: shorts(0, 0, 0), 281: shorts(255, 255, 255)},
        "page number": {297: shorts(0, 1)},
        "subfile 0": {254: Tag(4, (0,))},
        "subfile 2": {254: Tag(4, (2,))},
        "old subfile type": {255: shorts(1)},
        "xmp": {700: Tag(1, tuple(b"<x/>"))},
        "icc": {34675: Tag(7, bytes(200))},
        "exif": {34665: Tag(13, (8,))},
        "sub directories": {330: Tag(13, (8, 8))},
        "metadata not XML": {42112: text("not xml")},
        "metadata of other XML": {42112: text("<a><b/></a>")},
        "metadata empty": {42112: text("")},
        "metadata with scale": {42112: text(
            '<GDALMetadata><Item name="SCALE" sample="0" role="scale">2</Item>'
            '<Item name="OFFSET" sample="0" role="offset">1</Item></GDALMetadata>')},
        "metadata with scale for no band": {42112: text(
            '<GDALMetadata><Item name="SCALE" sample="9" role="scale">2</Item></GDALMetadata>')},
        "keys version 2": {34735: shorts(2, 1, 0, 3, *utm)},
        "keys revision 0": {34735: shorts(1, 0, 2, 3, *utm)},
        "keys cut short": {34735: shorts(1, 1, 0, 4, *utm)},
        "keys beyond the text": {34735: shorts(
            1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 1026, 34737, 90, 0, 3072, 0, 1, 32633)},
        "keys beyond an end of the text": {
            34735: shorts(
                1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 1026, 34737, 8, 0, 3072, 0, 1, 32633),
            34737: Tag(ASCII, b"WGS\0 84|\0")},
        "keys without their numbers": {
            34735: shorts(1, 1, 0, 4, *utm, 3080, 34736, 1, 0), 34736: None},
        "keys as longs": {34735: Tag(4, (1, 1, 0, 3, *utm))},
        "keys empty": {34735: shorts(1, 1, 0, 0)},
        "no keys": {34735: None, 34736: None, 34737: None},
        "rpc": {50844: doubles(*np.linspace(0.1, 9, 92))},
    }  # fmt: skip
    for name, tags in tagged.items():
        yield Case(f"directory {name}", lambda tags=tags: retag(_plain(), tags))
        yield Case(
            f"directory of one band {name}",
            lambda tags=tags: retag(_one(), {t: _first(t, v) for t, v in tags.items()}),
        )
    for kind in (0, 1, 2, 4, 5):
        yield Case(f"second directory of kind {kind}", _second(254, Tag(4, (kind,))))
    yield Case("second directory without a kind", _second(254, None))
    yield Case("second directory of another predictor", _second(317, shorts(2)))
    yield Case("second directory of another color", _second(262, shorts(6)))
    yield Case("second directory of another order of bits", _second(266, shorts(2)))


@cache
def _one() -> bytes:
    return written(pixels("one", "u1"), tile=(64, 64), compress="deflate")


def _first(tag: int, value: Tag | None) -> Tag | None:
    """The value for one band."""
    each = tag in (258, 339, 338, 280, 281)
    return Tag(SHORT, value.values[:1]) if value and each else value


def _second(tag: int, value: Tag | None) -> Callable[[], bytes]:
    return lambda: retag(_plain(), {tag: value}, index=1)
