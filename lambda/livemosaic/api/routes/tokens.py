"""Access tokens of private mosaics, for who may write."""

from typing import Final

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from livemosaic.api.access import may_write
from livemosaic.api.dependencies import ServicesDep
from livemosaic.api.schemas import TokenOut, told
from livemosaic.auth.tokens import EVERYTHING, scope_of

router = APIRouter(tags=["access"])
Writes = Depends(may_write)

DAY_S: Final = 24 * 3600
_SHORT_S: Final = 300
"""The life of a token that opens everything: enough for what makes one to ask its question."""


class NewToken(BaseModel):
    """A token to make."""

    model_config = ConfigDict(extra="forbid")

    expires_in: int = Field(DAY_S, ge=1, description="Seconds")


@router.post("/mosaics/{mosaic}/tokens", status_code=201, dependencies=[Writes])
def mint_token(
    mosaic: str, services: ServicesDep, response: Response, new: NewToken | None = None
) -> TokenOut:
    """Make a token that shows one mosaic to who holds it, until it expires."""
    scope = scope_of(services.mosaics.get(mosaic))
    response.headers["Cache-Control"] = "no-store"
    return told(services.tokens.mint(scope, (new or NewToken()).expires_in))


@router.post("/tokens", status_code=201, dependencies=[Writes])
def mint_token_of_everything(services: ServicesDep, response: Response) -> TokenOut:
    """Make a token that lists and shows all mosaics, for five minutes."""
    response.headers["Cache-Control"] = "no-store"
    return told(services.tokens.mint(EVERYTHING, min(_SHORT_S, services.tokens.max_age_s)))
