"""Files that make GDAL and QGIS open a mosaic."""
