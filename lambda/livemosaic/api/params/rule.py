"""Mosaic rules as query parameters, plain or as ArcGIS JSON."""

from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rule import Method, Operation, PixelSelection, Rule
from livemosaic.tiler.rules import arcgis
from livemosaic.tiler.rules.parse import rule_of

_COMBINABLE: Final = frozenset({"datetime", "max_scenes", "clip", "min_pixels", "nodata_inside"})
"""Parameters without a counterpart in ArcGIS rules, which may be given together with one."""


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
        max_length=8000,
        description="Mosaic rule as ArcGIS JSON, instead of the equivalent parameters",
    )

    def to_rule(self, mosaic: Mosaic) -> Rule:
        """Parses the rule; `InvalidRequestError` if it is invalid or the mosaic disallows it."""
        return rule_of(self._parameters(), mosaic)

    def items_named(self, rule: Rule) -> tuple[str, ...]:
        """Returns the Items that the request names, of its parsed rule; not ones of a default."""
        if not (self.ids or self.lock or self.mosaic_rule):
            return ()
        asked = self._parameters()
        return tuple(
            name for what in ("ids", "lock") if what in asked for name in getattr(rule, what)
        )

    def _parameters(self) -> dict[str, Any]:
        plain = {n: v for n in RuleQuery.model_fields if (v := getattr(self, n)) is not None}
        if self.mosaic_rule is None:
            return plain
        twice = [name for name in plain if name not in _COMBINABLE]
        if twice:
            raise InvalidRequestError(
                f"mosaicRule and {twice[0]} are given at once: use one form for the whole rule"
            )
        rule = arcgis.parameters(self.mosaic_rule)
        if "datetime" in rule and "datetime" in plain:
            raise InvalidRequestError("mosaicRule has a time, and datetime is given: use one")
        return plain | rule
