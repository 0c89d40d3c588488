"""Mosaics as image services of the ArcGIS REST API; loaded when one is first asked for."""
