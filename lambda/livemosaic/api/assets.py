"""What a picture would read, and why, before anything is read."""

from typing import Any

from livemosaic.api.has import Has
from livemosaic.hrefs import redact
from livemosaic.model import Mosaic
from livemosaic.rule import Rule
from livemosaic.views import View


async def explained(
    has: Has, mosaic: Mosaic, view: View, rule: Rule, *, every: bool = False
) -> dict[str, Any]:
    """The scenes that it meets, top first, by footprints alone."""
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
            for scene, why in await has.tiler.explain(mosaic, view, rule, every=every)
        ]
    }
