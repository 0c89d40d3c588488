"""Selections: the scenes that a rule lets take part, by time, by name and by a CQL2 filter. Pure.

A filter is evaluated on what a scene keeps: the mosaic's properties, `datetime`, `id` and
`collection`.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from livemosaic.errors import InvalidRequestError
from livemosaic.model.cql2 import Cql2Filter, of_scenes, passes
from livemosaic.model.names import suggested
from livemosaic.model.rule import Rule
from livemosaic.model.scene import IndexedScene, Scene
from livemosaic.model.time import parse_time, utc_text
from livemosaic.tiler.rules.literals import ComparedKinds, check_literals

ALWAYS: Final = ("datetime", "id", "collection")
"""Names that every filter may use."""
_MAX_NODES: Final = 500
_OPERATORS: Final = frozenset(
    (
        *("and", "or", "not", "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/"),
        *("between", "in", "like", "isNull", "casei"),
        *("a_equals", "a_contains", "a_containedBy", "a_overlaps"),
        *("t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_equals"),
        *("t_finishedBy", "t_finishes", "t_intersects", "t_meets", "t_metBy"),
        *("t_overlappedBy", "t_overlaps", "t_startedBy", "t_starts"),
    )
)
"""The operators that `cql2` evaluates, less spatial ones: scenes keep no geometry."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The conditions of a rule, prepared once for all scenes of a request."""

    ids: frozenset[str]
    since: str
    until: str
    where: Cql2Filter | None
    kinds: ComparedKinds | None = None
    """Kinds of the values that `where` compares."""

    @classmethod
    def of(cls, rule: Rule) -> "Selection":
        """Returns the selection of a rule."""
        since, until = rule.datetime or (None, None)
        where = None if rule.where is None else of_scenes(rule.where)
        kinds = None if rule.where is None else ComparedKinds.of(rule.where)
        return cls(frozenset(rule.ids), since or "", until or "", where, kinds)

    def takes(self, scene: IndexedScene | Scene) -> bool:
        """Whether a scene takes part."""
        if self.ids and self.ids.isdisjoint((scene.id, f"{scene.collection}/{scene.id}")):
            return False
        if (self.since or self.until) and not self._in_time(scene.datetime):
            return False
        if self.where is None:
            return True
        passed = passes(self.where, scene)
        if self.kinds is not None:
            self.kinds.note(scene.properties, passed=passed)
        return passed

    def check_kinds(self) -> None:
        """Raises `InvalidRequestError` where `where` compares values of different kinds alone."""
        if self.kinds is not None:
            self.kinds.check()

    def _in_time(self, text: str | None) -> bool:
        if text is None:
            return False
        time = utc_text(parse_time(text))
        return self.since <= time and (not self.until or time <= self.until)


def check_filter(where: Cql2Filter, known: Collection[str], why: str) -> None:
    """Refuses operators that are not evaluated, comparisons that are never true, and names beyond
    `known` and `ALWAYS`.

    `why` introduces the list of known names in the message of the `InvalidRequestError`.
    """
    for count, node in enumerate(where.nodes(), 1):
        if count > _MAX_NODES:
            raise InvalidRequestError(f"the filter has more than {_MAX_NODES} parts")
        if isinstance(node, float) and not math.isfinite(node):
            raise InvalidRequestError(f"the filter has the number {node}, which is not finite")
        if isinstance(node, Mapping) and node.get("op", "=") not in _OPERATORS:
            raise InvalidRequestError(
                f"the filter's operator {str(node['op'])[:80]!r} is not known; known are "
                f"{', '.join(sorted(_OPERATORS))}"
            )
    for name in where.names:
        if name not in known and name not in ALWAYS:
            raise InvalidRequestError(
                f"the filter asks for {suggested(name[:80], (*ALWAYS, *known))}; {why}: "
                f"{', '.join(dict.fromkeys([*ALWAYS, *known]))}"
            )
    check_literals(where.document)
