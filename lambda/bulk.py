"""The Lambda of loads: one step of a unit, as the state machine asks for it."""

import os

from livemosaic.process import starting

with starting():
    from livemosaic import logs
    from livemosaic.load import arrow
    from livemosaic.settings import Settings
    from livemosaic.storage.allowlist import AllowList

    logs.configure(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"))
    arrow.add(os.environ["LIVEMOSAIC_ARROW"])

    from livemosaic.load.steps import handler as steps

    settings = Settings()
    closed = (settings.overviews,) if settings.overviews else ()
    handler = steps(AllowList(settings.allowed_prefixes, closed=closed))
