"""A mosaic as stac-geoparquet 1.0 (and GeoParquet 1.1), some thousands of rows in memory at a time.

By pyarrow, as `ingest.sources.geoparquet` reads it. The types of columns follow from all rows: so
Items are written to a spool of JSON lines first, while their schema grows, and to Parquet then.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

import pyproj
import shapely
from shapely.geometry import shape

from livemosaic.errors import InvalidRequestError, needs_extra
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.crs import authority_of, proj_crs
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.time import parse_time

with needs_extra("geoparquet", "*.parquet"):
    import pyarrow
    from pyarrow.parquet import ParquetWriter

_ROWS: Final = 4096
"""Rows of a row group, and of what is converted at a time."""
_UTC: Final = pyarrow.timestamp("us", "UTC")
_TIMES: Final = ("datetime", "created")
"""Properties that are columns of time. Others keep the text that the mosaic keeps."""
_LINK: Final = pyarrow.struct([(name, pyarrow.string()) for name in ("href", "rel", "type")])
_BBOX: Final = ("xmin", "ymin", "xmax", "ymax")
_FIXED: Final = pyarrow.schema(
    [
        ("type", pyarrow.string()),
        ("stac_version", pyarrow.string()),
        ("stac_extensions", pyarrow.list_(pyarrow.string())),
        ("id", pyarrow.string()),
        ("geometry", pyarrow.binary()),
        ("bbox", pyarrow.struct([(edge, pyarrow.float64()) for edge in _BBOX])),
        ("links", pyarrow.list_(_LINK)),
        *((name, _UTC) for name in _TIMES),
    ]
)
_CRS84: Final = ("OGC", "CRS84")


def write_geoparquet(mosaic: Mosaic, items: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Writes STAC Items as stac-geoparquet, and returns their number.

    Links are left out. Raises `InvalidRequestError` where a property has values of several types,
    for which a column has no place.
    """
    with TemporaryFile("w+b") as spool:
        schema, bounds, count = _spooled(items, spool)
        spool.seek(0)
        described = schema.with_metadata(_metadata(mosaic, bounds))
        with ParquetWriter(path, described, compression="zstd") as writer:
            for rows in _batches(_unspooled(spool)):
                writer.write_table(pyarrow.Table.from_pylist(rows, described), len(rows))
    return count


def _spooled(
    items: Iterable[Mapping[str, Any]], spool: IO[bytes]
) -> tuple[pyarrow.Schema, list[float], int]:
    """Writes rows as lines of JSON; returns their schema, their bounds and their number."""
    schema, count = _FIXED, 0
    bounds = [180.0, 90.0, -180.0, -90.0]
    for documents in _batches(iter(items)):
        rows = [_row(document) for document in documents]
        schema = _grown(schema, rows)
        for row, document in zip(rows, documents, strict=True):
            spool.write(json.dumps(row | {"geometry": document["geometry"]}).encode() + b"\n")
            west, south, east, north = shape(document["geometry"]).bounds
            bounds = [*map(min, bounds[:2], (west, south)), *map(max, bounds[2:], (east, north))]
        count += len(rows)
    return schema, bounds, count


def _unspooled(spool: IO[bytes]) -> Iterator[dict[str, Any]]:
    for line in spool:
        row = json.loads(line)
        times = {name: row[name] and parse_time(row[name]) for name in _TIMES if name in row}
        yield row | times | {"geometry": shapely.to_wkb(shape(row["geometry"]))}


def _batches(values: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(islice(values, _ROWS)):
        yield some


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns of an Item but its geometry."""
    row = {**item["properties"], **{k: item[k] for k in item if k in _FIXED.names}}
    collection = {"collection": item["collection"]} if "collection" in item else {}
    assets = {name: _asset(asset) for name, asset in item["assets"].items()}
    bbox = dict(zip(_BBOX, item["bbox"], strict=True))
    own = {"type": "Feature", "bbox": bbox, "links": [], "assets": assets}
    return {**row, **collection, **own}


def _asset(asset: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an asset whose nodata is a number, as a column has one type."""
    found = dict(asset)
    if "bands" in found:
        found["bands"] = [_asset(band) for band in found["bands"]]
    if isinstance(found.get("nodata"), str):
        with suppress(ValueError):
            found["nodata"] = float(found["nodata"])
    return found


def _grown(schema: pyarrow.Schema, rows: list[dict[str, Any]]) -> pyarrow.Schema:
    """Returns a schema that has some more rows, too."""
    names = dict.fromkeys(name for row in rows for name in row if name not in _FIXED.names)
    for name in names:
        try:
            values = pyarrow.array([row.get(name) for row in rows])
            own = pyarrow.schema([(name, values.type)])
            schema = pyarrow.unify_schemas([schema, own], promote_options="permissive")
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
            raise InvalidRequestError(
                f"{name[:80]!r} has values of several types, for which a column of Parquet has no "
                f"place: {str(error)[:200]}"
            ) from error
    return schema


def _metadata(mosaic: Mosaic, bounds: list[float]) -> dict[str, str]:
    """Returns what GeoParquet and stac-geoparquet keep about a file."""
    lonlat = cell_grid(mosaic.tms).lonlat
    crs: pyproj.CRS = proj_crs(lonlat)
    own = {} if authority_of(lonlat) == _CRS84 or _is_wgs84(crs) else {"crs": crs.to_json_dict()}
    covering = {"bbox": {edge: ["bbox", edge] for edge in _BBOX}}
    column = {
        "encoding": "WKB",
        "geometry_types": ["Polygon", "MultiPolygon"],
        "bbox": bounds,
        "covering": covering,
        **own,
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {"geo": json.dumps(geo), "stac:geoparquet_version": "1.0.0"}


def _is_wgs84(crs: pyproj.CRS) -> bool:
    return crs.to_epsg() == 4326
