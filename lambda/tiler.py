"""The tiler Lambda: an API Gateway HTTP API in front of the application."""

import gc

gc.disable()  # nothing that a start makes is garbage, and looking for it takes a tenth of the time

from livemosaic import logs, process, snapstart  # noqa: E402
from livemosaic.api import gateway  # noqa: E402
from livemosaic.api.app import create_app  # noqa: E402
from livemosaic.api.warmup import warm_up  # noqa: E402
from livemosaic.services import build  # noqa: E402
from livemosaic.settings import Settings  # noqa: E402

logs.configure()
process.keep_freed()
snapstart.prepare()
if snapstart.is_ahead():  # else the first tile makes what it needs, and no more
    warm_up()
handler = gateway.handler(create_app(build(Settings())))
gc.freeze()  # all of it stays, so no later collection looks at it either
gc.enable()
