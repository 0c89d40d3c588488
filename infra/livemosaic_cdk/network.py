"""Subnets of an existing VPC, in which functions run instead of in Lambda's own network."""

from typing import Final

from aws_cdk import aws_ec2 as ec2
from constructs import Construct
from pydantic import BaseModel, ConfigDict, Field

_HTTPS: Final = 443


class Vpc(BaseModel):
    """An existing VPC, by its ids: synthesis looks nothing up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^vpc-[0-9a-f]{8,17}$")
    subnets: tuple[str, ...] = Field(min_length=1, max_length=16)
    """Private subnets, best in two availability zones or more."""
    security_groups: tuple[str, ...] = Field((), max_length=5)
    """Groups of the functions; by default a new one, which lets HTTPS out and nothing in."""


def security_groups(scope: Construct, vpc: Vpc) -> list[str]:
    """Returns the groups of the functions, and creates one where none is given."""
    if vpc.security_groups:
        return [*vpc.security_groups]
    out = [
        ec2.CfnSecurityGroup.EgressProperty(
            ip_protocol="tcp", from_port=_HTTPS, to_port=_HTTPS, description="HTTPS", **where
        )
        for where in ({"cidr_ip": "0.0.0.0/0"}, {"cidr_ipv6": "::/0"})
    ]
    group = ec2.CfnSecurityGroup(
        scope,
        "Network",
        vpc_id=vpc.id,
        group_description="Functions of livemosaic: HTTPS out, nothing in",
        security_group_egress=out,
    )
    return [group.attr_group_id]
