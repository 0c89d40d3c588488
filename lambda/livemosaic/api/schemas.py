"""Bodies of requests and answers, as pydantic models."""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from livemosaic.api.params.rule import RuleQuery
from livemosaic.auth.tokens import Granted
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import MAX_AGE_S, MAX_ROWS_PER_SCENE, Access, Mosaic
from livemosaic.model.rule import Method, Operation, RulePolicy
from livemosaic.render.named_renders import MAX_RENDERS

_HIDDEN = {"generation", "watermarks", "deleting"}


class DefaultRule(RuleQuery):
    """Parameters of a request that does not name them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @model_serializer(mode="wrap")
    def _named(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class RulePolicyBody(BaseModel):
    """What requests may ask for instead of the stored order, and what holds where they do not."""

    model_config = ConfigDict(extra="forbid")

    default: DefaultRule = DefaultRule()
    methods: list[Method] = Field([], max_length=20, description="Allowed methods; none is all")
    operations: list[Operation] = Field(
        [], max_length=20, description="Allowed operations; none is all"
    )
    fields: list[str] = Field(
        [], max_length=64, description="Properties to sort and filter by; none is all that are kept"
    )
    max_scenes: int | None = Field(None, ge=1, description="Scenes of a picture, at most")
    nadir: str = Field("", max_length=200, description="Property: where the sensor was")
    seamline: str = Field("", max_length=200, description="Property: a GeoJSON polygon to clip to")


class MosaicSettings(BaseModel):
    """Settings of a mosaic: `mosaics create` has an option for each, with these descriptions."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field("", max_length=500, description="Title for people")
    access: Access = Field(
        "public", description="`private`: only holders of an access token may see it"
    )
    collections: list[str] = Field(
        ["*"], max_length=100, description="STAC collections it subscribes to; `*` is any"
    )
    filter: str | dict[str, Any] | None = Field(
        None, description="CQL2, text or JSON, that an Item must pass: `eo:cloud_cover < 10`"
    )
    assets: list[str] = Field(
        [], max_length=64, description="Assets it keeps; every GeoTIFF by default"
    )
    default_assets: list[str] = Field(
        [], max_length=16, description="Assets of a tile that names none"
    )
    properties: list[str] = Field(
        [], max_length=64, description="Item properties it keeps beside datetime"
    )
    sortby: str = Field(
        "-datetime",
        max_length=200,
        description="Order of its scenes: `-datetime` puts the newest on top, `eo:cloud_cover` the "
        "clearest",
    )
    tms: str = Field("WebMercatorQuad", description="TileMatrixSet of its index; a quadtree")
    minzoom: int = Field(0, ge=0, le=24, description="Smallest zoom of its tiles")
    maxzoom: int = Field(22, ge=0, le=30, description="Largest zoom that its TileJSON names")
    quadkey_zoom: int = Field(
        14,
        ge=0,
        le=24,
        description="Deepest zoom of an index cell; at one where each scene has at most "
        "`max_cells`, a tile takes one query",
    )
    max_cells: int = Field(
        16, ge=1, le=MAX_ROWS_PER_SCENE, description="Index cells of one scene, at most"
    )
    max_age_s: int = Field(
        0, ge=0, le=MAX_AGE_S, description="How long caches keep a tile; 0 makes them ask each time"
    )
    stale_while_revalidate_s: int = Field(
        0, ge=0, le=MAX_AGE_S, description="How much longer they may show it while they ask"
    )
    renders: dict[str, dict[str, Any]] = Field(
        {},
        max_length=MAX_RENDERS,
        description="Named renders (STAC render extension 2.0), for `render=NAME`",
    )
    rules: RulePolicyBody = RulePolicyBody()


class NewMosaic(MosaicSettings):
    """A mosaic to create."""

    id: str = Field(max_length=63, description="Letters, digits, `_`, `.`, `-`")


class MosaicOut(NewMosaic):
    """A mosaic."""

    revision: int
    bounds: tuple[float, float, float, float] | None = Field(
        description="West, south, east, north of all that was ever added"
    )
    levels: list[int] = Field(description="Zooms at which scenes are indexed")
    known_assets: list[str] = Field(description="Assets that its scenes ever had")


def shown(mosaic: Mosaic) -> MosaicOut:
    """A mosaic as the API shows it."""
    return MosaicOut(**{k: v for k, v in asdict(mosaic).items() if k not in _HIDDEN})


def values(settings: MosaicSettings) -> dict[str, Any]:
    """Settings as `Mosaic` takes them, less the id; the filter as CQL2-JSON."""
    known = {field.name for field in fields(Mosaic)} - {"id"}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.model_dump(include=known).items()
    }
    cql2 = values["filter"]
    parsed = None if cql2 is None else Cql2Filter.parse(cql2, strict=True).document
    return values | {"filter": parsed, "rules": RulePolicy.of(values["rules"])}


class TokenOut(BaseModel):
    """A token, in the words of OAuth 2.0 (RFC 6749, 5.1)."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 (what it is)
    expires_in: int
    expires: datetime


def told(granted: Granted) -> TokenOut:
    """A new token as the API tells it, this once."""
    left = round((granted.expires - datetime.now(UTC)).total_seconds())
    return TokenOut(access_token=granted.token, expires_in=left, expires=granted.expires)
