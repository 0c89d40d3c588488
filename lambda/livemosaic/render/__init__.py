"""From pixels to pixels to bytes: expressions, composition, style, encoding. Pure."""
