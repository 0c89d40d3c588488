"""Other partitions, accounts with rules of their own, and several deployments in one account."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aws_cdk as cdk
import pytest
from pydantic.fields import FieldInfo

from livemosaic.settings import Settings
from livemosaic_cdk.config import ConfigError
from livemosaic_cdk.context import read
from livemosaic_cdk.stacks import build

ROOT = Path(__file__).parents[2]
PARTITIONS = {"cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"}
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
TELLING = {
    *("BucketName", "DashboardName", "DomainName", "FunctionName", "LogGroupName"),
    *("ManagedPolicyName", "QueueName", "RoleName", "TableName", "TopicName", "Name"),
    *("AlarmName", "ApplicationName", "DeploymentGroupName", "StateMachineName", "BudgetName"),
}
"""Properties that name a resource, unique in an account or region."""
OF_NO_RESOURCE = {
    "AWS::ApiGatewayV2::Api",  # goes by its id
    "AWS::Lambda::Alias",  # of a function
}


def everything_in(region: str, partition: str, name: str = "livemosaic") -> dict[str, Any]:
    """Context of a deployment with every option that the region may have."""
    return {
        "name": name,
        "region": region,
        "account": "123456789012",
        "buckets": "imagery,shared/sentinel-2",
        "item_buckets": "stac",
        "buses": '[{"sources": ["org.example.stac"]}]',
        "topics": f"arn:{partition}:sns:{region}:210987654321:plain",
        "allowed_prefixes": f"s3://partner/ role=arn:{partition}:iam::210987654321:role/reader,"
        f"https://api.example.com/ bearer=arn:{partition}:ssm:{region}:123456789012:parameter/t,"
        f"s3://lent/ keys=arn:{partition}:secretsmanager:{region}:123456789012:secret:k-AbCdEf",
        "key": f"arn:{partition}:kms:{region}:123456789012:key/{KEY_ID}",
        "private_mosaics": "true",
        "tracing": "true",
        "canary": "Canary10Percent5Minutes",
    } | ({} if partition == "aws-us-gov" else {"monthly_budget": "250"})


def templates(context: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What `app.py` makes of a context, beside that of cdk.json."""
    usual = json.loads((ROOT / "cdk.json").read_text())["context"]
    with TemporaryDirectory() as folder:
        app = cdk.App(context=usual | context, outdir=folder)
        build(app, read(app.node.get_all_context(), {}))
        return {stack.stack_name: stack.template for stack in app.synth().stacks}


def resources(made: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for template in made.values() for each in template["Resources"].values()]


@pytest.mark.parametrize(("region", "partition"), PARTITIONS.items())
def test_no_arn_of_the_usual_partition_is_in_templates_of_others(
    region: str, partition: str
) -> None:
    made = templates(everything_in(region, partition))
    text = json.dumps(made)
    assert re.findall(r"arn:aws:[^\"]*", text) == []
    assert f"arn:{partition}:s3:::imagery/*" in text


@pytest.mark.parametrize(("region", "partition"), PARTITIONS.items())
def test_without_a_region_arns_follow_the_partition_of_the_stack(
    region: str, partition: str
) -> None:
    """A profile without a region makes templates for any: CloudFormation knows where it is."""
    context = everything_in(region, partition)
    for key in ("region", "account", "topics", "key"):
        del context[key]
    assert re.findall(r"arn:aws:[^\"]*", json.dumps(templates(context))) == []


def test_each_role_has_the_boundary_of_the_account() -> None:
    boundary = {"@aws-cdk/core:permissionsBoundary": {"name": "teams"}}
    made = templates(everything_in("us-west-2", "aws") | boundary)
    roles = [each for each in resources(made) if each["Type"] == "AWS::IAM::Role"]
    assert len(roles) >= 6
    for role in roles:
        assert "policy/teams" in json.dumps(role["Properties"]["PermissionsBoundary"])


def test_another_bootstrap_is_used_by_its_qualifier() -> None:
    made = templates({"region": "us-west-2", "@aws-cdk/core:bootstrapQualifier": "maps0001"})
    text = json.dumps(made)
    assert "cdk-maps0001-assets" in text
    assert "/cdk-bootstrap/maps0001/version" in text
    assert "hnb659fds" not in text


def named(properties: Any, kind: str) -> Iterator[tuple[str, str, str]]:
    """Yields names that a template gives, with the type of their resource."""
    if isinstance(properties, dict):
        for key, value in properties.items():
            if key in TELLING and "Ref" not in json.dumps(value) and "GetAtt" not in str(value):
                yield kind, key, json.dumps(value)
            yield from named(value, kind)


def names(made: dict[str, dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        each
        for resource in resources(made)
        if resource["Type"] not in OF_NO_RESOURCE
        for key, value in resource["Properties"].items()
        if key not in {"Dimensions", "Environment", "Tags", "EventPattern"}
        for each in named({key: value}, resource["Type"])
        if each[0] != "AWS::Budgets::Budget" or each[1] == "BudgetName"
    }


def test_environments_beside_each_other_share_no_name() -> None:
    """CloudFormation refuses a name that another stack of the account has in the region."""
    dev, prod = (
        templates(everything_in("us-west-2", "aws", name) | {"cdn": "true"})
        for name in ("dev", "prod")
    )
    assert not dev.keys() & prod.keys()
    assert names(dev), "some names are given: of log groups and policies"
    assert names(dev) & names(prod) == set()


def test_environments_beside_each_other_share_no_metric_and_no_export() -> None:
    dev, prod = (templates(everything_in("us-west-2", "aws", name)) for name in ("dev", "prod"))

    def told(made: dict[str, dict[str, Any]]) -> set[str]:
        functions = [each for each in resources(made) if each["Type"] == "AWS::Lambda::Function"]
        return {
            each["Properties"]["Environment"]["Variables"]["LIVEMOSAIC_METRICS"]
            for each in functions
        }

    def exports(made: dict[str, dict[str, Any]]) -> set[str]:
        outputs = [o for template in made.values() for o in template.get("Outputs", {}).values()]
        return {json.dumps(o["Export"]["Name"]) for o in outputs if "Export" in o}

    assert (told(dev), told(prod)) == ({"dev"}, {"prod"})
    assert exports(dev) and not exports(dev) & exports(prod)


# Subnets of a VPC


def allowed(made: Any, effect: str) -> set[str]:
    """Actions on network interfaces that roles are allowed, or denied in their own code."""
    statements = [
        statement
        for policy in made.of_type("AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == effect and "ec2:" in json.dumps(statement["Action"])
    ]
    assert len(statements) == len(made.of_type("AWS::Lambda::Function"))
    if effect == "Deny":
        condition = {"Null": {"lambda:SourceFunctionArn": "false"}}
        assert all(statement["Condition"] == condition for statement in statements)
    actions = {action for statement in statements for action in statement["Action"]}
    return {action for action in actions if action.startswith("ec2:")}


def test_functions_run_in_the_subnets_with_a_group_that_lets_nothing_in(deployment: Any) -> None:
    made = deployment("private network")
    [(group, rules)] = made.of_type("AWS::EC2::SecurityGroup").items()
    assert "SecurityGroupIngress" not in rules
    assert {(r["FromPort"], r["ToPort"]) for r in rules["SecurityGroupEgress"]} == {(443, 443)}
    for function in made.of_type("AWS::Lambda::Function").values():
        assert function["VpcConfig"] == {
            "SubnetIds": ["subnet-0a", "subnet-0b"],
            "SecurityGroupIds": [{"Fn::GetAtt": [group, "GroupId"]}],
        }


def test_lambda_makes_network_interfaces_and_the_code_cannot(deployment: Any) -> None:
    made = deployment("private network")
    assert allowed(made, "Allow") == allowed(made, "Deny")
    assert "ec2:CreateNetworkInterface" in allowed(made, "Allow")


def test_a_role_may_make_interfaces_before_its_function_is_there(deployment: Any) -> None:
    """Lambda refuses to create a function in a VPC whose role cannot."""
    made = deployment("private network")
    for resource in made.resources.values():
        if resource["Type"] == "AWS::Lambda::Function":
            assert [each for each in resource["DependsOn"] if "RoleDefaultPolicy" in each]


def test_groups_that_are_given_are_used_and_none_is_made(deployment: Any) -> None:
    made = deployment("given groups")
    assert not made.of_type("AWS::EC2::SecurityGroup")
    groups = made.function("Tiler")["VpcConfig"]["SecurityGroupIds"]
    assert groups == ["sg-0123456789abcdef0"]


def test_by_default_functions_run_in_no_vpc(default: Any) -> None:
    assert "VpcConfig" not in default.function("Tiler")


# Settings of the functions


DETERMINED = {
    *(
        "allowed_prefixes",
        "archive_store",
        "authorizer",
        "cors_origins",
        "dead_letters",
        "index",
        "metrics",
    ),
    *("origin_secret", "overview_hints", "overview_store", "public_url", "signing_keys", "token"),
    "traces",
}
"""Settings that other keys of the context decide."""


def other_than_usual(name: str, field: FieldInfo) -> Any:
    """A value that a setting may have and does not have by default."""
    if name == "trusted_headers":
        return "x-forwarded-proto,x-forwarded-host"
    if name == "tile_matrix_sets":
        return "/opt/tms"
    if name == "trace_share":
        return 0.5
    return field.default + 1 if field.default < 64 else field.default - 1


def test_every_setting_of_the_functions_can_be_given_and_arrives() -> None:
    given = {
        name: other_than_usual(name, field)
        for name, field in Settings.model_fields.items()
        if name not in DETERMINED
    }
    given |= {"max_assets": 63, "max_bands": 63}
    assert len(given) >= 20
    made = templates({"region": "us-west-2", "settings": json.dumps(given)})
    functions = [each for each in resources(made) if each["Type"] == "AWS::Lambda::Function"]
    assert len(functions) == 5
    for function in functions:
        environment = function["Properties"]["Environment"]["Variables"]
        read_by_it = Settings(**{name: environment[f"LIVEMOSAIC_{name.upper()}"] for name in given})
        for name, value in given.items():
            arrived = getattr(read_by_it, name)
            text = ",".join(arrived) if isinstance(arrived, tuple) else arrived
            assert (str(text) if isinstance(value, str) else text) == value, name


@pytest.mark.parametrize("name", sorted(DETERMINED))
def test_a_setting_that_follows_from_the_deployment_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' follows from"):
        read({"buckets": "imagery", "settings": {name: "x"}}, {})
