"""Reads derived mosaics: which mosaics they show now, and the scenes of these in one order."""
