"""GeoPackages of one layer of polygons (OGC 12-128r18), written row by row with SQLite."""

import sqlite3
import struct
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import shapely
from rasterio.crs import CRS
from shapely.geometry.base import BaseGeometry

from livemosaic.geo.crs import authority_of

_OWN_SRS: Final = 100_000
"""Id of a CRS that has no EPSG code."""
_ROWS: Final = 1000
_APPLICATION: Final = 0x47504B47
_VERSION: Final = 10300
_LAYER: Final = "scenes"

_TABLES: Final = """
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY,
    organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL,
    definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL,
    identifier TEXT UNIQUE, description TEXT DEFAULT '',
    last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
    min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
    FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL,
    geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL,
    m TINYINT NOT NULL, PRIMARY KEY (table_name, column_name),
    FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name));
CREATE TABLE gpkg_extensions (table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL,
    definition TEXT NOT NULL, scope TEXT NOT NULL,
    UNIQUE (table_name, column_name, extension_name));
CREATE TABLE gpkg_metadata (id INTEGER PRIMARY KEY NOT NULL,
    md_scope TEXT NOT NULL DEFAULT 'dataset', md_standard_uri TEXT NOT NULL,
    mime_type TEXT NOT NULL DEFAULT 'text/xml', metadata TEXT NOT NULL DEFAULT '');
CREATE TABLE gpkg_metadata_reference (reference_scope TEXT NOT NULL, table_name TEXT,
    column_name TEXT, row_id_value INTEGER,
    timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
    md_file_id INTEGER NOT NULL, md_parent_id INTEGER);
INSERT INTO gpkg_spatial_ref_sys VALUES
    ('undefined cartesian', -1, 'NONE', -1, 'undefined', NULL),
    ('undefined geographic', 0, 'NONE', 0, 'undefined', NULL);
INSERT INTO gpkg_extensions VALUES
    ('scenes', 'geom', 'gpkg_rtree_index', 'http://www.geopackage.org/spec120/#extension_rtree',
     'write-only'),
    ('gpkg_metadata', NULL, 'gpkg_metadata',
     'http://www.geopackage.org/spec120/#extension_metadata', 'read-write'),
    ('gpkg_metadata_reference', NULL, 'gpkg_metadata',
     'http://www.geopackage.org/spec120/#extension_metadata', 'read-write');
CREATE VIRTUAL TABLE rtree_scenes_geom USING rtree(id, minx, maxx, miny, maxy);
"""


@dataclass(frozen=True, slots=True)
class PolygonRow:
    """A row of the layer."""

    shape: BaseGeometry
    """In the CRS of the layer, x before y; not empty."""
    values: Mapping[str, str | None]
    """By column, the same ones in each row."""


@dataclass(frozen=True, slots=True)
class PolygonLayer:
    """The layer of a GeoPackage."""

    crs: CRS
    columns: tuple[str, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Metadata items of the layer, as GDAL reads them."""

    def write(self, rows: Iterable[PolygonRow], path: Path) -> int:
        """Writes rows into a new file, some at a time, and returns their number."""
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=OFF")
            db.execute("PRAGMA synchronous=OFF")
            db.execute(f"PRAGMA application_id={_APPLICATION}")
            db.execute(f"PRAGMA user_version={_VERSION}")
            db.executescript(_TABLES)
            srs = self._add_srs(db)
            columns = "".join(f", {name} TEXT" for name in self.columns)
            db.execute(
                f"CREATE TABLE {_LAYER} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
                f"geom MULTIPOLYGON{columns})"
            )
            count = self._add_rows(db, srs, rows)
            self._describe(db, srs)
        return count

    def _add_srs(self, db: sqlite3.Connection) -> int:
        """Adds the CRS, and returns its id."""
        found = authority_of(self.crs)
        wkt = self.crs.to_wkt()
        if found and found[0] == "EPSG" and found[1].isdecimal():
            row = (":".join(found), int(found[1]), "EPSG", int(found[1]), wkt)
        else:
            row = (":".join(found or ("own",)), _OWN_SRS, "NONE", _OWN_SRS, wkt)
        db.execute("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, NULL)", row)
        if row[1] != 4326:
            world = ("WGS 84", 4326, "EPSG", 4326, CRS.from_epsg(4326).to_wkt())
            db.execute("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, NULL)", world)
        return row[1]

    def _add_rows(self, db: sqlite3.Connection, srs: int, rows: Iterable[PolygonRow]) -> int:
        marks = ", ".join("?" * (2 + len(self.columns)))
        waiting, count = iter(rows), 0
        while some := list(islice(waiting, _ROWS)):
            numbered = list(enumerate(some, count + 1))
            db.execute("BEGIN")
            db.executemany(
                f"INSERT INTO {_LAYER} VALUES ({marks})",  # noqa: S608 (only question marks)
                (
                    (n, _blob(row.shape, srs), *map(row.values.get, self.columns))
                    for n, row in numbered
                ),
            )
            db.executemany(
                "INSERT INTO rtree_scenes_geom VALUES (?, ?, ?, ?, ?)",
                ((n, *_spans(row.shape)) for n, row in numbered),
            )
            db.execute("COMMIT")
            count += len(some)
        return count

    def _describe(self, db: sqlite3.Connection, srs: int) -> None:
        bounds = db.execute(
            "SELECT min(minx), min(miny), max(maxx), max(maxy) FROM rtree_scenes_geom"
        ).fetchone()
        db.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, min_x, min_y, max_x, "
            "max_y, srs_id) VALUES (?, 'features', ?, ?, ?, ?, ?, ?)",
            (_LAYER, _LAYER, *bounds, srs),
        )
        db.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'MULTIPOLYGON', ?, 0, 0)",
            (_LAYER, srs),
        )
        items = "".join(
            f"<MDI key={quoteattr(key)}>{escape(value)}</MDI>"
            for key, value in self.metadata.items()
        )
        text = f"<GDALMultiDomainMetadata><Metadata>{items}</Metadata></GDALMultiDomainMetadata>"
        db.execute(
            "INSERT INTO gpkg_metadata (id, md_standard_uri, metadata) VALUES "
            "(1, 'http://gdal.org', ?)",
            (text,),
        )
        db.execute(
            "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id) VALUES "
            "('table', ?, 1)",
            (_LAYER,),
        )


def _spans(shape: BaseGeometry) -> tuple[float, float, float, float]:
    left, bottom, right, top = shape.bounds
    return left, right, bottom, top


def _blob(shape: BaseGeometry, srs: int) -> bytes:
    """Returns GeoPackage's binary form: a header with the envelope, and WKB (2.1.3)."""
    polygons = shapely.multipolygons(shapely.get_parts(shape))
    header = struct.pack("<2sBBi4d", b"GP", 0, 0b011, srs, *_spans(shape))
    return header + bytes(shapely.to_wkb(polygons, byte_order=1))
