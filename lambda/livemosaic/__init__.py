"""Live mosaics of Cloud-Optimized GeoTIFFs: STAC Items go in, map tiles come out.

The names in `__all__` are the Python API. Each is imported when it is first used, so that
`import livemosaic` loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from livemosaic.client.backend import MosaicBackend
    from livemosaic.client.connection import Connection
    from livemosaic.client.connection import open_mosaics as open  # noqa: A004 (as of files)
    from livemosaic.client.mosaic import OpenMosaic
    from livemosaic.client.reader import Reader
    from livemosaic.client.values.arrays import to_xarray
    from livemosaic.client.values.images import IncompleteWarning
    from livemosaic.client.values.items import ItemsNotAddedError, OutdatedItemWarning
    from livemosaic.errors import InvalidRequestError, LivemosaicError, NotFoundError
    from livemosaic.ingest.events.message import Message
    from livemosaic.model.mosaic import Mosaic
    from livemosaic.model.render import Read, Render
    from livemosaic.model.rule import Rule
    from livemosaic.services import Services, running
    from livemosaic.settings import Settings
    from livemosaic.tiler.views import TileAddress

__version__ = "0.1.0"

__all__ = [
    "Connection",
    "IncompleteWarning",
    "InvalidRequestError",
    "ItemsNotAddedError",
    "LivemosaicError",
    "Message",
    "Mosaic",
    "MosaicBackend",
    "NotFoundError",
    "OpenMosaic",
    "OutdatedItemWarning",
    "Read",
    "Reader",
    "Render",
    "Rule",
    "Services",
    "Settings",
    "TileAddress",
    "__version__",
    "open",
    "running",
    "to_xarray",
]

_MODULES: Final = {
    "Connection": "client.connection",
    "IncompleteWarning": "client.values.images",
    "InvalidRequestError": "errors",
    "ItemsNotAddedError": "client.values.items",
    "LivemosaicError": "errors",
    "Message": "ingest.events.message",
    "Mosaic": "model.mosaic",
    "MosaicBackend": "client.backend",
    "NotFoundError": "errors",
    "OpenMosaic": "client.mosaic",
    "OutdatedItemWarning": "client.values.items",
    "Read": "model.render",
    "Reader": "client.reader",
    "Render": "model.render",
    "Rule": "model.rule",
    "Services": "services",
    "Settings": "settings",
    "TileAddress": "tiler.views",
    "open": "client.connection",
    "running": "services",
    "to_xarray": "client.values.arrays",
}
_NAMED_ELSEWHERE: Final = {"open": "open_mosaics"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULES[name]}")
    return getattr(module, _NAMED_ELSEWHERE.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
