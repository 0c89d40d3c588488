"""TileMatrixSets (OGC 17-083r4) by id."""

from functools import lru_cache

import morecantile
from morecantile import TileMatrixSet

from livemosaic.errors import InvalidRequestError


@lru_cache(64)
def tile_matrix_set(tms_id: str) -> TileMatrixSet:
    """Returns a registered TileMatrixSet; raises `InvalidRequestError` for an unknown id.

    Cached, as morecantile makes a deep copy each time: do not modify it.
    """
    if tms_id not in morecantile.tms.list():
        raise InvalidRequestError(
            f"unknown TileMatrixSet {tms_id[:80]!r}; known are {', '.join(morecantile.tms.list())}"
        )
    return morecantile.tms.get(tms_id)
