"""Authorization of writes over HTTP: IAM, or JWTs of an OpenID Connect provider."""

from typing import Final, Self

from aws_cdk.aws_apigatewayv2 import IHttpRouteAuthorizer
from aws_cdk.aws_apigatewayv2_authorizers import HttpIamAuthorizer, HttpJwtAuthorizer
from pydantic import BaseModel, ConfigDict, Field, model_validator

_MAX_VALUES: Final = 50
"""Maximum of audiences per authorizer (HTTP API quotas); also used for scopes, which have none."""


class Jwt(BaseModel):
    """Settings of API Gateway's JWT authorizer ("Control access with JWT authorizers")."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(pattern=r"^https://[^/\s]+(/\S*)?$")
    """Required value of `iss`, and base URL of `/.well-known/openid-configuration`."""
    audience: tuple[str, ...] = Field(min_length=1, max_length=_MAX_VALUES)
    """Accepted values of `aud` or `client_id`."""
    scopes: tuple[str, ...] = Field((), max_length=_MAX_VALUES)
    """Scopes of which `scope` or `scp` must contain one; if empty, every client of the audience may
    write."""

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if not all(word.strip() for word in (*self.audience, *self.scopes)):
            raise ValueError("an audience or scope is empty")
        return self


def authorizer(jwt: Jwt | None) -> IHttpRouteAuthorizer:
    """Returns the authorizer of the routes that write: JWT if configured, otherwise IAM."""
    if jwt is None:
        return HttpIamAuthorizer()
    return HttpJwtAuthorizer("Jwt", jwt.issuer, jwt_audience=list(jwt.audience))
