"""Commands for users of GIS programs."""
