"""A live mosaic of Cloud-Optimized GeoTIFFs: STAC items go in, map tiles come out."""

__version__ = "0.1.0"
