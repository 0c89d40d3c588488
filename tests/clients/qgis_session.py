"""Runs in QGIS's own Python: opens layers and draws them, as lines of JSON ask.

Its argument is the folder of the user's profile, where QGIS has its cache.
"""

import json
import sys
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsDateTimeRange,
    QgsLayerDefinition,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsPointXY,
    QgsRaster,
    QgsRasterBandStats,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QDateTime, QSize, Qt


def drawn(layer: Any, extent: list[float], size: int, time: list[str]) -> list[int]:
    """Red, green, blue and alpha amid a map, of an interval if its two ends are given."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(QgsRectangle(*extent))
    settings.setOutputSize(QSize(size, size))
    if time:
        begin, end = (QDateTime.fromString(one, Qt.ISODate) for one in time)
        layer.temporalProperties().setIsActive(True)
        settings.setIsTemporal(True)
        settings.setTemporalRange(QgsDateTimeRange(begin, end))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    return list(job.renderedImage().pixelColor(size // 2, size // 2).getRgb())


def identified(layer: Any, point: list[float]) -> list[dict[str, Any]]:
    """What the provider finds at a point by features: their values, and where they are."""
    extent, kind = layer.extent(), QgsRaster.IdentifyFormatFeature
    found = layer.dataProvider().identify(QgsPointXY(*point), kind, extent, 256, 256)
    return [
        {name: one[name] for name in one.fields().names()} | {"place": [*one.geometry().asPoint()]}
        for stores in found.results().values()
        for store in stores
        for one in store.features()
    ]


def opened(asked: dict[str, Any]) -> Any:
    if "definition" in asked:
        return QgsLayerDefinition.loadLayerDefinitionLayers(asked["definition"])[0]
    return QgsRasterLayer(asked["uri"], "layer", asked["provider"])


def described(layer: Any) -> dict[str, Any]:
    extent, provider = layer.extent(), layer.dataProvider()
    found = {
        "crs": layer.crs().authid(),
        "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()],
        "bands": layer.bandCount(),
        "name": layer.name(),
    }
    if provider.name() == "gdal":
        stats = provider.bandStatistics(1, QgsRasterBandStats.All)
        found |= {"minimum": stats.minimumValue, "maximum": stats.maximumValue}
    return found


def main() -> None:
    application = QgsApplication([], False, sys.argv[1])
    application.initQgis()
    layer = None
    for line in sys.stdin:
        asked = json.loads(line)
        if "reload" in asked:
            layer.reload()
        else:
            layer = opened(asked)
        if not layer.isValid():
            answer = {"error": layer.error().message()}
        elif "identify" in asked:
            answer = {"features": identified(layer, asked["identify"])}
        elif "extent" in asked:
            answer = {"color": drawn(layer, asked["extent"], asked["size"], asked.get("time", []))}
        else:
            answer = described(layer)
        print(json.dumps(answer), flush=True)
    application.exitQgis()


main()
