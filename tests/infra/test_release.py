"""A deployment with a canary: traffic shifts to new versions, and back where an alarm goes off."""

import json
from typing import Any

import pytest

from handlers.cloudwatch import CloudWatch, Datapoint, metric

SERVING = ("Tiler", "Manager", "Ingest")
JUDGES = {
    *("ReleaseApiErrors", "ReleaseApiLatency", "ReleaseIngestErrors", "ReleaseFailedEvents"),
    "ReleaseUnreadableScenes",
}


@pytest.fixture
def canary(deployment: Any) -> Any:
    return deployment("canary")


def aliases(made: Any) -> dict[str, dict[str, Any]]:
    """Resources of aliases, by the title of their function."""
    found = {n: r for n, r in made.resources.items() if r["Type"] == "AWS::Lambda::Alias"}
    return {
        next(title for title in SERVING if name.startswith(title)): resource
        for name, resource in found.items()
    }


def judges(made: Any) -> dict[str, dict[str, Any]]:
    """Alarms that end a deployment, by their names in the runbook."""
    return {
        alarm["AlarmDescription"].rpartition("Runbook: ")[2].rstrip("."): alarm
        for name, alarm in made.of_type("AWS::CloudWatch::Alarm").items()
        if name.startswith("AlarmsRelease")
    }


def test_each_function_that_serves_has_an_alias_that_codedeploy_moves(canary: Any) -> None:
    groups = canary.of_type("AWS::CodeDeploy::DeploymentGroup")
    assert set(aliases(canary)) == set(SERVING)
    for alias in aliases(canary).values():
        update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        group = groups[update["DeploymentGroupName"]["Ref"]]
        assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
        rolls_back = group["AutoRollbackConfiguration"]
        assert rolls_back["Enabled"] is True
        assert set(rolls_back["Events"]) == {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"}


def test_requests_and_events_reach_versions_and_never_the_newest_code(canary: Any) -> None:
    """`$LATEST` has the new code before CodeDeploy has begun."""
    names = {
        title: next(n for n in canary.resources if n.startswith(f"{title}FunctionLive"))
        for title in SERVING
    }
    called = {
        i["IntegrationUri"]["Ref"]
        for i in canary.of_type("AWS::ApiGatewayV2::Integration").values()
    }
    assert called == {names["Tiler"], names["Manager"]}
    mappings = canary.of_type("AWS::Lambda::EventSourceMapping").values()
    [events] = (m for m in mappings if "Inbox" in json.dumps(m["EventSourceArn"]))
    assert names["Ingest"] in json.dumps(events["FunctionName"])
    allowed = [
        p["FunctionName"]
        for p in canary.of_type("AWS::Lambda::Permission").values()
        if p["Principal"] == "apigateway.amazonaws.com"
    ]
    assert {each["Ref"] for each in allowed} == called


def test_alarms_of_the_api_and_of_ingestion_end_a_deployment(canary: Any) -> None:
    ids = {
        name
        for name in canary.of_type("AWS::CloudWatch::Alarm")
        if name.startswith("AlarmsRelease")
    }
    assert set(judges(canary)) == JUDGES
    for group in canary.of_type("AWS::CodeDeploy::DeploymentGroup").values():
        watched = group["AlarmConfiguration"]
        assert watched["Enabled"] is True
        assert {each["Name"]["Ref"] for each in watched["Alarms"]} == ids


@pytest.mark.parametrize("name", sorted(JUDGES))
def test_a_bad_release_is_seen_before_the_shortest_canary_is_over(canary: Any, name: str) -> None:
    """Each minute one bad value, of the tenth of the traffic; CloudWatch may be a minute late."""
    alarm = judges(canary)[name]
    dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    bad = {"ReleaseApiLatency": 9000.0, "ReleaseUnreadableScenes": 9.0}.get(name, 1.0)
    watching = CloudWatch()
    watched = metric(alarm["Namespace"], alarm["MetricName"], dimensions)
    watching.repeat([Datapoint(watched, bad, 0)], every_s=60, for_s=300)
    seen = watching.raised_after(alarm, 300)
    assert seen is not None
    assert seen + 60 < 300


def test_what_ends_a_deployment_wakes_nobody(canary: Any) -> None:
    for alarm in judges(canary).values():
        assert not alarm.keys() & {"AlarmActions", "OKActions"}


def test_a_repair_may_be_deployed_while_alarms_are_on(deployment: Any) -> None:
    """CodeDeploy refuses to begin where one of its alarms is on."""
    made = deployment("versions")
    assert set(aliases(made)) == set(SERVING)
    for group in made.of_type("AWS::CodeDeploy::DeploymentGroup").values():
        assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaAllAtOnce"
        assert not group.get("AlarmConfiguration", {}).get("Alarms")


def test_without_a_canary_there_is_no_version_and_no_codedeploy(default: Any) -> None:
    kinds = {resource["Type"] for resource in default.resources.values()}
    assert not [kind for kind in kinds if "CodeDeploy" in kind or kind == "AWS::Lambda::Version"]
