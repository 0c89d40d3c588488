"""The tiler Lambda: an API Gateway HTTP API in front of the application."""

import asyncio

from mangum import Mangum

from livemosaic import logs
from livemosaic.api.app import create_app
from livemosaic.services import build
from livemosaic.settings import Settings

logs.configure()
# Mangum runs each request on the thread's event loop, which Python no longer makes by itself.
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
services = build(Settings())
handler = Mangum(create_app(services), lifespan="off")
