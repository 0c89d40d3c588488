"""The construct in a stack of somebody else's app."""

import json

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from cdk_nag import AwsSolutionsChecks

from livemosaic_cdk import Config, ConfigError, Livemosaic

MAPS = Config(name="maps", buckets=("imagery",))


@pytest.fixture
def stack():
    return cdk.Stack(cdk.App(), "theirs", env=cdk.Environment(region="us-west-2"))


def environment_of(template, function):
    names = [
        resource["Properties"]["Environment"]["Variables"]
        for resource in template.find_resources("AWS::Lambda::Function").values()
        if function in resource["Properties"]["Description"]
    ]
    return names[0]


def statements(template, action):
    """Resources that policies name with an action."""
    return [
        statement["Resource"]
        for policy in template.find_resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if action
        in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    ]


def test_it_makes_a_table_that_stays(stack):
    made = Livemosaic(stack, "Maps", MAPS)
    template = assertions.Template.from_stack(stack)
    [table] = template.find_resources("AWS::DynamoDB::Table").values()
    assert table["DeletionPolicy"] == "Retain"
    assert stack.resolve(made.table.table_name) == {
        "Ref": stack.get_logical_id(made.table.node.default_child)
    }
    assert template.to_json().get("Outputs", {}) == {}, "outputs are the app's own affair"


def test_a_table_of_theirs_is_used(stack):
    key = dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING)
    sort = dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING)
    theirs = dynamodb.Table(stack, "Theirs", partition_key=key, sort_key=sort)
    Livemosaic(stack, "Maps", MAPS, table=theirs)
    template = assertions.Template.from_stack(stack)
    template.resource_count_is("AWS::DynamoDB::Table", 1)
    name = stack.get_logical_id(theirs.node.default_child)
    granted = statements(template, "dynamodb:Query")
    assert granted == [[{"Fn::GetAtt": [name, "Arn"]}]] * 3


def test_functions_use_the_key_of_a_table_of_theirs(stack):
    key = kms.Key(stack, "Key", enable_key_rotation=True)
    theirs = dynamodb.Table(
        stack,
        "Theirs",
        partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
        sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
        encryption_key=key,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
    )
    Livemosaic(stack, "Maps", MAPS, table=theirs)
    template = assertions.Template.from_stack(stack)
    arn = {"Fn::GetAtt": [stack.get_logical_id(key.node.default_child), "Arn"]}
    assert statements(template, "kms:Decrypt") == [arn] * 3
    report = AwsSolutionsChecks().validate_scope(stack.node.root)
    assert [violation.rule_name for violation in report.violations] == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_functions_read_a_bucket_of_theirs_with_its_key(stack, elsewhere):
    home = (
        cdk.Stack(stack.node.root, "scenes", env=cdk.Environment(region="us-west-2"))
        if elsewhere
        else stack
    )
    key = kms.Key(home, "Key", enable_key_rotation=True)
    scenes = s3.Bucket(
        home, "Scenes", encryption_key=key, enforce_ssl=True, server_access_logs_prefix="logs/"
    )
    Livemosaic(stack, "Maps", Config(name="maps"), assets=[scenes])
    template = assertions.Template.from_stack(stack)
    granted = [one for one in statements(template, "s3:GetObject") if "Scenes" in json.dumps(one)]
    assert len(granted) == 4  # tiler, manager, ingest, builder
    allowed = environment_of(template, "Serves reads")["LIVEMOSAIC_ALLOWED_PREFIXES"]
    parts = allowed["Fn::Join"][1]
    assert [parts[0], parts[2]] == ["s3://", "/"]
    assert len(statements(template, "kms:Decrypt")) >= 3
    report = AwsSolutionsChecks().validate_scope(stack.node.root)
    assert [
        (v.rule_name, [r.resource_logical_id for r in v.violating_resources])
        for v in report.violations
    ] == []


IMPORTED = {
    "by name": lambda stack: s3.Bucket.from_bucket_name(stack, "Given", "scenes"),
    "by an export": lambda stack: s3.Bucket.from_bucket_name(
        stack, "Given", cdk.Fn.import_value("Scenes")
    ),
    "by the ARN of an export": lambda stack: s3.Bucket.from_bucket_arn(
        stack, "Given", cdk.Fn.import_value("Scenes")
    ),
    "by a parameter": lambda stack: s3.Bucket.from_bucket_name(
        stack, "Given", cdk.CfnParameter(stack, "Name").value_as_string
    ),
    "by a parameter of Systems Manager": lambda stack: s3.Bucket.from_bucket_name(
        stack, "Given", ssm.StringParameter.value_for_string_parameter(stack, "/scenes")
    ),
    "by an expression": lambda stack: s3.Bucket.from_bucket_name(
        stack, "Given", cdk.Fn.select(0, cdk.Fn.split("/", cdk.Fn.import_value("Scenes")))
    ),
}


@pytest.mark.parametrize("how", IMPORTED)
@pytest.mark.parametrize("use", ["assets", "overviews"])
def test_buckets_that_are_known_at_deployment_only(stack, how, use):
    bucket = IMPORTED[how](stack)
    given = {"assets": [bucket]} if use == "assets" else {"overviews": bucket}
    Livemosaic(stack, "Maps", MAPS, **given)
    template = assertions.Template.from_stack(stack)
    assert stack.resolve(bucket.arn_for_objects("*")) in statements(template, "s3:GetObject")
    report = AwsSolutionsChecks().validate_scope(stack.node.root)
    assert [violation.rule_name for violation in report.violations] == []


@pytest.mark.parametrize("use", ["assets", "overviews"])
def test_a_nested_stack_uses_a_bucket_of_its_parent(stack, use):
    bucket = s3.Bucket(stack, "Given", enforce_ssl=True, server_access_logs_prefix="logs/")
    given = {"assets": [bucket]} if use == "assets" else {"overviews": bucket}
    Livemosaic(cdk.NestedStack(stack, "Nested"), "Maps", MAPS, **given)
    report = AwsSolutionsChecks().validate_scope(stack.node.root)
    assert [
        (each.rule_name, [one.resource_logical_id for one in each.violating_resources])
        for each in report.violations
    ] == []
    assertions.Template.from_stack(stack)


def test_folders_may_have_any_names(stack):
    names = ("scenes/a/b", "scenes/a--b", "scenes/a%2Fb")
    Livemosaic(stack, "Maps", Config(name="maps", buckets=names))
    granted = json.dumps(statements(assertions.Template.from_stack(stack), "s3:GetObject"))
    for name in names:
        assert f":s3:::{name}/*" in granted


def test_topics_of_theirs_reach_the_queue(stack):
    topic = sns.Topic(stack, "Processed", enforce_ssl=True)
    made = Livemosaic(stack, "Maps", MAPS, topics=[topic])
    template = assertions.Template.from_stack(stack)
    queue = stack.get_logical_id(made.queue.node.default_child)
    subscribed = [
        resource["Properties"]["TopicArn"]
        for resource in template.find_resources("AWS::SNS::Subscription").values()
        if resource["Properties"]["Endpoint"] == {"Fn::GetAtt": [queue, "Arn"]}
    ]
    assert {"Ref": stack.get_logical_id(topic.node.default_child)} in subscribed


def test_two_live_in_one_stack(stack):
    for name in ("coast", "city"):
        Livemosaic(stack, name, Config(name=name, buckets=("imagery",), private_mosaics=True))
    template = assertions.Template.from_stack(stack)
    template.resource_count_is("AWS::DynamoDB::Table", 2)
    template.resource_count_is("AWS::ApiGatewayV2::Api", 2)


def test_overviews_get_a_bucket_where_none_is_given(stack):
    made = Livemosaic(stack, "Maps", MAPS)
    template = assertions.Template.from_stack(stack)
    [bucket] = template.find_resources("AWS::S3::Bucket").values()
    assert bucket["DeletionPolicy"] == "Retain"
    assert made.overviews is not None
    report = AwsSolutionsChecks().validate_scope(stack.node.root)
    assert [violation.rule_name for violation in report.violations] == []


def table_of_theirs(stack):
    return dynamodb.Table(
        stack,
        "Theirs",
        partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
        sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
    )


def test_a_table_of_theirs_gets_no_bucket_that_nobody_asked_for(stack):
    """It may be an old one, whose overviews are in another bucket."""
    made = Livemosaic(stack, "Maps", MAPS, table=table_of_theirs(stack))
    assert made.overviews is None
    assertions.Template.from_stack(stack).resource_count_is("AWS::S3::Bucket", 0)


def test_a_table_of_theirs_gets_a_bucket_where_they_ask_for_overviews(stack):
    asked = Config(name="maps", buckets=("imagery",), overviews=True)
    made = Livemosaic(stack, "Maps", asked, table=table_of_theirs(stack))
    assert made.overviews is not None
    assertions.Template.from_stack(stack).resource_count_is("AWS::S3::Bucket", 1)


def test_overviews_in_a_bucket_of_theirs_use_its_key(stack):
    key = kms.Key(stack, "Key", enable_key_rotation=True)
    theirs = s3.Bucket(
        stack, "Low", encryption_key=key, enforce_ssl=True, server_access_logs_prefix="logs/"
    )
    Livemosaic(stack, "Maps", MAPS, overviews=theirs)
    template = assertions.Template.from_stack(stack)
    template.resource_count_is("AWS::S3::Bucket", 1)
    arn = {"Fn::GetAtt": [stack.get_logical_id(key.node.default_child), "Arn"]}
    assert statements(template, "kms:Decrypt") == [arn] * 2  # tiler, builder
    assert statements(template, "kms:GenerateDataKey") == [arn]
    report = AwsSolutionsChecks().validate_scope(stack.node.root)
    assert [violation.rule_name for violation in report.violations] == []


def test_resources_have_the_tags_of_the_configuration(stack):
    config = Config(name="maps", buckets=("imagery",), tags={"team": "coast"})
    Livemosaic(stack, "Maps", config)
    template = assertions.Template.from_stack(stack)
    for function in template.find_resources("AWS::Lambda::Function").values():
        tags = {tag["Key"]: tag["Value"] for tag in function["Properties"]["Tags"]}
        assert tags == {"livemosaic": "maps", "team": "coast"}


def test_what_could_read_nothing_is_refused(stack):
    with pytest.raises(ConfigError, match="nothing could be read: give `assets`"):
        Livemosaic(stack, "Maps", Config(name="maps"))
