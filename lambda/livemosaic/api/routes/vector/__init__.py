"""The index as vector tiles."""
