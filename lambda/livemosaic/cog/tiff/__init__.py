"""What a TIFF's header states, read before any library decodes it."""
