"""What a deployment has that makes archives on a schedule, and may do."""

import json

import pytest

from livemosaic.export.jobs.draw import UnfinishedError
from livemosaic_cdk.config import ConfigError
from livemosaic_cdk.context import read


@pytest.fixture
def exports(deployment):
    return deployment("exports")


def actions_of(grants, words):
    """What is allowed on the resources that have all of some words."""
    found = [actions for r, actions in grants.items() if all(word in r for word in words)]
    return set().union(*found)


def test_the_drawing_function_writes_archives_and_its_own_folder_and_no_table(exports):
    granted = exports.grants("Export")
    assert actions_of(granted, [":s3:::maps/world/*"]) == {
        *("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
    }
    assert actions_of(granted, ["/exports/*"]) == {"s3:GetObject", "s3:PutObject"}
    everything = set().union(*granted.values())
    assert not {action for action in everything if "dynamodb:" in action} & {
        *("dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"),
    }
    assert not {action for action in everything if action.startswith("states:")}
    made = exports.function("Export")
    assert (made["MemorySize"], made["Timeout"]) == (2048, 900)


def test_the_starting_function_reads_and_starts_one_machine(exports):
    granted = exports.grants("StartExports")
    everything = set().union(*granted.values())
    assert {action for action in everything if action.startswith(("s3:", "states:"))} == {
        *("s3:GetObject", "s3:ListBucket", "states:ListExecutions", "states:StartExecution"),
    }
    names = exports.function("StartExports")["Environment"]["Variables"]
    assert {"LIVEMOSAIC_EXPORT_MACHINE", "LIVEMOSAIC_EXPORT_WORK"} <= names.keys()


def test_each_state_that_fails_is_reported(exports):
    [machine] = exports.of_type("AWS::StepFunctions::StateMachine").values()
    parts = machine["DefinitionString"]["Fn::Join"][1]
    states = json.loads("".join(p if isinstance(p, str) else "x" for p in parts))["States"]
    assert list(states) == ["Plan", "Draw", "LayOut", "Upload", "Finish", "Tell", "Fail"]
    for name in ("Plan", "Draw", "LayOut", "Upload", "Finish"):
        state = states[name]
        assert [each["Next"] for each in state["Catch"]] == ["Tell"]
        task = state["ItemProcessor"]["States"]["Run"] if "ItemProcessor" in state else state
        assert task["Retry"][0]["MaxAttempts"] == 0, "what cannot be is not tried again"
        assert task["Retry"][1]["ErrorEquals"] == [UnfinishedError.__name__]
        assert task["Retry"][1]["MaxAttempts"] > 20, "a region goes on in the next run"
        assert task["Retry"][2]["ErrorEquals"] == ["States.ALL"]
        assert task["TimeoutSeconds"] > 900
    assert states["Tell"]["Next"] == "Fail"
    assert states["Draw"]["ItemSelector"]["unit.$"] == "$$.Map.Item.Value"
    assert states["Upload"]["ItemSelector"]["piece.$"] == "$$.Map.Item.Value"


def test_what_jobs_wrote_is_deleted_after_a_while(exports):
    buckets = exports.of_type("AWS::S3::Bucket").items()
    [work] = [bucket for name, bucket in buckets if "Exporting" in name]
    rules = work["LifecycleConfiguration"]["Rules"]
    assert {"ExpirationInDays": 7, "Prefix": "exports/"}.items() <= rules[1].items()


def test_it_is_watched(exports):
    alarms = json.dumps(exports.of_type("AWS::CloudWatch::Alarm"))
    for metric in ("LateExports", "FailedExports"):
        assert metric in alarms
    assert "Archives: late, and failed" in json.dumps(exports.of_type("AWS::CloudWatch::Dashboard"))


def test_a_deployment_has_none_of_it_unless_asked(deployment):
    for name in ("overviews", "archives"):
        found = deployment(name)
        assert not found.of_type("AWS::StepFunctions::StateMachine")


@pytest.mark.parametrize(
    ("context", "says"),
    [
        ({}, "needs archive_bucket"),
        ({"archive_bucket": "maps", "overviews": "false"}, "needs overviews"),
    ],
)
def test_it_wants_a_place_and_overviews(context, says):
    with pytest.raises(ConfigError, match=says):
        read({"buckets": "imagery", "exports": "true", **context}, {})
