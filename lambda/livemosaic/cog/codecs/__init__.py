"""Decoders, bounded by the sizes in the file's header."""
