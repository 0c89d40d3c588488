"""The CDN: a CloudFront distribution in front of the HTTP API."""

import json
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_route53 as route53
from constructs import Construct

from livemosaic.api.edge.origin import HEADER
from livemosaic.api.middleware import ALLOWED_HEADERS, ALLOWED_METHODS, EXPOSED_HEADERS
from livemosaic.api.routes.tiles import ROUTES, query_of
from livemosaic_cdk.config import Config

ERRORS: Final = (400, 403, 404, 405, 414, 500, 501, 502, 503, 504)
"""Statuses that CloudFront caches (Developer Guide, "HTTP 4xx and 5xx status codes")."""
ERROR_S: Final = 1
"""How long it does, whatever their Cache-Control says."""
SHARED_MAX_AGE_S: Final = 10
"""How long the CDN keeps images of mosaics that set no `max_age_s`, by default."""
TILES: Final = "/mosaics/*/tiles/*/*/*/*"
VECTOR: Final = "/mosaics/*/vector/*/*/*/*"
WMS: Final = ("/mosaics/*/wms", "/wms")
_FUNCTION_BYTES: Final = 10_240
"""Maximum size of a function's code (CloudFront quotas)."""
_ALIAS_ZONE: Final = "Z2FDTNDATAQYW2"
"""Hosted zone of all distributions (Route 53 API, AliasTarget)."""


def known_parameters() -> list[str]:
    """Returns the query parameters of all tile routes, sorted."""
    return sorted(set[str]().union(*(query_of(route).names for route in ROUTES)))


def cache_key_code() -> str:
    """Returns the code of the function that normalizes queries."""
    code = _source("cache_key.js").replace("__KNOWN__", json.dumps(known_parameters()))
    if len(code.encode()) > _FUNCTION_BYTES:
        raise ValueError(f"cache_key.js has {len(code.encode()):,} bytes with its parameters")
    return code


def _source(file: str) -> str:
    return (Path(__file__).parent / file).read_text("utf-8")


class Cdn(Construct):
    """Distribution whose only origin is the API, which it shows a secret."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        config: Config,
        api: str,
        secret: str,
        certificate: acm.ICertificate | None = None,
        web_acl: str | None = None,
    ) -> None:
        """`api` is the URL of the API without a path, `secret` what the header shows.

        `certificate` and `web_acl`, an ARN, belong to another stack, where `config` names none.
        """
        super().__init__(scope, name)
        self._config = config
        self._certificate = certificate
        self._web_acl = config.web_acl or web_acl
        self._origin = origins.HttpOrigin(
            cdk.Fn.select(2, cdk.Fn.split("/", api)),
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
            origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
            custom_headers={HEADER: secret},
        )
        self._functions = [
            cloudfront.FunctionAssociation(function=function, event_type=event)
            for event, function in self._make_functions().items()
        ]
        self._cors = self._make_cors()
        self.distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"livemosaic: {config.name}",
            default_behavior=self._documents(),
            additional_behaviors=dict.fromkeys((TILES, VECTOR, *WMS), self._tiles())
            | {"/static/*": self._static()},
            error_responses=[
                cloudfront.ErrorResponse(http_status=status, ttl=cdk.Duration.seconds(ERROR_S))
                for status in ERRORS
            ],
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            web_acl_id=self._web_acl,
            **self._names(),
        )
        self._acknowledge()
        if config.hosted_zone:
            self._point_to_us(config.hosted_zone)

    def _make_functions(self) -> dict[cloudfront.FunctionEventType, cloudfront.Function]:
        """Returns the functions that run at the edge on every request but of static files."""
        runtime = cloudfront.FunctionRuntime.JS_2_0
        return {
            cloudfront.FunctionEventType.VIEWER_REQUEST: cloudfront.Function(
                self,
                "CacheKey",
                code=cloudfront.FunctionCode.from_inline(cache_key_code()),
                runtime=runtime,
                comment="Queries that mean the same get the same cache key",
            ),
            cloudfront.FunctionEventType.VIEWER_RESPONSE: cloudfront.Function(
                self,
                "Qgis",
                code=cloudfront.FunctionCode.from_inline(_source("qgis.js")),
                runtime=runtime,
                comment="QGIS stores nothing, as it would show it for good",
            ),
        }

    @property
    def url(self) -> str:
        """URL by which clients come."""
        return f"https://{self._config.domain or self.distribution.distribution_domain_name}"

    def _names(self) -> dict[str, Any]:
        certificate = self._find_certificate()
        if self._config.domain is None or certificate is None:
            return {}
        return {
            "domain_names": [self._config.domain],
            "certificate": certificate,
            "minimum_protocol_version": cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
        }

    def _find_certificate(self) -> acm.ICertificate | None:
        if self._config.certificate is None:
            return self._certificate
        return acm.Certificate.from_certificate_arn(self, "Certificate", self._config.certificate)

    def _tiles(self) -> cloudfront.BehaviorOptions:
        return self._behavior(
            self._policy(
                "Tiles",
                "Images by path and query. Whatever a credential opens has a key of its own",
                "Authorization",
            ),
            # Headers of preflights: no other that is not in the key reaches the API, so none can
            # spoil an image for others. What CORS says is the CDN's own in any case.
            forwarding=cloudfront.OriginRequestPolicy.CORS_S3_ORIGIN,
        )

    def _documents(self) -> cloudfront.BehaviorOptions:
        return self._behavior(
            self._policy("Documents", "Also by the accepted form", "Authorization", "Accept"),
            # API Gateway answers to its own Host only.
            forwarding=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            methods=cloudfront.AllowedMethods.ALLOW_ALL,
        )

    def _static(self) -> cloudfront.BehaviorOptions:
        policy = cloudfront.CachePolicy(
            self,
            "Static",
            comment="Files by path",
            enable_accept_encoding_brotli=True,
            enable_accept_encoding_gzip=True,
            **_OBEYING,
        )
        return cloudfront.BehaviorOptions(
            origin=self._origin,
            cache_policy=policy,
            response_headers_policy=self._cors,
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
        )

    def _behavior(
        self,
        policy: cloudfront.CachePolicy,
        *,
        forwarding: cloudfront.IOriginRequestPolicy,
        methods: cloudfront.AllowedMethods = cloudfront.AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
    ) -> cloudfront.BehaviorOptions:
        return cloudfront.BehaviorOptions(
            origin=self._origin,
            allowed_methods=methods,
            cache_policy=policy,
            function_associations=self._functions,
            origin_request_policy=forwarding,
            response_headers_policy=self._cors,
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
        )

    def _policy(self, name: str, comment: str, *headers: str) -> cloudfront.CachePolicy:
        return cloudfront.CachePolicy(
            self,
            name,
            comment=comment,
            # All that the function leaves: a policy may name ten at most (CloudFront quotas).
            query_string_behavior=cloudfront.CacheQueryStringBehavior.all(),
            header_behavior=cloudfront.CacheHeaderBehavior.allow_list(*headers),
            enable_accept_encoding_brotli=True,
            enable_accept_encoding_gzip=True,
            **_OBEYING,
        )

    def _make_cors(self) -> cloudfront.ResponseHeadersPolicy:
        """Headers for pages of other origins, also on errors of API Gateway and CloudFront.

        They replace the API's, which a cached response has from the first request.
        """
        return cloudfront.ResponseHeadersPolicy(
            self,
            "Cors",
            # Unique in the account, whatever the region.
            response_headers_policy_name=f"{self._config.name}-cors-{cdk.Aws.REGION}",
            comment="CORS on every response",
            cors_behavior=cloudfront.ResponseHeadersCorsBehavior(
                access_control_allow_credentials=False,
                access_control_allow_headers=list(ALLOWED_HEADERS),
                access_control_allow_methods=list(ALLOWED_METHODS),
                access_control_allow_origins=list(self._config.cors_origins),
                access_control_expose_headers=list(EXPOSED_HEADERS),
                access_control_max_age=cdk.Duration.seconds(600),
                origin_override=True,
            ),
        )

    def _point_to_us(self, zone: str) -> None:
        for kind in ("A", "AAAA"):
            route53.CfnRecordSet(
                self,
                f"Alias{kind}",
                hosted_zone_id=zone,
                name=f"{self._config.domain}.",
                type=kind,
                alias_target=route53.CfnRecordSet.AliasTargetProperty(
                    dns_name=self.distribution.distribution_domain_name,
                    hosted_zone_id=_ALIAS_ZONE,
                ),
            )

    def _acknowledge(self) -> None:
        reasons = {
            "AwsSolutions-CFR1": "Maps are for the whole world; a web ACL may say otherwise.",
            "AwsSolutions-CFR3": "Standard logs are set up in us-east-1, outside of this stack, as "
            "docs/cdn.md describes. The API's own access log has every request that it answers.",
        }
        if not self._web_acl:
            reasons["AwsSolutions-CFR2"] = (
                "A web ACL costs money each month: -c firewall=REQUESTS makes one, and "
                "-c web_acl=ARN names one. The throttles of the API hold behind the CDN, too."
            )
        if not self._config.domain:
            reasons["AwsSolutions-CFR4"] = (
                "The certificate of *.cloudfront.net comes with its own security policy; a domain "
                "with a certificate has TLS 1.2 at least."
            )
        for rule, reason in reasons.items():
            cdk.Validations.of(self.distribution).acknowledge(
                cdk.Acknowledgment(id=rule, reason=reason)
            )


_OBEYING: Final[dict[str, Any]] = {
    "min_ttl": cdk.Duration.seconds(0),
    "default_ttl": cdk.Duration.seconds(0),
    "max_ttl": cdk.Duration.days(365),
}
"""Lives of a cache policy that do what Cache-Control says, and keep nothing without it."""
