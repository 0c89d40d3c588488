"""The API of an index, called in this process: no server, no socket."""

import asyncio
import secrets
import threading
from collections.abc import Iterator, MutableMapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import Any, Final
from urllib.parse import unquote

from pydantic import SecretStr

from livemosaic.api.app import App
from livemosaic.auth.signing import Authorize, Bearer
from livemosaic.client.http import Answer, ApiError, error_of
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.services import running
from livemosaic.settings import Settings
from livemosaic.table import Table
from livemosaic.table.retry import Backoff

_BACKOFF: Final = Backoff(60.0, 0.2, 5.0, max_attempts=5)
_OWN: Final = {
    "public_url": "",
    "origin_secret": "",
    "metrics": "",
    "dead_letters": "",
    "mosaic_max_age_s": 0.0,
}
"""Settings within a process: a deployment's have no meaning, and what was written is read next."""


class Embedded:
    """Answers the requests of an API from an index at hand, as a server of it would.

    Requests run on an event loop in a thread of its own, so that callers may have a running loop
    themselves, as in Jupyter. Thread-safe. Closing it ends the thread and closes the table.
    """

    def __init__(self, settings: Settings, table: Table | None = None) -> None:
        token = secrets.token_urlsafe()
        self.url = settings.index
        self.reader: Authorize | None = Bearer(token)
        self._authorization = f"Bearer {token}".encode()
        self._stack = ExitStack()
        own = settings.model_copy(update={**_OWN, "token": SecretStr(token)})
        self._app = App(self._stack.enter_context(running(own, table)))
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name="livemosaic", daemon=True)
        self._thread.start()
        self._loop = self._ready.result()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        self._ready.set_result(asyncio.get_running_loop())
        await self._ended.wait()

    def close(self) -> None:
        """Ends what runs, and closes the table; later requests raise `InvalidRequestError`."""
        with suppress(RuntimeError):  # it is closed already
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._stack.close()

    def attempts(self) -> Iterator[None]:
        """Yields for every attempt, after a pause for all but the first."""
        return _BACKOFF.attempts()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        reader: Authorize | None = None,
        reads: bool = False,
    ) -> Answer:
        """Returns the response of any status. The caller may do everything."""
        del reader, reads
        if not self._thread.is_alive():
            raise InvalidRequestError(f"{self.url} is closed")
        future = asyncio.run_coroutine_threadsafe(self._answer(method, path, body), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _answer(self, method: str, path: str, body: bytes) -> Answer:
        reply = _Reply(body)
        scope = self._scope(method, path, str(len(body)).encode())
        with suppress(Exception):  # logged by the application, which answers 500 first
            await self._app(scope, reply.receive, reply.send)
        return Answer.of(reply.status, reply.headers, b"".join(reply.parts))

    def _scope(self, method: str, target: str, length: bytes) -> dict[str, Any]:
        """Returns the connection scope of a request (ASGI, HTTP 2.5)."""
        path, _, query = target.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (b"host", b"localhost"),
                (b"accept", b"application/json"),
                (b"content-type", b"application/json"),
                (b"content-length", length),
                (b"authorization", self._authorization),
            ],
            "client": ("127.0.0.1", 0),
            "server": ("localhost", 80),
        }

    def refusal(self, answer: Answer) -> LivemosaicError:
        """Returns the error that a failed response stands for."""
        return error_of(answer.status, answer.text("detail") or answer.start)

    def unknown_api(self, answer: Answer) -> ApiError:
        """Returns the error for a response that is none of the API's."""
        return ApiError(f"{self.url} answers {answer.status} and {answer.start!r}")


class _Reply:
    """One request's body, and what the application sends."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.status = 500
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []

    async def receive(self) -> dict[str, Any]:
        if self._body is None:
            await asyncio.Event().wait()  # the client never disconnects
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in message["headers"]}
        else:
            self.parts.append(message.get("body", b""))
