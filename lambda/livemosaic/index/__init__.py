"""Mosaics and scenes, as rows of the table."""
