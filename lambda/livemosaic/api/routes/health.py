"""Is it up, and does its table answer."""

from fastapi import APIRouter

import livemosaic
from livemosaic.api.dependencies import ServicesDep
from livemosaic.table import Key

router = APIRouter(tags=["health"])


@router.get("/health")
def health(services: ServicesDep) -> dict[str, str]:
    """`ok` where the index answers; 503 where it does not."""
    services.mosaics.table.get(Key("mosaics", "health"))
    return {"status": "ok", "version": livemosaic.__version__}
