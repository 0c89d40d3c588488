"""Extents of deep partitions: where their scenes lie, so that tiles at edges need not read all."""
