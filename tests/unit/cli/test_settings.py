"""A mosaic's settings: the model, the API and the CLI agree on names, defaults and bounds."""

from dataclasses import asdict, fields
from typing import Any

import pytest
import typer
from annotated_types import Ge, Le

from livemosaic.api.schemas import MosaicSettings, RulePolicyBody
from livemosaic.cli import app
from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rule import RulePolicy

STATE = {
    "native_zoom",
    "id",
    "generation",
    "format",
    "revision",
    "bounds",
    "fit",
    "levels",
    "known_assets",
    "chosen_assets",
    "meanings",
    "watermarks",
    "overview_sets",
    "deleting",
    "members",
    "missing",
}
"""Fields of a mosaic that are not settings."""
OWN_OPTIONS = {"access", "renders", "rules", "overviews", "sources", "exports"}
"""Settings whose options are `--private`, `--render` and `--renders`, `--rule` and `--rules`,
`--source` and `--sources`, and `--overviews` with the ones for how they are made."""
BEYOND = {Ge: -1, Le: 1}


def bounds() -> list[Any]:
    return [
        pytest.param(name, bound, id=f"{name} {bound}")
        for name, field in MosaicSettings.model_fields.items()
        for bound in field.metadata
        if isinstance(bound, Ge | Le)
    ]


def edge(bound: Ge | Le) -> int:
    return int(bound.ge if isinstance(bound, Ge) else bound.le)  # type: ignore[call-overload]


def test_model_and_api_have_the_same_settings_and_defaults() -> None:
    mosaic = Mosaic(id="m")
    settings = {field.name for field in fields(Mosaic)} - STATE
    assert {*MosaicSettings.model_fields} == settings
    assert MosaicSettings().mosaic_fields() == {name: getattr(mosaic, name) for name in settings}


def test_model_and_api_have_the_same_rule_policy() -> None:
    body = RulePolicyBody()
    assert {*RulePolicyBody.model_fields} == {field.name for field in fields(RulePolicy)}
    assert RulePolicy.of(body.model_dump()) == RulePolicy()
    assert body == RulePolicyBody(**asdict(RulePolicy()))


def test_command_has_an_option_for_every_setting_with_its_default() -> None:
    create = typer.main.get_command(app).commands["mosaics"].commands["create"]  # type: ignore[attr-defined]
    defaults = {option.name: option.default for option in create.params}
    for name, field in MosaicSettings.model_fields.items():
        if name not in OWN_OPTIONS:
            assert defaults[name] == field.default
    assert {"private", "render", "renders", "rule", "rules"} <= defaults.keys()


@pytest.mark.parametrize(("name", "bound"), bounds())
def test_model_accepts_what_the_api_accepts_up_to_its_bounds(name: str, bound: Ge | Le) -> None:
    at_edge = edge(bound)
    deep = {"maxzoom": 30, "quadkey_zoom": 24} if name == "minzoom" else {}
    Mosaic(id="m", **deep, **{name: at_edge})
    with pytest.raises(InvalidRequestError, match=name):
        Mosaic(id="m", **deep, **{name: at_edge + BEYOND[type(bound)]})
