"""Layers of pixels, one above the other: their bands, and how they become one."""
