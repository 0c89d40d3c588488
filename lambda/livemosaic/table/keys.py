"""Keys of rows that belong to no mosaic: headers of COGs, and tracked objects."""

import hashlib

from livemosaic.table import Key


def header_key(href: str) -> Key:
    """Where the header of the COG at an href is."""
    return Key(f"header#{_hash(href)}", "header")


def tracked_object_key(name: str) -> Key:
    """Where the row of a tracked thing is, by its name."""
    return Key(f"thing#{_hash(name)}", "thing")


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
