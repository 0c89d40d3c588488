"""Use case: STAC Items arrive, and mosaics follow."""
