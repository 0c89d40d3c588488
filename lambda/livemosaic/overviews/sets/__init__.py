"""Sets of overview cells: which one a mosaic wants, and how a new one takes the place of the old.

All cells of a set follow the same settings. Where these change, a new set is begun beside the old
one, which is kept up to date and shown until the new one is complete.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from livemosaic.cog.write.profile import FORMAT as CELL_FORMAT
from livemosaic.errors import InvalidRequestError
from livemosaic.index.overviews import replaced
from livemosaic.model.mosaic import Mosaic, OverviewPolicy, OverviewSet
from livemosaic.model.rule import Rule
from livemosaic.tiler.rules.parameters import rule_of

_PIXELS: Final = 4
"""Raised where equal scenes would give other pixels, notes or numbers of bands."""
FORMAT: Final = _PIXELS * 1000 + CELL_FORMAT
"""Where it changes, all mosaics make a new set."""
_MAX_MINZOOM: Final = 8
_METHODS: Final = ("default", "attribute")
_OPERATIONS: Final = ("count", "lastbandlow", "lastbandhigh")


def wanted(mosaic: Mosaic) -> OverviewSet | None:
    """Returns the set that a mosaic's settings ask for, without an id; None for no overviews.

    None too as long as no scene has decided which assets the mosaic shows.
    """
    policy = mosaic.overviews
    assets = () if policy is None else policy.assets or mosaic.shown_assets
    if policy is None or not assets:
        return None
    if mosaic.is_thematic:
        policy = _of_classes(policy)
    kept = replace(policy, assets=assets)
    return OverviewSet(id="", policy=kept, rule=dict(mosaic.rules.default), format=FORMAT)


def _of_classes(policy: OverviewPolicy) -> OverviewPolicy:
    """Returns a policy for values that have no mean: the most frequent one in place of it."""
    of_assets = {a: "mode" if how == "mean" else how for a, how in policy.resampling_of.items()}
    usual = "mode" if policy.resampling == "mean" else policy.resampling
    return replace(policy, resampling=usual, resampling_of=of_assets)


def is_kept(mosaic: Mosaic) -> bool:
    """Returns whether a builder has work in a mosaic: cells to keep up to date, or to delete."""
    return mosaic.overviews is not None or bool(mosaic.overview_sets)


def is_over(cells: OverviewSet, now: float) -> bool:
    """Returns whether nobody reads a set any more at a time in epoch seconds: it can be deleted."""
    return cells.state == "replaced" and cells.until <= now


def can_be_cleared(mosaic: Mosaic, now: float) -> bool:
    """Returns whether all sets of a deleted mosaic can be deleted, at a time in epoch seconds."""
    return all(is_over(cells, now) for cells in mosaic.overview_sets)


def begun(mosaic: Mosaic, now: float) -> Sequence[OverviewSet]:
    """Returns the sets of a mosaic, with a new one in the making if its settings ask for it.

    It takes the place of one that was in the making, at a time in epoch seconds; from then on
    changes are marked, if that is not known yet.
    """
    new, since = wanted(mosaic), mosaic.marked_since or round(now * 1000)
    sets = tuple(_marked(each, since) for each in mosaic.overview_sets)
    if new is None:
        return sets
    sets = tuple(
        replaced(each, now) if each.state == "building" and not _is_alike(new, each) else each
        for each in sets
    )
    if any(_is_alike(new, each) for each in sets if each.state != "replaced"):
        return sets
    return (*sets, replace(new, id=secrets.token_hex(4), marked_since=since))


def _marked(cells: OverviewSet, since: int) -> OverviewSet:
    return cells if cells.state == "replaced" else replace(cells, marked_since=since)


def current(mosaic: Mosaic) -> list[OverviewSet]:
    """Returns the sets that this release keeps up to date."""
    return [s for s in mosaic.overview_sets if s.state != "replaced" and s.format == FORMAT]


def completed(mosaic: Mosaic, set_id: str, now: float) -> Sequence[OverviewSet]:
    """Returns the sets of a mosaic with one of them complete, in place of earlier ones.

    Where settings have come back to the one before meanwhile, that stays in its place.
    """
    new = wanted(mosaic)
    if new and any(_is_alike(new, each) for each in mosaic.overview_sets if each.state == "ready"):
        return [replaced(s, now) if s.id == set_id else s for s in mosaic.overview_sets]
    return [
        replace(each, state="ready")
        if each.id == set_id
        else replaced(each, now)
        if each.state == "ready"
        else each
        for each in mosaic.overview_sets
    ]


def deepened(mosaic: Mosaic, set_id: str, zoom: int) -> Sequence[OverviewSet]:
    """Returns the sets of a mosaic, one of which reaches a zoom."""
    return [
        replace(each, reach=max(each.reach, zoom)) if each.id == set_id else each
        for each in mosaic.overview_sets
    ]


def without(mosaic: Mosaic, set_id: str) -> Sequence[OverviewSet]:
    """Returns the sets of a mosaic but one."""
    return [each for each in mosaic.overview_sets if each.id != set_id]


def by_default(mosaic: Mosaic) -> Mosaic:
    """Returns a new mosaic with overviews, or as it is where its settings cannot have them."""
    wanted = replace(mosaic, overviews=OverviewPolicy())
    try:
        check_overviews(wanted)
    except InvalidRequestError:
        return mosaic
    return wanted


def _is_alike(one: OverviewSet, other: OverviewSet) -> bool:
    return (one.policy, one.rule, one.format) == (other.policy, other.rule, other.format)


def check_overviews(mosaic: Mosaic) -> None:
    """Raises `InvalidRequestError` for settings that cannot have overviews, with the reason."""
    if mosaic.overviews is None:
        return
    if mosaic.sources:
        raise InvalidRequestError(
            f"mosaic {mosaic.id!r} is derived: it has no overviews of its own, and shows the ones "
            "of its sources"
        )
    if mosaic.minzoom > _MAX_MINZOOM:
        raise InvalidRequestError(
            f"overviews are for low zooms, and minzoom {mosaic.minzoom} has none: they need a "
            f"minzoom of at most {_MAX_MINZOOM}"
        )
    if mosaic.rules.scale:
        raise InvalidRequestError(
            "overviews show every scene, and `scale` of the rules hides some at low zooms: leave "
            "out one of the two"
        )
    if problem := _problem(rule_of({}, mosaic)):
        raise InvalidRequestError(f"overviews need another default rule: {problem}")


def _problem(rule: Rule) -> str:
    if rule.method not in _METHODS:
        return f"{rule.method!r} orders scenes by each image anew, or hides some of them"
    if rule.operation in _OPERATIONS:
        return f"{rule.operation!r} gives other values than scenes have"
    if rule.min_pixels:
        return "min_pixels would leave out scenes at low zooms"
    if rule.item_render:
        return "item_render draws colors, and overviews keep values"
    return ""
