"""Mosaic rules in requests: plain parameters or ArcGIS JSON, completed by the mosaic's default."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rule import DEFAULT, Method, Operation, PixelSelection, Rule
from livemosaic.tiler.rules import arcgis, parse
from livemosaic.tiler.views import lonlat_on

MAX_RULE_LENGTH: Final = 8000
"""Characters of a mosaic rule in JSON."""
_COMBINABLE: Final = frozenset({"datetime", "max_scenes", "clip", "min_pixels", "nodata_inside"})
"""Parameters without a counterpart in ArcGIS rules, which may be given together with one."""
_ORDER: Final = frozenset({"method", "sortby", "sort_value", "ascending", "viewpoint", "lock"})
"""Parameters of one decision: who names one of them takes none of the others from a default."""
_OPERATION: Final = frozenset({"operation", "pixel_selection"})
_FILTER: Final = frozenset({"filter", "filter_lang"})


class RuleQuery(BaseModel):
    """A mosaic rule in plain parameters."""

    method: Literal[Method, "none"] | None = Field(
        None, description="Order of the scenes; implied by `sortby`, `viewpoint` and `lock`"
    )
    sortby: str | None = Field(
        None,
        max_length=200,
        description="Stored property to sort by; `-property` puts the largest value on top",
    )
    sort_value: str | float | None = Field(
        None,
        description="Number or time: scenes whose `sortby` property is nearest to it are on top",
    )
    ascending: bool | None = Field(None, description="False reverses the order")
    viewpoint: str | None = Field(
        None,
        max_length=100,
        description="`longitude,latitude`: scenes whose sensor was nearest to it are on top",
    )
    lock: list[str] | None = Field(
        None,
        description="Scenes to show exclusively, top first and at all scales: `id` or "
        "`collection/id`",
    )
    datetime: str | None = Field(
        None,
        max_length=100,
        description="Time or interval of the scenes to include: `2026-01-01/..`",
    )
    filter: str | None = Field(
        None,
        description="CQL2 filter over stored properties, `id`, `collection` and `datetime`",
    )
    filter_lang: Literal["cql2-text", "cql2-json"] | None = Field(
        None, alias="filter-lang", description="Language of `filter`; `cql2-text` by default"
    )
    ids: list[str] | None = Field(
        None, description="Scenes to include: `id` or `collection/id`; all others are left out"
    )
    max_scenes: int | None = Field(None, ge=1, description="Maximum number of scenes to read")
    operation: Operation | None = Field(
        None, description="How the values of overlapping scenes are combined into a pixel"
    )
    pixel_selection: PixelSelection | None = Field(
        None, description="Alternative to `operation`, with rio-tiler's names"
    )
    clip: bool | None = Field(None, description="Drop pixels outside a scene's footprint")
    min_pixels: int | None = Field(
        None, ge=0, le=2**31, description="Leave out scenes that cover fewer pixels of the image"
    )
    nodata_inside: bool | None = Field(
        None, description="Pixels without data inside a footprint hide the scenes below"
    )
    item_render: str | None = Field(
        None,
        max_length=63,
        description="Named render that draws each scene before the scenes are combined",
    )


class MosaicRuleQuery(RuleQuery):
    """A mosaic rule in plain parameters or as ArcGIS JSON."""

    mosaic_rule: str | None = Field(
        None,
        alias="mosaicRule",
        max_length=MAX_RULE_LENGTH,
        description="Mosaic rule as ArcGIS JSON, instead of the equivalent parameters",
    )

    def to_rule(self, mosaic: Mosaic) -> Rule:
        """Parses the rule; `InvalidRequestError` if it is invalid or the mosaic disallows it."""
        return rule_of(self._parameters(mosaic), mosaic)

    def items_named(self, mosaic: Mosaic, rule: Rule) -> tuple[str, ...]:
        """Returns the Items that the request names, of its parsed rule; not ones of a default."""
        if not (self.ids or self.lock or self.mosaic_rule):
            return ()
        asked = self._parameters(mosaic)
        return tuple(
            name for what in ("ids", "lock") if what in asked for name in getattr(rule, what)
        )

    def _parameters(self, mosaic: Mosaic) -> dict[str, Any]:
        plain = {n: v for n in RuleQuery.model_fields if (v := getattr(self, n)) is not None}
        if self.mosaic_rule is None:
            return plain
        twice = [name for name in plain if name not in _COMBINABLE]
        if twice:
            raise InvalidRequestError(
                f"mosaicRule and {twice[0]} are given at once: use one form for the whole rule"
            )
        rule = arcgis.parameters(self.mosaic_rule, lonlat_on(mosaic))
        if "datetime" in rule and "datetime" in plain:
            raise InvalidRequestError("mosaicRule has a time, and datetime is given: use one")
        return plain | rule


def rule_of(asked: Mapping[str, Any], mosaic: Mosaic) -> Rule:
    """The rule of a request, by its parameters as `RuleQuery` types them.

    What it does not name is as the mosaic's `rules` have it. `InvalidRequestError` for what cannot
    be, and for what the mosaic does not allow.
    """
    rules = mosaic.rules
    if not asked and not rules.default and rules.max_scenes is None:
        return DEFAULT
    usual = _parsed(rules.default, mosaic)
    rule = _parsed(_with_default(asked, rules.default), mosaic) if asked else usual
    _check_allowed("method", rule.method, rules.methods, usual.method, mosaic)
    _check_allowed("operation", rule.operation, rules.operations, usual.operation, mosaic)
    return rule


def check_rules(mosaic: Mosaic) -> None:
    """Refuses `rules` that name properties the mosaic does not keep, and an invalid default."""
    rules = mosaic.rules
    for name in filter(None, (*rules.fields, rules.nadir, rules.seamline, *rules.scale.values())):
        if name not in (*mosaic.properties, "datetime"):
            raise InvalidRequestError(
                f"rules name the property {name[:80]!r}, which the mosaic does not keep; it keeps: "
                f"{', '.join(('datetime', *mosaic.properties))}"
            )
    _parsed(rules.default, mosaic)


def _with_default(asked: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    decided = [group for group in (_ORDER, _OPERATION, _FILTER) if not group.isdisjoint(asked)]
    kept = {k: v for k, v in default.items() if not any(k in group for group in decided)}
    return kept | dict(asked)


def _parsed(asked: Mapping[str, Any], mosaic: Mosaic) -> Rule:
    method = parse.method(asked)
    field, up = parse.sort(asked, method, mosaic)
    base = parse.base(asked["sort_value"], field) if "sort_value" in asked else None
    stored = mosaic.sortby.removeprefix("+")
    if method == "attribute" and base is None and (field if up else f"-{field}") == stored:
        method, field, up = "default", "", True
    rules, limits = mosaic.rules, (asked.get("max_scenes"), mosaic.rules.max_scenes)
    kept_in = {"nadir": rules.nadir, "viewpoint": rules.nadir, "seamline": rules.seamline}
    return Rule(
        method=method,
        ascending=up,
        sort_field=field,
        sort_value=base,
        viewpoint=parse.viewpoint(asked, method),
        kept_in=kept_in.get(method, ""),
        lock=parse.lock(asked, method),
        datetime=parse.interval(asked["datetime"]) if "datetime" in asked else None,
        where=parse.where(asked, mosaic),
        ids=parse.items("ids", asked.get("ids", ())),
        max_scenes=min((n for n in limits if n is not None), default=None),
        operation=parse.operation(asked),
        clip=asked.get("clip", False) or method == "seamline",
        min_pixels=asked.get("min_pixels", 0),
        nodata_inside=asked.get("nodata_inside", False),
        item_render=asked.get("item_render", ""),
    )


def _check_allowed(
    what: str, name: str, allowed: Iterable[str], usual: str, mosaic: Mosaic
) -> None:
    if allowed and name not in (usual, *allowed):
        raise InvalidRequestError(
            f"{what} {name!r} is not allowed in mosaic {mosaic.id!r}; allowed are "
            f"{', '.join(dict.fromkeys((usual, *allowed)))}"
        )
