"""The HTTP API: reads for everybody, writes for whom IAM lets, or an OpenID Connect provider."""

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
ASKED_BY_POST: Final = ("/mosaics/{mosaic}/{read}", "/mosaics/{mosaic}/{read}/{size}")
"""What reads, but takes a body: statistics of features, pictures of them."""
WRITTEN_BY_POST: Final = ("/mosaics/{mosaic}/items", "/mosaics/{mosaic}/tokens")
"""What writes although it looks like those: of two routes, that with more words answers."""
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
    """Two functions behind one URL. CORS is answered by the application."""

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
        """Without a slash at its end."""
        return self.api.api_endpoint  # that of the stage $default

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
        methods = dict.fromkeys(("/", "/{proxy+}"), READS) | dict.fromkeys(ASKED_BY_POST, (_POST,))
        for path, by in methods.items():
            for route in self.api.add_routes(path=path, methods=[*by], integration=integration):
                cdk.Validations.of(route).acknowledge(
                    cdk.Acknowledgment(
                        id="AwsSolutions-APIG4",
                        reason="Map tiles are for everybody who has the URL, or for who shows a "
                        "token that the function checks. Its role can write nothing.",
                    )
                )

    def _add_writes(self, manager: lambda_.IFunction, jwt: Jwt | None) -> None:
        integration = HttpLambdaIntegration("Manager", manager, scope_permission_to_route=False)
        guard = authorizer(jwt)
        scopes = list(jwt.scopes) or None if jwt else None
        methods = {"/{proxy+}": WRITES} | dict.fromkeys(WRITTEN_BY_POST, (_POST,))
        for path, by in methods.items():
            self.api.add_routes(
                path=path,
                methods=[*by],
                integration=integration,
                authorizer=guard,
                authorization_scopes=scopes,
            )
