"""The servers of `tests/api`, of scenes without files: a vector tile of the index reads none."""

from api.conftest import folder, kept, server

__all__ = ["folder", "kept", "server"]
