"""What a mosaic learns from the scenes that come in: their extent, assets and meanings."""
