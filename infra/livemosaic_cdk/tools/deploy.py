"""`make deploy`: lists what a deployment creates and costs, asks for confirmation, deploys."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from livemosaic.cli.cost.dollars import PRICES, SceneUnits, million_items, million_tiles
from livemosaic_cdk.bundle import BundleError, build
from livemosaic_cdk.config import Config, ConfigError
from livemosaic_cdk.context import read
from livemosaic_cdk.costs import overviews
from livemosaic_cdk.costs.ceiling import Limits, ceiling
from livemosaic_cdk.stacks import edge
from livemosaic_cdk.tools.cdk import ROOT, Cdk, CdkError, Outputs

console = Console(stderr=True, soft_wrap=True, highlight=False)

_QUALIFIER: Final = "@aws-cdk/core:bootstrapQualifier"
"""Key of the context that names another bootstrap of a region than CDK's usual one."""
_BOOTSTRAPPED: Final = "/cdk-bootstrap/{qualifier}/version"
"""SSM parameter that `cdk bootstrap` creates in a region."""

_PLAN: Final = """\
[bold]livemosaic[/] as [bold]{name}[/] in account [bold]{account}[/], region [bold]{region}[/]

Creates
  {name}-data     {data}
  {name}-service  an SNS topic and two SQS queues for events, three Lambda functions
                  ({architecture}, Python {python}), an HTTP API, alarms, a dashboard, logs
                  {overviews}
                  {cdn}{edge}{first}

Costs, roughly, at list prices of us-east-1
  idle            ${alarms:.2f} a month for {alarm_count} alarms and $3 for a dashboard, if the
                  account has used up its free ones (10 and 3); $0.45 per GB of table and its
                  backup; $0.26 for Lambda polling the queue, if its million free requests are
                  used up. {idle}{key}
  1 million tiles ${tile:.2f}: {tiles}
  1 million items ${cheapest:.2f} ({cheapest_is}) to
                  ${dearest:.2f} ({dearest_is}), headers of their COGs included;
                  `livemosaic cost MOSAIC` says what a mosaic costs a month{building}
  abuse           at most {abuse} a month, beside traffic: see docs/costs.md
"""
_CROWDED: Final = """\
The account may run {limit} Lambda functions at once in this region. AWS wants 100 of them left to
everybody, so these functions do not reserve their {wanted}: any traffic can use up the {limit}, and
starve other functions. Ask for more in Service Quotas ("Concurrent executions"), then deploy again.
"""
ALARMS: Final = 20
"""Alarms of a deployment."""
_RELEASE_ALARMS: Final = 5
"""Alarms that end a deployment with a canary."""
_MEASURED: Final = Path(__file__).parent / "measured.json"
"""Units that `python -m bench.costs` measured."""
_LEFT_TO_ALL: Final = 100
"""Concurrency that no function may reserve (Lambda, "Configuring reserved concurrency")."""
_OVERVIEWS: Final = "for overviews {}, two FIFO queues, a builder, a sweep each 5 minutes"
_NO_OVERVIEWS: Final = "no overviews: a tile of a low zoom shows 20 scenes (docs/overviews.md)"
_BUCKET_UNKNOWN: Final = "no overviews: `-c overview_bucket=` names the bucket of the table's"
_IDLE: Final = """\
Overviews take ${:.2f} more, of it ${:.2f} for {} metrics.
                  Nothing else runs."""
_BUILDING: Final = """
  overviews of 1 million items
                  ${:.0f} where they come together, up to ${:.0f} where each comes alone, but
                  for the builder ${:,.0f} a month at most; ${:.3f} per GB of objects"""
_CDN: Final = "a CloudFront distribution {domain}, and the secret that it shows ($0.40 a month)"
_NO_CDN: Final = "no CDN: `-c domain=…` puts CloudFront in front (docs/cdn.md)"
_EDGE: Final = "\n  {name}-edge     in us-east-1: {parts}"
_CERTIFICATE: Final = "the certificate of {domain}, free"
_FIREWALL: Final = "a firewall ($6 a month, $0.60 per million requests)"
_KEY: Final = " $0.40 for the key of private mosaics."


def main(
    context: Annotated[
        list[str] | None,
        typer.Option(
            "-c", "--context", metavar="KEY=VALUE", help="CDK context, as for `cdk -c`; repeatable."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Deploy without confirmation.")] = False,
) -> None:
    """Deploy livemosaic to your AWS account, after listing what it creates and costs.

    Credentials come from the usual places of AWS tools: AWS_PROFILE, SSO, the environment.

    Example: `make deploy ARGS="-c region=us-west-2 -c buckets=my-scenes"`
    """
    try:
        _deploy(_pairs(context or []), yes)
    except (BundleError, CdkError, ConfigError, NoAccountError) as error:
        console.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(1) from None


class NoAccountError(Exception):
    """Account or region is unknown; the message names the remedy."""


def _pairs(context: list[str]) -> dict[str, str]:
    for pair in context:
        if "=" not in pair:
            raise ConfigError(f"-c {pair}: must be KEY=VALUE")
    return dict(pair.split("=", 1) for pair in context)


def _deploy(given: dict[str, str], yes: bool) -> None:
    session = boto3.Session()
    usual: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    config = read(usual | given, {"CDK_DEFAULT_REGION": session.region_name or ""})
    if config.region is None:
        raise NoAccountError("no region is set: use -c region=…, or set AWS_REGION")
    here = boto3.Session(region_name=config.region)
    qualifier = (usual | given).get(_QUALIFIER, "hnb659fds")
    account = _account(here)
    unprepared = [region for region in _regions(config) if not _is_prepared(region, qualifier)]
    if not _has_room(here, config):
        given = {**given, "reserve_concurrency": "false"}
        config = config.model_copy(update={"reserve_concurrency": False})
    console.print(_plan(config, account, first=bool(unprepared)))
    if not yes:
        typer.confirm("Deploy?", abort=True, err=True)
    build(config.target)
    cdk = Cdk(os.environ | {"AWS_REGION": here.region_name}, given)
    if unprepared:
        places = (f"aws://{account}/{region}" for region in unprepared)
        cdk.run("bootstrap", *places, "--qualifier", qualifier)
    _print_outputs(cdk.deploy())


def _account(session: Any) -> str:
    try:
        account: str = session.client("sts").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        raise _no_access(error) from error
    return account


def _regions(config: Config) -> tuple[str, ...]:
    """Returns the regions that get stacks."""
    own = config.region or ""
    return tuple(dict.fromkeys((own, edge.REGION))) if config.has_edge else (own,)


def _is_prepared(region: str, qualifier: str) -> bool:
    """Returns whether a region of the account has been bootstrapped for CDK."""
    try:
        ssm = boto3.Session(region_name=region).client("ssm")
        name = _BOOTSTRAPPED.format(qualifier=qualifier)
        return bool(ssm.get_parameters(Names=[name])["Parameters"])
    except (BotoCoreError, ClientError) as error:
        raise _no_access(error) from error


def _no_access(error: Exception) -> NoAccountError:
    return NoAccountError(
        f"access to AWS failed ({error}): log in with `aws sso login`, choose a profile with "
        "AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def _has_room(session: Any, config: Config) -> bool:
    """Whether the account can give the functions the concurrency that they reserve."""
    try:
        found = session.client("lambda").get_account_settings()["AccountLimit"]
    except (BotoCoreError, ClientError):
        return True  # CloudFormation will find out
    limit: int = found["ConcurrentExecutions"]
    if not config.reserved or config.reserved + _LEFT_TO_ALL <= limit:
        return True
    console.print(_CROWDED.format(limit=limit, wanted=config.reserved))
    return False


def _abuse(config: Config) -> str:
    lines = ceiling(Limits.of(config))
    parts = [dollars for what, dollars in lines.items() if what != "traffic"]
    known = sum(dollars for dollars in parts if dollars is not None)
    return f"${known:,.0f}" + (" and what nothing limits" if None in parts else "")


def _traffic(config: Config) -> dict[str, Any]:
    """Returns what tiles and Items cost, as the plan names it."""
    tiles = million_tiles(config.tiler_memory, config.architecture)
    measured = json.loads(_MEASURED.read_text("utf-8"))
    costs = {_archive(one): _million(one) for one in measured}
    cheapest, dearest = min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)
    return {
        "tiles": ", ".join(f"${dollars:.2f} {name}" for name, dollars in tiles.items()),
        "tile": sum(tiles.values()),
        "cheapest": costs[cheapest],
        "cheapest_is": cheapest,
        "dearest": costs[dearest],
        "dearest_is": dearest,
    }


def _archive(measured: dict[str, Any]) -> str:
    count = measured["assets"]
    return f"{measured['name']}, {count} asset{'s' if count > 1 else ''} kept"


def _million(measured: dict[str, Any]) -> float:
    return sum(million_items(SceneUnits(**measured["units"])).values())


def _plan(config: Config, account: str, first: bool) -> str:
    table = (
        f"nothing new: the existing table {config.table} is used"
        if config.table
        else ("a DynamoDB table, on demand, which is retained when all else is removed")
    )
    bootstrap = "\n  CDKToolkit       resources that CDK itself needs, once per account and region"
    alarms = _alarm_count(config)
    return _PLAN.format(
        name=config.name,
        account=account,
        region=config.region,
        data=table,
        architecture=config.architecture,
        python=config.python,
        **_traffic(config),
        alarms=alarms * PRICES["alarm_month"],
        alarm_count=alarms,
        abuse=_abuse(config),
        first=bootstrap if first else "",
        key=_KEY if config.private_mosaics else "",
        overviews=_overviews(config),
        idle=_idle(config),
        building=_building(config),
        cdn=_cdn(config),
        edge=_edge(config),
    )


def _alarm_count(config: Config) -> int:
    of_overviews = overviews.ALARMS if config.overviews else 0
    return ALARMS + of_overviews + (_RELEASE_ALARMS if config.canary else 0)


def _cdn(config: Config) -> str:
    if not config.has_cdn:
        return _NO_CDN
    return _CDN.format(domain=f"for {config.domain}" if config.domain else "with its own name")


def _edge(config: Config) -> str:
    if not config.has_edge:
        return ""
    parts = [_CERTIFICATE.format(domain=config.domain)] if config.makes_certificate else []
    parts += [_FIREWALL] if config.firewall else []
    return _EDGE.format(name=config.name, parts=", ".join(parts))


def _overviews(config: Config) -> str:
    if config.overviews:
        kept = config.overview_bucket
        return _OVERVIEWS.format(f"the bucket {kept}" if kept else "a bucket")
    return _BUCKET_UNKNOWN if config.table else _NO_OVERVIEWS


def _idle(config: Config) -> str:
    if not config.overviews:
        return "Nothing else runs."
    metrics = overviews.METRICS * PRICES["metric_month"]
    return _IDLE.format(overviews.idle(config, mosaics=1), metrics, overviews.METRICS)


def _building(config: Config) -> str:
    if not config.overviews:
        return ""
    bulk, alone = (overviews.per_million(u, config) for u in (overviews.BULK, overviews.ALONE))
    return _BUILDING.format(bulk, alone, overviews.most(config), PRICES["s3_gb_month"])


def _print_outputs(outputs: Outputs) -> None:
    console.print(f"""
Deployed. Create a mosaic and publish STAC Items for it:
  livemosaic --api {outputs.ApiUrl} mosaics create NAME --collection COLLECTION
  aws sns publish --topic-arn {outputs.TopicArn} --message file://item.json
Its map: {outputs.PublicUrl}/mosaics/NAME/map.html""")


if __name__ == "__main__":
    typer.run(main)
