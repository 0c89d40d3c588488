"""The assets of a STAC Item: which are rasters that are read, their names, and the ones to show."""
