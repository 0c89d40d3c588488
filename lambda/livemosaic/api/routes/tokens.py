"""Access tokens for private mosaics, created by writers."""

from typing import Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from livemosaic.api.dependencies import ServicesDep, Writes
from livemosaic.api.schemas import TokenOut
from livemosaic.auth.tokens import EVERYTHING, scope_of

router = APIRouter(tags=["access"])

DAY_S: Final = 24 * 3600
_SHORT_S: Final = 300
"""Maximum lifetime of a token for all mosaics: its owner uses it at once."""


class NewToken(BaseModel):
    """An access token to create."""

    model_config = ConfigDict(extra="forbid")

    expires_in: int = Field(DAY_S, ge=1, description="Lifetime in seconds")


@router.post("/mosaics/{mosaic}/tokens", status_code=201, dependencies=[Writes])
def mint_token(
    mosaic: str, services: ServicesDep, response: Response, new: NewToken | None = None
) -> TokenOut:
    """Creates a token that gives read access to one mosaic until it expires."""
    scope = scope_of(services.mosaics.get(mosaic))
    response.headers["Cache-Control"] = "no-store"
    return TokenOut.of(services.tokens.mint(scope, (new or NewToken()).expires_in))


@router.post("/tokens", status_code=201, dependencies=[Writes])
def mint_token_of_everything(
    services: ServicesDep, response: Response, new: NewToken | None = None
) -> TokenOut:
    """Creates a token that gives read access to all mosaics, for five minutes at most."""
    response.headers["Cache-Control"] = "no-store"
    wanted = min(_SHORT_S, services.tokens.max_age_s, (new or NewToken()).expires_in)
    return TokenOut.of(services.tokens.mint(EVERYTHING, wanted))
