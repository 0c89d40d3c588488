"""`livemosaic serve`: the command, its server, and the upkeep of overviews beside it."""
