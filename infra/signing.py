"""The key that signs access tokens of private mosaics, as a secret that CloudFormation makes up."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct


class SigningKey(Construct):
    """Its value, and the value that it had before, are known to whom it is lent only."""

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        self._secret = secretsmanager.Secret(
            self,
            "Secret",
            description="Signs access tokens of private mosaics (livemosaic)",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=64, exclude_punctuation=True
            ),
        )
        cdk.Validations.of(self._secret).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-SMG4",
                reason="To replace the key ends every token two replacements later, so it is for "
                "whoever gave out the tokens to do: docs/access.md says how.",
            )
        )

    @property
    def arn(self) -> str:
        """Of the secret; no secret itself."""
        resource = self._secret.node.default_child
        assert isinstance(resource, secretsmanager.CfnSecret)  # noqa: S101 (for the type)
        return resource.attr_id  # which is the ARN in emulators, too, where `Ref` may be the name

    def lend(self, function: lambda_.Function) -> None:
        """Let a function read the key, and tell it where that is."""
        iam.Grant.add_to_principal(
            grantee=function, actions=["secretsmanager:GetSecretValue"], resource_arns=[self.arn]
        )
        function.add_environment("LIVEMOSAIC_SIGNING_KEYS", self.arn)
