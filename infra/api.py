"""The HTTP API: reads are public, writes need IAM or a JWT of an OpenID Connect provider."""

import json
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from infra.config import Config
from infra.logs import log_group
from infra.writers import Jwt, authorizer

_METHOD = apigatewayv2.HttpMethod
_POST = _METHOD.POST
READS: Final = (_METHOD.GET, _METHOD.HEAD, _METHOD.OPTIONS)
WRITES: Final = (_POST, _METHOD.PUT, _METHOD.DELETE)
POST_READS: Final = ("/mosaics/{mosaic}/{read}", "/mosaics/{mosaic}/{read}/{size}")
"""Routes that only read but take a body: statistics and images of features."""
POST_WRITES: Final = ("/mosaics/{mosaic}/items", "/mosaics/{mosaic}/tokens")
"""Routes that write although they match `POST_READS`: API Gateway picks the more specific route."""
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
    ) -> None:
        super().__init__(scope, name)
        self.api = apigatewayv2.HttpApi(
            self,
            "Api",
            api_name=config.name,
            description="Live mosaics of Cloud-Optimized GeoTIFFs",
            create_default_stage=False,
        )
        self._add_stage(config)
        self._add_reads(tiler)
        self._add_writes(manager, config.jwt)

    @property
    def url(self) -> str:
        """URL of the API, without a trailing slash."""
        return self.api.api_endpoint  # equals the URL of the stage $default

    def _add_stage(self, config: Config) -> None:
        # Groups under this prefix need no entry in the account's resource policy, whose length is
        # limited (API Gateway, "Configure logging for HTTP APIs").
        group = f"/aws/vendedlogs/apis/{config.name}"
        access = log_group(self, "Access", days=config.log_retention_days, group=group)
        stage = apigatewayv2.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            description="The only stage",
            auto_deploy=True,
            throttle=apigatewayv2.ThrottleSettings(
                rate_limit=config.throttle_rate, burst_limit=config.throttle_burst
            ),
        )
        resource = stage.node.default_child
        assert isinstance(resource, apigatewayv2.CfnStage)  # noqa: S101 (for the type)
        resource.access_log_settings = apigatewayv2.CfnStage.AccessLogSettingsProperty(
            destination_arn=access.log_group_arn, format=json.dumps(_ACCESS)
        )

    def _add_reads(self, tiler: lambda_.IFunction) -> None:
        integration = HttpLambdaIntegration("Tiler", tiler, scope_permission_to_route=False)
        methods = dict.fromkeys(("/", "/{proxy+}"), READS) | dict.fromkeys(POST_READS, (_POST,))
        for path, allowed in methods.items():
            for route in self.api.add_routes(
                path=path, methods=[*allowed], integration=integration
            ):
                cdk.Validations.of(route).acknowledge(
                    cdk.Acknowledgment(
                        id="AwsSolutions-APIG4",
                        reason="Map tiles are public, or need a token that the function checks. "
                        "The role of the function cannot write anything.",
                    )
                )

    def _add_writes(self, manager: lambda_.IFunction, jwt: Jwt | None) -> None:
        integration = HttpLambdaIntegration("Manager", manager, scope_permission_to_route=False)
        guard = authorizer(jwt)
        scopes = list(jwt.scopes) or None if jwt else None
        methods = {"/{proxy+}": WRITES} | dict.fromkeys(POST_WRITES, (_POST,))
        for path, allowed in methods.items():
            self.api.add_routes(
                path=path,
                methods=[*allowed],
                integration=integration,
                authorizer=guard,
                authorization_scopes=scopes,
            )
