"""The OpenAPI document as generators of clients read it: names, examples, known values."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from livemosaic.render.parameters import RenderParameters

_TAGS: Final = {
    "describe": "What there is: tilesets, WMTS, TileJSON, files for GDAL and QGIS, bounds",
    "tiles": "Map tiles in any TileMatrixSet, and the scenes in them",
    "vector tiles": "Footprints, density and coverage of scenes as vector tiles",
    "boxes and features": "Images of boxes and of GeoJSON features, of any size and in any CRS",
    "numbers": "Values at points, and statistics of areas",
    "web map service": "OGC WMS 1.3.0 and 1.1.1",
    "mosaics": "Mosaics: create, change, list and delete them",
    "items": "Scenes as STAC Items: put them in, list and delete them, follow their changes",
    "renders": "Named styles of a mosaic",
    "exports": "A whole mosaic as a file",
    "STAC": "A read-only STAC API of all mosaics: every mosaic is a collection",
    "access": "Tokens for reading private mosaics",
    "catalogues": "TileMatrixSets, algorithms and color maps that requests may name",
    "pages": "Maps for people",
    "health": "Whether the server is up",
}
_EXAMPLES: Final[Mapping[str, Any]] = {
    "mosaic": "alps",
    "item": "S2B_32TLS_20250713",
    "tms": "WebMercatorQuad",
    "z": 10,
    "x": 534,
    "y": 365,
    "scale": 2,
    "format": "png",
    "width": 512,
    "height": 512,
    "minx": 7.5,
    "miny": 45.8,
    "maxx": 7.9,
    "maxy": 46.1,
    "lon": 7.66,
    "lat": 45.98,
    "bbox": "7.5,45.8,7.9,46.1",
    "crs": "EPSG:32632",
    "datetime": "2025-06-01/2025-08-31",
    "filter": "eo:cloud_cover < 10",
    "sortby": "-datetime",
    "expression": "(nir-red)/(nir+red)",
    "render": "ndvi",
    "algorithm": "hillshade",
    "colormap_name": "viridis",
    "driver": "wms",
    "rescale": ["0,3000"],
    "assets": ["visual"],
    "bidx": [1],
}
"""By the name of a parameter."""

_NOT_WORD: Final = re.compile(r"\W")


def describe_for_clients(document: dict[str, Any]) -> None:
    """Gives operations short names, parameters examples and plain types, tags their texts."""
    operations = list(_operations(document))
    used = {tag for _, operation in operations for tag in operation.get("tags", ())}
    document["tags"] = [{"name": k, "description": v} for k, v in _TAGS.items() if k in used]
    known = _known_values()
    for name, (_, operation) in zip([*_names(operations)], operations, strict=True):
        operation["operationId"] = name
        operation["summary"] = name.replace("_", " ").capitalize()
        for parameter in operation.get("parameters", ()):
            _make_plain(parameter, known)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            # FastAPI writes the path and the method behind the name of the function.
            end = f"{_NOT_WORD.sub('_', path)}_{method}"
            operation["operationId"] = operation["operationId"].removesuffix(end)
            yield path, operation


def _names(operations: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Yields a name of each operation: that of its function, and what its path has more than the
    shortest one of the same function."""
    paths = defaultdict(list)
    for path, operation in operations:
        paths[operation["operationId"]].append(path)
    for path, operation in operations:
        name = operation["operationId"]
        shortest = min(paths[name], key=len)
        yield name if path == shortest else f"{name}_{_difference(path, shortest)}"


def _difference(path: str, shortest: str) -> str:
    more = [name for name in _parts(path) if name not in _parts(shortest)]
    return f"with_{'_and_'.join(more)}" if more else f"of_{path.split('/')[1]}"


def _parts(path: str) -> list[str]:
    return re.findall(r"{(\w+)", path)


def _known_values() -> Mapping[str, Sequence[str]]:
    """Returns the values that parameters may have, where a server knows all of them."""
    from rio_tiler.colormap import cmap
    from titiler.core.algorithm import algorithms

    return {"algorithm": sorted(algorithms.list()), "colormap_name": sorted(cmap.list())}


def _make_plain(parameter: dict[str, Any], known: Mapping[str, Sequence[str]]) -> None:
    name, schema = parameter["name"], parameter["schema"]
    kinds = schema.get("anyOf", [])
    if parameter["in"] == "path":  # which is never left out
        kinds = [kind for kind in kinds if kind != {"type": "null"}]
        if len(kinds) == 1:
            schema |= kinds[0]
            del schema["anyOf"]
    if parameter["in"] == "header":  # one line, however many values it has
        parameter["schema"] = {"type": "string", "title": schema.get("title", name)}
        return
    if name in known and name in RenderParameters.model_fields:
        for kind in kinds or [schema]:
            if kind.get("type") == "string":
                kind["enum"] = list(known[name])
    if name in _EXAMPLES and "example" not in parameter and "examples" not in parameter:
        parameter["example"] = _EXAMPLES[name]
