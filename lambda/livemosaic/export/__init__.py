"""Whole mosaics as documents of other tools."""
