"""Mosaic rules: which scenes take part, in which order, and what a pixel becomes of them."""
