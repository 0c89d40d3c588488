"""Mosaic rules as query parameters, plain or in ArcGIS's JSON."""

from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from livemosaic.errors import InvalidRequestError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rule import Method, Operation, PixelSelection, Rule
from livemosaic.tiler.rules import arcgis
from livemosaic.tiler.rules.parse import rule_of

_BESIDE: Final = frozenset({"datetime", "max_scenes", "clip", "min_pixels", "nodata_inside"})
"""What ArcGIS's rules do not say, so that it may be said beside one."""


class RuleQuery(BaseModel):
    """A rule in plain parameters."""

    method: Literal[Method, "none"] | None = Field(
        None, description="What orders the scenes; `sortby`, `viewpoint` and `lock` imply theirs"
    )
    sortby: str | None = Field(
        None, max_length=200, description="A kept property; `-property` puts the largest on top"
    )
    sort_value: str | float | None = Field(
        None, description="Puts those on top whose `sortby` is nearest to it: a number or a time"
    )
    ascending: bool | None = Field(None, description="False turns the order around")
    viewpoint: str | None = Field(
        None, max_length=100, description="`longitude,latitude`: seen from there is on top"
    )
    lock: list[str] | None = Field(
        None, description="Only these scenes, `id` or `collection/id`, top first, at all scales"
    )
    datetime: str | None = Field(
        None, max_length=100, description="A time or an interval: `2026-01-01/..`"
    )
    filter: str | None = Field(
        None, description="CQL2 over kept properties, `id`, `collection` and `datetime`"
    )
    filter_lang: Literal["cql2-text", "cql2-json"] | None = Field(None, alias="filter-lang")
    ids: list[str] | None = Field(None, description="Only these scenes: `id` or `collection/id`")
    max_scenes: int | None = Field(None, ge=1, description="Scenes that are read, at most")
    operation: Operation | None = Field(
        None, description="What a pixel becomes of the scenes that have it"
    )
    pixel_selection: PixelSelection | None = Field(
        None, description="The same by the names of rio-tiler"
    )
    clip: bool | None = Field(None, description="Drop pixels outside a scene's footprint")
    min_pixels: int | None = Field(
        None, ge=0, le=2**31, description="Leave out scenes that cover fewer pixels of the picture"
    )
    nodata_inside: bool | None = Field(
        None, description="Pixels without data inside a footprint hide what is below"
    )
    item_render: str | None = Field(
        None, max_length=63, description="The render by which each scene is drawn before the mosaic"
    )


class AskedRule(RuleQuery):
    """A rule in plain parameters, or in ArcGIS's JSON."""

    mosaic_rule: str | None = Field(
        None,
        alias="mosaicRule",
        max_length=8000,
        description="ArcGIS's JSON, instead of the parameters that say the same",
    )

    def to_rule(self, mosaic: Mosaic) -> Rule:
        """The rule; `InvalidRequestError` where it cannot be, or the mosaic does not allow it."""
        return rule_of(self._parameters(), mosaic)

    def _parameters(self) -> dict[str, Any]:
        plain = {n: v for n in RuleQuery.model_fields if (v := getattr(self, n)) is not None}
        if self.mosaic_rule is None:
            return plain
        twice = [name for name in plain if name not in _BESIDE]
        if twice:
            raise InvalidRequestError(
                f"mosaicRule and {twice[0]} are given at once: say all of it in one of the forms"
            )
        return plain | arcgis.parameters(self.mosaic_rule)
