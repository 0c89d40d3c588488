"""The catalogue of services, and the description of an image service."""

import math
from dataclasses import replace
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from livemosaic.api.access import visible_mosaics
from livemosaic.api.documents.credits import credit_text
from livemosaic.api.routes.arcgis.catalog import MAX_RECORDS
from livemosaic.api.routes.arcgis.values.answers import document
from livemosaic.api.routes.arcgis.values.asked import Asked
from livemosaic.api.routes.arcgis.values.fields import fields_of, time_extent
from livemosaic.api.routes.arcgis.values.functions import NAMES
from livemosaic.api.routes.arcgis.values.geometry import envelope, reference_of
from livemosaic.api.routes.arcgis.values.rendering import NONE
from livemosaic.api.routes.arcgis.values.rules import OBJECT_ID
from livemosaic.api.routes.arcgis.values.samples import ServiceSample, service_crs
from livemosaic.geo.crs import metres_per_unit
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.model.mosaic import Mosaic, SourceType
from livemosaic.model.rule import Method
from livemosaic.render.encode import QUALITY
from livemosaic.services import Services
from livemosaic.tiler.rules.parameters import rule_of
from livemosaic.tiler.tilesets import reached

VERSION: Final = 11.1
"""Of ArcGIS Enterprise, whose documents these routes follow."""
_METHODS: Final[dict[Method, str]] = {
    "northwest": "NorthWest",
    "center": "Center",
    "lock": "LockRaster",
    "attribute": "ByAttribute",
    "nadir": "Nadir",
    "viewpoint": "Viewpoint",
    "seamline": "Seamline",
    "default": "None",
}
_SOURCE_TYPES: Final[dict[SourceType, str]] = {
    "generic": "Generic",
    "elevation": "Elevation",
    "thematic": "Thematic",
    "processed": "Processed",
    "scientific": "Scientific",
    "vector_uv": "VectorUV",
    "vector_magdir": "VectorMagDir",
}
_DPI: Final = 96
_INCH_M: Final = 0.0254


async def info(request: Request) -> Response:
    """Describes the server: how clients get tokens is none of ArcGIS's ways."""
    asked = await Asked.of(request)
    found = {
        "currentVersion": VERSION,
        "fullVersion": "11.1.0",
        "authInfo": {"isTokenBasedSecurity": True},
    }
    return document(asked, found)


async def services(request: Request) -> Response:
    """Lists the mosaics that the caller may see, as image services."""
    asked = await Asked.of(request)
    mosaics = await run_in_threadpool(visible_mosaics, asked.request)
    named = [{"name": mosaic.id, "type": "ImageServer"} for mosaic in mosaics]
    return document(asked, {"currentVersion": VERSION, "folders": [], "services": named})


async def describe(request: Request) -> Response:
    """Describes an image service."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    sample = await request.app.state.samples.find(asked.services, mosaic)
    fields = await run_in_threadpool(fields_of, asked.services, mosaic)
    times = await run_in_threadpool(time_extent, asked.services, mosaic)
    return document(asked, _described(asked.services, mosaic, sample, fields, times))


def _described(
    services: Services,
    mosaic: Mosaic,
    sample: ServiceSample,
    fields: list[dict[str, Any]],
    times: list[int] | None,
) -> dict[str, Any]:
    crs = service_crs(mosaic)
    matrices = reached(mosaic, mosaic.tms)
    extent = envelope(matrices.extent, crs)
    step = sample.step or matrices.tms.matrix(matrices.maxzoom).cellSize
    side = math.isqrt(services.settings.max_image_pixels)
    bands = len(sample.names)
    return {
        "currentVersion": VERSION,
        "serviceDescription": mosaic.title,
        "name": mosaic.id,
        "description": mosaic.title,
        "extent": extent,
        "initialExtent": extent,
        "fullExtent": extent,
        **({"timeInfo": _time_info(times)} if times else {}),
        "pixelSizeX": step,
        "pixelSizeY": step,
        "bandCount": bands,
        "bandNames": list(sample.names),
        "pixelType": sample.pixel_type,
        "minPixelSize": 0,
        "maxPixelSize": 0,
        "copyrightText": credit_text(mosaic),
        "serviceDataType": _data_type(mosaic, sample),
        **_values(sample),
        **({"noDataValue": sample.nodata} if sample.nodata is not None else {}),
        "objectIdField": OBJECT_ID,
        "fields": fields,
        "capabilities": "Image,Catalog,Metadata",
        **_rules(services, mosaic),
        "defaultCompressionQuality": mosaic.quality or QUALITY,
        "defaultResamplingMethod": "Nearest",
        "maxImageHeight": side,
        "maxImageWidth": side,
        "maxRecordCount": MAX_RECORDS,
        "maxDownloadImageCount": 0,
        "maxDownloadSizeLimit": 0,
        "singleFusedMapCache": _is_cached(mosaic),
        "tileInfo": _tile_info(mosaic),
        "allowRasterFunction": True,
        "rasterFunctionInfos": raster_functions(mosaic),
        "rasterTypeInfos": [{"name": "Raster Dataset", "description": "", "help": ""}],
        "mensurationCapabilities": "",
        "hasHistograms": True,
        "hasColormap": False,
        "hasRasterAttributeTable": False,
        "hasMultidimensions": False,
        "exportTilesAllowed": False,
        "minScale": 0,
        "maxScale": 0,
        "spatialReference": reference_of(crs),
        "supportsStatistics": True,
        "supportsAdvancedQueries": True,
        "useStandardizedQueries": True,
        "advancedQueryCapabilities": {
            "useStandardizedQueries": True,
            "supportsStatistics": False,
            "supportsOrderBy": True,
            "supportsDistinct": False,
            "supportsPagination": True,
        },
        "allowComputeTiePoints": False,
        "allowAnalysis": False,
        "editFieldsInfo": None,
        "ownershipBasedAccessControlForRasters": None,
    }


def _time_info(times: list[int]) -> dict[str, Any]:
    return {
        "startTimeField": "datetime",
        "endTimeField": "datetime",
        "timeExtent": times,
        "timeReference": None,
        "hasLiveData": True,
    }


def _data_type(mosaic: Mosaic, sample: ServiceSample) -> str:
    """The source type of a mosaic, or what its pixels look like."""
    is_rgb = len(sample.names) >= 3 and sample.dtype == "uint8"
    found = "RGB" if is_rgb else "Generic"
    named = _SOURCE_TYPES[mosaic.source_type] if mosaic.source_type else found
    return f"esriImageServiceDataType{named}"


def _values(sample: ServiceSample) -> dict[str, list[float]]:
    """Returns what a sample says of each band, not what all scenes do."""
    return {
        "minValues": [band.least for band in sample.ranges],
        "maxValues": [band.largest for band in sample.ranges],
        "meanValues": [band.mean for band in sample.ranges],
        "stdvValues": [band.deviation for band in sample.ranges],
    }


def _rules(services: Services, mosaic: Mosaic) -> dict[str, Any]:
    rules, usual = mosaic.rules, rule_of({}, mosaic)
    allowed = [
        name for name in _METHODS if not rules.methods or name in (*rules.methods, usual.method)
    ]
    most = min(services.settings.max_scenes, rules.max_scenes or services.settings.max_scenes)
    return {
        "defaultMosaicMethod": _METHODS[usual.method],
        "allowedMosaicMethods": ",".join(_METHODS[name] for name in allowed),
        "sortField": usual.sort_field,
        "sortValue": usual.sort_value,
        "sortAscending": usual.ascending,
        "mosaicOperator": usual.operation.capitalize(),
        "maxMosaicImageCount": most,
    }


def raster_functions(mosaic: Mosaic) -> list[dict[str, str]]:
    """Returns the rendering rules of a service: no one, its renders, the raster functions."""
    renders = [
        {"name": name, "description": str(render.get("title") or ""), "help": ""}
        for name, render in mosaic.renders.items()
    ]
    functions = [{"name": name, "description": "", "help": ""} for name in NAMES]
    return [
        {"name": NONE, "description": "The values as they are", "help": ""},
        *renders,
        *functions,
    ]


def _is_cached(mosaic: Mosaic) -> bool:
    """Whether tiles have one origin and halve at each level, as ArcGIS's clients need them."""
    return tile_matrix_set(mosaic.tms).is_quadtree


def _tile_info(mosaic: Mosaic) -> dict[str, Any] | None:
    tms = tile_matrix_set(mosaic.tms)
    if not _is_cached(mosaic):
        return None
    bounds, crs = tms.xy_bbox, service_crs(mosaic)
    unit = metres_per_unit(crs)
    # Clients show no level that is not named.
    matrices = reached(replace(mosaic, maxzoom=mosaic.widest_zoom), mosaic.tms)
    levels = range(matrices.minzoom, matrices.maxzoom + 1)
    sizes = {level: tms.matrix(level).cellSize for level in levels}
    return {
        "rows": 256,
        "cols": 256,
        "dpi": _DPI,
        "format": "MIXED",
        "compressionQuality": mosaic.quality or QUALITY,
        "origin": {"x": bounds.left, "y": bounds.top},
        "spatialReference": reference_of(crs),
        "lods": [
            {"level": level, "resolution": size, "scale": size * unit * _DPI / _INCH_M}
            for level, size in sizes.items()
        ],
    }
