"""What there is to aim at: values by name with which a request gets further than to a refusal."""

from collections.abc import Mapping
from typing import Any

from api.served import X, Y, Z, footprint, scene

BOX = footprint()
WEST, SOUTH = BOX["coordinates"][0][0]
EAST, NORTH = BOX["coordinates"][0][2]
FEATURE = {"type": "Feature", "properties": {}, "geometry": BOX}

PATH: Mapping[str, Any] = {
    "mosaic": "m", "tms": "WebMercatorQuad", "z": Z, "x": X, "y": Y, "scale": 2, "item": "a",
    "lon": (WEST + EAST) / 2, "lat": (SOUTH + NORTH) / 2, "render": "r",
    "minx": WEST, "miny": SOUTH, "maxx": EAST, "maxy": NORTH, "width": 64, "height": 32,
    "colormap": "viridis", "algorithm": "slope", "driver": "wms",
}  # fmt: skip
"""Of what is there."""

QUERY: Mapping[str, list[Any]] = {
    "bidx": [[1], [3, 2], [1, 1, 1]], "assets": [["visual"]], "rescale": [["0,9"], ["-1,1"]],
    "expression": ["b1+b2", "(b1-b2)/(b1+b2);b3"], "colormap_name": ["viridis"],
    "colormap": ['{"10":[1,2,3,4]}', "[[[0,9],[1,2,3,4]]]"], "color_formula": ["gamma r 1.2"],
    "algorithm": ["slope", "cast", "contours"], "algorithm_params": ['{"buffer":1}'],
    "tilesize": [64], "buffer": [0.5, 3], "nodata": [10, "nan"], "max_size": [32],
    "bbox": [f"{WEST},{SOUTH},{EAST},{NORTH}"], "dst_crs": ["EPSG:3035"], "crs": ["EPSG:3857"],
    "sortby": ["datetime", "-datetime"], "datetime": ["2026-01-01/.."], "filter": ["id='a'"],
    "viewpoint": ["7,45"], "ids": [["a"]], "lock": [["a", "b"]], "min_pixels": [9],
    "mosaicRule": ['{"mosaicMethod":"esriMosaicCenter","mosaicOperation":"MT_BLEND"}'],
    "histogram_bins": ["3", "0,9,99"], "histogram_range": ["0,9"], "zooms": [["*::0,5"]],
}  # fmt: skip
"""Values with which a request gets further than to a refusal."""

BODIES = {"/feature": FEATURE, "/statistics": FEATURE, "/items": scene("b", "nowhere.tif")}
