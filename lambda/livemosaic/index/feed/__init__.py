"""The change feed of a mosaic: a row with each change, and readers who follow them."""
