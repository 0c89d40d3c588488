"""Health check of the service and its table."""

from fastapi import APIRouter

import livemosaic
from livemosaic.api.dependencies import ServicesDep
from livemosaic.table import Key

router = APIRouter(tags=["health"])


@router.get("/health")
def health(services: ServicesDep) -> dict[str, str]:
    """Reports `ok`, or 503 if the table does not respond."""
    services.mosaics.table.get(Key("mosaics", "health"))
    return {"status": "ok", "version": livemosaic.__version__}
