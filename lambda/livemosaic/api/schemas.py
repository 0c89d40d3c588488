"""Request and response bodies, as pydantic models."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from livemosaic.auth.tokens import Granted
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.polygons.inside import clip_text
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.derived.sources import MAX_SOURCES, MAX_Z_ORDER, MosaicSource
from livemosaic.model.mosaic import (
    FORMAT,
    MAX_AGE_S,
    MAX_ROWS_PER_SCENE,
    Access,
    Mosaic,
    OverviewPolicy,
    Reduction,
    ScheduledExport,
    SourceType,
)
from livemosaic.model.raster import USUAL_MAXZOOM
from livemosaic.model.render import EncodedFormat, LayerName, TileFormat
from livemosaic.model.rule import Method, Operation, RulePolicy
from livemosaic.render.named_renders import MAX_RENDERS
from livemosaic.tiler.rules.parameters import RuleQuery

if TYPE_CHECKING:
    from livemosaic.export.schedule.status import ScheduledArchive

_HIDDEN = {
    *("generation", "watermarks", "deleting", "chosen_assets", "meanings", "overview_sets"),
    *("members", "missing", "native_zoom", "fit"),
}


class DefaultRule(RuleQuery):
    """Rule parameters that apply to requests without them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @model_serializer(mode="wrap")
    def _named(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class RulePolicyBody(BaseModel):
    """Limits and defaults for the rules in requests."""

    model_config = ConfigDict(extra="forbid")

    default: DefaultRule = DefaultRule()
    methods: list[Method] = Field(
        [], max_length=20, description="Allowed methods; all if the list is empty"
    )
    operations: list[Operation] = Field(
        [], max_length=20, description="Allowed operations; all if the list is empty"
    )
    fields: list[str] = Field(
        [],
        max_length=64,
        description="Properties that may be sorted and filtered by, and that clients are given of "
        "scenes; all stored ones if empty",
    )
    max_scenes: int | None = Field(None, ge=1, description="Maximum number of scenes in an image")
    nadir: str = Field("", max_length=200, description="Property with the sensor's position")
    seamline: str = Field(
        "", max_length=200, description="Property with a GeoJSON polygon that clips the scene"
    )
    scale: dict[Literal["min", "max"], str] = Field(
        {},
        description="Properties with the smallest and the largest cell size of an image in which a "
        "scene shows, in units of the mosaic's CRS: MinPS and MaxPS in ArcGIS",
        examples=[{"min": "MinPS", "max": "MaxPS"}],
    )


class OverviewPolicyBody(BaseModel):
    """How overviews of a mosaic are made."""

    model_config = ConfigDict(extra="forbid")

    assets: list[str] = Field(
        [], max_length=16, description="Assets with overviews; the shown ones if the list is empty"
    )
    resampling: Reduction = Field(
        "mean", description="How a pixel follows from the four below it, as in Earth Engine"
    )
    resampling_of: dict[str, Reduction] = Field(
        {}, max_length=64, description="By asset, instead of `resampling`"
    )
    maxzoom: int | None = Field(
        None, ge=3, le=24, description="Deepest zoom with overviews; by default as deep as needed"
    )


class SourceBody(BaseModel):
    """A mosaic whose scenes a derived mosaic shows."""

    model_config = ConfigDict(extra="forbid")

    mosaic: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", description="Id of the source"
    )
    z_order: int = Field(
        0,
        ge=-MAX_Z_ORDER,
        le=MAX_Z_ORDER,
        description="Smaller is on top, whatever the rule; sources of equal ones are one stack",
    )
    minzoom: int = Field(
        0, ge=0, le=30, description="Its scenes show in images as fine as tiles of this zoom"
    )
    maxzoom: int = Field(
        30, ge=0, le=30, description="Its scenes show in images as coarse as tiles of this zoom"
    )
    filter: str | dict[str, Any] | None = Field(
        None, description="CQL2 filter for its scenes, as text or JSON, for example `gsd < 0.5`"
    )
    assets: dict[str, str] = Field(
        {}, max_length=64, description="Assets by other names: the name here, that of the source"
    )

    def to_source(self) -> MosaicSource:
        """Returns the source, with its filter as CQL2-JSON."""
        where = None if self.filter is None else Cql2Filter.parse(self.filter, strict=True).document
        return MosaicSource(**self.model_dump() | {"filter": where})


class ExportBody(BaseModel):
    """An archive (PMTiles) of a mosaic that is made on a schedule, where the server keeps them."""

    model_config = ConfigDict(extra="forbid")

    render: str = Field("", max_length=63, description="Named render of the mosaic; empty for none")
    format: TileFormat | None = Field(
        None, description="Format of images, webp unless given; null of vector tiles"
    )
    layers: list[LayerName] = Field(
        [],
        max_length=3,
        description="Layers of vector tiles, which the archive has in place of images; empty for "
        "images",
    )
    minzoom: int = Field(0, ge=0, le=30, description="First zoom, as far as the mosaic has it")
    maxzoom: int = Field(12, ge=0, le=30, description="Last zoom, as far as the mosaic has it")
    every_h: int = Field(24, ge=1, le=8760, description="Hours from one archive to the next")
    keep: int = Field(0, ge=0, le=1000, description="Dated copies that are kept, one a day")


class ExportOut(ExportBody):
    """A scheduled archive of a mosaic, and where it stands."""

    made: datetime | None = Field(None, description="When it was published; null if never")
    size: int = Field(0, description="Bytes of the archive")
    due: datetime | None = Field(
        None, description="When the next one, or the next attempt, is due; null stands for now"
    )
    error: str = Field("", description="Why the last attempt failed; empty if it did not")
    warnings: list[str] = Field([], description="What the archive lacks")

    @classmethod
    def of(cls, archive: "ScheduledArchive") -> "ExportOut":
        """Describes an archive."""
        return cls(
            **asdict(archive.export),
            made=archive.made,
            size=archive.size,
            due=archive.due,
            error=archive.error,
            warnings=list(archive.warnings),
        )


class ExportList(BaseModel):
    """The scheduled archives of a mosaic."""

    exports: list[ExportOut]

    @classmethod
    def of(cls, archives: "Iterable[ScheduledArchive]") -> "ExportList":
        """Describes archives."""
        return cls(exports=[ExportOut.of(each) for each in archives])


def _edges(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def _geojson(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no GeoJSON: {error}") from error


class MosaicSettings(BaseModel):
    """Settings of a mosaic: `mosaics create` has an option for each, with these descriptions."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field("", max_length=500, description="Human-readable title")
    attribution: str = Field(
        "", max_length=500, description="Text that maps show: who made the scenes"
    )
    license: str = Field(
        "",
        max_length=500,
        pattern=r"^(https?://[^\s\"'<>]+|[A-Za-z0-9 .+()-]*)$",
        description="License of the scenes: an SPDX identifier such as CC-BY-4.0, or its URL",
    )
    access: Access = Field(
        "public", description="`private` restricts the mosaic to holders of an access token"
    )
    collections: list[str] = Field(
        ["*"], max_length=100, description="STAC collections to subscribe to; `*` matches any"
    )
    filter: str | dict[str, Any] | None = Field(
        None,
        description="CQL2 filter for Items, as text or JSON, for example `eo:cloud_cover < 10`",
    )
    assets: list[str] = Field(
        [],
        max_length=64,
        description="Assets to store, by key, by title or by a pattern for the last part of the "
        "href (`*_B04.tif`); every GeoTIFF by default",
    )
    default_assets: list[str] = Field(
        [],
        max_length=16,
        description="Assets to show where a request names none; by default chosen from the first "
        "Item",
    )
    properties: list[str] = Field(
        [], max_length=64, description="Item properties to store besides datetime"
    )
    sortby: str = Field(
        "-datetime",
        max_length=200,
        description="Order of the scenes: `-datetime` puts the newest on top, `eo:cloud_cover` the "
        "clearest",
    )
    tms: str = Field(
        "WebMercatorQuad", description="TileMatrixSet of the index; must be a quadtree"
    )
    minzoom: int = Field(0, ge=0, le=24, description="Smallest zoom with tiles")
    maxzoom: int | None = Field(
        None,
        ge=0,
        le=30,
        description="Largest zoom in the TileJSON; by default the one of the scenes' own pixels",
    )
    quadkey_zoom: int = Field(
        14,
        ge=0,
        le=24,
        description="Deepest zoom of index cells; where every scene fits into `max_cells` of them, "
        "a tile takes one query",
    )
    max_cells: int = Field(
        16, ge=1, le=MAX_ROWS_PER_SCENE, description="Maximum number of index cells per scene"
    )
    extent: Annotated[tuple[float, float, float, float] | None, BeforeValidator(_edges)] = Field(
        None,
        description="West, south, east and north that descriptions name as bounds, in degrees: "
        "`5,44,11,48`; by default the bounds of the scenes",
        examples=[[5.0, 44.0, 11.0, 48.0]],
    )
    clip_to_boundary: Annotated[dict[str, Any] | None, BeforeValidator(_geojson)] = Field(
        None,
        description="GeoJSON Polygon or MultiPolygon in degrees, also as text: images show nothing "
        "outside of it; null for all of the scenes",
    )
    max_age_s: int = Field(
        0,
        ge=0,
        le=MAX_AGE_S,
        description="How long caches may reuse a tile; 0 to always revalidate",
    )
    stale_while_revalidate_s: int = Field(
        0,
        ge=0,
        le=MAX_AGE_S,
        description="How much longer caches may serve a tile while revalidating",
    )
    renders: dict[str, dict[str, Any]] = Field(
        {},
        max_length=MAX_RENDERS,
        description="Named renders (STAC render extension 2.0), for `render=NAME`",
    )
    default_render: str = Field(
        "",
        max_length=63,
        description="The one of `renders` in which the mosaic is shown where a request names no "
        "assets, bands, values or colors; statistics, points and GeoTIFFs stay values",
    )
    rules: RulePolicyBody = RulePolicyBody()
    formats: list[EncodedFormat] = Field(
        [],
        max_length=6,
        description="Formats that images may have: png, jpeg, webp, jp2, tif, npy; all if the list "
        "is empty. The first is that of images that ask for none, unless png and jpeg are listed",
    )
    quality: int | None = Field(
        None, ge=1, le=100, description="Quality of JPEG and WebP that ask for none; 80 by default"
    )
    source_type: SourceType | None = Field(
        None,
        description="What pixels stand for, as image services of ArcGIS name it; by default RGB of "
        "three bands of bytes, else generic. Of thematic ones overviews keep the most frequent "
        "value in place of a mean, `resampling` never mixes values, and the format `auto` is PNG",
    )
    overviews: OverviewPolicyBody | None = Field(
        None,
        description="Keep overviews, so that low zooms show every scene; null to keep none. "
        "Omitted from a new mosaic: kept where the server has a place for them and the other "
        "settings allow it; omitted from a change: as before",
    )
    exports: list[ExportBody] = Field(
        [],
        max_length=MAX_RENDERS + 2,
        description="Archives (PMTiles) of all tiles of some zooms that are made on a schedule, "
        "and served at /mosaics/{id}/mosaic.pmtiles, one of each render, and at "
        "/mosaics/{id}/vector.pmtiles, the one with layers",
        examples=[
            [
                {"maxzoom": 12},
                {"render": "ndvi", "every_h": 168, "keep": 4},
                {"layers": ["footprints", "coverage"], "maxzoom": 10},
            ]
        ],
    )
    sources: list[SourceBody] = Field(
        [],
        max_length=MAX_SOURCES,
        description="Mosaics whose scenes a derived mosaic shows, in place of scenes of its own; "
        "the first one decides which assets are shown by default",
        examples=[
            [
                {"mosaic": "drone", "z_order": -10, "minzoom": 12, "filter": "gsd < 0.5"},
                {"mosaic": "sentinel", "assets": {"visual": "true_color"}},
                {"mosaic": "blue-marble", "z_order": 1000},
            ]
        ],
    )

    def mosaic_fields(self) -> dict[str, Any]:
        """Returns the settings as arguments of `Mosaic`, with the filter as CQL2-JSON."""
        known = {field.name for field in fields(Mosaic)} - {"id"}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.model_dump(include=known).items()
        }
        cql2 = values["filter"]
        parsed = None if cql2 is None else Cql2Filter.parse(cql2, strict=True).document
        overviews = None if self.overviews is None else _policy(self.overviews)
        rules = RulePolicy.of(values["rules"])
        sources = tuple(source.to_source() for source in self.sources)
        exports = tuple(ScheduledExport.of(each.model_dump()) for each in self.exports)
        clip = "" if self.clip_to_boundary is None else clip_text(self.clip_to_boundary)
        more = {"rules": rules, "overviews": overviews, "sources": sources, "exports": exports}
        return values | {"filter": parsed, "clip_to_boundary": clip} | more


def _policy(body: OverviewPolicyBody) -> OverviewPolicy:
    values = body.model_dump()
    return OverviewPolicy(**values | {"assets": tuple(values["assets"])})


def patched(mosaic: Mosaic, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a JSON Merge Patch (RFC 7396) makes of a mosaic's settings, as its arguments.

    Has the settings that the patch names, and no others. Raises pydantic's `ValidationError` for
    settings that make no sense, and `InvalidRequestError` for unknown ones and for a bad filter.
    """
    if unknown := sorted(patch.keys() - MosaicSettings.model_fields.keys()):
        known = ", ".join(MosaicSettings.model_fields)
        raise InvalidRequestError(f"{unknown[0][:80]!r} is not a setting of a mosaic: {known}")
    settings = MosaicOut.of(mosaic).model_dump(include={*MosaicSettings.model_fields})
    changed = MosaicSettings.model_validate(_merged(settings, patch)).mosaic_fields()
    return {name: changed[name] for name in patch}


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, Mapping):
        return patch
    members = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            members.pop(name, None)
        else:
            members[name] = _merged(members.get(name), value)
    return members


class NewMosaic(MosaicSettings):
    """A mosaic to create."""

    id: str = Field(max_length=63, description="Id of letters, digits, `_`, `.` and `-`")

    @property
    def is_overviews_open(self) -> bool:
        """Whether it is left to the server if the mosaic has overviews."""
        return "overviews" not in self.model_fields_set


class MosaicOut(NewMosaic):
    """A mosaic."""

    revision: int
    bounds: tuple[float, float, float, float] | None = Field(
        description="West, south, east and north of its scenes; west > east across ±180. They are "
        "fitted some minutes after a scene left"
    )
    levels: list[int] = Field(description="Zooms at which scenes are indexed")
    deepest_zoom: int = Field(
        USUAL_MAXZOOM,
        description="Largest zoom in descriptions: `maxzoom`, or the lowest one whose pixels are "
        "as fine as the finest of all scenes ever added, as far as Items state them, else 22",
    )
    known_assets: list[str] = Field(description="Assets of all scenes ever added")
    shown_assets: list[str] = Field(
        [],
        description="Assets shown where a request names none: `default_assets`, or the ones chosen "
        "from the first Item. Scenes without one of them, or with one of another kind by that "
        "name, are left out, and named in `X-Skipped-Scenes`",
    )

    missing_sources: list[str] = Field(
        [],
        description="Sources of a derived mosaic that it shows nothing of, as they were deleted",
    )
    format: int = Field(
        FORMAT,
        description="Format of its rows; below that of this release the mosaic awaits `livemosaic "
        "migrate`",
    )

    @classmethod
    def of(cls, mosaic: Mosaic) -> "MosaicOut":
        """Describes a mosaic without its internal state."""
        values = {k: v for k, v in asdict(replace(mosaic, members=())).items() if k not in _HIDDEN}
        if mosaic.sources:
            values["collections"] = ()
        values["clip_to_boundary"] = json.loads(mosaic.clip_to_boundary or "null")
        missing = [name for name, _ in mosaic.missing]
        shown = list(mosaic.shown_assets)
        found = {"deepest_zoom": mosaic.deepest_zoom, "shown_assets": shown}
        return cls(**values, **found, missing_sources=missing)


class TokenOut(BaseModel):
    """An access token (OAuth 2.0, RFC 6749, 5.1)."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 (a kind, no secret)
    expires_in: int
    expires: datetime

    @classmethod
    def of(cls, granted: Granted) -> "TokenOut":
        """Describes a new token."""
        left = round((granted.expires - datetime.now(UTC)).total_seconds())
        return cls(access_token=granted.token, expires_in=left, expires=granted.expires)
