"""The tiler Lambda: an API Gateway HTTP API in front of the application."""

import os

from livemosaic.process import keep_freed, starting

with starting():
    from livemosaic import logs, snapstart
    from livemosaic.api import gateway
    from livemosaic.api.app import App
    from livemosaic.api.warmup import warm_up
    from livemosaic.services import build
    from livemosaic.settings import Settings

    logs.configure(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"))
    keep_freed()
    snapstart.prepare()
    if snapstart.is_ahead():  # otherwise the first tile imports what it needs, and no more
        warm_up()
    handler = gateway.handler(App(build(Settings())))
