"""Overview cells of derived mosaics."""
