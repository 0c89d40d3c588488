"""Bytes of objects: S3, HTTP, local files."""
