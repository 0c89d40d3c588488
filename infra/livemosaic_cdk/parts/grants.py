"""What functions may do with a table, a key and the objects of a bucket, and keys of queues.

Grants are acknowledged in words that cdk-nag accepts.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

READ: Final = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")
WRITE: Final = ("dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem")
"""Write actions of `livemosaic.table.dynamodb`; its transactions only put and delete, and its
batches only delete."""


def grant_objects(
    function: lambda_.Function, bucket: s3.IBucket, *actions: str, prefix: str = "", reason: str
) -> None:
    """Allows a function these actions on the objects of a bucket whose keys start with `prefix`.

    `reason` is why the wildcard is right (cdk-nag, AwsSolutions-IAM5).
    """
    arn = bucket.arn_for_objects(f"{prefix}*")
    iam.Grant.add_to_principal(grantee=function, actions=[*actions], resource_arns=[arn])
    for shown in _shown(bucket, prefix, cdk.Stack.of(function)):
        cdk.Validations.of(function.role or function).acknowledge(
            cdk.Acknowledgment(id=f"AwsSolutions-IAM5[Resource::{shown}]", reason=reason)
        )


def grant_key(function: lambda_.Function, key: kms.IKey) -> None:
    """Allows a function what DynamoDB does with a table's key in its name, and so SQS and others.

    See "Authorizing use of your customer managed key" (DynamoDB Developer Guide).
    """
    key.grant_encrypt_decrypt(function)
    for action in ("ReEncrypt*", "GenerateDataKey*"):
        cdk.Validations.of(function.role or function).acknowledge(
            cdk.Acknowledgment(
                id=f"AwsSolutions-IAM5[Action::kms:{action}]",
                reason="AWS asks for these actions by this name, and for one key alone.",
            )
        )


def encryption(key: kms.IKey | None) -> dict[str, Any]:
    """Returns the properties of a queue that a key encrypts, or SQS's own if that is None."""
    if key is None:
        return {"encryption": sqs.QueueEncryption.SQS_MANAGED}
    return {
        "encryption": sqs.QueueEncryption.KMS,
        "encryption_master_key": key,
        "data_key_reuse": cdk.Duration.hours(1),  # each data key is a request that KMS charges
    }


def _shown(bucket: s3.IBucket, prefix: str, user: cdk.Stack) -> Sequence[str]:
    """Returns the resource as cdk-nag names it.

    A bucket of another stack goes by its logical id, and by the name of its export.
    """
    own = _flat(user.resolve(bucket.arn_for_objects(f"{prefix}*")))
    made = bucket.node.default_child
    if made is None:
        return [own]
    assert isinstance(made, s3.CfnBucket)  # noqa: S101 (for the type)
    home = cdk.Stack.of(made)
    if home.node.path == user.node.path:
        return [own]
    exported = home.resolve(home.export_value(made.attr_arn))["Fn::ImportValue"]
    return [own, f"{exported}/{prefix}*"]


def _flat(resolved: Any) -> str:
    """Returns a value of a template as cdk-nag writes it (its `flattenCfnReference`)."""
    if isinstance(resolved, str):
        return resolved
    [(function, given)] = resolved.items()
    if function == "Fn::Join":
        separator, parts = given
        return str(separator).join(map(_flat, parts))
    if function == "Fn::GetAtt":
        return f"<{'.'.join(map(_flat, given))}>"
    if function == "Fn::ImportValue":
        return _flat(given)
    return f"<{_flat(given)}>" if function == "Ref" else json.dumps(resolved, separators=(",", ":"))
