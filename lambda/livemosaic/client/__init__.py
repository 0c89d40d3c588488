"""Mosaics from outside: in an index at hand, or behind an API elsewhere."""
