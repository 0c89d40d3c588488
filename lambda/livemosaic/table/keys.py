"""Keys of rows that belong to no mosaic: headers of COGs, and tracked objects."""

import hashlib

from livemosaic.table import Key


def header_key(href: str) -> Key:
    """The key of the header of the COG at an href."""
    return Key(f"header#{_hash(href)}", "header")


def tracked_object_key(name: str) -> Key:
    """The key of the row of a tracked object, by the object's name."""
    return Key(f"thing#{_hash(name)}", "thing")


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
