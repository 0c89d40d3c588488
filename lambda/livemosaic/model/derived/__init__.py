"""Derived mosaics: mosaics that show the scenes of others."""
