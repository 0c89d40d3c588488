"""Who may write over HTTP: IAM identities, or who holds a JWT of an OpenID Connect provider."""

from typing import Final, Self

from aws_cdk.aws_apigatewayv2 import IHttpRouteAuthorizer
from aws_cdk.aws_apigatewayv2_authorizers import HttpIamAuthorizer, HttpJwtAuthorizer
from pydantic import BaseModel, ConfigDict, Field, model_validator

_MOST: Final = 50
"""Audiences of an authorizer (HTTP API quotas); scopes of a route have no other limit."""


class Jwt(BaseModel):
    """JWTs that API Gateway checks (Developer Guide, "Control access with JWT authorizers")."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(pattern=r"^https://[^/\s]+(/\S*)?$")
    """What `iss` has to be, and where `/.well-known/openid-configuration` is."""
    audience: tuple[str, ...] = Field(min_length=1, max_length=_MOST)
    """What `aud` or `client_id` may be."""
    scopes: tuple[str, ...] = Field((), max_length=_MOST)
    """`scope` or `scp` has to name one of them; without any, every client of the audience writes.
    """

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if not all(word.strip() for word in (*self.audience, *self.scopes)):
            raise ValueError("an audience or scope is empty")
        return self


def authorizer(jwt: Jwt | None) -> IHttpRouteAuthorizer:
    """What guards the routes that write."""
    if jwt is None:
        return HttpIamAuthorizer()
    return HttpJwtAuthorizer("Jwt", jwt.issuer, jwt_audience=list(jwt.audience))
