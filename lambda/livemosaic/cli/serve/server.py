"""The API served from this machine, by uvicorn on a socket of our own."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from livemosaic.api.app import App
from livemosaic.api.warmup import warm_up
from livemosaic.errors import InvalidRequestError
from livemosaic.process import keep_freed, starting
from livemosaic.services import Services

_IDLE_S: Final = 75
"""Seconds that a connection may be idle between two requests, as nginx lets its clients.

Clients reuse connections: httpx within 5 s, proxies and load balancers within 60. One that the
server closes just as a request is sent costs that request, so the server is the more patient.
"""


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; port 0 takes a free one. `InvalidRequestError` where it is taken."""
    if not host:
        raise InvalidRequestError("--host is empty: 127.0.0.1 is this machine, 0.0.0.0 any address")
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise InvalidRequestError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port, or 0 "
            "for a free one"
        ) from error
    with listener:
        # Its connections inherit it. asyncio sets it only for sockets that name their protocol, and
        # without it a body waits some 40 ms for the client's acknowledgement of the header.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def application(services: Services) -> App:
    """The API, in a process that is ready for its first tile."""
    with starting():
        keep_freed()
        services.pixel_version()
        warm_up()
        return App(services)


def server(app: Any) -> uvicorn.Server:
    """A server of an ASGI application, such as the API; give its `run` the socket."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        lifespan="off",
        ws="none",
        timeout_keep_alive=_IDLE_S,
        proxy_headers=False,  # which any client on this machine may send
    )
    return uvicorn.Server(config)
