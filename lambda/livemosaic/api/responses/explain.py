"""Explanations of images: which scenes would be read and why, without reading any."""

from collections.abc import Sequence
from typing import Any

from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Style
from livemosaic.model.rule import Rule
from livemosaic.services import Services
from livemosaic.storage.hrefs import redact
from livemosaic.tiler.views import View

PLAIN = Style()


async def explain_view(
    services: Services, mosaic: Mosaic, view: View, read: Read, rule: Rule, *, every: bool = False
) -> dict[str, Any]:
    """Lists the scenes that a view intersects, top first, by footprints alone."""
    return {
        "scenes": [
            {
                "id": scene.id,
                "collection": scene.collection or None,
                "datetime": scene.datetime,
                "version": scene.version,
                "read": why == "shows",
                "why": why,
                "assets": {name: redact(href) for name, href in scene.assets.items()},
            }
            for scene, why in await services.tiler.explain(mosaic, view, read, rule, every=every)
        ]
    }


def band_names(read: Read, names: Sequence[str], style: Style = PLAIN) -> list[str]:
    """Returns `names`, or `b1`, `b2`, … for bands computed by an expression or an algorithm."""
    made = read.expression or style.algorithm
    return [f"b{n}" for n in range(1, len(names) + 1)] if made else list(names)
