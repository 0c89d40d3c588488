"""What a snapshot of a started function must not hold (Lambda SnapStart).

One snapshot becomes many environments, weeks later maybe. What it does hold may be old and common
to all: modules, the application, caches and pools that are empty, and a DynamoDB client that has
talked to nobody. Its credentials have an expiry there, unlike those in a usual environment, so that
botocore renews them (Lambda Developer Guide, "Improving startup performance with SnapStart").
"""

import os
import random
from typing import Final

_KIND: Final = "AWS_LAMBDA_INITIALIZATION_TYPE"


def prepare() -> None:
    """Have the runtime make anew, after each restore, what must differ; does nothing elsewhere."""
    if os.environ.get(_KIND) != "snap-start":
        return
    # Of Lambda's runtime from Python 3.12 on, and of no package that we carry.
    from snapshot_restore_py import register_after_restore  # type: ignore[import-untyped]

    register_after_restore(random.seed)  # else all environments would pause alike, and meet again


def is_ahead() -> bool:
    """Whether nobody waits for this start: of a snapshot, of provisioned concurrency, elsewhere."""
    return os.environ.get(_KIND) != "on-demand"
