"""Excerpts of Items of public catalogues, and the assets that a person would expect to be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
GEOTIFF: Final = "image/tiff; application=geotiff"


@dataclass(frozen=True)
class Excerpt:
    """Of an Item: what the choice of assets depends on."""

    catalogue: str
    collection: str
    id: str
    assets: Mapping[str, Mapping[str, Any]]
    shows: Sequence[str]
    properties: Mapping[str, Any] = field(default_factory=dict)


def asset(
    href: str, media: str | None = COG, *roles: str, bands: Sequence[str] = (), **rest: Any
) -> dict[str, Any]:
    """An asset; its bands are common names as in STAC 1.0."""
    found: dict[str, Any] = {"href": f"https://example.com/{href}", **rest}
    if media:
        found["type"] = media
    if roles:
        found["roles"] = list(roles)
    if bands:
        found["eo:bands"] = [{"name": name, "common_name": name} for name in bands]
    return found


def _band(href: str, common: str, name: str = "", media: str = COG, **rest: Any) -> dict[str, Any]:
    bands = [{"name": name or common, "common_name": common}]
    return asset(href, media, "data", **{"eo:bands": bands}, **rest)


_RGB: Final = ("red", "green", "blue")
_LANDSAT: Final = "LC08_L2SP_195026_20260101_20260105_02_T1"
_SWISS: Final = "swissimage-dop10_2019_2600-1200"
_UMBRA: Final = "2023-06-11-14-55-33_UMBRA-06"
_CMR: Final = "https://example.com/HLSS30.020"

EXCERPTS: Final = [
    Excerpt(
        "Earth Search v1",
        "sentinel-2-c1-l2a",
        "S2A_T32TLR_20260101T103422_L2A",
        {
            "red": _band("B04.tif", "red", "B04", gsd=10),
            "green": _band("B03.tif", "green", "B03", gsd=10),
            "blue": _band("B02.tif", "blue", "B02", gsd=10),
            "visual": asset("TCI.tif", COG, "visual", bands=_RGB),
            "scl": asset("SCL.tif", COG, "data"),
            "cloud": asset("CLD_20m.tif", COG, "data", "cloud"),
            "preview": asset("L2A_PVI.tif", COG, "overview", bands=_RGB),
            "thumbnail": asset("L2A_PVI.jpg", "image/jpeg", "thumbnail"),
        },
        ["visual"],
    ),
    Excerpt(
        "Earth Search v0",
        "sentinel-s2-l2a-cogs",
        "S2A_32TLR_20260101_0_L2A",
        {
            "thumbnail": asset("preview.jpg", "image/png", "thumbnail"),
            "overview": asset("L2A_PVI.tif", COG, "overview", bands=_RGB),
            "B01": _band("B01.tif", "coastal", "B01"),
            "visual": asset("TCI.tif", COG, "overview", bands=_RGB),
        },
        ["visual"],
    ),
    Excerpt(
        "Earth Search v1",
        "sentinel-2-l1c",
        "S2A_32TLR_20260101_0_L1C",
        {
            "aot": asset("AOT.tif", COG, "data", "reflectance"),
            "blue": _band("B02.tif", "blue"),
            "coastal": _band("B01.tif", "coastal"),
            "green": _band("B03.tif", "green"),
            "nir": _band("B08.tif", "nir"),
            "red": _band("B04.tif", "red"),
            "rededge1": _band("B05.tif", "rededge"),
            "red-jp2": _band("B04.jp2", "red", media="image/jp2"),
        },
        _RGB,
    ),
    Excerpt(
        "Planetary Computer",
        "sentinel-2-l2a",
        "S2A_MSIL2A_20260101T103422_R008_T32TLR",
        {
            "AOT": asset("AOT_10m.tif", COG, "data"),
            "B01": _band("B01_60m.tif", "coastal", "B01"),
            "B02": _band("B02_10m.tif", "blue", "B02"),
            "B03": _band("B03_10m.tif", "green", "B03"),
            "B04": _band("B04_10m.tif", "red", "B04"),
            "SCL": asset("SCL_20m.tif", COG, "data"),
            "visual": asset("TCI_10m.tif", COG, "data", bands=_RGB),
            "preview": asset("preview.tif", COG, "thumbnail"),
        },
        ["visual"],
    ),
    Excerpt(
        "Planetary Computer",
        "landsat-c2-l2",
        _LANDSAT,
        {
            "qa": asset("ST_QA.TIF", COG, "data"),
            "blue": _band("SR_B2.TIF", "blue", "OLI_B2"),
            "drad": asset("ST_DRAD.TIF", COG, "data"),
            "green": _band("SR_B3.TIF", "green", "OLI_B3"),
            "red": _band("SR_B4.TIF", "red", "OLI_B4"),
            "qa_pixel": asset("QA_PIXEL.TIF", COG, "cloud", "cloud-shadow", "snow-ice"),
        },
        _RGB,
    ),
    Excerpt(
        "USGS Landsat (STAC 1.0)",
        "landsat-c2l1",
        "LC08_L1TP_195026_20260101_20260105_02_T1",
        {
            "thumbnail": asset("thumb_small.jpeg", "image/jpeg", "thumbnail"),
            "coastal": _band("B1.TIF", "coastal", "B1", media="image/vnd.stac.geotiff"),
            "red": _band("B4.TIF", "red", "B4", media="image/vnd.stac.geotiff"),
            "green": _band("B3.TIF", "green", "B3", media="image/vnd.stac.geotiff"),
            "blue": _band("B2.TIF", "blue", "B2", media="image/vnd.stac.geotiff"),
            "VZA": asset("VZA.TIF", "image/vnd.stac.geotiff", "sun-azimuth"),
        },
        _RGB,
    ),
    Excerpt(
        "Landsat 7 without bands",
        "landsat",
        "LE07_L1TP_195026_20260101",
        {f"B{n}": asset(f"B{n}.TIF", GEOTIFF) for n in (1, 2, 3, 4, 5, 7, 8)},
        ["B3", "B2", "B1"],
        {"platform": "landsat-7", "instruments": ["etm"]},
    ),
    Excerpt(
        "landsat-pds, bands by their place in the properties (before STAC 1.0)",
        "landsat-8-l1",
        "LC80100102015082LGN00",
        {
            f"B{n}": asset(f"LC80100102015082LGN00_B{n}.TIF", GEOTIFF, **{"eo:bands": [n - 1]})
            for n in range(1, 5)
        },
        ["B4", "B3", "B2"],
        {
            "eo:bands": [
                {"name": f"B{n}", "common_name": color}
                for n, color in enumerate(("coastal", "blue", "green", "red"), 1)
            ]
        },
    ),
    Excerpt(
        "HLS of LP DAAC",
        "HLSL30_2.0",
        "HLS.L30.T32TLR.2026001T101550.v2.0",
        {
            name: asset(f"HLS.L30.T32TLR.2026001T101550.v2.0.{name}.tif", COG, "data")
            for name in ("VZA", "B01", "B02", "B03", "B04", "B05", "Fmask", "SAA", "SZA", "VAA")
        },
        ["B04", "B03", "B02"],
        {"platform": "landsat-8"},
    ),
    Excerpt(
        "HLS, one band of the three only",
        "hls",
        "HLS.w",
        {"VZA": asset("w_VZA.tif"), "B04": asset("w_B04.tif")},
        ["B04"],
    ),
    Excerpt(
        "NASA CMR",
        "C2021957295-LPCLOUD",
        "G2153255128-LPCLOUD",
        {
            "metadata": asset("G2153255128-LPCLOUD.xml", "application/xml"),
            "data": {"title": "B11", "href": f"{_CMR}/HLS.S30.T32TLR.2026001.v2.0.B11.tif"},
            "data1": {"title": "B04", "href": f"{_CMR}/HLS.S30.T32TLR.2026001.v2.0.B04.tif"},
        },
        ["B04"],
    ),
    Excerpt(
        "NASA CMR, titles that are all the same",
        "C2021957295-LPCLOUD",
        "G2153255129-LPCLOUD",
        {
            f"data{n or ''}": {
                "title": "Direct Download",
                "href": f"{_CMR}/HLS.S30.T32TLR.2026001T103422.v2.0.{band}.tif",
            }
            for n, band in enumerate(("Fmask", "B11", "B04"))
        },
        ["B04"],
    ),
    Excerpt(
        "DEA",
        "ga_ls8c_ard_3",
        "86a6bc5d-9d3f-5b5c-8f0f-1f7ce9b8a1d5",
        {
            name: asset(f"{name}.tif", COG, "data", **{"eo:bands": [{"name": name}]})
            for name in (
                *("nbart_blue", "nbart_coastal_aerosol", "nbart_green", "nbart_nir", "nbart_red"),
                *("nbar_red", "nbar_green", "nbar_blue", "oa_fmask", "oa_nbart_contiguity"),
            )
        },
        ["nbart_red", "nbart_green", "nbart_blue"],
    ),
    Excerpt(
        "Open Data Cube, bands as text",
        "ga_ls5t_ard_3",
        "ga_ls5t_ard_3-1-20200605_113081_1988-03-30_final",
        {
            name: asset(f"{name}.tif", None, **{"eo:bands": [name]})
            for name in ("oa_fmask", "nbart_nir", "nbart_red", "nbart_green", "nbart_blue")
        },
        ["nbart_red", "nbart_green", "nbart_blue"],
    ),
    Excerpt(
        "NAIP",
        "naip",
        "ca_m_3812260_ne_10_060_20220511",
        {
            "metadata": asset("m.txt", "text/plain", "metadata"),
            "image": asset("m.tif", COG, "data", bands=("red", "green", "blue", "nir")),
            "rendered_preview": asset("p.png", "image/png", "overview"),
        },
        ["image"],
    ),
    Excerpt(
        "Sentinel-1 RTC",
        "sentinel-1-rtc",
        "S1A_IW_GRDH_1SDV_20260101T054000_rtc",
        {
            "vh": asset("iw-vh.rtc.tiff", COG, "data"),
            "vv": asset("iw-vv.rtc.tiff", COG, "data"),
        },
        ["vv"],
    ),
    Excerpt(
        "Sentinel-1 GRD",
        "sentinel-1-grd",
        "S1A_EW_GRDM_1SDH_20260101T054000",
        {
            "schema-product-hh": asset("iw-hh.xml", "application/xml", "metadata"),
            "hv": asset("iw-hv.tiff", COG, "data"),
            "hh": asset("iw-hh.tiff", COG, "data"),
        },
        ["hh"],
    ),
    Excerpt(
        "Copernicus DEM",
        "cop-dem-glo-30",
        "Copernicus_DSM_COG_10_N45_00_E007_00_DEM",
        {"data": asset("Copernicus_DSM_COG_10_N45_00_E007_00_DEM.tif", COG, "data")},
        ["data"],
    ),
    Excerpt(
        "MODIS vegetation",
        "modis-13Q1-061",
        "MOD13Q1.A2026001.h18v04.061.2026020",
        {
            "hdf": asset("MOD13Q1.hdf", "application/x-hdf", "data"),
            **{
                f"250m_16_days_{name}": asset(f"250m_16_days_{name}.tif", COG, "data")
                for name in ("EVI", "NDVI", "VI_Quality", "sun_zenith_angle")
            },
        },
        ["250m_16_days_NDVI"],
    ),
    Excerpt(
        "MODIS surface reflectance",
        "modis-09A1-061",
        "MYD09A1.A2026001.h18v04.061.2026020",
        {
            name: asset(f"{name}.tif", COG, "data")
            for name in ("sur_refl_qc_500m", *(f"sur_refl_b0{n}" for n in range(1, 8)))
        },
        ["sur_refl_b01", "sur_refl_b04", "sur_refl_b03"],
    ),
    Excerpt(
        "MODIS temperature",
        "modis-11A1-061",
        "MOD11A1.A2026001.h18v04.061.2026020",
        {
            name: asset(f"{name}.tif", COG, "data")
            for name in ("QC_Day", "Emis_31", "LST_Day_1km", "LST_Night_1km", "Day_view_angl")
        },
        ["LST_Day_1km"],
    ),
    Excerpt(
        "Maxar Open Data",
        "maxar-opendata",
        "10300100D6740900-ard-33-031311102213",
        {
            "data-mask": asset("10300100D6740900-data-mask.gpkg", "application/geopackage+sqlite3"),
            "ms_analytic": asset("10300100D6740900-ms.tif", COG, "data"),
            "pan_analytic": asset("10300100D6740900-pan.tif", COG, "data"),
            "visual": asset("10300100D6740900-visual.tif", COG, "visual"),
        },
        ["visual"],
    ),
    Excerpt(
        "Umbra",
        "umbra-sar",
        "0d8f4a2e-6c5c-4a33-9c7e-5a6f0c2f5f3b",
        {
            f"{_UMBRA}_{file}": asset(f"{_UMBRA}_{file}", media, "data")
            for file, media in (
                ("CSI.tif", COG),
                ("GEC.tif", COG),
                ("SICD.nitf", "application/octet-stream"),
                ("METADATA.json", "application/json"),
            )
        },
        ["GEC"],
    ),
    Excerpt(
        "Capella",
        "capella-open-data",
        "CAPELLA_C06_SP_GEO_HH_20260101010101_20260101010103",
        {
            "HH": asset("CAPELLA_C06_SP_GEO_HH.tif", COG, "data"),
            "preview": asset("CAPELLA_C06_SP_GEO_HH_preview.tif", COG, "overview"),
            "thumbnail": asset("CAPELLA_C06_SP_GEO_HH_thumb.png", "image/png", "thumbnail"),
        },
        ["HH"],
    ),
    Excerpt(
        "USGS Astrogeology",
        "mro_hirise_uncontrolled_observations",
        "ESP_023957_1755_RED",
        {
            "thumbnail": asset("ESP.jpg", "image/jpeg", "thumbnail"),
            "image": asset("ESP_023957_1755_RED.tif", COG, "data"),
            "pds_label": asset("ESP_023957_1755_RED.lbl", "text/plain", "metadata"),
        },
        ["image"],
    ),
    Excerpt(
        "USGS Astrogeology, terrain",
        "mro_ctx_controlled_usgs_dtms",
        "P18_007925_1987",
        {
            "intersection_error": asset("error.tif", COG, "data"),
            "orthoimage": asset("ortho.tif", COG, "data"),
            "dtm": asset("dtm.tif", COG, "data"),
        },
        ["orthoimage"],
    ),
    Excerpt(
        "Brazil Data Cube",
        "S2-16D-2",
        "S2-16D_V2_027024_20260101",
        {
            "EVI": asset("EVI.tif", COG, "data"),
            "SCL": asset("SCL.tif", COG, "data"),
            "B02": _band("B02.tif", "blue", "B02"),
            "B03": _band("B03.tif", "green", "B03"),
            "B04": _band("B04.tif", "red", "B04"),
            "CLEAROB": asset("CLEAROB.tif", COG, "data"),
            "thumbnail": asset("t.png", "image/png", "thumbnail"),
        },
        ["B04", "B03", "B02"],
    ),
    Excerpt(
        "CDSE, global mosaics",
        "sentinel-2-global-mosaics",
        "Sentinel-2_mosaic_2026_Q1_32TLR_0_0",
        {
            "B02": asset("B02.tif", COG, "data", bands=("blue",), gsd=10),
            "B03": asset("B03.tif", COG, "data", bands=("green",), gsd=10),
            "B04": asset("B04.tif", COG, "data", bands=("red",), gsd=10),
            "observations": asset("observations.tif", COG, "data"),
        },
        ["B04", "B03", "B02"],
    ),
    Excerpt(
        "The same band in several resolutions",
        "sentinel-2-l2a",
        "S2B_MSIL2A_20260101",
        {
            f"{band}_{metres}m": _band(f"{band}_{metres}m.tif", color, band, gsd=metres)
            for metres in (60, 20, 10)
            for band, color in (("B02", "blue"), ("B03", "green"), ("B04", "red"))
        },
        ["B04_10m", "B03_10m", "B02_10m"],
    ),
    Excerpt(
        "swisstopo",
        "ch.swisstopo.swissimage-dop10",
        _SWISS,
        {
            f"{_SWISS}_2_2056.tif": asset(f"{_SWISS}_2_2056.tif", COG, **{"eo:gsd": 2.0}),
            f"{_SWISS}_0.1_2056.tif": asset(f"{_SWISS}_0.1_2056.tif", COG, **{"eo:gsd": 0.1}),
        },
        ["0.1_2056"],
    ),
    Excerpt(
        "Keys with the Item's id",
        "landsat-c2",
        _LANDSAT,
        {
            f"{_LANDSAT}_SR_B{n}.TIF": asset(f"{_LANDSAT}_SR_B{n}.TIF", COG)
            for n in (1, 2, 3, 4, 10)
        },
        ["SR_B4", "SR_B3", "SR_B2"],
    ),
    Excerpt(
        "An id as the only key",
        "flights",
        "20200307aC0853900w361030",
        {"20200307aC0853900w361030": asset("20200307aC0853900w361030n.tif", None)},
        ["data"],
    ),
    Excerpt(
        "NOAA emergency response",
        "noaa-emergency-response",
        "20200307aC0853900w361030",
        {"cog": asset("20200307aC0853900w361030n.tif", COG)},
        ["cog"],
    ),
    Excerpt(
        "A digital elevation model without roles",
        "dem",
        "tile-1",
        {"dem": asset("dem.tif", GEOTIFF), "hillshade_mask": asset("mask.tif", GEOTIFF)},
        ["dem"],
    ),
    Excerpt(
        "STAC 1.1 bands",
        "aerial",
        "flight-1",
        {
            "b": {
                "href": "https://example.com/b.tif",
                "type": COG,
                "bands": [{"eo:common_name": "blue"}],
            },
            "g": {
                "href": "https://example.com/g.tif",
                "type": COG,
                "bands": [{"eo:common_name": "green"}],
            },
            "r": {"href": "https://example.com/r.tif", "type": COG, "eo:common_name": "red"},
        },
        ["r", "g", "b"],
    ),
]
