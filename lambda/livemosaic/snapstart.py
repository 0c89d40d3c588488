"""State that a Lambda SnapStart snapshot must not share.

One snapshot becomes many environments, perhaps weeks later. The rest of its state may be old and
shared: modules, the application, empty caches and pools, and a DynamoDB client that has made no
request. SnapStart's credentials expire, unlike a usual environment's, so botocore renews them
(Lambda Developer Guide, "Improving startup performance with SnapStart").
"""

import os
import random
from typing import Final

_KIND: Final = "AWS_LAMBDA_INITIALIZATION_TYPE"


def prepare() -> None:
    """Registers what must differ between environments for renewal after each restore."""
    if os.environ.get(_KIND) != "snap-start":
        return
    # Part of Lambda's runtime from Python 3.12 on; not in our bundle.
    from snapshot_restore_py import register_after_restore  # type: ignore[import-untyped]

    register_after_restore(random.seed)  # otherwise all environments would back off in step


def is_ahead() -> bool:
    """Whether no request waits for this start: SnapStart, provisioned concurrency, no Lambda."""
    return os.environ.get(_KIND) != "on-demand"
