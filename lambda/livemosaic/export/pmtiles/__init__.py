"""PMTiles archives (specification 3.5), written and read: tiles of any kind in one file."""
