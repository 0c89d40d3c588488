"""What ingestion knows of all mosaics, at a price that does not grow with their number."""
