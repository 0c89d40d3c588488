"""Who may read and write what is deployed: private mosaics, and writers with a JWT."""

import json
import re

import pytest
from fastapi.routing import APIRoute

from livemosaic.api.access import may_write
from livemosaic.api.routes.arcgis.app import create_arcgis
from livemosaic.api.routing import create_api
from livemosaic.services import running
from livemosaic.settings import Settings
from livemosaic_cdk.config import ConfigError
from livemosaic_cdk.context import read

READS_SECRET = {"secretsmanager:GetSecretValue"}
WRITES = {"POST", "PUT", "PATCH", "DELETE"}
JWT = {"issuer": "https://login.example.com/", "audience": ["livemosaic"]}


def only(found):
    [(name, properties)] = found.items()
    return name, properties


def arn(secret):
    """`Id` is the ARN (CloudFormation, AWS::SecretsManager::Secret, "Return values")."""
    return {"Fn::GetAtt": [secret, "Id"]}


class TestPrivateMosaics:
    def test_their_key_is_made_up_where_it_is_kept(self, guarded):
        _, secret = only(guarded.of_type("AWS::SecretsManager::Secret"))
        assert secret["GenerateSecretString"]["PasswordLength"] >= 32
        assert "SecretString" not in secret

    @pytest.mark.parametrize("name", ["Tiler", "Manager"])
    def test_what_answers_may_read_that_secret_and_no_other(self, guarded, name):
        secret, _ = only(guarded.of_type("AWS::SecretsManager::Secret"))
        grants = guarded.grants(name)
        of_secrets = {
            resource: allowed for resource, allowed in grants.items() if "secrets" in str(allowed)
        }
        assert of_secrets == {json.dumps(arn(secret)): READS_SECRET}

    @pytest.mark.parametrize("name", ["Tiler", "Manager"])
    def test_its_environment_has_the_arn_of_the_secret_and_not_the_value(self, guarded, name):
        secret, _ = only(guarded.of_type("AWS::SecretsManager::Secret"))
        variables = guarded.function(name)["Environment"]["Variables"]
        assert variables["LIVEMOSAIC_SIGNING_KEYS"] == arn(secret)
        assert guarded.outputs["SigningKeyArn"]["Value"] == arn(secret)

    def test_ingestion_knows_nothing_of_it(self, guarded):
        assert "secretsmanager" not in json.dumps(list(map(sorted, guarded.grants("Ingest"))))
        variables = guarded.function("Ingest")["Environment"]["Variables"]
        assert "LIVEMOSAIC_SIGNING_KEYS" not in variables

    def test_no_secret_is_paid_for_unless_it_is_asked_for(self, default):
        assert not default.of_type("AWS::SecretsManager::Secret")
        for name in ("Tiler", "Manager"):
            variables = default.function(name)["Environment"]["Variables"]
            assert "LIVEMOSAIC_SIGNING_KEYS" not in variables


class TestWriters:
    def test_routes_that_write_need_a_jwt_of_the_issuer(self, guarded):
        name, authorizer = only(guarded.of_type("AWS::ApiGatewayV2::Authorizer"))
        assert authorizer["AuthorizerType"] == "JWT"
        assert authorizer["IdentitySource"] == ["$request.header.Authorization"]
        assert authorizer["JwtConfiguration"] == {
            "Audience": ["livemosaic"],
            "Issuer": "https://login.example.com/",
        }
        routes = guarded.of_type("AWS::ApiGatewayV2::Route").values()
        writes = [r for r in routes if r["AuthorizationType"] != "NONE"]
        assert {f"{method} /{{proxy+}}" for method in WRITES} <= {
            route["RouteKey"] for route in writes
        }
        for route in writes:
            assert route["AuthorizationType"] == "JWT"
            assert route["AuthorizationScopes"] == ["mosaics:write"]
            assert route["AuthorizerId"] == {"Ref": name}

    def test_only_what_is_behind_them_believes_it(self, guarded, default):
        authorizers = {
            name: guarded.function(name)["Environment"]["Variables"].get("LIVEMOSAIC_AUTHORIZER")
            for name in ("Tiler", "Manager", "Ingest")
        }
        assert authorizers == {"Tiler": None, "Manager": "jwt", "Ingest": None}
        by_iam = default.function("Manager")["Environment"]["Variables"]
        assert "LIVEMOSAIC_AUTHORIZER" not in by_iam

    @pytest.mark.parametrize(
        ("jwt", "says"),
        [
            ("{", "jwt='{': is not JSON"),
            (JWT | {"issuer": "http://login.example.com"}, "jwt.issuer="),
            ({"issuer": JWT["issuer"]}, "jwt.audience="),
            (JWT | {"audience": []}, "jwt.audience="),
            (JWT | {"audience": [" "]}, "an audience or scope is empty"),
            (JWT | {"scope": "write"}, "jwt.scope="),
        ],
        ids=["no json", "not https", "no audience", "none", "a blank", "a misspelt key"],
    )
    def test_what_would_let_in_anybody_is_refused(self, jwt, says):
        with pytest.raises(ConfigError) as error:
            read({"allowed_prefixes": "s3://a/", "jwt": jwt}, {})
        assert says in str(error.value)


class TestRoutes:
    @pytest.fixture
    def asked(self, tmp_path):
        """Method and path of all that the application answers, and whether that writes."""
        with running(Settings(index=f"sqlite:///{tmp_path}/index.db")) as services:
            routes = [r for r in create_api(services).routes if isinstance(r, APIRoute)]
            image_services = create_arcgis(services).routes
        found = [
            (method, route.path, any(d.call is may_write for d in route.dependant.dependencies))
            for route in routes
            for method in route.methods
        ]
        # These write nothing.
        return found + [
            (m, re.sub(":int", "", r.path), False) for r in image_services for m in r.methods
        ]

    def test_what_writes_is_guarded_and_nothing_else(self, guarded, asked):
        """A body may be a question, too: of features that are drawn or measured."""
        keys = {
            route["RouteKey"]: route["AuthorizationType"]
            for route in guarded.of_type("AWS::ApiGatewayV2::Route").values()
        }
        wrong = [
            (method, path)
            for method, path, writes in asked
            if keys[answering(keys, method, path)] != ("JWT" if writes else "NONE")
        ]
        assert not wrong
        posts = {key for key in keys if key.startswith("POST ")}
        assert posts == {answering(keys, "POST", path) for by, path, _ in asked if by == "POST"}
        assert {method for method, _, writes in asked if writes} >= WRITES
        assert any(method == "POST" and not writes for method, _, writes in asked)


def answering(keys, method, path):
    """The most specific route (Developer Guide, "Routing API requests"): one that matches in full,
    before one with a greedy variable; the more words, the better."""
    given = re.sub(r"{[^}]+}", "x", path)

    def fits(key):
        by, pattern = key.split()
        greedy = re.sub(r"{\w+\+}", ".+", pattern)
        return by == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", greedy), given)

    def rank(key):
        words = [part for part in key.split("/") if "{" not in part]
        return "+}" not in key, len(words)

    return max(filter(fits, keys), key=rank)
