"""The bundle as a CDK asset: built when the CDK CLI publishes it, never during synthesis."""

import sys

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from livemosaic_cdk import arrow
from livemosaic_cdk.bundle import Target, fingerprint


def publish(stack: cdk.Stack, target: Target) -> cdk.FileAssetLocation:
    """Adds the bundle to the assets of a stack and returns its future location in S3.

    The CDK CLI publishes assets before it deploys the stack. It runs the command in the folder of
    cdk.json and reads the path of the zip from its output.
    """
    return stack.synthesizer.add_file_asset(
        source_hash=f"{fingerprint(target)}.zip",  # becomes the key of the object
        executable=[
            *(sys.executable, "-m", "livemosaic_cdk.bundle"),
            *target.arguments,
        ],
        display_name="livemosaic bundle",
    )


def publish_arrow(stack: cdk.Stack, target: Target) -> cdk.FileAssetLocation:
    """Adds the zip of pyarrow to the assets of a stack, as `publish` does with the bundle."""
    return stack.synthesizer.add_file_asset(
        source_hash=f"{arrow.fingerprint(target)}.zip",
        executable=[
            *(sys.executable, "-m", "livemosaic_cdk.arrow"),
            *("--architecture", target.architecture, "--python", target.python),
        ],
        display_name="pyarrow for loads",
    )


def code(scope: Construct, target: Target) -> lambda_.Code:
    """Returns the published bundle as code for Lambda functions."""
    place = publish(cdk.Stack.of(scope), target)
    bucket = s3.Bucket.from_bucket_name(scope, "Assets", place.bucket_name)
    cdk.Validations.of(bucket).acknowledge(
        cdk.Acknowledgment(
            id="Annotation::@aws-cdk/aws-lambda:codeFromBucketObjectVersionNotSpecified",
            reason="The key is a hash of the contents of the object: new code has a new key.",
        )
    )
    return lambda_.Code.from_bucket(bucket, place.object_key)
