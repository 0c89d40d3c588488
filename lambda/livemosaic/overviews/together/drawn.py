"""A base block as drawn of several combinations of assets, and which of these are kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from livemosaic.model.raster import Pixels
from livemosaic.overviews.together.combinations import Assets, Combination, Kind, largest
from livemosaic.overviews.together.winners import apart_in, winners
from livemosaic.tiler.picture import Draft, Picture, Reads


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """A block as drawn of some assets together."""

    assets: Assets
    draft: Draft
    done: Reads
    picture: Picture
    kind: Kind | None
    """None where no pixel is valid."""

    @property
    def layers(self) -> dict[str, Pixels]:
        """The pixels of scenes by their keys, top first."""
        plan = self.draft.plan
        return {plan.scene(place).key: layer for place, layer in self.done.layers.items()}

    @property
    def unread(self) -> set[str]:
        """The keys of scenes that could not be read."""
        return {self.draft.plan.scene(place).key for place in self.done.errors}

    @property
    def shows_topmost(self) -> bool:
        """Whether each pixel is that of the topmost scene that is valid there."""
        return not (self.draft.rule.needs_all or self.draft.rule.nodata_inside)


def kept_of(
    drawn: Sequence[Together], limited: Sequence[Assets], unsure: Collection[Assets]
) -> dict[Combination, Together]:
    """Returns the combinations of a block, and how each was drawn, all assets together first.

    `limited`: what scenes are limited to, and what of it they share. Where one of these shows the
    scenes that all assets together show, it is not kept. `unsure`: combinations without scenes that
    may be read of a part of their assets.
    """
    whole, *others = drawn
    apart = {each.assets: _apart(each) | ({each.assets} & {*unsure}) for each in drawn}
    for each in others:
        if each.shows_topmost and _same_show(each, whole):
            apart[whole.assets] |= apart.pop(each.assets)
            limited = [one for one in limited if one != each.assets]
    return {
        Combination(
            each.assets,
            each.kind,
            largest({*apart[each.assets], *(one for one in limited if _is_part(one, each))}),
        ): each
        for each in drawn
        if each.assets in apart
    }


def _is_part(assets: Assets, of: Together) -> bool:
    return set(assets) < set(of.assets)


def _same_show(one: Together, other: Together) -> bool:
    """Returns whether the same scene shows at each pixel."""
    shape = one.picture.pixels.valid.shape
    numbers = {key: number for number, key in enumerate({**one.layers, **other.layers})}
    masks = [
        winners({numbers[key]: pixels.valid for key, pixels in each.layers.items()}, shape)
        for each in (one, other)
    ]
    return bool((masks[0] == masks[1]).all())


def _apart(drawn: Together) -> set[Assets]:
    """Returns which assets show other pixels without the rest, by the scenes that have all."""
    layers = [*drawn.layers.values()]
    if drawn.shows_topmost or not any(layer.valid_of for layer in layers):
        return apart_in(layers, drawn.assets)
    return {drawn.assets}
