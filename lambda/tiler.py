"""The tiler Lambda: an API Gateway HTTP API in front of the application."""

from livemosaic import logs
from livemosaic.api import gateway
from livemosaic.api.app import create_app
from livemosaic.services import build
from livemosaic.settings import Settings

logs.configure()
handler = gateway.handler(create_app(build(Settings())))
