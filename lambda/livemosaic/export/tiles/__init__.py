"""All tiles of a mosaic, drawn as the tile route draws them, for one archive."""
