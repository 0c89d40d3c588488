"""Polygons of requests, which may cross themselves."""
