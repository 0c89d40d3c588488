"""The bundle as an asset: built when the CDK CLI publishes it, never at synth."""

import sys

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from infra.bundle import Target, fingerprint


def publish(stack: cdk.Stack, target: Target) -> cdk.FileAssetLocation:
    """Where the bundle is once it is published, which is before the stack is deployed.

    The CLI runs the command in the folder of cdk.json and reads the path of a zip from its output.
    """
    return stack.synthesizer.add_file_asset(
        source_hash=f"{fingerprint(target)}.zip",  # becomes the object's key
        executable=[
            *(sys.executable, "-m", "infra.bundle"),
            *("--architecture", target.architecture, "--python", target.python),
        ],
        display_name="livemosaic bundle",
    )


def code(stack: cdk.Stack, target: Target) -> lambda_.Code:
    """The bundle as the code of functions."""
    place = publish(stack, target)
    bucket = s3.Bucket.from_bucket_name(stack, "Assets", place.bucket_name)
    cdk.Validations.of(bucket).acknowledge(
        cdk.Acknowledgment(
            id="Annotation::@aws-cdk/aws-lambda:codeFromBucketObjectVersionNotSpecified",
            reason="The key is a hash of what the object is made of: new code has a new key.",
        )
    )
    return lambda_.Code.from_bucket(bucket, place.object_key)
