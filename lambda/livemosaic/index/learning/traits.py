"""How a mosaic learns from scenes: bounds, levels, known and chosen assets, meanings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from livemosaic.geo.antimeridian import extent, united
from livemosaic.index.learning.meanings import learned
from livemosaic.model.assets import usual_assets
from livemosaic.model.mosaic import MAX_KNOWN_ASSETS, Mosaic
from livemosaic.model.raster import USUAL_MAXZOOM, BBox
from livemosaic.model.scene import Scene


@dataclass(frozen=True, slots=True)
class SceneTraits:
    """What a mosaic learns from a scene beside its extent: thousands of scenes share it."""

    level: int
    assets: tuple[str, ...]
    """Keys of its assets."""
    shown: tuple[str, ...]
    """As `Scene.shown_assets`."""
    meanings: Mapping[str, str]
    """What its Item states of its assets, as text by name."""
    native_zoom: int = USUAL_MAXZOOM
    """As `Scene.native_zoom`."""

    @classmethod
    def of(cls, scene: Scene, level: int) -> Self:
        """The traits of a scene that has cells at a level."""
        return cls(level, (*scene.assets,), scene.shown_assets, scene.meanings(), scene.native_zoom)


def grown(mosaic: Mosaic, scene: Scene, level: int) -> Mosaic:
    """A mosaic with a scene that has cells at a level: its bounds, and all that it learns of it."""
    return taught(widened(mosaic, extent(scene.footprint)), SceneTraits.of(scene, level))


def widened(mosaic: Mosaic, bounds: BBox) -> Mosaic:
    """A mosaic whose bounds hold a scene's; so does a fit of them that is under way."""
    fit = mosaic.fit
    if fit:
        fit = replace(fit, reach=united(fit.reach or bounds, bounds))
    if fit and not fit.done:
        fit = replace(fit, meanwhile=united(fit.meanwhile or bounds, bounds))
    return replace(mosaic, bounds=united(mosaic.bounds or bounds, bounds), fit=fit)


def taught(mosaic: Mosaic, traits: SceneTraits) -> Mosaic:
    """A mosaic with what it learns from a scene: levels, known and chosen assets, meanings.

    The order of scenes counts: what the first one shows is chosen, what it states is its meaning.
    """
    new = replace(
        mosaic,
        levels=tuple(sorted({*mosaic.levels, traits.level})),
        native_zoom=max(mosaic.native_zoom, traits.native_zoom),
        known_assets=tuple(dict.fromkeys((*mosaic.known_assets, *traits.assets)))[
            :MAX_KNOWN_ASSETS
        ],
        chosen_assets=mosaic.chosen_assets or _choice(mosaic, traits),
    )
    meanings = with_meanings(new, traits.meanings)
    return new if meanings == new.meanings else replace(new, meanings=meanings)


def with_meanings(mosaic: Mosaic, all_stated: Mapping[str, str]) -> Mapping[str, str]:
    """The meanings of the mosaic's assets, with what an Item states of them, as text by name."""
    known = {*mosaic.known_assets, *mosaic.shown_assets}
    stated = {name: text for name, text in all_stated.items() if name in known}
    return learned(mosaic.meanings, stated) if stated else mosaic.meanings


def _choice(mosaic: Mosaic, traits: SceneTraits) -> tuple[str, ...]:
    """Returns what the first scene shows; of a mosaic stored before, what it has shown so far."""
    return usual_assets(mosaic.known_assets) or traits.shown or usual_assets(traits.assets)


def kept_choice(old: Mosaic, new: Mosaic) -> tuple[str, ...]:
    """The chosen assets after a change of settings: others if they are no longer kept."""
    chosen = old.chosen_assets or usual_assets(old.known_assets)
    return usual_assets(new.assets) if new.assets and not {*chosen} <= {*new.assets} else chosen
