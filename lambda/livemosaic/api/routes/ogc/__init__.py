"""Routes of OGC standards: Maps, Tiles, WMTS, and what they are found by."""
