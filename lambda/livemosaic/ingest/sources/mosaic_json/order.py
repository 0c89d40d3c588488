"""One order of scenes that agrees with the lists of many cells, where there is one.

Each list demands that its first asset lies above its second, and so on. The level of an asset is
the length of the longest chain of such demands below it: assets of one level are in no list
together, and what is added on top changes no level below.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import TypeAlias

Lists: TypeAlias = Mapping[str, Sequence[str]]
"""Assets by quadkey, the top one first."""
Overlap: TypeAlias = Callable[[str, str, str], bool]
"""Whether two assets may show at one place of the cell with a quadkey."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The place of each asset in the one order."""

    of: Mapping[str, int]
    """By asset; 0 at the bottom, the highest on top."""
    broken: Mapping[str, Sequence[str]]
    """Quadkeys of cells that list an asset above one that lies above it in the one order."""


def contested(lists: Lists) -> set[str]:
    """Returns the assets about which lists disagree, were each pair of neighbors to overlap."""
    graph = _Graph()
    for key, assets in lists.items():
        graph.demand(pairwise(assets), key)
    return graph.in_cycles()


def levels(lists: Lists, disputed: set[str], overlap: Overlap) -> Levels:
    """Returns the levels of all assets.

    Of `disputed` ones, which `contested` found, only pairs that overlap count. Where demands still
    contradict each other, the ones of the fewest cells are broken.
    """
    graph = _Graph()
    for key, assets in lists.items():
        if len(disputed.intersection(assets)) < 2:
            graph.demand(pairwise(assets), key)
        else:
            graph.demand(_needed(assets, key, disputed, overlap), key)
        graph.nodes.update(dict.fromkeys(assets))
    return graph.levels()


def _needed(
    assets: Sequence[str], key: str, disputed: set[str], overlap: Overlap
) -> Iterator[tuple[str, str]]:
    for above, below in combinations(assets, 2):
        both = above in disputed and below in disputed
        if not both or overlap(above, below, key):
            yield above, below


@dataclass(slots=True)
class _Graph:
    """Demands that one asset lies above another."""

    nodes: dict[str, None] = field(default_factory=dict)
    below: defaultdict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))
    """What lies below an asset, and the cells that say so."""
    above: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def demand(self, pairs: Iterable[tuple[str, str]], key: str) -> None:
        for above, below in pairs:
            self.nodes[above] = self.nodes[below] = None
            self.below[above].setdefault(below, []).append(key)
            self.above[below].add(above)

    def in_cycles(self) -> set[str]:
        """Returns the assets that are in a cycle, or between two."""
        left = set(self.nodes)
        downwards = {node: set(self.below[node]) for node in left}
        upwards = {node: set(self.above[node]) for node in left}
        return _core(_core(left, downwards, self.above), upwards, self.below)

    def levels(self) -> Levels:
        waiting_for = {node: len(self.below[node]) for node in self.nodes}
        level = dict.fromkeys(self.nodes, 0)
        ready = [node for node, count in waiting_for.items() if not count]
        freed: list[str] = []
        done: set[str] = set()
        while len(done) < len(self.nodes):
            if not ready:
                ready = [self._to_free(done)]
                freed += ready
            node = ready.pop()
            done.add(node)
            for above in self.above[node] - done:
                level[above] = max(level[above], level[node] + 1)
                waiting_for[above] -= 1
                if not waiting_for[above]:
                    ready.append(above)
        broken = {node: self._broken(node, level) for node in freed}
        return Levels(level, {node: keys for node, keys in broken.items() if keys})

    def _to_free(self, done: set[str]) -> str:
        """Returns the asset of a cycle that the fewest cells hold back; nothing else does."""
        return min(self._cycle(done), key=lambda node: (self._weight(node, done), node))

    def _weight(self, node: str, done: set[str]) -> int:
        return sum(len(keys) for below, keys in self.below[node].items() if below not in done)

    def _broken(self, node: str, level: Mapping[str, int]) -> list[str]:
        below = self.below[node].items()
        return sorted({key for other, keys in below if level[other] >= level[node] for key in keys})

    def _cycle(self, done: set[str]) -> list[str]:
        """Returns a strongly connected component below which all is done (Tarjan 1972)."""
        start = next(node for node in self.nodes if node not in done)
        number = {start: 0}
        lowest = {start: 0}
        path, walks = [start], [(start, iter(self.below[start]))]
        while True:
            node, walk = walks[-1]
            following = next((other for other in walk if other not in done), None)
            if following is None:
                if lowest[node] == number[node]:
                    return path[path.index(node) :]
                walks.pop()
                parent = walks[-1][0]
                lowest[parent] = min(lowest[parent], lowest[node])
            elif following in number:
                lowest[node] = min(lowest[node], number[following])
            else:
                number[following] = lowest[following] = len(number)
                path.append(following)
                walks.append((following, iter(self.below[following])))


def _core(
    left: set[str], needs: dict[str, set[str]], needed_by: Mapping[str, Iterable[str]]
) -> set[str]:
    """Returns what is left when all that needs nothing is taken away, again and again."""
    ready = [node for node in left if not needs[node]]
    gone: set[str] = set()
    while ready:
        node = ready.pop()
        gone.add(node)
        for other in needed_by.get(node, ()):
            needs[other].discard(node)
            if not needs[other] and other not in gone:
                ready.append(other)
    return left - gone
