"""Raster functions: from pixels to pixels, by the names and arguments of ArcGIS. Pure."""
