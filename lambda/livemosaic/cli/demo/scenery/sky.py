"""The sky above the ground: clouds, their shadows, and air."""

import numpy as np

from livemosaic.cli.demo.scenery.ground import ground, paint
from livemosaic.cli.demo.scenery.noise import Array, GroundView, ramp
from livemosaic.cli.demo.scenery.passes import Pass
from livemosaic.cli.demo.scenery.world import World


def seen(world: World, view: GroundView, over: Pass) -> tuple[Array, Array]:
    """Reflectance at the top of the air, and cloud opacity from 0 to 1.

    Shapes (4, height, width) and (height, width). Slopes at the edge of the view are rough.
    """
    image = ground(world, view, over)
    cloud = _clouds(view, over)
    sun, height = over.sun, 1_300 + 900 * over.draw("height")
    shadow = _clouds(view.moved(height * sun[0] / sun[2], height * sun[1] / sun[2]), over, 5)
    lit = _clouds(view.moved(260 * sun[0], 260 * sun[1]), over, 4)
    image *= 1 - np.float32(0.68) * shadow
    body = 0.74 + 0.22 * (cloud - lit).clip(-1, 1) + 0.05 * cloud
    white = np.stack([body, body * 0.985, body * 0.975, body * 0.95])
    paint(image, white, cloud * np.float32(0.97))
    murky = 0.25 * view.fbm(over.seed + over.number, "haze", 26_000, 2)
    haze = 0.6 + 0.8 * over.draw("haze") + murky
    for band, air in zip(image, (0.042, 0.022, 0.012, 0.004), strict=True):
        band *= 1 - air * haze
        band += air * haze
    return image, cloud


def _clouds(view: GroundView, over: Pass, octaves: int = 7) -> Array:
    """Opacity of the clouds above each pixel, 0 to 1."""
    seed = over.seed + 7919 * over.number
    bank = view.fbm(seed, "bank", 15_000, 3)
    puff = view.fbm(seed, "puff", 3_100, octaves, 0.62)
    clear = 0.8 * (0.35 + 1.2 * over.draw("sky"))
    return ramp(bank * 0.95 + puff * 0.62, clear, clear + 0.5)
