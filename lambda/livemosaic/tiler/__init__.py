"""Use case: images, points and statistics of mosaics."""
