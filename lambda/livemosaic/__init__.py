"""Live mosaics of Cloud-Optimized GeoTIFFs: STAC Items go in, map tiles come out.

The names in `__all__` are the Python API. Each is imported when it is first used, so that
`import livemosaic` loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from livemosaic.errors import LivemosaicError
    from livemosaic.ingest.events.message import Message
    from livemosaic.model.mosaic import Mosaic
    from livemosaic.model.render import Read, Render
    from livemosaic.model.rule import Rule
    from livemosaic.services import Services, running
    from livemosaic.settings import Settings
    from livemosaic.tiler.views import TileAddress

__version__ = "0.1.0"

__all__ = [
    "LivemosaicError",
    "Message",
    "Mosaic",
    "Read",
    "Render",
    "Rule",
    "Services",
    "Settings",
    "TileAddress",
    "__version__",
    "running",
]

_MODULES: Final = {
    "LivemosaicError": "errors",
    "Message": "ingest.events.message",
    "Mosaic": "model.mosaic",
    "Read": "model.render",
    "Render": "model.render",
    "Rule": "model.rule",
    "Services": "services",
    "Settings": "settings",
    "TileAddress": "tiler.views",
    "running": "services",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
