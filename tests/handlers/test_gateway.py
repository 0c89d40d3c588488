"""How much goes through Lambda, measured as AWS's runtime client writes it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from mangum import Mangum
from starlette.responses import Response

from handlers.gateway import event
from livemosaic.api import gateway

client = pytest.importorskip(
    "awslambdaric.lambda_runtime_marshaller", reason="AWS builds it for Linux only"
)


class Says:
    """An application that answers with what it was told, behind a handler of ours."""

    def __init__(self) -> None:
        self.limited = gateway.handler(self)
        self.unlimited = Mangum(self, lifespan="off")
        self.response = Response()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.response(scope, receive, send)

    def answer(self, text: str, media_type: str) -> tuple[Any, int]:
        """What the handler answers, and the bytes that would be written without a limit."""
        self.response = Response(text.encode(), media_type=media_type)
        asked = event("GET", "/")
        return self.limited(asked, None), size(self.unlimited(asked, None))


def size(answer: Any) -> int:
    return len(client.to_json(answer).encode())


@pytest.fixture
def app() -> Iterator[Says]:
    yield Says()
    asyncio.get_event_loop().close()
    asyncio.set_event_loop(None)


@pytest.fixture(params=["AWS_Lambda_python3.11", "AWS_Lambda_python3.13"])
def _runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older one escapes what is not ASCII, the newer one does not."""
    monkeypatch.setenv("AWS_EXECUTION_ENV", request.param)


@pytest.mark.usefixtures("_runtime")
class TestLimit:
    @pytest.mark.parametrize(
        ("character", "cost", "media_type"),
        [
            pytest.param("a", 4 / 3, "image/png", id="image"),
            pytest.param("a", 1, "application/json", id="text"),
            pytest.param('"', 2, "application/json", id="text of quotes"),
            pytest.param("\x00", 6, "text/plain", id="text of controls"),
        ],
    )
    def test_what_fits_to_the_byte_goes_through_and_no_more(
        self, app: Says, character: str, cost: float, media_type: str
    ) -> None:
        _, written = app.answer(character * 3000, media_type)
        around = 3000 + int((gateway.LIMIT - written) / cost)
        fits = set()
        for length in range(around - 6, around + 4):
            answer, written = app.answer(character * length, media_type)
            assert (answer["statusCode"] == 200) == (written <= gateway.LIMIT)
            fits.add(written <= gateway.LIMIT)
        assert fits == {True, False}

    @pytest.mark.parametrize("character", ["ä", "λ", "𝄞", "\u2028"])
    def test_text_beyond_ascii_never_gets_past_it(self, app: Says, character: str) -> None:
        for written_as in (2, 3, 4, 6, 12):
            answer, _ = app.answer(character * (gateway.LIMIT // written_as), "application/json")
            assert size(answer) <= gateway.LIMIT

    def test_a_long_text_is_told_what_to_do(self, app: Says) -> None:
        answer, written = app.answer('"' * gateway.LIMIT, "application/json")
        detail = json.loads(answer["body"])["detail"]
        assert f"takes {written:,} bytes" in detail
        assert detail.endswith("ask for less at once, with a smaller limit")
