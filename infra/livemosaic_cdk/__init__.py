"""livemosaic as a construct of the AWS CDK: `Livemosaic` in a stack of yours, or in ours.

    from livemosaic_cdk import Config, Livemosaic

Names are imported when they are first used: the bundle is built without the CDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from livemosaic_cdk.config import Config, ConfigError
    from livemosaic_cdk.construct import Livemosaic
    from livemosaic_cdk.sources import Bus, ItemBucket, Topic
    from livemosaic_cdk.stacks.edge import Edge
    from livemosaic_cdk.writers import Jwt

__all__ = ["Bus", "Config", "ConfigError", "Edge", "ItemBucket", "Jwt", "Livemosaic", "Topic"]

_MODULES: Final = {
    "Bus": "sources",
    "Config": "config",
    "ConfigError": "config",
    "Edge": "stacks.edge",
    "ItemBucket": "sources",
    "Jwt": "writers",
    "Livemosaic": "construct",
    "Topic": "sources",
}


def __getattr__(name: str) -> Any:
    """Imports a name of `__all__`."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
