"""Secrets that CloudFormation generates, so that nobody has to see them."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct


class GeneratedSecret(Construct):
    """Secret in Secrets Manager; only granted functions can read its current and previous value."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        key: kms.IKey | None,
        description: str,
        setting: str,
        unrotated: str,
    ) -> None:
        """`setting` is the variable that names the secret to functions.

        `unrotated` is the reason why it is not rotated automatically.
        """
        super().__init__(scope, name)
        self._setting = setting
        self._secret = secretsmanager.Secret(
            self,
            "Secret",
            description=f"{description} (livemosaic)",
            encryption_key=key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=64, exclude_punctuation=True
            ),
        )
        cdk.Validations.of(self._secret).acknowledge(
            cdk.Acknowledgment(id="AwsSolutions-SMG4", reason=unrotated)
        )

    @property
    def arn(self) -> str:
        """ARN of the secret; not confidential."""
        resource = self._secret.node.default_child
        assert isinstance(resource, secretsmanager.CfnSecret)  # noqa: S101 (for the type)
        return resource.attr_id  # the ARN in emulators too, where `Ref` may be the name

    @property
    def reference(self) -> str:
        """Dynamic reference, which CloudFormation replaces by the current value."""
        return f"{{{{resolve:secretsmanager:{self.arn}:SecretString}}}}"

    def grant_read(self, function: lambda_.Function) -> None:
        """Allows a function to read the secret, and sets its ARN in the function's environment."""
        iam.Grant.add_to_principal(
            grantee=function, actions=["secretsmanager:GetSecretValue"], resource_arns=[self.arn]
        )
        function.add_environment(self._setting, self.arn)


def signing_key(scope: Construct, key: kms.IKey | None) -> GeneratedSecret:
    """Creates the key that signs access tokens of private mosaics."""
    return GeneratedSecret(
        scope,
        "SigningKey",
        key=key,
        description="Signs access tokens of private mosaics",
        setting="LIVEMOSAIC_SIGNING_KEYS",
        unrotated="Tokens become invalid after two rotations of the key, so rotating it is left to "
        "their issuer: docs/access.md describes how.",
    )


def origin_secret(scope: Construct, key: kms.IKey | None) -> GeneratedSecret:
    """Creates the secret that a CDN shows to the API."""
    return GeneratedSecret(
        scope,
        "OriginSecret",
        key=key,
        description="Shown to the API by its CDN",
        setting="LIVEMOSAIC_ORIGIN_SECRET",
        unrotated="It opens no more than the cache does, only past it. Rotating it changes "
        "the distribution, too: docs/cdn.md describes how.",
    )
