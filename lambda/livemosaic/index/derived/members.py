"""Which mosaics a derived one shows: its sources, and theirs, as they are now. Pure.

A source that is derived itself stands for its own sources: what each says (scale, filter, names of
assets) is added to what its source is shown by. Reads go on whatever they find: a source that is
gone, or was created again with another grid or order, and names that lead in a circle, are left
out, and the mosaic says so (`Mosaic.missing`).
Writers refuse them (`check_members`), and as each change of settings is one of a single registry,
no two of them can make a circle together.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import union
from livemosaic.index.learning.meanings import differences, learned
from livemosaic.model.cql2 import of_scenes
from livemosaic.model.derived.sources import MAX_DEPTH, MAX_SOURCES, Member, MosaicSource
from livemosaic.model.mosaic import MAX_KNOWN_ASSETS, Fit, Mosaic

Read = Callable[[Collection[str]], Mapping[str, Mosaic]]
"""Reads mosaics by id, as they are stored; without the ones that are not there."""
_DELETED = "there is no such mosaic any more"


def resolved(mosaic: Mosaic, read: Read) -> Mosaic:
    """A derived mosaic with its members, and with what these have of scenes; others as they are."""
    if not mosaic.sources:
        return mosaic
    found = _Search(mosaic, _known(mosaic, read))
    members = list(found.members())
    for place in range(MAX_SOURCES, len(members)):
        name = members[place].mosaic.id
        found.missing.append((name, f"more than {MAX_SOURCES} sources in all"))
    layered = _layered(members[:MAX_SOURCES])
    members = _of_kinds(list(found.of_one_order(layered)))
    stored = [member.mosaic for member in members]
    names = (name for member in members for name in member.renamed(_named(member)))
    bounds, reach = union(m.bounds for m in stored), union(m.reach for m in stored)
    return replace(
        mosaic,
        members=tuple(members),
        missing=tuple(dict.fromkeys(found.missing)),
        access="private" if found.is_private else mosaic.access,
        collections=_union(each.collections for each in stored),
        properties=mosaic.properties or _union(each.properties for each in stored),
        sortby=_common_order(mosaic, members),
        minzoom=max(mosaic.minzoom, min((m.minzoom for m in members), default=0)),
        bounds=bounds,
        fit=None if bounds == reach else Fit(since=0, reach=reach, done=True),
        native_zoom=max((min(m.maxzoom, m.mosaic.deepest_zoom) for m in members), default=0),
        levels=tuple(sorted({level for each in stored for level in each.levels})),
        known_assets=tuple(dict.fromkeys(names))[:MAX_KNOWN_ASSETS],
        chosen_assets=next(filter(None, map(_shown_of, members)), ()),
        meanings=reduce(learned, map(_meanings_of, members), {}),
    )


def check_members(mosaic: Mosaic) -> None:
    """Raises `InvalidRequestError` for a resolved mosaic that cannot be shown as it is meant."""
    for name, why in mosaic.missing:
        raise InvalidRequestError(f"mosaic {mosaic.id!r} cannot show source {name[:80]!r}: {why}")
    _check_stacks(mosaic)


def _check_stacks(mosaic: Mosaic) -> None:
    """Refuses a source that is a stack of several layers and shares its z_order with another."""
    layers: dict[int, set[int]] = {}
    for member in mosaic.members:
        layers.setdefault(member.top, set()).add(member.layer)
    for top, own in layers.items():
        source = mosaic.sources[top]
        same = [s.mosaic for s in mosaic.sources if s.z_order == source.z_order]
        if len(own) > 1 and len(same) > 1:
            raise InvalidRequestError(
                f"source {source.mosaic!r} has several z_orders itself: give it a z_order that no "
                f"other source has, not {source.z_order}"
            )


def uses(mosaic: Mosaic, mosaic_id: str, every: Mapping[str, Mosaic]) -> bool:
    """Whether a mosaic shows another one, also through others; `every` has all by id."""
    seen: set[str] = set()
    ahead = [mosaic]
    while ahead:
        for source in ahead.pop().sources:
            if source.mosaic == mosaic_id:
                return True
            if source.mosaic not in seen and source.mosaic in every:
                seen.add(source.mosaic)
                ahead.append(every[source.mosaic])
    return False


def _known(mosaic: Mosaic, read: Read) -> Mapping[str, Mosaic]:
    """All mosaics that the sources of a mosaic lead to, by id; read a step at a time."""
    known: dict[str, Mosaic] = {mosaic.id: mosaic}
    wanted = {source.mosaic for source in mosaic.sources} - known.keys()
    for _ in range(MAX_DEPTH):
        found = read(sorted(wanted)) if wanted else {}
        known |= found
        wanted = {s.mosaic for each in found.values() for s in each.sources} - known.keys()
    return known


@dataclass(slots=True)
class _Search:
    """Follows the sources of a mosaic."""

    mosaic: Mosaic
    known: Mapping[str, Mosaic]
    missing: list[tuple[str, str]] = field(default_factory=list)
    is_private: bool = False

    def members(self) -> Iterator[Member]:
        """The mosaics with scenes of their own, in the order in which sources name them."""
        return self._within(self.mosaic, Member(mosaic=self.mosaic), (self.mosaic.id,))

    def _within(self, mosaic: Mosaic, way: Member, chain: tuple[str, ...]) -> Iterator[Member]:
        for nth, source in enumerate(mosaic.sources):
            found = self.known.get(source.mosaic)
            top = nth if len(chain) == 1 else way.top
            if found is None or found.deleting:
                self.missing.append((source.mosaic, _DELETED))
            elif source.mosaic in chain:
                self.missing.append((source.mosaic, f"it shows itself, by {' > '.join(chain)}"))
            elif found.tms != self.mosaic.tms:
                self.missing.append((source.mosaic, _other_grid(found, self.mosaic)))
            elif found.sources and len(chain) == MAX_DEPTH:
                self.missing.append((source.mosaic, f"more than {MAX_DEPTH} steps to its scenes"))
            else:
                found.check_format()
                self.is_private |= found.access != "public"
                further = replace(_narrowed(way, source, found), top=top)
                if found.sources:
                    yield from self._within(found, further, (*chain, source.mosaic))
                else:
                    yield further

    def of_one_order(self, members: list[Member]) -> Iterator[Member]:
        """The members without the ones that are sorted otherwise than the first of their layer."""
        first: dict[int, Mosaic] = {}
        for member in members:
            above = first.setdefault(member.layer, member.mosaic)
            if member.mosaic.sortby == above.sortby:
                yield member
            else:
                self.missing.append((member.mosaic.id, _other_order(member.mosaic, above)))


def _other_grid(source: Mosaic, mosaic: Mosaic) -> str:
    return (
        f"it has the tms {source.tms!r}, and mosaic {mosaic.id!r} has {mosaic.tms!r}: all must be "
        "of one TileMatrixSet"
    )


def _other_order(source: Mosaic, first: Mosaic) -> str:
    return (
        f"it is sorted by {source.sortby!r}, and {first.id!r} of the same z_order by "
        f"{first.sortby!r}: give them different z_orders"
    )


def _narrowed(way: Member, source: MosaicSource, found: Mosaic) -> Member:
    """A step further on the way to a member."""
    filters = () if source.filter is None else (of_scenes(source.filter),)
    renames = (source.assets,) if source.assets else ()
    return replace(
        way,
        mosaic=found,
        z_orders=(*way.z_orders, source.z_order),
        minzoom=max(way.minzoom, source.minzoom, found.minzoom),
        maxzoom=min(way.maxzoom, source.maxzoom),
        filters=(*way.filters, *filters),
        renames=(*renames, *way.renames),
    )


def _layered(members: list[Member]) -> list[Member]:
    """Members with their layers: z_orders compare step by step, and what is not named is 0."""
    orders = [(*member.z_orders, *(0,) * MAX_DEPTH)[:MAX_DEPTH] for member in members]
    layers = {order: layer for layer, order in enumerate(sorted(set(orders)))}
    return [replace(m, layer=layers[order]) for m, order in zip(members, orders, strict=True)]


def _of_kinds(members: list[Member]) -> list[Member]:
    """Members with their assets compared with the ones of members before."""
    known: Mapping[str, str] = {}
    compared = []
    for member in members:
        own = _meanings_of(member)
        compared.append(replace(member, other_kinds=differences(known, own)))
        known = learned(known, own)
    return compared


def _meanings_of(member: Member) -> Mapping[str, str]:
    return member.renamed(member.mosaic.meanings)


def _named(member: Member) -> Mapping[str, str]:
    return dict.fromkeys(member.mosaic.known_assets, "")


def _shown_of(member: Member) -> tuple[str, ...]:
    """What a member shows, by the names that its assets have in the derived mosaic."""
    shown = member.mosaic.shown_assets
    names = member.renamed({name: place for place, name in enumerate(shown)})
    return tuple(sorted(names, key=names.__getitem__)) if len(names) >= len(shown) else ()


def _common_order(mosaic: Mosaic, members: Collection[Member]) -> str:
    """The order of all members; where they have several, a name that is none of a property."""
    orders = {member.mosaic.sortby for member in members}
    return (orders.pop() if len(orders) == 1 else "z_order") if orders else mosaic.sortby


def _union(lists: Iterator[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in lists for name in names))
