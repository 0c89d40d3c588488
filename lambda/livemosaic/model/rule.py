"""A mosaic rule: which scenes take part in a picture, in which order, and what becomes of them.

The words are those of ArcGIS's mosaic rule objects, whose JSON `arcgis` reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Method = Literal[
    "default", "attribute", "center", "northwest", "nadir", "viewpoint", "lock", "seamline"
]
"""What orders the scenes; `default` is the mosaic's stored order, read a page at a time."""

Operation = Literal[
    "first",
    "last",
    "min",
    "max",
    "mean",
    "blend",
    "sum",
    "median",
    "stdev",
    "count",
    "lastbandlow",
    "lastbandhigh",
]
"""What a pixel becomes of the scenes that have it."""

PixelSelection = Literal[
    "first",
    "highest",
    "lowest",
    "mean",
    "median",
    "stdev",
    "lastbandlow",
    "lastbandhigh",
    "count",
]
"""The operations that rio-tiler has, by the names of its mosaic methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A mosaic rule. Its `repr` is part of ETags: equal rules are written alike."""

    method: Method = "default"
    ascending: bool = True
    """False turns the order around."""
    sort_field: str = ""
    """Of `attribute`: a property that the mosaic keeps, or `datetime`."""
    sort_value: float | str | None = None
    """Of `attribute`: those nearest to it come first."""
    viewpoint: tuple[float, float] | None = None
    """Of `viewpoint`: longitude and latitude."""
    kept_in: str = ""
    """Of `nadir`, `viewpoint` and `seamline`: the kept property that holds what they go by."""
    lock: tuple[str, ...] = ()
    """Of `lock`: Item ids (`id` or `collection/id`), top first, visible at all scales."""
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
    """Scenes whose footprint claims fewer pixels of the picture take no part."""
    nodata_inside: bool = False
    """Pixels without data inside a footprint hide what is below, as ArcGIS has it."""
    item_render: str = ""
    """The mosaic's render that scenes are drawn by before they become one (itemRenderingRule)."""

    @property
    def in_stored_order(self) -> bool:
        """Whether scenes are met as the index gives them, so that reading may stop early."""
        return self.method == "default" and self.ascending and self.operation != "last"

    @property
    def needs_all(self) -> bool:
        """Whether a pixel depends on every scene that has it."""
        return self.operation not in ("first", "last")


DEFAULT: Final = Rule()
"""The newest pixels, or what else the mosaic's `sortby` puts on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePolicy:
    """What a mosaic says of rules: which of them requests may ask for."""

    default: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of a request that does not name them, as `tiler.rules.parse` takes them."""
    methods: tuple[Method, ...] = ()
    """Those allowed beside that of the default; empty is all."""
    operations: tuple[Operation, ...] = ()
    """Those allowed beside that of the default; empty is all."""
    fields: tuple[str, ...] = ()
    """Properties to sort and filter by; empty is all that the mosaic keeps."""
    max_scenes: int | None = None
    """Scenes that a picture reads at most, within the server's own limit."""
    nadir: str = ""
    """The kept property that holds where the sensor was: see `order`."""
    seamline: str = ""
    """The kept property that holds the GeoJSON polygon to which `seamline` clips a scene."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RulePolicy":
        """From JSON, which has lists for tuples."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**given)
