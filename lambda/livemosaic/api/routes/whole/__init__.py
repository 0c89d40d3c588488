"""What a mosaic knows of itself as a whole."""
