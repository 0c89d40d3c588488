"""Settings of a mosaic on the command line: an option for each, renders and rules from files."""

import inspect
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import typer
from pydantic.fields import FieldInfo

from livemosaic.api.schemas import ExportBody, MosaicSettings, RulePolicyBody
from livemosaic.errors import InvalidRequestError
from livemosaic.index.mosaics import FIXED
from livemosaic.render.named_renders import parse_query

_LAYERS = "layers"
_SPECIAL = {"access", "renders", "rules", "overviews", "sources", "exports"}
"""Settings whose options are more than the value."""
_SECONDS = "_s"
_Command = Callable[..., None]


def settings_options(*, change: bool) -> Callable[[_Command], _Command]:
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


def renders_of(
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


def sources_of(file: Path | None, given: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the sources of a derived mosaic: of a JSON file, and of `ID:name=value,…`.

    Raises `InvalidRequestError` for what is neither.
    """
    try:
        found = json.loads(file.read_text()) if file else []
        if not isinstance(found, list):
            found = [found]
        return [*found, *map(_source, given)]
    except ValueError as error:
        name = f"{file} is no JSON file of sources" if file else "--source"
        raise InvalidRequestError(f"{name}: {error}") from error


def _source(text: str) -> dict[str, Any]:
    """Reads `drone:z_order=-10,minzoom=12`; `assets.NAME=ASSET` renames an asset."""
    mosaic, _, rest = text.partition(":")
    source: dict[str, Any] = {"mosaic": mosaic}
    for pair in filter(None, rest.split(",")):
        name, is_given, value = pair.partition("=")
        if name.startswith("assets.") and is_given:
            source.setdefault("assets", {})[name.removeprefix("assets.")] = value
        elif name in ("z_order", "minzoom", "maxzoom") and re.fullmatch(r"-?\d+", value):
            source[name] = int(value)
        else:
            raise ValueError(
                f"{text!r} has {pair!r}; a source is ID:z_order=-10,minzoom=12,maxzoom=16,"
                "assets.NAME=ASSET, and one with a filter stands in a file (--sources)"
            )
    return source


def exports_of(given: Sequence[str]) -> list[dict[str, Any]]:
    """Returns exports of `render=ndvi,maxzoom=12` or `layers=footprints,coverage,maxzoom=12`.

    Raises `InvalidRequestError` for other texts.
    """
    found = []
    for text in given:
        pairs: list[list[str]] = []  # a name, then its value, of layers all
        for part in text.split(","):
            name, is_given, value = part.partition("=")
            if not is_given and pairs and pairs[-1][0] == _LAYERS:
                pairs[-1].append(name)
            else:
                pairs.append([name, value])
        names = [name for name, *_ in pairs]
        wrong = (name for name in names if name not in ExportBody.model_fields)
        if (unknown := next(wrong, None)) is not None:
            known = ", ".join(ExportBody.model_fields)
            raise InvalidRequestError(
                f"--export {text!r} has {unknown!r}; it is NAME=VALUE,… of {known}, for example "
                "render=ndvi,maxzoom=12,every_h=24"
            )
        if len(set(names)) < len(names):
            raise InvalidRequestError(f"--export {text!r} has a name more than once")
        found.append({n: values if n == _LAYERS else values[0] for n, *values in pairs})
    return found


def rule_policy(file: Path | None, query: str) -> RulePolicyBody:
    """Returns the rule settings of a JSON file, with the default rule of a query.

    Raises `InvalidRequestError` for what is neither.
    """
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
