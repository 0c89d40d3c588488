"""Permissions that the ways in of allowed prefixes need: roles, secrets, buckets that are paid for.

All of them follow from the setting that the functions read, so that none is granted beside it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from aws_cdk import aws_iam as iam

from livemosaic.auth.secrets import SecretName
from livemosaic.storage.allowlist import AllowedPrefix, AllowList

_READS: Final = {
    "secretsmanager": "secretsmanager:GetSecretValue",
    "ssm": "ssm:GetParameter",
}
"""Action that reads a secret, by the service in its ARN."""


def check_deployable(prefix: AllowedPrefix) -> None:
    """Raises ValueError for a way in that only a machine of the operator has."""
    if any(name.startswith("env:") for name in prefix.way.secrets):
        raise ValueError(
            f"{prefix.text!r} reads a secret from the environment, which a Lambda function does "
            "not have: name a secret of Secrets Manager or a parameter of Systems Manager by its "
            "ARN"
        )
    if prefix.way.earthdata and not isinstance(prefix.way.earthdata, SecretName):
        raise ValueError(
            f"{prefix.text!r} needs an Earthdata Login, which a Lambda function does not have: "
            "write earthdata=ARN of a secret with username and password"
        )


def paid_buckets(prefixes: Sequence[str]) -> tuple[str, ...]:
    """Returns the named buckets, or `NAME/PREFIX` in them, that are read at our own expense."""
    return tuple(
        "/".join(filter(None, (p.place.host, p.place.path)))
        for p in _parsed(prefixes)
        if p.way.requester_pays and p.names_host and not p.way.has_keys
    )


def grant_ways(grantee: iam.IGrantable, prefixes: Sequence[str]) -> None:
    """Allows a function to assume the roles and to read the secrets that prefixes name."""
    ways = [prefix.way for prefix in _parsed(prefixes)]
    _grant(grantee, "sts:AssumeRole", (way.role for way in ways if way.role))
    named = {arn for way in ways for arn in way.secrets}
    for service, action in _READS.items():
        _grant(grantee, action, (arn for arn in named if arn.split(":")[2] == service))


def _parsed(prefixes: Sequence[str]) -> Sequence[AllowedPrefix]:
    return AllowList(prefixes).parsed


def _grant(grantee: iam.IGrantable, action: str, arns: Iterable[str]) -> None:
    if resources := sorted(set(arns)):
        iam.Grant.add_to_principal(grantee=grantee, actions=[action], resource_arns=resources)
