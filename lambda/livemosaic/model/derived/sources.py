"""The sources of a derived mosaic: as its settings name them, and as they are found. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from livemosaic.errors import InvalidRequestError
from livemosaic.model.cql2 import Cql2Filter, passes
from livemosaic.model.raster import encodings_from_text, encodings_to_text
from livemosaic.model.scene import IndexedScene, Scene

if TYPE_CHECKING:
    from livemosaic.model.mosaic import Mosaic

MAX_SOURCES: Final = 16
"""Mosaics with scenes of their own that a derived mosaic shows, also through others."""
MAX_DEPTH: Final = 3
"""Steps from a derived mosaic to the scenes that it shows."""
MAX_Z_ORDER: Final = 1_000_000
_MAX_ZOOM: Final = 30

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MosaicSource:
    """A mosaic whose scenes a derived mosaic shows, and how."""

    mosaic: str
    """Its id."""
    z_order: int = 0
    """The smallest is on top, whatever the rule; sources of equal ones are one stack."""
    minzoom: int = 0
    """Its scenes show in images as fine as tiles of 256 pixels of this zoom, or finer."""
    maxzoom: int = _MAX_ZOOM
    """Its scenes show in images as coarse as tiles of 256 pixels of this zoom, or coarser."""
    filter: Mapping[str, Any] | None = None
    """CQL2-JSON that kept properties, `id`, `collection` and `datetime` of a scene must pass."""
    assets: Mapping[str, str] = field(default_factory=dict)
    """Assets of the source by other names: the name here, and the one that the source has."""

    def __post_init__(self) -> None:
        if not 0 <= self.minzoom <= self.maxzoom <= _MAX_ZOOM:
            raise InvalidRequestError(
                f"source {self.mosaic[:80]!r}: minzoom {self.minzoom} and maxzoom {self.maxzoom} "
                f"must be 0 <= minzoom <= maxzoom <= {_MAX_ZOOM}"
            )
        if abs(self.z_order) > MAX_Z_ORDER:
            raise InvalidRequestError(
                f"source {self.mosaic[:80]!r}: z_order {self.z_order} must be within "
                f"±{MAX_Z_ORDER:,}"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Member:
    """A mosaic with scenes of its own, as a derived mosaic shows it now."""

    mosaic: "Mosaic"
    z_orders: tuple[int, ...] = ()
    """Of the sources that lead to it, from the derived mosaic down."""
    top: int = 0
    """Which of the derived mosaic's own sources leads to it, counted from 0."""
    layer: int = 0
    """The layer of the stack that it is in; 0 is on top. Scenes of one layer have one order."""
    minzoom: int = 0
    maxzoom: int = _MAX_ZOOM
    filters: tuple[Cql2Filter, ...] = ()
    renames: tuple[Mapping[str, str], ...] = ()
    """Other names of assets, each by the one before it; see `MosaicSource.assets`."""
    other_kinds: Mapping[str, str] = field(default_factory=dict)
    """How its assets differ from what the derived mosaic has by the same name."""

    @cached_property
    def name(self) -> str:
        """What tells its scenes from others of equal key and version: the mosaic, and how assets
        are named."""
        own = f"{self.mosaic.id}/{self.mosaic.generation}"
        return f"{own}/{[sorted(each.items()) for each in self.renames]}" if self.renames else own

    def is_in_scale(self, scale: float | None) -> bool:
        """Whether its scenes show at a scale: a zoom of tiles; None stands for any."""
        return scale is None or self.minzoom <= round(scale) <= self.maxzoom

    def takes(self, scene: IndexedScene | Scene) -> bool:
        """Whether one of its scenes, as it has it, passes the filters."""
        return all(passes(where, scene) for where in self.filters)

    def shown(self, scene: Scene) -> Scene:
        """One of its scenes as the derived mosaic has it."""
        return replace(scene, source=self.name, layer=self.layer, **self._assets(scene))

    def met(self, scene: IndexedScene) -> IndexedScene:
        """One of its scenes as `shown`, whether the filters take it or leave it out."""
        return replace(
            scene,
            source=self.name,
            layer=self.layer,
            is_left_out=not self.takes(scene),
            **self._assets(scene),
        )

    def _assets(self, scene: IndexedScene | Scene) -> dict[str, Any]:
        """What a scene has of assets, where that is another in the derived mosaic."""
        if not (self.renames or self.other_kinds):
            return {}
        assets = self.renamed(scene.assets)
        kinds = {**self.other_kinds, **self.renamed(scene.other_kinds)}
        return {
            "assets": assets,
            "encodings": self._renamed_encodings(scene.encodings),
            "other_kinds": {name: how for name, how in kinds.items() if name in assets},
        }

    def renamed(self, by_asset: Mapping[str, T]) -> Mapping[str, T]:
        """What is known of assets, by the names that these have in the derived mosaic."""
        for names in self.renames:
            by_asset = _renamed(by_asset, names)
        return by_asset

    def _renamed_encodings(self, text: str) -> str:
        if not (text and self.renames):
            return text
        return encodings_to_text(self.renamed(encodings_from_text(text)))


def _renamed(by_asset: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    """An asset that is given a name loses its own; one whose name another is given has none."""
    others = {name: each for name, each in by_asset.items() if name not in names.values()}
    given = {name: by_asset[own] for name, own in names.items() if own in by_asset}
    return {**given, **{name: each for name, each in others.items() if name not in names}}
