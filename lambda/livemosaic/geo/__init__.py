"""Geometry on the globe and on grids. Pure."""
