"""The HTTP API: reads are public, writes need IAM or a JWT of an OpenID Connect provider."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.logs import log_group
from livemosaic_cdk.writers import Jwt, authorizer

_METHOD = apigatewayv2.HttpMethod
_POST = _METHOD.POST
READS: Final = (_METHOD.GET, _METHOD.HEAD, _METHOD.OPTIONS)
WRITES: Final = (_POST, _METHOD.PUT, _METHOD.PATCH, _METHOD.DELETE)
POST_READS: Final = (
    *("/mosaics/{mosaic}/{read}", "/mosaics/{mosaic}/{read}/{size}", "/search"),
    "/arcgis/rest/{proxy+}",
)
"""Routes that only read but take a body: statistics, images of features, searches, and the forms
that ArcGIS's clients send in place of a long query.

`tests/infra/test_access.py` holds them to what the routes of the application ask for."""
POST_WRITES: Final = ("/mosaics/{mosaic}/items", "/mosaics/{mosaic}/tokens")
"""Routes that write although they match `POST_READS`: API Gateway picks the more specific route."""
EXPENSIVE_READS: Final = (
    *("/mosaics/{mosaic}/bbox/{proxy+}", "/mosaics/{mosaic}/map"),
    *("/mosaics/{mosaic}/statistics", "/mosaics/{mosaic}/boundary"),
    "/arcgis/rest/services/{mosaic}/ImageServer/{operation}",
)
"""Images of any size, and what a mosaic knows of itself; `POST_READS` are expensive, too."""
_OTHERS: Final = 50
"""Requests per second of any other route, and half of a burst: `HEAD`, preflights, writes."""
_ACCESS: Final = {
    "time": "$context.requestTimeEpoch",
    "request": "$context.requestId",
    "ip": "$context.identity.sourceIp",
    "caller": "$context.identity.userArn",
    "subject": "$context.authorizer.claims.sub",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "ms": "$context.responseLatency",
    "integration_ms": "$context.integrationLatency",
    "error": "$context.error.message",
    "integration_error": "$context.integrationErrorMessage",
}


@dataclass(frozen=True, slots=True)
class Throttle:
    """Requests of one route that API Gateway accepts, sustained per second and in a burst."""

    rate: int
    burst: int

    @property
    def settings(self) -> dict[str, int]:
        """Returns the properties of a stage's route settings."""
        return {"ThrottlingRateLimit": self.rate, "ThrottlingBurstLimit": self.burst}


def reads(config: Config) -> Mapping[str, Sequence[apigatewayv2.HttpMethod]]:
    """Returns the methods of routes that need no credential, by path."""
    get = ("/", "/{proxy+}")
    posts = POST_READS if config.anonymous_posts else ()
    return (
        dict.fromkeys(get, READS)
        | dict.fromkeys(EXPENSIVE_READS, (_METHOD.GET,))
        | dict.fromkeys(posts, (_POST,))
    )


def writes() -> Mapping[str, Sequence[apigatewayv2.HttpMethod]]:
    """Returns the methods of routes that need the credential of a writer, by path."""
    return {"/{proxy+}": WRITES} | dict.fromkeys(POST_WRITES, (_POST,))


def throttles(config: Config) -> dict[str, Throttle]:
    """Returns the throttle of every route, by its key, `METHOD PATH`."""
    return {
        f"{method.value} {path}": _throttle(method, path, config)
        for routes in (reads(config), writes())
        for path, methods in routes.items()
        for method in methods
    }


def is_open(key: str, config: Config) -> bool:
    """Whether a route needs no credential."""
    method, path = key.split(" ")
    return method in [each.value for each in reads(config).get(path, ())]


def _throttle(method: apigatewayv2.HttpMethod, path: str, config: Config) -> Throttle:
    if path in (*EXPENSIVE_READS, *POST_READS):
        return Throttle(config.expensive_rate, config.expensive_burst)
    if (method, path) == (_METHOD.GET, "/{proxy+}"):
        return Throttle(config.throttle_rate, config.throttle_burst)
    return Throttle(min(config.throttle_rate, _OTHERS), min(config.throttle_burst, 2 * _OTHERS))


class Api(Construct):
    """Two functions behind one URL. The application itself answers CORS requests."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        config: Config,
        tiler: lambda_.IFunction,
        manager: lambda_.IFunction,
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, name)
        self.api = apigatewayv2.HttpApi(
            self,
            "Api",
            api_name=config.name,
            description="Live mosaics of Cloud-Optimized GeoTIFFs",
            create_default_stage=False,
        )
        routes = [*self._add_reads(tiler, config), *self._add_writes(manager, config.jwt)]
        self._add_stage(config, routes, key)

    @property
    def url(self) -> str:
        """URL of the API, without a trailing slash."""
        return self.api.api_endpoint  # equals the URL of the stage $default

    def _add_stage(
        self, config: Config, routes: Sequence[apigatewayv2.HttpRoute], key: kms.IKey | None
    ) -> None:
        # Groups under this prefix need no entry in the account's resource policy, whose length is
        # limited (API Gateway, "Configure logging for HTTP APIs").
        group = f"/aws/vendedlogs/apis/{config.name}"
        days = config.log_retention_days
        access = log_group(self, "Access", days=days, key=key, group=group)
        stage = apigatewayv2.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            description="The only stage",
            auto_deploy=True,
            throttle=apigatewayv2.ThrottleSettings(
                rate_limit=min(config.throttle_rate, _OTHERS),
                burst_limit=min(config.throttle_burst, 2 * _OTHERS),
            ),
        )
        stage.node.add_dependency(*routes)  # whose settings it has
        resource = stage.node.default_child
        assert isinstance(resource, apigatewayv2.CfnStage)  # noqa: S101 (for the type)
        resource.access_log_settings = apigatewayv2.CfnStage.AccessLogSettingsProperty(
            destination_arn=access.log_group_arn, format=json.dumps(_ACCESS)
        )
        resource.route_settings = {
            key: throttle.settings for key, throttle in throttles(config).items()
        }

    def _add_reads(
        self, tiler: lambda_.IFunction, config: Config
    ) -> Iterator[apigatewayv2.HttpRoute]:
        integration = HttpLambdaIntegration("Tiler", tiler, scope_permission_to_route=False)
        for path, methods in reads(config).items():
            for route in self.api.add_routes(
                path=path, methods=[*methods], integration=integration
            ):
                cdk.Validations.of(route).acknowledge(
                    cdk.Acknowledgment(
                        id="AwsSolutions-APIG4",
                        reason="Map tiles are public, or need a token that the function checks. "
                        "The role of the function cannot write anything.",
                    )
                )
                yield route

    def _add_writes(
        self, manager: lambda_.IFunction, jwt: Jwt | None
    ) -> Iterator[apigatewayv2.HttpRoute]:
        integration = HttpLambdaIntegration("Manager", manager, scope_permission_to_route=False)
        guard = authorizer(jwt)
        scopes = list(jwt.scopes) or None if jwt else None
        for path, methods in writes().items():
            yield from self.api.add_routes(
                path=path,
                methods=[*methods],
                integration=integration,
                authorizer=guard,
                authorization_scopes=scopes,
            )
