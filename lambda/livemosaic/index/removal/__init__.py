"""Removal of deleted mosaics of any size, by many workers."""
