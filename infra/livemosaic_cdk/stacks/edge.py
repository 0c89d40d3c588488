"""The stack of us-east-1: what CloudFront takes from there alone, wherever its API is."""

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from livemosaic_cdk.config import Config

REGION: Final = "us-east-1"
"""Where CloudFront wants certificates and web ACLs (Developer Guide, "Requirements for using
SSL/TLS certificates with CloudFront"; AWS WAF API, `Scope`)."""
_WINDOW_S: Final = 300


class Edge(cdk.Stack):
    """The certificate of `config.domain`, and the firewall that `config.firewall` asks for.

    Stacks of other regions read both ARNs by `Fn::GetStackOutput` when they are deployed. A
    reference of CDK's usual strength would put two custom resources with functions of their own
    into the account, for two ARNs that change with the configuration alone.
    """

    def __init__(self, scope: Construct, name: str, *, config: Config, **stack: Any) -> None:
        super().__init__(scope, name, **stack)
        self.certificate = self._make_certificate(config) if config.makes_certificate else None
        """Certificate of the domain; None where `config.certificate` names one."""
        self.web_acl = self._make_web_acl(config.name, config.firewall) if config.firewall else None
        """ARN of the web ACL; None without a firewall."""

    def _make_certificate(self, config: Config) -> acm.Certificate:
        """Creates the certificate; CloudFormation puts the record that proves it into the zone."""
        assert config.domain and config.hosted_zone  # noqa: S101 (for the type)
        zone = route53.HostedZone.from_hosted_zone_id(self, "Zone", config.hosted_zone)
        made = acm.Certificate(
            self,
            "Certificate",
            domain_name=config.domain,
            validation=acm.CertificateValidation.from_dns(zone),
        )
        _weaken(made)
        return made

    def _make_web_acl(self, name: str, rate: int) -> str:
        """Creates the web ACL, which blocks an address beyond `rate` requests in five minutes."""
        made = wafv2.CfnWebACL(
            self,
            "Firewall",
            name=f"{name}-cdn",
            scope="CLOUDFRONT",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visible(f"{name}-cdn"),
            rules=[
                wafv2.CfnWebACL.RuleProperty(
                    name="rate",
                    priority=0,
                    action=wafv2.CfnWebACL.RuleActionProperty(block={}),
                    statement=wafv2.CfnWebACL.StatementProperty(
                        rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                            limit=rate, aggregate_key_type="IP", evaluation_window_sec=_WINDOW_S
                        )
                    ),
                    visibility_config=_visible(f"{name}-cdn-rate"),
                )
            ],
        )
        _weaken(made)
        return made.attr_arn


def _visible(metric: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=True
    )


def _weaken(made: Construct) -> None:
    cdk.CrossStackReferences.of(made).produce(cdk.ReferenceStrength.WEAK)
