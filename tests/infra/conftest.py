"""Deployments as CDK makes them of a context, each made once; nothing is deployed."""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "1"  # read as aws_cdk is imported

import aws_cdk as cdk

from livemosaic_cdk.context import read
from livemosaic_cdk.stacks import build

ROOT = Path(__file__).parents[2]

OFF = {"overviews": "false"}
"""Most contexts are about other things, and have what is there without overviews."""
KEY = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

CONTEXTS: dict[str, dict[str, Any]] = {
    "default": {"region": "us-west-2", **OFF},
    "everything": {
        **OFF,
        "name": "coast",
        "account": "123456789012",
        "region": "eu-central-1",
        "architecture": "x86_64",
        "python": "3.12",
        "planets": "true",
        "tiler_memory": "3008",
        "ingest_memory": 1024,
        "buckets": "imagery,shared/sentinel-2",
        "item_buckets": [
            "imagery",
            {
                "name": "stac",
                "prefix": "landsat/",
                "suffix": "_stac.json",
                "account": "210987654321",
            },
        ],
        "buses": [
            {"detail_types": ["Scene Published", "Scene Withdrawn"]},
            {"name": "catalogue", "sources": ["org.example.stac"]},
        ],
        "allowed_prefixes": "https://tiles.example.com/cogs/",
        "requester_pays": "true",
        "topics": [
            "arn:aws:sns:eu-central-1:210987654321:plain",
            {
                "arn": "arn:aws:sns:eu-central-1:210987654321:filtered",
                "filter_policy": {"collection": ["sentinel-2-l2a", {"prefix": "landsat"}]},
            },
            {
                "arn": "arn:aws:sns:eu-central-1:210987654321:nested",
                "filter_policy": {"properties": {"eo:cloud_cover": [{"numeric": ["<", 50]}]}},
                "filter_policy_scope": "MessageBody",
            },
        ],
        "cors_origins": "https://maps.example.com,https://example.org",
        "throttle_rate": "50",
        "throttle_burst": "75",
        "expensive_rate": "3",
        "expensive_burst": "6",
        "anonymous_posts": "false",
        "tiler_concurrency": "40",
        "manager_concurrency": "4",
        "table_max_reads": "900",
        "table_max_writes": "500",
        "monthly_budget": "250",
        "settings": '{"max_scenes": 40, "max_picture_s": 12.5}',
        "tags": '{"team": "maps"}',
        "log_retention_days": "7",
        "log_level": "DEBUG",
        "system_log_level": "INFO",
        "alarm_email": "ops@example.com",
        "tracing": "true",
        "ingest_concurrency": "3",
    },
    "adopted": {"table": "livemosaic-data-Table-OLD", "buckets": "imagery"},
    "logged in": {
        **OFF,
        "region": "us-west-2",
        "allowed_prefixes": [
            "https://sentinel-cogs.s3.us-west-2.amazonaws.com/",
            "s3://usgs-landsat/collection02/ requester-pays",
            "s3://partner/ role=arn:aws:iam::210987654321:role/reader external-id=us",
            "https://data.lpdaac.earthdatacloud.nasa.gov/ "
            "earthdata=arn:aws:secretsmanager:us-west-2:123456789012:secret:edl-AbCdEf",
            "s3://lp-prod-protected/ "
            "earthdata=arn:aws:secretsmanager:us-west-2:123456789012:secret:edl-AbCdEf",
            "https://api.example.com/ "
            "bearer=arn:aws:ssm:us-west-2:123456789012:parameter/livemosaic/token",
            "https://*.blob.core.windows.net/ planetary-computer",
            "s3://open/ anonymous",
        ],
    },
    "snapshots": {
        **OFF,
        "region": "us-west-2",
        "snap_start": "true",
        "reserve_concurrency": "false",
    },
    "canary": {"region": "us-west-2", "canary": "Canary10Percent5Minutes", "tracing": "true"},
    "versions": {**OFF, "region": "us-west-2", "canary": "AllAtOnce", "snap_start": "true"},
    "private network": {
        "region": "us-west-2",
        "vpc": '{"id": "vpc-0123456789abcdef0", "subnets": ["subnet-0a", "subnet-0b"]}',
        "tracing": "true",
    },
    "given groups": {
        **OFF,
        "region": "us-west-2",
        "vpc": {
            "id": "vpc-0123456789abcdef0",
            "subnets": ["subnet-0a"],
            "security_groups": ["sg-0123456789abcdef0"],
        },
    },
    "encrypted": {
        "region": "us-west-2",
        "key": KEY,
        "private_mosaics": "true",
        "cdn": "true",
        "buckets": "imagery",
        "item_buckets": "stac",
        "buses": '[{"sources": ["org.example.stac"]}]',
        "topics": "arn:aws:sns:us-west-2:210987654321:plain",
        "monthly_budget": "250",
        "canary": "AllAtOnce",
    },
    "encrypted and adopted": {
        "region": "us-west-2",
        "key": KEY,
        "table": "livemosaic-data-Table-OLD",
        "overview_bucket": "low",
        "buckets": "imagery",
    },
    "overviews": {"region": "us-west-2"},
    "archives": {**OFF, "region": "us-west-2", "archive_bucket": "maps/world/"},
    "exports": {"region": "us-west-2", "exports": "true", "archive_bucket": "maps/world"},
    "encrypted exports": {
        "region": "us-west-2",
        "exports": "true",
        "archive_bucket": "maps",
        "key": KEY,
        "tracing": "true",
    },
    "loads": {**OFF, "region": "us-west-2", "load": "true", "buckets": "archive"},
    "encrypted loads": {"region": "us-west-2", "load": "true", "key": KEY, "tracing": "true"},
    "everything with overviews": {
        "region": "us-west-2",
        "overview_key": KEY,
        "private_mosaics": "true",
        "tracing": "true",
        "snap_start": "true",
        "buckets": "imagery",
        "item_buckets": "stac",
        "anonymous_posts": "false",
    },
    "cdn": {
        **OFF,
        "region": "eu-central-1",
        "account": "123456789012",
        "domain": "maps.example.com",
        "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/1234-abcd",
        "hosted_zone": "Z0123456789ABC",
        "web_acl": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/maps/1234-abcd",
        "cors_origins": "https://one.example.com,https://two.example.com",
        "private_mosaics": "true",
        "snap_start": "true",
        "overviews": "true",
    },
    "edge": {
        **OFF,
        "region": "eu-central-1",
        "domain": "maps.example.com",
        "hosted_zone": "Z0123456789ABC",
        "firewall": "600",
    },
    "edge in us-east-1": {**OFF, "region": "us-east-1", "cdn": "true", "firewall": "10"},
    "traces": {"region": "us-west-2", "traces": "xray", "load": "true"},
    "collected traces": {
        **OFF,
        "region": "us-west-2",
        "tracing": "true",
        "traces": "https://collector.example.com/v1/traces",
        "settings": '{"trace_share": 0.5}',
    },
    "bare cdn": {"region": "us-east-1", "cdn": "true", "anonymous_posts": "false", **OFF},
    "own proxy": {"region": "us-west-2", "domain": "maps.example.com", "cdn": "false", **OFF},
    "kept overviews": {
        "region": "us-west-2",
        "overview_bucket": "imagery/low/zooms/",
        "overview_key": KEY,
        "overview_memory": "3008",
        "overview_concurrency": "7",
        "table": "livemosaic-data-Table-OLD",
        "buckets": "scenes",
        "anonymous_posts": "false",
    },
    "guarded": {
        **OFF,
        "region": "us-west-2",
        "private_mosaics": "true",
        "jwt": json.dumps(
            {
                "issuer": "https://login.example.com/",
                "audience": ["livemosaic"],
                "scopes": ["mosaics:write"],
            }
        ),
    },
}


@dataclass(frozen=True)
class Deployment:
    """One context's app, synthesized."""

    app: cdk.App
    templates: dict[str, dict[str, Any]]
    """By the stack's name."""
    assets: dict[str, dict[str, Any]]

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """The service's, by logical id."""
        return self.templates[self._service]["Resources"]

    @property
    def name(self) -> str:
        """Of the deployment, as its functions have it for their metrics."""
        named: str = self.function("Tiler")["Environment"]["Variables"]["LIVEMOSAIC_METRICS"]
        return named

    @property
    def outputs(self) -> dict[str, Any]:
        return self.templates[self._service]["Outputs"]

    @property
    def _service(self) -> str:
        [name] = (name for name in self.templates if name.endswith("-service"))
        return name

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties of the service's resources of one type, by logical id."""
        return {
            name: resource["Properties"]
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def function(self, name: str) -> dict[str, Any]:
        [found] = (
            p for id_, p in self.of_type("AWS::Lambda::Function").items() if id_.startswith(name)
        )
        return found

    def grants(self, name: str) -> dict[str, set[str]]:
        """The actions that a function's role allows, by resource as text."""
        grants: dict[str, set[str]] = {}
        for policy in self._policies(name):
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Effect"] == "Allow"
                for resource in _listed(statement["Resource"]):
                    grants.setdefault(_text(resource), set()).update(_listed(statement["Action"]))
        return grants

    def _policies(self, name: str) -> Iterable[dict[str, Any]]:
        for policy in self.of_type("AWS::IAM::Policy").values():
            if any(role["Ref"].startswith(f"{name}Role") for role in policy["Roles"]):
                yield policy


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(resource: Any) -> str:
    return resource if isinstance(resource, str) else json.dumps(resource)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Deployment]:
    """A deployment by the name of its context."""

    @cache
    def made(name: str) -> Deployment:
        context = json.loads((ROOT / "cdk.json").read_text())["context"] | CONTEXTS[name]
        app = cdk.App(context=context, outdir=str(tmp_path_factory.mktemp(name)))
        build(app, read(app.node.get_all_context(), {}))
        stacks = app.synth().stacks
        folder = Path(stacks[0].assembly.directory)
        return Deployment(
            app,
            {stack.stack_name: stack.template for stack in stacks},
            {
                stack.stack_name: json.loads(
                    (folder / f"{stack.stack_name}.assets.json").read_text()
                )
                for stack in stacks
            },
        )

    return made


@pytest.fixture(scope="session")
def default(deployment: Callable[[str], Deployment]) -> Deployment:
    return deployment("default")


@pytest.fixture(scope="session")
def everything(deployment: Callable[[str], Deployment]) -> Deployment:
    return deployment("everything")


@pytest.fixture(scope="session")
def adopted(deployment: Callable[[str], Deployment]) -> Deployment:
    return deployment("adopted")


@pytest.fixture(scope="session")
def snapshots(deployment: Callable[[str], Deployment]) -> Deployment:
    return deployment("snapshots")


@pytest.fixture(scope="session")
def overviews(deployment: Callable[[str], Deployment]) -> Deployment:
    return deployment("overviews")


@pytest.fixture(scope="session")
def guarded(deployment: Callable[[str], Deployment]) -> Deployment:
    return deployment("guarded")
