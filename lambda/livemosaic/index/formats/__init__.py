"""Formats of a mosaic's rows: what they mean, and how rows of one become rows of the next."""
