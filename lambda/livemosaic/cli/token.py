"""`livemosaic token`: creates an access token of a private mosaic."""

import re
from typing import Annotated, Final

import typer

from livemosaic.cli.session import console, target
from livemosaic.cli.terminal.results import AsJson, print_json
from livemosaic.errors import InvalidRequestError

_LIFETIME: Final = re.compile(r"(?P<count>[1-9][0-9]{0,8})(?P<unit>[smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def token(
    context: typer.Context,
    mosaic: Annotated[str, typer.Argument(help="The private mosaic that it opens.")],
    for_: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long: `30m`, `12h`, `7d`.")
    ] = "1d",
    as_json: AsJson = False,
) -> None:
    """Create an access token, whose holders see a private mosaic until it expires.

    Put it at the end of any URL of the mosaic, `?access_token=TOKEN`, or into the header
    `Authorization: Bearer TOKEN`.

    Examples:

    `livemosaic token alps --for 7d`

    `livemosaic --api https://HOST --profile prod token alps`
    """
    with target(context) as mosaics:
        made = mosaics.token(mosaic, _seconds(for_))
    if as_json:
        print_json(made)
    else:
        typer.echo(made.access_token)
    console.print(f"opens {mosaic} until {made.expires:%Y-%m-%d %H:%M} UTC", highlight=False)


def _seconds(text: str) -> int:
    if not (found := _LIFETIME.fullmatch(text)):
        raise InvalidRequestError(f"--for {text!r} is no time: write it like 30m, 12h or 7d")
    return int(found["count"]) * _SECONDS[found["unit"]]
