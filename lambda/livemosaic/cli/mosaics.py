"""`livemosaic mosaics`: creates, lists, shows, changes and deletes mosaics."""

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import typer
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table

from livemosaic.api.schemas import (
    MosaicOut,
    MosaicSettings,
    NewMosaic,
    OverviewPolicyBody,
    RulePolicyBody,
)
from livemosaic.cli.session import console, progress, target
from livemosaic.errors import InvalidRequestError
from livemosaic.index.mosaics import FIXED
from livemosaic.model.mosaic import FORMAT, Access
from livemosaic.render.named_renders import parse_query

app = typer.Typer(no_args_is_help=True, help="Create, list, show, change and delete mosaics.")


_SPECIAL = {"access", "renders", "rules", "overviews"}
"""Settings whose options are more than the value."""
_SECONDS = "_s"
_Command = Callable[..., None]


def _settings_options(*, change: bool) -> Callable[[_Command], _Command]:
    """Gives a command an option for each field of `MosaicSettings`, in place of `**settings`.

    For a `change` only of the ones that can change, and None stands for no change.
    """
    left_out = {*_SPECIAL, *(FIXED if change else ())}
    fields = [pair for pair in MosaicSettings.model_fields.items() if pair[0] not in left_out]
    options = [_option(name, field, change=change) for name, field in fields]

    def decorate(command: _Command) -> _Command:
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        command.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own[:2], *options, *own[2:]]
        )
        return command

    return decorate


def _option(name: str, field: FieldInfo, *, change: bool) -> inspect.Parameter:
    """The option of a setting. A list is an option that may be repeated; pydantic checks bounds."""
    repeated = isinstance(field.default, list)
    kind: Any = list[str] if repeated else str if field.default is None else type(field.default)
    description = re.sub("`([a-z_]+)`", _as_flag, field.description or "")
    option = typer.Option(
        _flag(name),
        help=f"{description}{'; may be repeated' if repeated else ''}.",
        metavar="SECONDS" if name.endswith(_SECONDS) else None,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if change else field.default,
        annotation=Annotated[kind | None if change or field.default is None else kind, option],
    )


def _flag(setting: str) -> str:
    """The flag of a setting: the singular of a list, without the unit."""
    name = setting.removesuffix(_SECONDS)
    if isinstance(MosaicSettings.model_fields[setting].default, list):
        name = re.sub("(ie)?s$", lambda plural: "y" if plural[1] else "", name)
    return f"--{name.replace('_', '-')}"


def _as_flag(found: re.Match[str]) -> str:
    return f"`{_flag(found[1])}`" if found[1] in MosaicSettings.model_fields else found[0]


@app.command("create")
@_settings_options(change=False)
def create(
    context: typer.Context,
    mosaic: Annotated[str, typer.Argument(help="Its id: letters, digits, `_`, `.`, `-`.")],
    *,
    private: Annotated[
        bool, typer.Option("--private", help="Only holders of an access token may see it.")
    ] = False,
    render: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=QUERY", help="A named render, for `render=NAME`; may be repeated."
        ),
    ] = None,
    renders: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file of renders, or a STAC Collection."),
    ] = None,
    rule: Annotated[
        str, typer.Option(metavar="QUERY", help="The mosaic rule of requests without one.")
    ] = "",
    rules: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A JSON file with the other rule settings of the mosaic.",
        ),
    ] = None,
    overviews: Annotated[
        bool | None,
        typer.Option(
            "--overviews/--no-overviews",
            help="Keep overviews, so that low zooms show every scene. By default where there is a "
            "place for them, such as beside an SQLite index, and the other settings allow it.",
        ),
    ] = None,
    create_table: Annotated[
        bool, typer.Option(help="Create the DynamoDB table (on demand) if it does not exist.")
    ] = False,
    **settings: Any,
) -> None:
    """Create a mosaic.

    Examples:

    `livemosaic mosaics create alps --collection sentinel-2-c1-l2a --asset visual`

    `livemosaic mosaics create clear --filter "eo:cloud_cover < 10" --sortby eo:cloud_cover`

    `livemosaic mosaics create ndvi --render "ndvi=expression=(nir-red)/(nir%2Bred)&rescale=-1,1"`

    `livemosaic mosaics create best --property eo:cloud_cover --rule "sortby=eo:cloud_cover"`

    `livemosaic --index dynamodb://eu-central-1/maps mosaics create alps --create-table`

    `livemosaic --api https://HOST --profile prod mosaics create alps`
    """
    with target(context, create_table=create_table) as mosaics:
        new = NewMosaic(
            id=mosaic,
            **settings,
            access="private" if private else "public",
            renders=_renders(renders, render or []),
            rules=_rules(rules, rule),
            **_overviews(overviews),
        )
        _print(mosaics.create(new))


@app.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    private: Annotated[
        bool, typer.Option("--private", help="With --api, private mosaics too; needs write access.")
    ] = False,
) -> None:
    """List the mosaics.

    Example: `livemosaic --api https://HOST mosaics list`
    """
    with target(context) as mosaics:
        found = mosaics.all(private=private)
    if as_json:
        typer.echo(json.dumps([mosaic.model_dump() for mosaic in found], indent=2))
        return
    table = Table("id", "title", "access", "collections", "bounds", "zooms")
    for mosaic in found:
        bounds = ", ".join(f"{degree:.2f}" for degree in mosaic.bounds or ()) or "empty"
        zooms = f"{mosaic.minzoom}–{mosaic.maxzoom}"
        collections = ", ".join(mosaic.collections)
        table.add_row(mosaic.id, mosaic.title, mosaic.access, collections, bounds, zooms)
    Console().print(table)
    if waiting := [mosaic.id for mosaic in found if mosaic.format < FORMAT]:
        console.print(f"stored by an earlier release: run `livemosaic migrate {' '.join(waiting)}`")


@app.command()
def show(context: typer.Context, mosaic: str) -> None:
    """Show one mosaic as JSON.

    Example: `livemosaic --api https://HOST mosaics show alps`
    """
    with target(context) as mosaics:
        _print(mosaics.get(mosaic))


@app.command()
@_settings_options(change=True)
def update(
    context: typer.Context,
    mosaic: str,
    *,
    private: Annotated[
        bool | None,
        typer.Option("--private/--public", help="Who may see it: holders of an access token, all."),
    ] = None,
    render: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=QUERY",
            help="A named render to add or change; `NAME=` removes it; may be repeated.",
        ),
    ] = None,
    renders: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file of renders to add or change."),
    ] = None,
    rule: Annotated[
        str,
        typer.Option(metavar="QUERY", help="Parameters of the mosaic rule of requests without."),
    ] = "",
    rules: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A JSON file of rule settings, merged with its own."
        ),
    ] = None,
    overviews: Annotated[
        bool | None,
        typer.Option("--overviews/--no-overviews", help="Keep overviews, or none."),
    ] = None,
    reset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING",
            help="A setting, as `mosaics show` names it, that gets its default; may be repeated.",
        ),
    ] = None,
    **settings: Any,
) -> None:
    """Change settings of a mosaic; the ones that are not named stay as they are.

    A list, such as of `--collection`, replaces the one before. A changed filter, or list of
    collections or assets, applies to Items that come from now on. What every row of a scene depends
    on cannot change: `tms`, `sortby`, `minzoom`, `quadkey_zoom`, `max_cells`.

    Examples:

    `livemosaic mosaics update alps --title "The Alps" --max-age 60`

    `livemosaic mosaics update alps --render "ndvi=expression=(nir-red)/(nir%2Bred)&rescale=-1,1"`

    `livemosaic --api https://HOST mosaics update alps --filter "eo:cloud_cover < 10"`

    `livemosaic mosaics update alps --reset filter --no-overviews`
    """
    patch = {name: value for name, value in settings.items() if value not in (None, [])}
    with target(context) as mosaics:
        if private is not None:
            patch["access"] = "private" if private else "public"
        if found := _renders(renders, render or [], removable=True):
            patch["renders"] = found
        if changed := _rules(rules, rule).model_dump(exclude_unset=True):
            patch["rules"] = changed
        if overviews is not None:
            patch["overviews"] = {} if overviews else None
        _print(mosaics.change(mosaic, patch | _reset(patch, reset or [])))


def _reset(patch: Mapping[str, Any], names: Sequence[str]) -> dict[str, None]:
    """Returns the part of a JSON Merge Patch that gives settings their defaults."""
    for name in names:
        if name in patch:
            raise InvalidRequestError(f"{name} is given and reset: leave out one of the two")
    return dict.fromkeys(names)


@app.command()
def access(
    context: typer.Context,
    mosaic: str,
    to: Annotated[Access, typer.Argument(help="Who may see it.")],
) -> None:
    """Show a mosaic to everybody, or only to holders of its access tokens.

    Caches may show a formerly public mosaic for `--max-age` seconds more.

    Example: `livemosaic --api https://HOST --profile prod mosaics access alps private`
    """
    with target(context) as mosaics:
        _print(mosaics.change(mosaic, {"access": to}))


@app.command("default-assets")
def default_assets(
    context: typer.Context,
    mosaic: str,
    assets: Annotated[
        list[str] | None,
        typer.Argument(help="Assets to show, in order; without any, the ones chosen at first."),
    ] = None,
) -> None:
    """Change the assets that a mosaic shows where a request names none.

    They are chosen from the first Item, and never change by themselves; `mosaics show` lists them
    as `shown_assets`. Scenes without one of them, or with one of another kind by that name, are
    left out of the image; a pattern such as `*_B04.tif` shows whatever it matches.

    Example: `livemosaic mosaics default-assets alps red green blue`
    """
    with target(context) as mosaics:
        _print(mosaics.change(mosaic, {"default_assets": assets or []}))


@app.command()
def delete(
    context: typer.Context,
    mosaic: str,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[
        bool, typer.Option(help="Wait until the last scene of a large mosaic is deleted.")
    ] = True,
) -> None:
    """Delete a mosaic and all its scenes; run it again if it was interrupted.

    On AWS, what takes longer than a request goes on in the background, where the deployment has
    builders of overviews, also when this command is interrupted.

    Its overviews stay for ten minutes, for readers of this moment; then `serve`, `overviews watch`
    or the builder on AWS deletes them. On an index, the whole table is read once in the end, to
    find rows without a scene.

    Example: `livemosaic --api https://HOST --profile prod mosaics delete alps --yes`
    """
    if not yes:
        typer.confirm(f"Delete mosaic {mosaic!r} and all its scenes?", abort=True)
    with target(context) as mosaics, progress() as bar:
        task = bar.add_task("deleting scenes", total=None)
        for count in mosaics.drop(mosaic, wait=wait):
            bar.advance(task, count)
    goes_on = "" if wait else ", or is being deleted: the command tells when run again"
    console.print(f"deleted [bold]{mosaic}[/bold]{goes_on}")


def _overviews(wanted: bool | None) -> dict[str, OverviewPolicyBody | None]:
    return {} if wanted is None else {"overviews": OverviewPolicyBody() if wanted else None}


def _renders(
    file: Path | None, queries: Sequence[str], *, removable: bool = False
) -> dict[str, Any]:
    """Returns renders of a file (JSON, or with the STAC render extension) and of queries.

    Where they are `removable`, an empty query stands for None.
    """
    found = _read(file) if file else {}
    for given in queries:
        name, separator, query = given.partition("=")
        if not query and not (removable and separator):
            raise InvalidRequestError(f"--render {given!r} must be NAME=QUERY: grey=rescale=0,100")
        found[name] = parse_query(query) if query else None
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
        found = content.get("renders", content.get("properties", {}).get("renders", content))
        return dict(found)
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"{file} is no JSON object of renders: {error}") from error


def _rules(file: Path | None, query: str) -> RulePolicyBody:
    try:
        found = json.loads(file.read_text()) if file else {}
        default = parse_qs(query, strict_parsing=True) if query else {}
        given = {
            name: v if name in ("ids", "lock") else _once(name, v) for name, v in default.items()
        }
        return RulePolicyBody.model_validate(found | ({"default": given} if query else {}))
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"--rule and --rules are no rules: {error}") from error


def _once(name: str, values: list[str]) -> str:
    if len(set(values)) > 1:
        raise ValueError(f"{name} is given more than once, as {' and '.join(values[:2])}")
    return values[0]


def _print(mosaic: MosaicOut) -> None:
    typer.echo(mosaic.model_dump_json(indent=2))
