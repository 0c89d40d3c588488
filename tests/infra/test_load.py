"""What a deployment has that can load archives, and may do."""

import json

import pytest

from livemosaic_cdk.arrow import fingerprint
from livemosaic_cdk.bundle import Target


@pytest.fixture
def loads(deployment):
    return deployment("loads")


def policies(loads, word):
    """Actions by resource, as JSON text, of the policies whose id has this word."""
    found = {}
    for name, policy in loads.of_type("AWS::IAM::Policy").items():
        if word in name:
            for statement in policy["PolicyDocument"]["Statement"]:
                action = statement["Action"]
                actions = {action} if isinstance(action, str) else {*action}
                found.setdefault(json.dumps(statement["Resource"]), set()).update(actions)
    return found


def test_a_deployment_has_none_of_it_unless_asked(deployment):
    default = deployment("default")
    assert not default.of_type("AWS::StepFunctions::StateMachine")
    assert not default.of_type("AWS::S3::Bucket")


def test_its_function_reads_archives_and_its_own_bucket_and_no_table(loads):
    granted = policies(loads, "LoadRole")
    assert set().union(*granted.values()) == {
        *("logs:CreateLogStream", "logs:PutLogEvents"),
        *("s3:GetObject", "s3:PutObject", "s3:ListBucket"),
    }
    [written] = [resource for resource, actions in granted.items() if "s3:PutObject" in actions]
    assert "/loads/*" in written


def test_the_machine_calls_one_function_and_reads_one_folder(loads):
    granted = policies(loads, "LoadingRole")
    assert sorted(map(sorted, granted.values())) == [
        ["lambda:InvokeFunction"],
        ["s3:GetObject"],
        ["states:DescribeExecution", "states:StopExecution"],
        ["states:StartExecution"],
    ]


def test_each_step_is_repeated_and_keeps_what_the_next_one_needs(loads):
    [machine] = loads.of_type("AWS::StepFunctions::StateMachine").values()
    parts = machine["DefinitionString"]["Fn::Join"][1]
    states = json.loads("".join(p if isinstance(p, str) else "x" for p in parts))["States"]
    assert list(states) == ["Survey", "Settle", "Fold", "Write", "Finish"]
    for state in states.values():
        assert state["ResultPath"] == "$.done"
        task = state["ItemProcessor"]["States"]["Run"] if "ItemProcessor" in state else state
        assert task["Retry"][0]["ErrorEquals"] == ["States.ALL"]
        assert task["TimeoutSeconds"] > 900


def test_what_a_load_wrote_is_deleted_after_a_while(loads):
    [bucket] = loads.of_type("AWS::S3::Bucket").values()
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert {"ExpirationInDays": 30, "Prefix": "loads/"}.items() <= rules[1].items()


def test_pyarrow_is_built_anew_for_another_target_only():
    one, same = fingerprint(Target("arm64", "3.13")), fingerprint(Target("arm64", "3.13"))
    assert one == same != fingerprint(Target("x86_64", "3.13"))
