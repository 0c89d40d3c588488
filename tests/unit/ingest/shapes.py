"""Items of public catalogues side by side, with what each asset really is: the truth that the
comparison of assets is tested against.

An asset is what its name says where nothing else is given here. Sources: the catalogues' own
documents, the band tables of the sensors, and Items in stactools' repositories.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.unit.ingest.catalogues import COG, EXCERPTS, GEOTIFF, Excerpt, asset

UNSTATED: Final = "?"
"""What an asset is cannot be known from its Item."""
_OLI: Final = ["coastal", "blue", "green", "red", "nir", "swir16", "swir22", "pan", "cirrus"]
_TM: Final = ["blue", "green", "red", "nir", "swir16", "lwir", "swir22", "pan"]
_MSI: Final = ["coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir"]


@dataclass(frozen=True)
class Shape:
    """An Item, and what its assets are by the names under which they are stored."""

    item: Excerpt
    is_really: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.item.catalogue}: {self.item.collection}"

    def truth(self, name: str) -> str:
        return self.is_really.get(name, name)


def numbered(pattern: str, bands: list[str]) -> dict[str, str]:
    """The truth of keys such as `B{:02}`."""
    return {pattern.format(number): band for number, band in enumerate(bands, 1)}


def _shape(
    catalogue: str,
    collection: str,
    id: str,  # noqa: A002
    assets: Mapping[str, Mapping[str, Any]],
    is_really: Mapping[str, str],
    **properties: Any,
) -> Shape:
    return Shape(Excerpt(catalogue, collection, id, assets, (), properties), is_really)


def _usgs(id: str, titles: list[str], places: list[int], **properties: Any) -> Excerpt:  # noqa: A002
    """Surface reflectance of the USGS in STAC 0.9: keys are files, bands are places in a list."""
    assets = {
        f"SR_B{n}.TIF": asset(
            f"{id}_SR_B{n}.TIF",
            "image/vnd.stac.geotiff; cloud-optimized=true",
            title=f"{title} Band (B{n})",
            **{"eo:bands": [place]},
        )
        for n, (title, place) in enumerate(zip(titles, places, strict=True), 1)
    }
    return Excerpt("USGS, STAC 0.9", "landsat-c2l2-sr", id, assets, (), properties)


_COLORS: Final = {
    **numbered("B{}", _OLI),
    **numbered("B{:02}", _OLI),
    **numbered("SR_B{}", _OLI),
    "nbart_red": "red",
    "nbart_green": "green",
    "nbart_blue": "blue",
}
_S2: Final = {**numbered("B{:02}", _MSI), "B8A": "nir"}
_TRUTHS: Final[Mapping[str, Mapping[str, str]]] = {
    "sentinel-2-l2a": _S2,
    "sentinel-s2-l2a-cogs": _S2,
    "S2-16D-2": _S2,
    "sentinel-2-global-mosaics": _S2,
    "landsat": numbered("B{}", _TM),
    "cop-dem-glo-30": {"data": "elevation"},
    "flights": {"data": UNSTATED},
    "noaa-emergency-response": {"cog": UNSTATED},
    "mro_hirise_uncontrolled_observations": {"image": "red"},
    "naip": {"image": "rgb"},
    "capella-open-data": {"HH": "hh"},
    "hls": {"B04": UNSTATED},
    "umbra-sar": {"GEC": UNSTATED, "CSI": UNSTATED},
}

SHAPES: Final = [
    *(Shape(excerpt, _COLORS | dict(_TRUTHS.get(excerpt.collection, {}))) for excerpt in EXCERPTS),
    _shape(
        "HLS of LP DAAC",
        "HLSS30_2.0",
        "HLS.S30.T32TLR.2026001T103421.v2.0",
        {
            name: asset(f"HLS.S30.T32TLR.2026001T103421.v2.0.{name}.tif", COG, "data")
            for name in ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "Fmask")
        },
        _S2,
    ),
    _shape(
        "HLS of LP DAAC, version 1.5",
        "HLSL30.v1.5",
        "HLS.L30.T01GEL.2021001T213113.v1.5",
        {
            name: asset(
                f"HLS.L30.T01GEL.2021001T213113.v1.5.{name}.tif",
                COG,
                title=f"Download HLS.L30.T01GEL.2021001T213113.v1.5.{name}.tif",
            )
            for name in ("B05", "B06", "B07", "VZA", "B04", "B03", "B02")
        },
        _COLORS,
    ),
    *(
        _shape(
            "HLS, one band in each Item",
            f"HLS{product}",
            f"HLS.{product}.T32TLR.2026001.v2.0.{band}",
            {"data": asset(f"HLS.{product}.T32TLR.2026001.v2.0.{band}.tif", COG, title=band)},
            {"data": truth},
        )
        for product, band, truth in (
            ("L30", "B04", "red"),
            ("S30", "B04", "red"),
            ("L30", "B05", "nir"),
            ("S30", "B05", "rededge1"),
            ("S30", "VZA", "vza"),
            ("L30", "Fmask", "fmask"),
        )
    ),
    *(
        _shape(
            "Planetary Computer",
            f"hls2-{product.lower()}",
            f"HLS.{product}.T32TLR.2026001T103421.v2.0",
            {
                name: asset(f"{name}.tif", COG, "data", title=name)
                for name in ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "Fmask", "SZA")
            },
            numbered("B{:02}", bands),
        )
        for product, bands in (("L30", _OLI), ("S30", _MSI))
    ),
    Shape(
        _usgs(
            "LC08_L2SP_005009_20150710_20200908_02_T2_SR",
            ["Coastal/Aerosol", "Blue", "Green", "Red", "Near Infrared Band 0.8"],
            [0, 1, 2, 3, 4],
            platform="LANDSAT_8",
        ),
        numbered("SR_B{}.TIF", _OLI),
    ),
    Shape(
        _usgs(
            "LE07_L2SP_021030_20100109_20200911_02_T1_SR",
            ["BLue", "Green", "Red", "Near Infrared Band 0.8", "Short-wave Infrared Band 1.6"],
            [0, 1, 2, 3, 4],
            platform="LANDSAT_7",
        ),
        numbered("SR_B{}.TIF", _TM),
    ),
    *(
        _shape(
            "Planetary Computer",
            "landsat-c2-l2",
            f"{sensor}_L2SP_195026_20100101_02_T1",
            {
                color: asset(
                    f"SR_B{number}.TIF",
                    COG,
                    "data",
                    title=f"{color.title()} Band (B{number})",
                    **{"eo:bands": [{"name": f"TM_B{number}", "common_name": color}]},
                )
                for number, color in enumerate(("blue", "green", "red"), 1)
            },
            {},
            platform=platform,
        )
        for sensor, platform in (("LT05", "landsat-5"), ("LE07", "landsat-7"))
    ),
    _shape(
        "Multispectral Scanner",
        "landsat-c2-l1",
        "LM02_L1GS_001004_19770503_20200907_02_T2",
        {
            f"B{n}": asset(f"LM02_L1GS_001004_19770503_20200907_02_T2_B{n}.TIF", GEOTIFF)
            for n in (4, 5, 6, 7)
        },
        {"B4": "green", "B5": "red", "B6": "nir", "B7": "nir09"},
        platform="landsat-2",
        instruments=["mss"],
    ),
    _shape(
        "Planetary Computer, as published before 2022",
        "sentinel-2-l2a",
        "S2B_MSIL2A_20200101T103422_R008_T32TLR",
        {
            name: asset(
                f"{name}.tif",
                COG,
                "data",
                **{"eo:bands": [{"name": name, "common_name": common, "center_wavelength": at}]},
            )
            for name, common, at in (
                ("B04", "red", 0.665),
                ("B05", "rededge", 0.704),
                ("B06", "rededge", 0.74),
                ("B8A", "rededge", 0.865),
            )
        },
        _S2,
    ),
    *(
        _shape(
            "DEA",
            collection,
            "2b1f8f3e-9d3f-5b5c-8f0f-1f7ce9b8a1d5",
            {
                name: asset(f"{name}.tif", COG, **{"eo:bands": [{"name": name}]})
                for name in ("nbart_red", "nbart_green", "nbart_blue", "nbart_swir_2")
            },
            {
                "nbart_swir_2": swir,
                **{f"nbart_{color}": color for color in ("red", "green", "blue")},
            },
            platform=platform,
        )
        for collection, platform, swir in (
            ("ga_s2am_ard_3", "sentinel-2a", "swir16"),
            ("ga_ls9c_ard_3", "landsat-9", "swir22"),
        )
    ),
    _shape(
        "Earth Search v1",
        "landsat-c2-l2",
        "LC09_L2SR_195026_20260101_02_T1",
        {
            color: asset(
                f"SR_B{n}.TIF",
                COG,
                "data",
                "reflectance",
                bands=(color,),
                **{"raster:bands": [{"unit": "none", "scale": 2.75e-05}]},
            )
            for n, color in ((2, "blue"), (3, "green"), (4, "red"), (5, "nir08"))
        },
        {},
        platform="landsat-9",
    ),
    _shape(
        "Earth Search v1",
        "naip",
        "tx_m_2609719_se_14_060_20201217",
        {
            "image": asset(
                "tx_m_2609719_se_14_060_20201217.tif",
                COG,
                "data",
                title="RGBIR COG tile",
                bands=("red", "green", "blue", "nir"),
            )
        },
        {"image": "rgb"},
    ),
    *(
        _shape(
            catalogue,
            collection,
            f"Copernicus_DSM_COG_{arc}_{tile}_DEM",
            {
                "data": asset(
                    f"Copernicus_DSM_COG_{arc}_{tile}_DEM.tif",
                    COG,
                    "data",
                    title=tile if catalogue == "Planetary Computer" else "Data",
                )
            },
            {"data": "elevation"},
        )
        for catalogue, collection, arc, tile in (
            ("Planetary Computer", "cop-dem-glo-30", 10, "S30_00_E020_00"),
            ("Earth Search v1", "cop-dem-glo-90", 30, "N53_00_W116_00"),
        )
    ),
    _shape(
        "Planetary Computer",
        "alos-dem",
        "N041W106",
        {
            "data": asset(
                "ALPSMLC30_N041W106_DSM.tif",
                COG,
                "data",
                title="N041W106",
                **{"raster:bands": [{"unit": "meter"}]},
            )
        },
        {"data": "elevation"},
    ),
    _shape(
        "Planetary Computer",
        "io-lulc-9-class",
        "32T-2022",
        {"data": asset("32T_2022.tif", COG, "data", title="Land cover")},
        {"data": "landcover"},
    ),
    *(
        _shape(
            "worldclim",
            "worldclim",
            variable,
            {"data": asset(f"wc2.1_10m_{variable}_01.tif", GEOTIFF, "data", title=variable)},
            {"data": variable},
        )
        for variable in ("tmin", "tmax", "prec")
    ),
    *(
        _shape(
            "Umbra",
            "umbra-sar",
            f"0d8f4a2e-6c5c-4a33-9c7e-5a6f0c2f5f3{digit}",
            {
                f"2023-06-1{digit}-14-55-33_UMBRA-06_{file}": asset(
                    f"2023-06-1{digit}-14-55-33_UMBRA-06_{file}", COG, "data"
                )
                for file in ("CSI.tif", "GEC.tif")
            },
            {"GEC": polarization, "CSI": polarization},
            **{"sar:polarizations": [polarization.upper()]},
        )
        for digit, polarization in ((1, "vv"), (2, "hh"))
    ),
    _shape(
        "Earth Search v1",
        "sentinel-1-grd",
        "S1A_IW_GRDH_1SDV_20260101T054000_20260101T054025",
        {
            name: asset(f"iw-{name}.tiff", COG, "data", title=f"{name.upper()} Data")
            for name in ("vh", "vv")
        },
        {},
        **{"sar:polarizations": ["VV", "VH"]},
    ),
    _shape(
        "OpenAerialMap",
        "openaerialmap",
        "59e62b7e3d6412ef72208d69",
        {"image": asset("59e62b7e3d6412ef72208d69.tif", COG, "data", title="Visual image")},
        {"image": "rgb"},
    ),
    _shape(
        "stactools' usgs-3dep",
        "3dep-hillshade",
        "hillshade-1",
        {"image": asset("hillshade-1.tif", COG, "data", title="Hillshade")},
        {"image": "hillshade"},
    ),
    _shape(
        "Planet",
        "planet-disaster-data",
        "20170831_172754_101c",
        {"visual": asset("20170831_172754_101c_visual.tif", GEOTIFF, "visual", title="Visual")},
        {},
    ),
    _shape(
        "A black and white map",
        "historic-maps",
        "sheet-12",
        {"visual": asset("sheet-12.tif", COG, "visual", bands=("pan",))},
        {"visual": "pan"},
    ),
]
