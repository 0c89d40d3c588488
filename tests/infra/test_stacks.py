"""What would hurt if the templates got it wrong."""

import json
import re
from pathlib import Path

import pytest

from livemosaic_cdk.context import read
from livemosaic_cdk.costs.ceiling import Limits, ceiling

ROOT = Path(__file__).parents[2]

READ = {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"}
WRITE = {"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem"}
LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}
CONSUME = {
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
}
FREE_WHILE_IDLE = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::Events::Rule",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
}
STORAGE_LOGS_AND_ALARMS = {
    "AWS::Budgets::Budget",  # two are free, and this one only where it is asked for
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
}
FUNCTIONS = ("Tiler", "Manager", "Ingest")


def only(found):
    [one] = found.values()
    return one


# The table


def test_the_table_stays_whatever_happens_to_its_stack(default):
    table = only(default.templates["livemosaic-data"]["Resources"])
    assert table["Type"] == "AWS::DynamoDB::Table"
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    assert table["Properties"]["DeletionProtectionEnabled"] is True


def test_the_table_is_on_demand_expires_rows_and_can_be_restored_to_any_second(default):
    table = only(default.templates["livemosaic-data"]["Resources"])["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert "TableName" not in table, "a new deployment would collide with what an old one left"


def test_an_adopted_table_is_used_and_none_is_made(adopted):
    assert list(adopted.templates) == ["livemosaic-service"]
    assert adopted.outputs["TableName"]["Value"] == "livemosaic-data-Table-OLD"
    for name in FUNCTIONS:
        index = json.dumps(adopted.function(name)["Environment"]["Variables"]["LIVEMOSAIC_INDEX"])
        assert "livemosaic-data-Table-OLD" in index
        [table] = (r for r, allowed in adopted.grants(name).items() if allowed >= READ)
        assert "table/livemosaic-data-Table-OLD" in table


# Permissions


def test_the_tiler_may_read_the_table_write_its_log_and_nothing_else(default):
    assert sorted(map(sorted, default.grants("Tiler").values())) == [sorted(READ), sorted(LOG)]


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("Tiler", READ),
        ("Manager", READ | WRITE),
        ("Ingest", READ | WRITE | CONSUME | {"sqs:SendMessage", "s3:ListBucket"}),
    ],
)
def test_objects_of_granted_buckets_only_may_be_read_and_not_written(everything, name, others):
    """Tiles take pixels of them, and what ingests takes headers and Items."""
    grants = everything.grants(name)
    objects = {resource for resource, allowed in grants.items() if "s3:GetObject" in allowed}
    assert objects == {
        "arn:aws:s3:::imagery/*",
        "arn:aws:s3:::shared/sentinel-2/*",
        "arn:aws:s3:::stac/landsat/*",
    }
    assert set().union(*grants.values()) - {"s3:GetObject"} == others | LOG | {
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_ingestion_consumes_its_queue_and_writes_without_scan_or_deletion_of_the_table(default):
    grants = default.grants("Ingest")
    bury = {"sqs:SendMessage"}
    assert sorted(map(sorted, grants.values())) == sorted(
        map(sorted, (READ | WRITE, LOG, CONSUME, bury))
    )
    [queue] = (resource for resource, allowed in grants.items() if allowed == CONSUME)
    assert "InboxQueue" in queue
    [dead_letters] = (resource for resource, allowed in grants.items() if allowed == bury)
    assert "InboxDeadLetters" in dead_letters


def test_only_ingestion_learns_that_an_object_is_missing_and_only_in_buckets_of_items(everything):
    """Without ListBucket a missing object is a 403 (S3 API Reference, GetObject)."""
    grants = everything.grants("Ingest")
    listed = {resource for resource, allowed in grants.items() if "s3:ListBucket" in allowed}
    assert listed == {"arn:aws:s3:::imagery", "arn:aws:s3:::stac"}


def test_the_manager_writes_the_table_and_touches_no_queue(default):
    grants = default.grants("Manager")
    assert sorted(map(sorted, grants.values())) == sorted(map(sorted, (READ | WRITE, LOG)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_writes_to_its_own_log_group_only(default, name):
    [group] = (resource for resource, allowed in default.grants(name).items() if allowed == LOG)
    assert default.function(name)["LoggingConfig"]["LogGroup"]["Ref"] in group


def test_no_role_has_a_managed_policy_or_one_that_is_not_looked_at_here(everything):
    assert len(everything.of_type("AWS::IAM::Role")) == len(FUNCTIONS)
    for role in everything.of_type("AWS::IAM::Role").values():
        assert not role.keys() & {"ManagedPolicyArns", "Policies"}


# Events


def test_messages_of_a_batch_fail_alone(default):
    mapping = only(default.of_type("AWS::Lambda::EventSourceMapping"))
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 10}


def test_a_message_is_hidden_for_six_times_as_long_as_a_batch_may_take(default):
    """Six times its timeout and the batching window (Lambda, "Using Lambda with Amazon SQS")."""
    assert "MaximumBatchingWindowInSeconds" not in only(
        default.of_type("AWS::Lambda::EventSourceMapping")
    )
    [queue] = (q for q in default.of_type("AWS::SQS::Queue").values() if "RedrivePolicy" in q)
    assert queue["VisibilityTimeout"] == 6 * default.function("Ingest")["Timeout"]


def test_a_message_that_fails_five_times_is_kept_for_two_weeks(default):
    queues = default.of_type("AWS::SQS::Queue")
    [queue] = (q for q in queues.values() if "RedrivePolicy" in q)
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    dead_letters = queues[queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]
    assert dead_letters["MessageRetentionPeriod"] == 14 * 86400


def test_queues_are_encrypted_and_take_nothing_over_plain_http(default):
    for queue in default.of_type("AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True
    policies = default.of_type("AWS::SQS::QueuePolicy")
    assert len(policies) == 2
    for policy in policies.values():
        assert "aws:SecureTransport" in json.dumps(policy)


def test_delivery_is_never_raw(everything):
    subscriptions = everything.of_type("AWS::SNS::Subscription").values()
    assert sum(s["Protocol"] == "sqs" for s in subscriptions) == 4
    assert not any(s.get("RawMessageDelivery") for s in subscriptions)


@pytest.mark.parametrize(
    ("topic", "policy", "scope"),
    [
        ("plain", None, None),
        (
            "filtered",
            {"collection": ["sentinel-2-l2a", {"prefix": "landsat"}]},
            "MessageAttributes",
        ),
        (
            "nested",
            {"properties": {"eo:cloud_cover": [{"numeric": ["<", 50]}]}},
            "MessageBody",
        ),
    ],
    ids=["without a filter", "by attributes", "by body"],
)
def test_a_foreign_topic_is_subscribed_to_with_its_filter(everything, topic, policy, scope):
    arn = f"arn:aws:sns:eu-central-1:210987654321:{topic}"
    subscriptions = everything.of_type("AWS::SNS::Subscription").values()
    [subscription] = (s for s in subscriptions if s["TopicArn"] == arn)
    assert subscription["Endpoint"]["Fn::GetAtt"][0].startswith("InboxQueue")
    assert subscription.get("FilterPolicy") == policy
    assert subscription.get("FilterPolicyScope") == scope
    senders = [
        statement
        for queue_policy in everything.of_type("AWS::SQS::QueuePolicy").values()
        for statement in queue_policy["PolicyDocument"]["Statement"]
        if arn in json.dumps(statement.get("Condition"))
    ]
    assert [s["Action"] for s in senders] == ["sqs:SendMessage"]


@pytest.mark.parametrize(
    ("bucket", "keys"), [("imagery", "*.json"), ("stac", "landsat/*_stac.json")]
)
def test_objects_of_a_bucket_are_heard_through_eventbridge_if_their_keys_are_those_of_items(
    everything, bucket, keys
):
    rules = everything.of_type("AWS::Events::Rule").values()
    [rule] = (r for r in rules if f'["{bucket}"]' in json.dumps(r["EventPattern"]))
    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created", "Object Deleted"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"wildcard": keys}]}},
    }
    assert "EventBusName" not in rule, "S3 sends to the default bus"


@pytest.mark.parametrize(
    ("bucket", "account"), [("imagery", "123456789012"), ("stac", "210987654321")]
)
def test_a_bucket_may_notify_the_queue_itself_and_only_on_behalf_of_its_owner(
    everything, bucket, account
):
    [statement] = statements(everything, {"Service": "s3.amazonaws.com"}, bucket)
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"] == {
        "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"},
        "StringEquals": {"aws:SourceAccount": account},
    }


@pytest.mark.parametrize(
    ("bus", "pattern"),
    [
        ("default", {"detail-type": ["Scene Published", "Scene Withdrawn"]}),
        ("catalogue", {"source": ["org.example.stac"]}),
    ],
    ids=["the default bus", "another bus"],
)
def test_events_of_a_bus_are_heard_that_are_about_items(everything, bus, pattern):
    rules = everything.of_type("AWS::Events::Rule").values()
    assert pattern in [r["EventPattern"] for r in rules if r.get("EventBusName") == bus]


def test_what_eventbridge_cannot_put_into_the_queue_is_a_dead_letter(everything):
    rules = everything.of_type("AWS::Events::Rule")
    assert len(rules) == 4
    for name, rule in rules.items():
        [target] = rule["Targets"]
        assert target["Arn"]["Fn::GetAtt"][0].startswith("InboxQueue")
        assert target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0].startswith("InboxDeadLetters")
        senders = statements(everything, {"Service": "events.amazonaws.com"}, name)
        resources = sorted(statement["Resource"]["Fn::GetAtt"][0] for statement in senders)
        assert [r[:8] for r in resources] == ["InboxDea", "InboxQue"]
        assert all("sqs:SendMessage" in statement["Action"] for statement in senders)


def statements(deployment, principal, condition):
    """What lets a service send to a queue where its conditions name something."""
    return [
        statement
        for policy in deployment.of_type("AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Principal"] == principal
        and condition in json.dumps(statement.get("Condition", {}))
    ]


def test_no_source_is_heard_that_was_not_asked_for(default):
    assert not default.of_type("AWS::Events::Rule")
    allowed = [
        statement["Principal"]["Service"]
        for policy in default.of_type("AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert allowed == ["sns.amazonaws.com"]


def test_ingestion_knows_where_dead_letters_go(default):
    url = default.function("Ingest")["Environment"]["Variables"]["LIVEMOSAIC_DEAD_LETTERS"]
    assert url == default.outputs["DeadLetterQueueUrl"]["Value"]


# The API


def test_reading_is_open_and_writing_needs_iam(default):
    routes = default.of_type("AWS::ApiGatewayV2::Route").values()
    assert {route["RouteKey"]: route["AuthorizationType"] for route in routes} == {
        "GET /": "NONE",
        "HEAD /": "NONE",
        "OPTIONS /": "NONE",
        "GET /{proxy+}": "NONE",
        "HEAD /{proxy+}": "NONE",
        "OPTIONS /{proxy+}": "NONE",
        "GET /mosaics/{mosaic}/bbox/{proxy+}": "NONE",
        "GET /mosaics/{mosaic}/map": "NONE",
        "GET /mosaics/{mosaic}/statistics": "NONE",
        "GET /mosaics/{mosaic}/boundary": "NONE",
        "GET /arcgis/rest/services/{mosaic}/ImageServer/{operation}": "NONE",
        "POST /arcgis/rest/{proxy+}": "NONE",
        "POST /mosaics/{mosaic}/{read}": "NONE",
        "POST /mosaics/{mosaic}/{read}/{size}": "NONE",
        "POST /search": "NONE",
        "POST /mosaics/{mosaic}/items": "AWS_IAM",
        "POST /mosaics/{mosaic}/tokens": "AWS_IAM",
        "POST /{proxy+}": "AWS_IAM",
        "PUT /{proxy+}": "AWS_IAM",
        "PATCH /{proxy+}": "AWS_IAM",
        "DELETE /{proxy+}": "AWS_IAM",
    }


def test_what_is_open_leads_to_the_function_that_cannot_write(default):
    integrations = default.of_type("AWS::ApiGatewayV2::Integration")
    for route in default.of_type("AWS::ApiGatewayV2::Route").values():
        [integration] = (i for name, i in integrations.items() if name in str(route["Target"]))
        [function, _] = integration["IntegrationUri"]["Fn::GetAtt"]
        expected = "Tiler" if route["AuthorizationType"] == "NONE" else "Manager"
        assert function.startswith(expected)
        assert integration["PayloadFormatVersion"] == "2.0"


@pytest.mark.parametrize(("name", "rate", "burst"), [("default", 200, 400), ("everything", 50, 75)])
def test_the_api_is_throttled(deployment, name, rate, burst):
    stage = only(deployment(name).of_type("AWS::ApiGatewayV2::Stage"))
    assert stage["StageName"] == "$default"
    assert stage["AutoDeploy"] is True
    tiles = stage["RouteSettings"]["GET /{proxy+}"]
    assert tiles == {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": burst}


def test_each_route_has_a_throttle_and_exists_before_it(everything):
    """A throttle of the stage counts for each of its routes alone."""
    [stage] = (r for r in everything.resources.values() if r["Type"] == "AWS::ApiGatewayV2::Stage")
    routes = everything.of_type("AWS::ApiGatewayV2::Route")
    settings = stage["Properties"]["RouteSettings"]
    assert settings.keys() == {route["RouteKey"] for route in routes.values()}
    assert set(routes) <= set(stage["DependsOn"])
    default = stage["Properties"]["DefaultRouteSettings"]
    assert default == {"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 75}


def test_routes_that_take_long_have_a_lower_throttle(default, everything):
    boxes = ("GET /mosaics/{mosaic}/bbox/{proxy+}", "GET /mosaics/{mosaic}/map")
    posts = ("POST /mosaics/{mosaic}/{read}", "POST /mosaics/{mosaic}/{read}/{size}")
    for made, routes, rate in ((default, (*boxes, *posts), 10), (everything, boxes, 3)):
        stage = only(made.of_type("AWS::ApiGatewayV2::Stage"))
        expected = {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": 2 * rate}
        assert all(stage["RouteSettings"][key] == expected for key in routes)


def test_posts_that_only_read_can_be_closed(everything):
    """What then matches a POST is the route of writes, which needs a credential."""
    routes = everything.of_type("AWS::ApiGatewayV2::Route").values()
    posts = {r["RouteKey"]: r["AuthorizationType"] for r in routes if r["RouteKey"][:4] == "POST"}
    assert set(posts.values()) == {"AWS_IAM"}
    assert "POST /{proxy+}" in posts


# The bill


def limits_of(deployment):
    """What a template limits, read from its properties alone."""
    stage = only(deployment.of_type("AWS::ApiGatewayV2::Stage"))
    opened = sending = refused = 0
    for route in deployment.of_type("AWS::ApiGatewayV2::Route").values():
        rate = stage["RouteSettings"][route["RouteKey"]]["ThrottlingRateLimit"]
        if route["AuthorizationType"] == "NONE":
            opened += rate
            sending += rate * (route["RouteKey"].split()[0] in ("GET", "POST"))
        else:
            refused += rate
    tiler = deployment.function("Tiler")
    tables = [
        resource["Properties"]
        for template in deployment.templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::DynamoDB::Table"
    ]
    throughput = tables[0].get("OnDemandThroughput", {}) if tables else {}
    return Limits(
        open_per_s=opened,
        sending_per_s=sending,
        refused_per_s=refused,
        concurrency=tiler.get("ReservedConcurrentExecutions"),
        memory_mb=tiler["MemorySize"],
        architecture=tiler["Architectures"][0],
        reads_per_s=throughput.get("MaxReadRequestUnits"),
        has_cdn=bool(deployment.of_type("AWS::CloudFront::Distribution")),
    )


@pytest.mark.parametrize(
    "name", ["default", "everything", "adopted", "snapshots", "guarded", "cdn"]
)
def test_the_ceiling_of_a_month_follows_from_the_template(deployment, name):
    made = deployment(name)
    config = read(made.app.node.get_all_context(), {})
    assert ceiling(limits_of(made)) == ceiling(Limits.of(config))


def test_the_ceiling_that_the_documentation_states_is_that_of_the_defaults(default):
    """Each line, and their sum, to the dollar."""
    lines = ceiling(limits_of(default))
    text = (ROOT / "docs" / "costs.md").read_text()
    chapter = text.partition("## Abuse")[2]
    stated = dict(re.findall(r"^\| ([a-z ]+) \|.*\| \$([\d,]+) \|$", chapter, re.MULTILINE))
    expected = {name: f"{dollars:,.0f}" for name, dollars in lines.items()}
    assert stated == expected | {"all of it": f"{sum(lines.values()):,.0f}"}


def test_without_a_limit_no_ceiling_is_stated():
    free = read({"buckets": "imagery", "reserve_concurrency": "false", "table_max_reads": "0"}, {})
    lines = ceiling(Limits.of(free))
    assert (lines["compute"], lines["table reads"]) == (None, None)


def test_a_cdn_limits_neither_requests_nor_traffic_and_leaves_the_rest_as_it_is(
    default, deployment
):
    """docs/costs.md says so, and what does."""
    usual, behind = ceiling(limits_of(default)), ceiling(limits_of(deployment("bare cdn")))
    assert behind["traffic"] is None
    assert behind["compute"] == usual["compute"]
    assert behind["requests"] <= usual["requests"]


def test_each_function_has_its_part_of_the_concurrency_of_the_account(default, everything):
    parts = [default.function(name)["ReservedConcurrentExecutions"] for name in FUNCTIONS]
    assert parts == [100, 10, 10]
    [mapping] = default.of_type("AWS::Lambda::EventSourceMapping").values()
    assert mapping["ScalingConfig"]["MaximumConcurrency"] == parts[2]
    parts = [everything.function(name)["ReservedConcurrentExecutions"] for name in FUNCTIONS]
    assert parts == [40, 4, 3]


def test_an_account_with_little_concurrency_can_keep_it_in_common(snapshots):
    for name in FUNCTIONS:
        assert "ReservedConcurrentExecutions" not in snapshots.function(name)


def test_a_budget_tells_the_topic_of_the_alarms(everything):
    [budget] = everything.of_type("AWS::Budgets::Budget").values()
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 250, "Unit": "USD"}
    assert budget["Budget"]["TimeUnit"] == "MONTHLY"
    topic = everything.outputs["AlarmTopicArn"]["Value"]
    notices = budget["NotificationsWithSubscribers"]
    assert len(notices) == 4
    for notice in notices:
        assert notice["Subscribers"] == [{"SubscriptionType": "SNS", "Address": topic}]
    [policy] = (
        policy
        for name, policy in everything.of_type("AWS::SNS::TopicPolicy").items()
        if name.startswith("Alarms")
    )
    assert "budgets.amazonaws.com" in json.dumps(policy)


def test_no_budget_is_made_unless_it_is_asked_for(default):
    assert not default.of_type("AWS::Budgets::Budget")


def test_a_table_has_a_maximum_of_reads_and_of_writes_if_asked(default, everything):
    tables = [
        only(made.templates[f"{name}-data"]["Resources"])["Properties"]["OnDemandThroughput"]
        for made, name in ((default, "livemosaic"), (everything, "coast"))
    ]
    assert tables == [
        {"MaxReadRequestUnits": 6000},
        {"MaxReadRequestUnits": 900, "MaxWriteRequestUnits": 500},
    ]


def test_every_request_is_logged_as_json_in_a_group_of_its_own(default):
    stage = only(default.of_type("AWS::ApiGatewayV2::Stage"))
    settings = stage["AccessLogSettings"]
    assert json.loads(settings["Format"])["status"] == "$context.status"
    group = default.resources[settings["DestinationArn"]["Fn::GetAtt"][0]]
    assert group["Type"] == "AWS::Logs::LogGroup"


def test_functions_end_before_the_api_gives_up_on_them(default):
    assert default.function("Tiler")["Timeout"] < 30
    assert default.function("Manager")["Timeout"] < 30


# Snapshots


def test_no_snapshot_is_paid_for_unless_it_is_asked_for(default):
    assert not default.of_type("AWS::Lambda::Version")
    assert all("SnapStart" not in default.function(name) for name in FUNCTIONS)


def test_only_the_tiler_starts_from_a_snapshot(snapshots):
    snapped = [name for name in FUNCTIONS if "SnapStart" in snapshots.function(name)]
    assert snapped == ["Tiler"]
    assert snapshots.function("Tiler")["SnapStart"] == {"ApplyOn": "PublishedVersions"}


def test_reads_go_to_the_version_that_has_the_snapshot(snapshots):
    [(alias, live)] = snapshots.of_type("AWS::Lambda::Alias").items()
    [version] = snapshots.of_type("AWS::Lambda::Version")
    assert live["Name"] == "live"
    assert live["FunctionVersion"]["Fn::GetAtt"] == [version, "Version"]
    integrations = snapshots.of_type("AWS::ApiGatewayV2::Integration")
    for route in snapshots.of_type("AWS::ApiGatewayV2::Route").values():
        [integration] = (i for name, i in integrations.items() if name in str(route["Target"]))
        leads_to_alias = integration["IntegrationUri"] == {"Ref": alias}
        assert leads_to_alias == (route["AuthorizationType"] == "NONE")


def test_the_api_may_call_that_version_and_no_other(snapshots):
    [alias] = snapshots.of_type("AWS::Lambda::Alias")
    called = [
        permission["FunctionName"]
        for permission in snapshots.of_type("AWS::Lambda::Permission").values()
    ]
    assert {"Ref": alias} in called
    assert not any("TilerFunction" in str(name) and name != {"Ref": alias} for name in called)


def test_a_version_that_is_replaced_goes_with_its_snapshot(snapshots):
    [version] = (r for r in snapshots.resources.values() if r["Type"] == "AWS::Lambda::Version")
    assert version.get("DeletionPolicy", "Delete") == "Delete"
    assert version.get("UpdateReplacePolicy", "Delete") == "Delete"


# Functions


@pytest.mark.parametrize(
    ("name", "architecture", "runtime", "tiler_mb", "ingest_mb"),
    [
        ("default", "arm64", "python3.13", 1769, 512),
        ("everything", "x86_64", "python3.12", 3008, 1024),
    ],
)
def test_functions_are_as_configured(deployment, name, architecture, runtime, tiler_mb, ingest_mb):
    made = deployment(name)
    for function in map(made.function, FUNCTIONS):
        assert function["Architectures"] == [architecture]
        assert function["Runtime"] == runtime
    assert made.function("Tiler")["MemorySize"] == tiler_mb
    assert made.function("Manager")["MemorySize"] == ingest_mb
    assert made.function("Ingest")["MemorySize"] == ingest_mb


def test_functions_get_table_prefixes_origins_and_payer(everything):
    for function in map(everything.function, FUNCTIONS):
        variables = function["Environment"]["Variables"]
        assert "dynamodb://eu-central-1/" in json.dumps(variables.pop("LIVEMOSAIC_INDEX"))
        variables.pop("LIVEMOSAIC_DEAD_LETTERS", None)
        variables.pop("LIVEMOSAIC_PUBLIC_URL", None)
        assert variables == {
            "LIVEMOSAIC_ALLOWED_PREFIXES": "https://tiles.example.com/cogs/,"
            "s3://imagery/,s3://shared/sentinel-2/,s3://stac/landsat/",
            "LIVEMOSAIC_CORS_ORIGINS": "https://maps.example.com,https://example.org",
            "AWS_REQUEST_PAYER": "requester",
            "LIVEMOSAIC_METRICS": "coast",
            "LIVEMOSAIC_MAX_SCENES": "40",
            "LIVEMOSAIC_MAX_PICTURE_S": "12.5",
        }


def test_nobody_pays_for_a_read_who_was_not_asked(default):
    for function in map(default.function, FUNCTIONS):
        assert "AWS_REQUEST_PAYER" not in function["Environment"]["Variables"]


def test_traces_go_to_x_ray_or_to_a_collector_and_nowhere_by_default(deployment):
    xray, collected = deployment("traces"), deployment("collected traces")
    for name in (*FUNCTIONS, "Builder", "Sweep", "Load"):
        url = xray.function(name)["Environment"]["Variables"]["LIVEMOSAIC_TRACES"]
        assert url == {
            "Fn::Join": ["", ["https://xray.us-west-2.", {"Ref": "AWS::URLSuffix"}, "/v1/traces"]]
        }
        assert "xray:PutTraceSegments" in xray.grants(name)["*"]
    for name in FUNCTIONS:
        given = collected.function(name)["Environment"]["Variables"]
        assert given["LIVEMOSAIC_TRACES"] == "https://collector.example.com/v1/traces"
        assert given["LIVEMOSAIC_TRACE_SHARE"] == "0.5"
        default = deployment("default").function(name)
        assert "LIVEMOSAIC_TRACES" not in default["Environment"]["Variables"]
        assert "*" not in deployment("default").grants(name)


@pytest.mark.parametrize(("name", "mode"), [("default", None), ("everything", "Active")])
def test_tracing_is_a_switch(deployment, name, mode):
    for function in map(deployment(name).function, FUNCTIONS):
        assert function.get("TracingConfig", {}).get("Mode") == mode


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("default", ["arm64", "--python", "3.13"]),
        ("adopted", ["arm64", "--python", "3.13"]),
        ("everything", ["x86_64", "--python", "3.12", "--planets"]),
    ],
)
def test_every_stack_publishes_the_bundle_that_the_functions_are_made_of(deployment, name, target):
    """The first stack publishes it too: one that cannot be built ends the deployment there."""
    made = deployment(name)
    key = made.function("Tiler")["Code"]["S3Key"]
    assert key.endswith(".zip")
    for assets in made.assets.values():
        [bundle] = (f for f in assets["files"].values() if "executable" in f["source"])
        assert bundle["source"]["executable"][1:] == [
            *("-m", "livemosaic_cdk.bundle", "--architecture", *target)
        ]
        [place] = bundle["destinations"].values()
        assert place["objectKey"] == key


# Watching it


@pytest.mark.parametrize(("name", "days"), [("default", 30), ("everything", 7)])
def test_logs_are_kept_for_as_long_as_was_asked_and_not_longer_than_the_stack(
    deployment, name, days
):
    groups = [r for r in deployment(name).resources.values() if r["Type"] == "AWS::Logs::LogGroup"]
    assert len(groups) == len(FUNCTIONS) + 1
    for group in groups:
        assert group["Properties"]["RetentionInDays"] == days
        assert group["DeletionPolicy"] == "Delete"


def test_alarms_go_off_for_what_needs_somebody(default):
    alarms = default.of_type("AWS::CloudWatch::Alarm").values()
    watched = sorted(f"{alarm['Namespace']} {alarm['MetricName']}" for alarm in alarms)
    assert watched == sorted(
        [
            "AWS/ApiGateway 5xx",
            "AWS/ApiGateway Count",
            "AWS/ApiGateway DataProcessed",
            "AWS/ApiGateway Latency",
            "AWS/DynamoDB ReadThrottleEvents",
            "AWS/DynamoDB WriteThrottleEvents",
            "AWS/SQS ApproximateAgeOfOldestMessage",
            "AWS/SQS ApproximateAgeOfOldestMessage",
            "AWS/SQS ApproximateNumberOfMessagesVisible",
            *(
                f"AWS/Lambda {metric}"
                for metric in ("Duration", "Errors", "Throttles")
                for _ in FUNCTIONS
            ),
            "livemosaic FailedEvents",
            "livemosaic UnreadablePercent",
        ]
    )
    assert {alarm["TreatMissingData"] for alarm in alarms} == {"notBreaching"}


def test_one_dead_letter_is_enough_for_an_alarm(default):
    alarms = default.of_type("AWS::CloudWatch::Alarm").values()
    [alarm] = (a for a in alarms if a["MetricName"] == "ApproximateNumberOfMessagesVisible")
    assert "DeadLetters" in json.dumps(alarm["Dimensions"])
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Statistic"]) == (1, 1, "Maximum")


def test_a_message_that_is_being_retried_is_not_yet_late(default):
    alarm = age_alarm(default, "InboxQueue")
    [queue] = (q for q in default.of_type("AWS::SQS::Queue").values() if "RedrivePolicy" in q)
    tries = queue["RedrivePolicy"]["maxReceiveCount"]
    assert alarm["Threshold"] > tries * queue["VisibilityTimeout"]


def test_dead_letters_that_nobody_looks_at_raise_an_alarm_again_days_before_they_are_lost(default):
    """One that waited in the queue before is lost earlier; the alarm of the queue tells of that."""
    queues = default.of_type("AWS::SQS::Queue").values()
    waited, kept = sorted(queue["MessageRetentionPeriod"] for queue in queues)
    assert age_alarm(default, "InboxDeadLetters")["Threshold"] <= kept / 2
    assert age_alarm(default, "InboxQueue")["Threshold"] < 86_400 < waited


def test_events_that_wait_are_kept_for_as_long_as_sqs_can(default):
    """What expires in the queue is no dead letter: it is lost."""
    for queue in default.of_type("AWS::SQS::Queue").values():
        assert queue["MessageRetentionPeriod"] == 14 * 86_400


def age_alarm(deployment, queue):
    [alarm] = (
        alarm
        for alarm in deployment.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
        and queue in json.dumps(alarm["Dimensions"])
    )
    return alarm


def test_alarms_are_mailed_where_a_mail_address_is_given(everything):
    subscriptions = everything.of_type("AWS::SNS::Subscription").values()
    [mail] = (s for s in subscriptions if s["Protocol"] == "email")
    assert mail["Endpoint"] == "ops@example.com"
    for alarm in everything.of_type("AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == [mail["TopicArn"]]


def test_cloudwatch_may_publish_to_the_topic_of_the_alarms(everything):
    """Its policy refuses plain HTTP, and so replaces the default one, which let CloudWatch in."""
    [policy] = (
        p
        for name, p in everything.of_type("AWS::SNS::TopicPolicy").items()
        if name.startswith("Alarms")
    )
    [statement] = (
        statement
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    )
    assert "cloudwatch.amazonaws.com" in statement["Principal"]["Service"]
    assert statement["Action"] == "sns:Publish"
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_nobody_is_mailed_by_default(default):
    assert len(default.of_type("AWS::SNS::Topic")) == 2
    subscriptions = default.of_type("AWS::SNS::Subscription").values()
    assert [s["Protocol"] for s in subscriptions] == ["sqs"]


# All of it


@pytest.mark.parametrize("name", ["default", "everything", "adopted", "overviews"])
def test_nothing_costs_while_idle_but_storage_logs_and_alarms(deployment, name):
    made = deployment(name)
    resources = [r for t in made.templates.values() for r in t["Resources"].values()]
    assert {r["Type"] for r in resources} <= FREE_WHILE_IDLE | STORAGE_LOGS_AND_ALARMS
    assert "KmsMasterKeyId" not in json.dumps(resources)


def test_outputs_say_what_users_need(default):
    assert set(default.outputs) == {
        "AlarmTopicArn",
        "ApiUrl",
        "DashboardUrl",
        "DeadLetterQueueUrl",
        "PublicUrl",
        "QueueUrl",
        "TableName",
        "TileUrlTemplate",
        "TopicArn",
    }
    assert default.outputs["ApiUrl"]["Value"]["Fn::GetAtt"][1] == "ApiEndpoint"
    [url, path] = default.outputs["TileUrlTemplate"]["Value"]["Fn::Join"][1]
    assert url == default.outputs["ApiUrl"]["Value"]
    assert path == "/mosaics/MOSAIC/tiles/WebMercatorQuad/{z}/{x}/{y}"


def test_stacks_are_named_after_the_deployment_and_tagged_with_it(everything):
    assert sorted(everything.templates) == ["coast-data", "coast-service"]
    tags = [{"Key": "livemosaic", "Value": "coast"}, {"Key": "team", "Value": "maps"}]
    assert everything.function("Tiler")["Tags"] == tags


@pytest.mark.parametrize(
    ("partition", "host"),
    [
        ("aws", "console.aws.amazon.com"),
        ("aws-us-gov", "console.amazonaws-us-gov.com"),
        ("aws-cn", "console.amazonaws.cn"),
    ],
)
def test_links_lead_to_the_console_of_the_partition(default, partition, host):
    consoles = default.templates["livemosaic-service"]["Mappings"]["Consoles"]
    assert consoles[partition] == {"host": host}
    assert "Fn::FindInMap" in json.dumps(default.outputs["DashboardUrl"])
