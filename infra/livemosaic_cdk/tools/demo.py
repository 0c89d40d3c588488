"""`make aws-local`: publishes the demo's scenes through SNS to a deployment in an emulated AWS."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import typer
from rich.console import Console

from livemosaic.cli.demo.run import MOSAIC, NDVI, arrival, items_of
from livemosaic_cdk.bundle import BundleError
from livemosaic_cdk.tools.cdk import CdkError
from livemosaic_cdk.tools.emulator import REGION, EmulatorError
from livemosaic_cdk.tools.local import BUCKET, Account, NotHereError, deployed

console = Console(stderr=True, soft_wrap=True)


def main(
    folder: Annotated[
        Path, typer.Option(help="Folder for the generated scenes; reused by later runs.")
    ] = Path("demo"),
    count: Annotated[int, typer.Option(min=1, max=96, help="Number of scenes.")] = 24,
    every: Annotated[float, typer.Option(min=0, help="Seconds between arrivals.")] = 2.0,
    stay: Annotated[
        bool, typer.Option(help="Keep running after the last scene, until Ctrl-C.")
    ] = True,
) -> None:
    """Deploy to an emulated AWS on this machine and watch the demo's scenes arrive.

    The emulator (ministack) and the deployment with all its data are removed at the end.

    Example: `make aws-local ARGS="--count 12 --every 1"`
    """
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    try:
        with (
            NamedTemporaryFile("w", suffix=".log") as log,
            deployed(_step, log) as account,
        ):
            _run(account, folder, count, every)
            while stay:
                time.sleep(1)
    except (BundleError, CdkError, EmulatorError, NotHereError) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("\nstopped and cleaned up")
        raise typer.Exit(130) from None


def _run(account: Account, folder: Path, count: int, every: float) -> None:
    account.link()
    for name, value in asdict(
        replace(account.outputs, ApiUrl=account.url, PublicUrl=account.url)
    ).items():
        if name != "TileUrlTemplate":  # its host is a name below localhost
            console.print(f"  {name:20} {value}", highlight=False)
    _create_mosaic(account)
    page = f"{account.url}/mosaics/{MOSAIC.id}/map.html"
    console.print(f"The mosaic is live at [bold link={page}]{page}[/]  (Ctrl-C to stop)")
    scenes = folder / "scenes"
    scenes.mkdir(parents=True, exist_ok=True)
    with closing(items_of(scenes, count)) as items:
        for item in items:
            uploaded = _uploaded(account, item)
            account.publish(uploaded)
            console.print(arrival(item))
            time.sleep(every)
    (folder / "item.json").write_text(json.dumps(uploaded, indent=1))
    console.print(f"All {count} scenes were published. To see some as NDVI: {page}?{NDVI}")
    console.print(_how_to_publish(account, folder / "item.json"), markup=False, highlight=False)


def _how_to_publish(account: Account, item: Path) -> str:
    """Returns commands that work as they stand, in a shell that knows nothing of the emulator."""
    given = account.aws.environment
    keys = " ".join(
        f"{name}={given[name]}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    )
    aws = f"{keys} aws --endpoint-url {account.aws.url} --region {REGION}"
    ours = f"{keys} AWS_REGION={REGION} livemosaic --api {account.url}"
    topic = account.outputs.TopicArn
    return f"""\
To publish an Item of your own, beginning with the last one of the demo:
  {aws} s3 cp scene.tif s3://{BUCKET}/
  {aws} sns publish --topic-arn {topic} --message file://{item}
  {ours} ingest {item}
Low zooms follow by themselves: {account.url}/mosaics/{MOSAIC.id}/map.html#2/20/0"""


def _create_mosaic(account: Account) -> None:
    command = [
        *(sys.executable, "-m", "livemosaic", "--api", account.url),
        *("mosaics", "create", MOSAIC.id, "--title", MOSAIC.title),
        *(part for name in MOSAIC.collections for part in ("--collection", name)),
        *(part for name in MOSAIC.properties for part in ("--property", name)),
        *("--minzoom", str(MOSAIC.minzoom), "--maxzoom", str(MOSAIC.maxzoom)),
        *("--quadkey-zoom", str(MOSAIC.quadkey_zoom)),
    ]
    done = subprocess.run(  # noqa: S603
        command, env=dict(account.aws.environment), capture_output=True, text=True
    )
    if done.returncode:
        raise CdkError(done.stderr)


def _uploaded(account: Account, item: dict[str, Any]) -> dict[str, Any]:
    """Uploads the files of an Item's assets and returns the Item with their new hrefs."""
    assets = {
        name: asset | {"href": account.put(Path(asset["href"]))}
        for name, asset in item["assets"].items()
    }
    return item | {"assets": assets}


@contextmanager
def _step(name: str) -> Iterator[None]:
    started = time.monotonic()
    with console.status(f"{name} …"):
        yield
    console.print(f"{time.monotonic() - started:6.1f} s  {name}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
