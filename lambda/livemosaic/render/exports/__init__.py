"""Encodings of images that ArcGIS clients ask for beside our own."""
