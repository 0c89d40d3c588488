"""`livemosaic mosaics`: creates, lists, shows, changes and deletes mosaics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from livemosaic.api.schemas import (
    NewMosaic,
    OverviewPolicyBody,
)
from livemosaic.cli.options import exports_of, renders_of, rule_policy, settings_options, sources_of
from livemosaic.cli.session import console, progress, target
from livemosaic.cli.terminal.results import AsJson, print_json
from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import FORMAT, Access

_EXPORT: Final = (
    "`render=ndvi,format=webp,minzoom=0,maxzoom=12,every_h=24,keep=7`, of which each may be left "
    "out; of vector tiles with `layers=footprints,coverage` in place of render and format. May be "
    "repeated."
)

app = typer.Typer(no_args_is_help=True, help="Create, list, show, change and delete mosaics.")


@app.command("create")
@settings_options(change=False)
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
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID:NAME=VALUE,…",
            help="A mosaic that a derived one shows: `drone:z_order=-10,minzoom=12`; "
            "may be repeated.",
        ),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A JSON file with a list of sources."),
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,…",
            help=f"An archive (PMTiles) that is made on a schedule: {_EXPORT}",
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

    `livemosaic mosaics create best --source drone:z_order=-10,minzoom=12 --source sentinel`

    `livemosaic --index dynamodb://eu-central-1/maps mosaics create alps --create-table`

    `livemosaic --api https://HOST --profile prod mosaics create alps`
    """
    with target(context, create_table=create_table) as mosaics:
        new = NewMosaic(
            id=mosaic,
            **settings,
            access="private" if private else "public",
            renders=renders_of(renders, render or []),
            rules=rule_policy(rules, rule),
            sources=sources_of(sources, source or []),
            exports=exports_of(export or []),
            **_overviews(overviews),
        )
        print_json(mosaics.create(new))


@app.command("list")
def list_(
    context: typer.Context,
    as_json: AsJson = False,
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
        print_json(found)
        return
    table = Table("id", "title", "access", "collections", "bounds", "zooms")
    for mosaic in found:
        bounds = ", ".join(f"{degree:.2f}" for degree in mosaic.bounds or ()) or "empty"
        zooms = f"{mosaic.minzoom}–{mosaic.deepest_zoom}"
        shown = [f"of {source.mosaic}" for source in mosaic.sources]
        collections = ", ".join(mosaic.collections or shown)
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
        print_json(mosaics.get(mosaic))


@app.command()
@settings_options(change=True)
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
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID:NAME=VALUE,…",
            help="A mosaic that a derived one shows, in place of the ones before: "
            "`drone:z_order=-10,minzoom=12`; may be repeated.",
        ),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A JSON file with a list of sources."),
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,…",
            help="An archive (PMTiles) that is made on a schedule, in place of the ones before: "
            f"{_EXPORT}",
        ),
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

    `livemosaic mosaics update best --sources sources.json`

    `livemosaic mosaics update alps --export maxzoom=12,keep=7 --export render=ndvi,every_h=168`
    """
    patch = {name: value for name, value in settings.items() if value not in (None, [])}
    with target(context) as mosaics:
        if private is not None:
            patch["access"] = "private" if private else "public"
        if found := renders_of(renders, render or [], removable=True):
            patch["renders"] = found
        if changed := rule_policy(rules, rule).model_dump(exclude_unset=True):
            patch["rules"] = changed
        if found_sources := sources_of(sources, source or []):
            patch["sources"] = found_sources
        if export:
            patch["exports"] = exports_of(export)
        if overviews is not None:
            patch["overviews"] = {} if overviews else None
        print_json(mosaics.change(mosaic, patch | _reset(patch, reset or [])))


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
        print_json(mosaics.change(mosaic, {"access": to}))


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
        print_json(mosaics.change(mosaic, {"default_assets": assets or []}))


@app.command()
def delete(
    context: typer.Context,
    mosaic: str,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where derived mosaics show it.")
    ] = False,
    wait: Annotated[
        bool, typer.Option(help="Wait until the last scene of a large mosaic is deleted.")
    ] = True,
) -> None:
    """Delete a mosaic and all its scenes; run it again if it was interrupted.

    On AWS, what takes longer than a request goes on in the background, where the deployment has
    builders of overviews, also when this command is interrupted.

    One that derived mosaics show is deleted with `--force` alone: they go on without it.

    Its overviews stay for ten minutes, for readers of this moment; then `serve`, `overviews watch`
    or the builder on AWS deletes them. On an index, the whole table is read once in the end, to
    find rows without a scene.

    Example: `livemosaic --api https://HOST --profile prod mosaics delete alps --yes`
    """
    if not yes:
        typer.confirm(f"Delete mosaic {mosaic!r} and all its scenes?", abort=True)
    with target(context) as mosaics, progress() as bar:
        task = bar.add_task("deleting scenes", total=None)
        for count in mosaics.drop(mosaic, wait=wait, force=force):
            bar.advance(task, count)
    goes_on = "" if wait else ", or is being deleted: the command tells when run again"
    console.print(f"deleted [bold]{mosaic}[/bold]{goes_on}")


def _overviews(wanted: bool | None) -> dict[str, OverviewPolicyBody | None]:
    return {} if wanted is None else {"overviews": OverviewPolicyBody() if wanted else None}
