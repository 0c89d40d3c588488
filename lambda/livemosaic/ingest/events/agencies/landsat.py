"""Notifications of new USGS Landsat scenes, whose STAC Items lie beside their files.

The bucket `usgs-landsat` is requester pays. Sources: the topic `public-c2-notify-v2` as recorded by
its-live-monitoring and hls-orchestration; Landsat Collection 2 product names (LSDS-1618, 1619).
"""

import re
from collections.abc import Iterator
from typing import Final

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_text, text
from livemosaic.ingest.events.changes import ItemChange, Reference
from livemosaic.ingest.events.kinds import MessageKind
from livemosaic.ingest.events.message import Message

_PRODUCT: Final = re.compile(r"L[A-Z]\d\d_(L[12][A-Z]{2})_[0-9A-Z_]+")
_ITEMS: Final = {
    "L1TP": ("stac",),
    "L1GT": ("stac",),
    "L1GS": ("stac",),
    "L2SR": ("SR_stac",),
    "L2SP": ("SR_stac", "ST_stac"),
}
"""Items by level: surface reflectance and surface temperature are Items of two collections."""


def _scene(body: Body, message: Message) -> Iterator[ItemChange]:
    product, folder = text(body, "landsat_product_id"), text(body, "s3_location")
    level = _PRODUCT.fullmatch(product)
    if not level or level[1] not in _ITEMS:
        raise InvalidItemError(
            f"landsat_product_id {product[:80]!r} is of no level whose Item has a known name: "
            f"{', '.join(_ITEMS)}"
        )
    for name in _ITEMS[level[1]]:
        yield Reference(f"{folder.rstrip('/')}/{product}_{name}.json", message.order)


KINDS: Final = (
    MessageKind(
        "a new scene of Landsat",
        lambda body: is_text(body, "landsat_product_id", "s3_location"),
        _scene,
    ),
)
