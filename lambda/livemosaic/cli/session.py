"""The session of a command: its settings, its target, its console."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from livemosaic.auth.credentials import use_profile
from livemosaic.auth.signing import AwsSignature, Bearer
from livemosaic.client.http import ApiClient, check_url
from livemosaic.client.remote import Remote
from livemosaic.client.target import Local, Target
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.services import running
from livemosaic.settings import Settings
from livemosaic.table.open import open_table


class _Console(Console):
    """What a command says beside its result; quiet, only what is wrong, which has a color."""

    is_quiet = False

    def print(self, *objects: Any, style: Any = None, **how: Any) -> None:
        """See rich."""
        if style or not self.is_quiet:
            super().print(*objects, style=style, **how)


console = _Console(stderr=True, soft_wrap=True)

_LONGEST: Final = 200
"""Characters of a file's name that an error shows at most."""


@dataclass(frozen=True, slots=True)
class Session:
    """The common options of all commands; the `obj` of their context."""

    settings: Settings
    api: str | None
    """URL of the API to work on; None for the index of the settings."""


def begin(
    context: typer.Context,
    *,
    index: str | None,
    api: str | None,
    profile: str | None,
    token: str | None,
    allow: Sequence[str] | None,
    quiet: bool,
) -> None:
    """Makes the session of a command of the common options."""
    console.is_quiet = quiet
    if profile:
        use_profile(profile)
    given: dict[str, Any] = {}
    if index:
        given["index"] = index
    if token:
        given["token"] = token
    if allow:
        given["allowed_prefixes"] = tuple(_prefix(text) for text in allow)
    with clear_errors():
        chosen = _api(context, api, index)
        if chosen and allow:
            raise InvalidRequestError(
                "--allow is for an index; an API has an allow-list of its own"
            )
        context.obj = Session(Settings(**given), chosen)


def _api(context: typer.Context, api: str | None, index: str | None) -> str | None:
    """Returns the API to work on, if any: options take precedence over the environment."""
    if api and index:
        typed = [name for name in ("api", "index") if is_typed(context, name)]
        if len(typed) != 1:
            names = "--api and --index" if typed else "LIVEMOSAIC_API and LIVEMOSAIC_INDEX"
            raise InvalidRequestError(f"{names} exclude each other: give one of --api and --index")
        api = api if typed == ["api"] else None
    return check_url(api) if api else None


def _prefix(text: str) -> str:
    return text if "://" in text else str(Path(text).resolve()) + "/"


@contextmanager
def target(context: typer.Context, *, create_table: bool = False) -> Iterator[Target]:
    """Opens the mosaics to work on: in the index, or behind the API."""
    session: Session = context.obj
    with clear_errors():
        if session.api:
            if create_table:
                raise InvalidRequestError("--create-table is for an index; an API has its table")
            token = session.settings.token
            how = Bearer(token.get_secret_value()) if token else AwsSignature()
            with closing(ApiClient(session.api, how)) as client:
                yield Remote(client)
            return
        table = open_table(session.settings.index, create=create_table)
        with running(session.settings, table) as services:
            yield Local(services)


def without_api(context: typer.Context, command: str) -> Settings:
    """Returns the settings, for a command that works on an index only."""
    session: Session = context.obj
    if session.api:
        stop(
            f"`{command}` works on an index of its own machine, not on the API {session.api}: "
            "leave out --api and LIVEMOSAIC_API"
        )
    return session.settings


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether a common option was given on the command line, not by the environment."""
    source = context.find_root().get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turns errors into one line and exit code 1; of the system's the ones about a file."""
    try:
        yield
    except LivemosaicError as error:
        stop(str(error))
    except ValidationError as error:
        problems = [f"{p['loc'][0]}: {p['msg']} (it is {p['input']!r})" for p in error.errors()]
        stop("; ".join(problems))
    except OSError as error:
        if error.filename is None:
            raise
        stop(f"{str(error.filename)[:_LONGEST]!r}: {error.strerror}")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def stop(reason: str) -> NoReturn:
    """Ends the command with an error message and exit code 1."""
    console.print(f"error: {reason}", style="red", markup=False, highlight=False)
    raise typer.Exit(1)


def progress() -> Progress:
    """Returns a progress bar, which is hidden unless stderr is a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    disable = console.is_quiet or not sys.stderr.isatty()
    return Progress(*columns, console=console, transient=True, disable=disable)
