"""COGs: from an asset to pixels on a grid."""
