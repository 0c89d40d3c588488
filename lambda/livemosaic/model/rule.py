"""Mosaic rules: which scenes take part in an image, in which order, and how they are composed.

The terms are from ArcGIS's mosaic rule objects, whose JSON `tiler.rules.arcgis` reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Method = Literal[
    "default", "attribute", "center", "northwest", "nadir", "viewpoint", "lock", "seamline"
]
"""How scenes are ordered; `default` is the mosaic's stored order, read a page at a time."""

Operation = Literal[
    "first", "last", "min", "max", "mean", "blend", "sum", "median", "stdev", "count",
    "lastbandlow", "lastbandhigh",
]  # fmt: skip
"""How a pixel is computed from the scenes that have it."""

COMPUTED: Final[tuple[Operation, ...]] = ("count", "stdev", "sum")
"""Operations whose results are not in the range of the values of scenes."""

PixelSelection = Literal[
    "first", "highest", "lowest", "mean", "median", "stdev", "lastbandlow", "lastbandhigh", "count",
]  # fmt: skip
"""The operations that rio-tiler has, by the names of its mosaic methods."""


def are_alike(one: Operation, other: Operation) -> bool:
    """Whether the results of two operations can have the same colors: both have values of scenes,
    or both are the same."""
    return one == other or not {one, other} & {*COMPUTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A mosaic rule. Its `repr` is part of ETags: equal rules are written alike."""

    method: Method = "default"
    ascending: bool = True
    """False turns the order around."""
    sort_field: str = ""
    """For `attribute`: a property that the mosaic keeps, or `datetime`."""
    sort_value: float | str | None = None
    """For `attribute`: scenes nearest to this value come first."""
    viewpoint: tuple[float, float] | None = None
    """For `viewpoint`: longitude and latitude. For `northwest`: the corner that distances are from;
    None where the order is by longitude minus latitude."""
    kept_in: str = ""
    """For `nadir`, `viewpoint` and `seamline`: the kept property that they use."""
    lock: tuple[str, ...] = ()
    """For `lock`: Item ids (`id` or `collection/id`), top first, visible at all scales."""
    datetime: tuple[str | None, str | None] | None = None
    """RFC 3339 in UTC, both ends within; None is open."""
    where: Mapping[str, Any] | None = None
    """CQL2-JSON that a scene's kept properties, `id`, `collection` and `datetime` must pass."""
    ids: tuple[str, ...] = ()
    """Item ids (`id` or `collection/id`) that may take part; empty is all."""
    max_scenes: int | None = None
    """Scenes read at most, within the server's own limit."""
    operation: Operation = "first"
    clip: bool = False
    """Drop pixels outside the footprint."""
    min_pixels: int = 0
    """Scenes whose footprint claims fewer pixels of the image take no part."""
    nodata_inside: bool = False
    """Pixels without data inside a footprint hide the scenes below, as in ArcGIS."""
    item_render: str = ""
    """The mosaic's render that draws each scene before composition (itemRenderingRule)."""

    @property
    def in_stored_order(self) -> bool:
        """Whether scenes are met as the index gives them, so that reading may stop early."""
        return self.method == "default" and self.ascending and self.operation != "last"

    @property
    def selects(self) -> bool:
        """Whether scenes are left out by their time, by a filter, or by their ids."""
        return self.datetime is not None or self.where is not None or bool(self.ids)

    @property
    def needs_all(self) -> bool:
        """Whether a pixel depends on every scene that has it."""
        return self.operation not in ("first", "last")


DEFAULT: Final = Rule()
"""The first valid pixels in the order of the mosaic's `sortby`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePolicy:
    """The rules that requests to a mosaic may use, and its default."""

    default: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of a request that does not name them, as `tiler.rules.parameters` takes them."""
    methods: tuple[Method, ...] = ()
    """Methods allowed beside the default's; empty is all."""
    operations: tuple[Operation, ...] = ()
    """Operations allowed beside the default's; empty is all."""
    fields: tuple[str, ...] = ()
    """Properties to sort and filter by, and that clients are given; empty is all that the mosaic
    keeps."""
    max_scenes: int | None = None
    """Scenes that an image reads at most, within the server's own limit."""
    nadir: str = ""
    """The kept property that holds where the sensor was: see `order`."""
    seamline: str = ""
    """The kept property that holds the GeoJSON polygon to which `seamline` clips a scene."""
    scale: Mapping[Literal["min", "max"], str] = field(default_factory=dict)
    """The kept properties that hold between which cell sizes of an image a scene shows (MinPS and
    MaxPS in ArcGIS), in units of the TileMatrixSet's CRS; a scene without one has no such bound."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RulePolicy":
        """Makes a policy from JSON, which has lists for tuples."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**given)
