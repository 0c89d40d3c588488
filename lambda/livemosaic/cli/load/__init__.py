"""`livemosaic load`: a whole archive becomes a new table at once."""
