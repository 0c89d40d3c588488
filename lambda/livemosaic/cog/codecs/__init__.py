"""Decoders, bounded by what the file's header says."""
