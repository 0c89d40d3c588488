"""Routes of a read-only STAC API (1.0): Collections, Items and Item Search."""
