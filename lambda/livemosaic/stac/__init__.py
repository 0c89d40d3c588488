"""Mosaics and scenes as STAC: Collections, Items, and searches over what the index keeps."""
