"""All vector tiles of a mosaic, made as the vector tile route makes them, for one archive."""
