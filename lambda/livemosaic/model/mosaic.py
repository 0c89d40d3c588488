"""Mosaics: named, ordered, live sets of scenes, and their settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self

from livemosaic.errors import InvalidRequestError, NewerFormatError
from livemosaic.model.assets import usual_assets
from livemosaic.model.derived.sources import Member, MosaicSource
from livemosaic.model.raster import USUAL_MAXZOOM, BBox
from livemosaic.model.render import LayerName, TileFormat
from livemosaic.model.rule import RulePolicy
from livemosaic.model.scene import Scene

ANY_COLLECTION: Final = "*"
MOSAIC_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
MAX_KNOWN_ASSETS: Final = 200
MAX_ROWS_PER_SCENE: Final = 48
"""Head, 48 new rows and 48 old ones fit DynamoDB's transaction of 100 actions."""

FORMAT: Final = 2
"""The format of the rows that this release writes (`index.formats`)."""
MAX_AGE_S: Final = 365 * 24 * 3600


Access = Literal["public", "private"]
SourceType = Literal[
    "generic", "elevation", "thematic", "processed", "scientific", "vector_uv", "vector_magdir"
]
"""What pixels stand for, by ArcGIS's names of the source types of an image service."""
Reduction = Literal["mean", "mode", "sample", "min", "max"]
"""How one pixel of an overview follows from the four below it, as Earth Engine names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewPolicy:
    """The setting `overviews` of a mosaic: what its overview cells keep, and how they are made."""

    assets: tuple[str, ...] = ()
    """Assets that have overviews; empty is the ones that the mosaic shows."""
    resampling: Reduction = "mean"
    resampling_of: Mapping[str, Reduction] = field(default_factory=dict)
    """By asset, instead of `resampling`."""
    maxzoom: int | None = None
    """Overviews are made for tiles up to this zoom; None: wherever a tile may need them."""

    def reduction(self, asset: str) -> Reduction:
        """Returns how pixels of an asset are reduced."""
        return self.resampling_of.get(asset, self.resampling)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewSet:
    """A set of overview cells that were made in one way; a change of settings begins another."""

    id: str
    """Part of the keys of its cells, and never used again."""
    policy: OverviewPolicy
    rule: Mapping[str, Any]
    """The mosaic's default rule that the pixels follow, as in `RulePolicy.default`."""
    format: int
    """See `overviews.sets.FORMAT`."""
    state: Literal["building", "ready", "replaced"] = "building"
    until: int = 0
    """Of one that was replaced: epoch seconds from which on it may be deleted."""
    reach: int = 0
    """The deepest zoom of a cell so far: it only grows."""
    marked_since: int = 0
    """Epoch milliseconds from which on every change of a scene has a stale row, but for changes by
    who did not know yet: the first set of a mosaic was begun then. 0 of sets made earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledExport:
    """One of the setting `exports` of a mosaic: an archive of its tiles, made again and again.

    They are images, or vector tiles where it has `layers`.

    Where it is published is a setting of the deployment, never of a mosaic (`Settings.archives`).
    """

    render: str = ""
    """A named render of the mosaic; empty for none. A mosaic has one export of each."""
    format: TileFormat | None = "webp"
    """None of vector tiles."""
    layers: tuple[LayerName, ...] = ()
    """Of vector tiles. A mosaic has one export of them at most."""
    minzoom: int = 0
    maxzoom: int = 12
    every_h: int = 24
    """Hours from one archive to the next."""
    keep: int = 0
    """Dated copies that are kept, one a day."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Returns the one of JSON, in which images may lack their format."""
        layers = tuple(values.get("layers", ()))
        format_ = values.get("format") or (None if layers else "webp")
        return cls(**{**values, "layers": layers, "format": format_})

    @property
    def name(self) -> str:
        """What tells it from the others of its mosaic: its render, or what no render is called."""
        return "vector tiles" if self.layers else self.render


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How the bounds of a mosaic were, or are being, fitted to the scenes that it still has."""

    since: int
    """Revision of the mosaic at which it was announced: tells it from every other one."""
    reach: BBox | None
    """Bounds of all scenes ever added: what readers look within, however bounds are fitted."""
    meanwhile: BBox | None = None
    """Bounds of what writers have added since it was announced, at least."""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Watermark:
    """The version up to which scenes of a truncated collection are gone, whatever rows remain."""

    collection: str
    version: str
    expires: int
    """Epoch seconds, from which on no event can come that it would have to keep out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mosaic:
    """A named, ordered, live set of scenes."""

    id: str
    title: str = ""
    attribution: str = ""
    """Text that maps show: who made the scenes."""
    license: str = ""
    """An SPDX identifier, or the URL of a license."""
    source_type: SourceType | None = None
    """What its pixels stand for; None is as the data look. Of `thematic` ones, which are classes,
    overviews never keep a mean, and no kernel makes one."""
    access: Access = "public"
    """Who may see the mosaic: everybody, or holders of an access token."""
    collections: tuple[str, ...] = (ANY_COLLECTION,)
    """STAC collections it subscribes to; `*` is every collection, and items without one."""
    filter: Mapping[str, Any] | None = None
    """CQL2-JSON that an Item must pass."""
    assets: tuple[str, ...] = ()
    """Assets that are kept, by key, title or a pattern for the last part of the href such as
    `*_B04.tif`; empty keeps every GeoTIFF asset that is not a thumbnail."""
    default_assets: tuple[str, ...] = ()
    """Assets of a tile that names none; empty shows the `chosen_assets`."""
    properties: tuple[str, ...] = ()
    """Item properties that are kept beside `datetime`."""
    sortby: str = "-datetime"
    """A property that is a number or an RFC 3339 time; `-` puts the largest on top."""
    tms: str = "WebMercatorQuad"
    """TileMatrixSet (OGC 17-083r4) whose tiles are the index cells; must be a quadtree."""
    minzoom: int = 0
    maxzoom: int | None = None
    """The deepest zoom that descriptions name; None is that of the scenes, `native_zoom`."""
    quadkey_zoom: int = 14
    """The deepest zoom of a cell. A tile takes a query for each level that scenes have: one, where
    this is a zoom at which each of them covers at most `max_cells`."""
    max_cells: int = 16
    """A scene is indexed at the deepest level at which it covers at most this many cells."""
    extent: BBox | None = None
    """West, south, east, north that descriptions name, in degrees; None is the `bounds` of the
    scenes. It limits nothing that is shown."""
    clip_to_boundary: str = ""
    """GeoJSON of a Polygon or MultiPolygon in degrees, as text: nothing outside of it shows. Empty
    is none. In a derived mosaic its own, not that of its sources."""
    max_age_s: int = 0
    """How long caches may show a tile without revalidation. 0: they revalidate each time, which is
    cheap; more delays the newest scenes by as much."""
    stale_while_revalidate_s: int = 0
    """How much longer caches may show a tile while they revalidate it (RFC 5861)."""
    rules: RulePolicy = field(default_factory=RulePolicy)
    """The rules that requests may use, and the default."""
    renders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Named renders, as JSON of the STAC render extension 2.0; see `render.named_renders`."""
    default_render: str = ""
    """The one of `renders` that images have which name no values and no colors; empty is none."""

    formats: tuple[str, ...] = ()
    """Formats that images may have, by the names of `model.render.Format`; empty is all. The first
    one is that of `auto`, unless png and jpeg are among them."""
    quality: int | None = None
    """Of JPEG and WebP images that name none, 1 to 100; None is that of `render.encode`."""

    overviews: OverviewPolicy | None = None
    """How overview cells are kept for low zooms; None where none are."""
    exports: tuple[ScheduledExport, ...] = ()
    """The archives that are made of it on a schedule."""
    sources: tuple[MosaicSource, ...] = ()
    """The mosaics whose scenes a derived mosaic shows; empty in a mosaic with scenes of its own."""

    generation: str = ""
    """Made anew at creation, part of every key: a mosaic created again never meets old rows."""
    format: int = 0
    """Format of its rows: below `FORMAT` where it awaits a migration, 0 before there were any."""
    revision: int = 0
    """Grows by one with each write of the mosaic's own row; not with each scene."""
    bounds: BBox | None = None
    """West, south, east, north of its scenes, in degrees; west > east across ±180. They grow with
    each scene, and are fitted after one left (`index.bounds`)."""
    fit: Fit | None = None
    """The last fit of `bounds`; None where they only ever grew."""
    levels: tuple[int, ...] = ()
    """Zooms at which scenes have been indexed."""
    native_zoom: int = 0
    """The lowest zoom whose pixels are as fine as the finest of all scenes ever added, as far as
    Items state it, else `USUAL_MAXZOOM`; 0 before there are any."""
    known_assets: tuple[str, ...] = ()
    """Asset keys of the scenes that were ever added, the first `MAX_KNOWN_ASSETS` of them."""
    chosen_assets: tuple[str, ...] = ()
    """Assets chosen from the first Item, for tiles that name none. They stay, whatever later Items
    have, so that a picture never changes to other bands by itself."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What Items have stated about the values of known assets, by name: see
    `index.learning.meanings`. What was stated first stays, and an asset that contradicts it is
    never shown beside it."""
    watermarks: tuple[Watermark, ...] = ()
    """Watermarks of truncated collections, one each."""
    overview_sets: tuple[OverviewSet, ...] = ()
    """Oldest first: at most one is ready, and one may be in the making behind it."""
    deleting: bool = False

    members: tuple[Member, ...] = field(default=(), compare=False, repr=False)
    """Of a derived mosaic as readers find it, in the order of its sources; not stored. What the
    mosaic has of scenes (bounds, assets, …) is that of its members then."""
    missing: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    """Names of sources that it cannot show, and why; not stored."""

    def __post_init__(self) -> None:
        if not MOSAIC_ID.fullmatch(self.id):
            raise InvalidRequestError(
                f"mosaic id {self.id[:80]!r} must be 1 to 63 of A–Z a–z 0–9 _ . - and start with "
                "a letter or digit"
            )
        if not self.collections and not self.sources:
            raise InvalidRequestError("collections is empty; use ['*'] to accept every collection")
        if not 0 <= self.minzoom <= (30 if self.maxzoom is None else self.maxzoom) <= 30:
            raise InvalidRequestError(
                f"minzoom {self.minzoom} and maxzoom {self.maxzoom} must be 0 <= minzoom <= "
                "maxzoom <= 30"
            )
        if not self.minzoom <= self.quadkey_zoom <= 24:
            raise InvalidRequestError(
                f"quadkey_zoom {self.quadkey_zoom} must be between minzoom {self.minzoom} and 24"
            )
        if not 1 <= self.max_cells <= MAX_ROWS_PER_SCENE:
            raise InvalidRequestError(
                f"max_cells {self.max_cells} must be 1 to {MAX_ROWS_PER_SCENE}: all rows of a "
                "scene are written in one transaction"
            )
        for name in ("max_age_s", "stale_while_revalidate_s"):
            if not 0 <= getattr(self, name) <= MAX_AGE_S:
                raise InvalidRequestError(
                    f"{name} {getattr(self, name)} must be 0 to {MAX_AGE_S} seconds, a year"
                )
        if self.extent is not None:
            _check_extent(self.extent)
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise InvalidRequestError(f"quality {self.quality} must be 1 to 100")
        if not self.sortby.lstrip("+-"):
            raise InvalidRequestError(f"sortby {self.sortby!r} names no property")

    @property
    def shown_assets(self) -> tuple[str, ...]:
        """The assets of a tile that names none: the same of every scene; empty without scenes.

        Mosaics stored before the choice was show what they showed of the usual collections.
        """
        return self.default_assets or self.chosen_assets or usual_assets(self.known_assets)

    @property
    def unclipped(self) -> "Mosaic":
        """The same with all pixels of its scenes, whatever `clip_to_boundary` leaves of them."""
        return replace(self, clip_to_boundary="") if self.clip_to_boundary else self

    @property
    def described(self) -> BBox | None:
        """What descriptions name as its bounds: `extent`, or the one of the scenes."""
        return self.extent or self.bounds

    @property
    def reach(self) -> BBox | None:
        """The bounds of all scenes ever added: no reader misses a scene that looks within them."""
        return self.fit.reach if self.fit else self.bounds

    @property
    def deepest_zoom(self) -> int:
        """The deepest zoom that descriptions name: `maxzoom`, or that of the scenes."""
        if self.maxzoom is not None:
            return self.maxzoom
        return max(self.minzoom, self.native_zoom) if self.levels else self.widest_zoom

    @property
    def widest_zoom(self) -> int:
        """The deepest zoom for clients that show nothing at all beyond what a description names."""
        if self.maxzoom is not None:
            return self.maxzoom
        return max(self.minzoom, self.native_zoom, USUAL_MAXZOOM)

    @property
    def stored(self) -> tuple["Mosaic", ...]:
        """The mosaics that have rows of its scenes: itself, or the members of a derived one."""
        return tuple(member.mosaic for member in self.members) if self.sources else (self,)

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells its scenes, as it shows them, from the scenes of any other mosaic."""
        return (self.id, self.generation, *(member.name for member in self.members))

    @property
    def is_thematic(self) -> bool:
        """Whether its pixels are classes, of which no other may be made."""
        return self.source_type == "thematic"

    @property
    def sources_of_classes(self) -> tuple[str, ...]:
        """Names of the members of a derived mosaic that are `thematic`."""
        return tuple(m.name for m in self.members if m.mosaic.is_thematic)

    @property
    def fields(self) -> tuple[str, ...]:
        """The kept properties that clients are given."""
        allowed = self.rules.fields
        return tuple(n for n in self.properties if n in allowed) if allowed else self.properties

    def given_of(self, properties: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of the properties that a scene keeps, the ones that clients are given."""
        allowed = self.rules.fields
        return {n: v for n, v in properties.items() if n in allowed} if allowed else properties

    def sortby_of(self, scene: Scene) -> str:
        """The `sortby` that the rank of one of its scenes follows."""
        own = (member.mosaic.sortby for member in self.members if member.name == scene.source)
        return next(own, self.sortby)

    def check_own_scenes(self) -> None:
        """Raises `InvalidRequestError` in a derived mosaic: it has no scenes of its own."""
        if self.sources:
            names = ", ".join(dict.fromkeys(source.mosaic for source in self.sources))
            raise InvalidRequestError(
                f"mosaic {self.id!r} is derived, and has no scenes of its own: it shows the ones "
                f"of {names[:300]}; name one of these instead"
            )

    @property
    def only_collection(self) -> str:
        """The collection of all its scenes; empty where there may be several, or none."""
        alone = len(self.collections) == 1 and self.collections[0] != ANY_COLLECTION
        return self.collections[0] if alone else ""

    def check_format(self) -> None:
        """Raises `NewerFormatError` where a later release has to read and write the mosaic."""
        if self.format > FORMAT:
            raise NewerFormatError(
                f"mosaic {self.id!r} is of format {self.format}, which a later release stored; "
                f"this one knows the formats up to {FORMAT}: upgrade livemosaic here, and "
                "everything else that reads and writes this index"
            )

    def accepts_collection(self, collection: str) -> bool:
        """Whether the mosaic subscribes to that STAC collection."""
        return ANY_COLLECTION in self.collections or collection in self.collections

    @property
    def marked_since(self) -> int:
        """`OverviewSet.marked_since` of its sets in use, which share it; 0 where overviews are off.

        Sets from before they were turned off and on again are all replaced.
        """
        used = (each.marked_since for each in self.overview_sets if each.state != "replaced")
        return 0 if self.overviews is None else max(used, default=0)

    @property
    def shown_overviews(self) -> OverviewSet | None:
        """The set of overview cells that readers use; None where none is complete."""
        ready = [each for each in self.overview_sets if each.state == "ready"]
        return ready[-1] if ready and self.overviews is not None else None

    def watermark(self, collection: str) -> str:
        """The version up to which the scenes of a collection are gone; empty where none are."""
        return next((w.version for w in self.watermarks if w.collection == collection), "")


def _check_extent(extent: BBox) -> None:
    west, south, east, north = extent
    is_within = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90
    if not is_within or west == east or west - east == 360:  # at ±180 these are one line, too
        raise InvalidRequestError(
            f"extent {','.join(map(str, extent))} must be west,south,east,north in degrees, within "
            "±180 and ±90, the south first; west > east crosses ±180"
        )
