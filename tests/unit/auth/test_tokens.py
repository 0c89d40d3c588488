"""What access tokens open, and what is none."""

import base64
import json
import time
from dataclasses import replace
from typing import Any

import jwt
import pytest

from livemosaic.auth.keys import KeyRing, SigningKey
from livemosaic.auth.tokens import EVERYTHING, Tokens, scope_of
from livemosaic.errors import InvalidRequestError, UnauthorizedError
from livemosaic.model.mosaic import Mosaic

KEY, OTHER = SigningKey(b"k" * 32), SigningKey(b"x" * 32)
ALPS = Mosaic(id="alps", generation="1a2b3c4d")
DAY_S = 24 * 3600


class Held:
    """Keys that are there."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = keys

    def load(self) -> tuple[SigningKey, ...]:
        return self.keys

    def make(self) -> None:
        raise AssertionError


def tokens(*keys: SigningKey) -> Tokens:
    return Tokens(KeyRing(Held(*keys or (KEY,))), max_age_s=7 * DAY_S)


def signed(claims: dict[str, Any], key: SigningKey = KEY, **header: Any) -> str:
    """A token as somebody else might make it who has the key."""
    now = int(time.time())
    usual = {"aud": "alps/1a2b3c4d", "iat": now, "exp": now + 60}
    return jwt.encode(usual | claims, key.secret, "HS256", headers={"kid": key.id, **header})


def encoded(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def test_a_token_opens_what_it_was_made_for() -> None:
    made = tokens().mint(scope_of(ALPS), DAY_S)
    assert tokens().scope(made.token) == scope_of(ALPS)
    assert abs(made.expires.timestamp() - time.time() - DAY_S) < 60


def test_a_mosaic_made_again_under_the_same_id_is_another() -> None:
    assert scope_of(ALPS) != scope_of(replace(ALPS, generation="5e6f7081"))
    assert scope_of(ALPS) != EVERYTHING


def test_one_of_the_longest_mosaic_id_is_understood() -> None:
    scope = scope_of(replace(ALPS, id="a" * 63))
    assert tokens().scope(tokens().mint(scope, 1).token) == scope


def test_it_goes_on_when_another_key_signs() -> None:
    made = tokens(KEY).mint(EVERYTHING, DAY_S)
    assert tokens(OTHER, KEY).scope(made.token) == EVERYTHING


@pytest.mark.parametrize("seconds", [0, -1, 7 * DAY_S + 1])
def test_it_is_good_for_a_time_that_the_settings_allow(seconds: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"{seconds} seconds, only for 1 to 604800"):
        tokens().mint(EVERYTHING, seconds)


def test_it_is_not_in_a_repr() -> None:
    made = tokens().mint(EVERYTHING, 60)
    assert made.token not in repr(made)


def test_clocks_may_differ_by_seconds() -> None:
    now = int(time.time())
    assert tokens().scope(signed({"exp": now - 10}))
    assert tokens().scope(signed({"iat": now + 10}))


def test_one_that_has_expired_says_so() -> None:
    with pytest.raises(UnauthorizedError, match="has expired"):
        tokens().scope(signed({"exp": int(time.time()) - 60}))


def forged() -> dict[str, str]:
    header, payload, signature = signed({}).split(".")
    everything = {"aud": EVERYTHING, "iat": 0, "exp": 2**40}
    ours = {"kid": KEY.id}
    unsigned = encoded({"alg": "none", **ours})
    deep = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    last = "A" if signature[0] != "A" else "B"
    return {
        "signed by a key that is not ours": signed({}, OTHER),
        "signed by another, in our key's name": signed({}, OTHER, **ours),
        "without a name of its key": jwt.encode(everything, KEY.secret, "HS256"),
        "a name that is no text": f"{encoded({'alg': 'HS256', 'kid': [1]})}.{payload}.{signature}",
        "other claims": f"{header}.{encoded(everything)}.{signature}",
        "another signature": f"{header}.{payload}.{last}{signature[1:]}",
        "not signed": jwt.encode(everything, None, "none", headers=ours),
        "not signed, with a signature": f"{unsigned}.{encoded(everything)}.{signature}",
        "another algorithm": jwt.encode(everything, KEY.secret * 2, "HS512", ours),
        "for ever": jwt.encode({"aud": "*", "iat": 0}, KEY.secret, "HS256", ours),
        "for nothing": jwt.encode({"exp": 2**40, "iat": 0}, KEY.secret, "HS256", ours),
        "of the future": signed({"iat": int(time.time()) + 3600, "exp": 2**40}),
        "an expiry that is no number": signed({"exp": "never"}),
        "cut off": signed({})[:-1],
        "longer": signed({}) + "A",
        "a header of many lists": f"{deep}.{payload}.{signature}",
        "no header": f"{encoded([1])}.{payload}.{signature}",
        "letters beyond ASCII": f"{header}.{payload}.{'ä' * 43}",
        "half a pair": f"{header}.{payload}.{chr(0xD800) * 43}",
        "a zero byte": f"{header}.{payload}.\x00{signature[1:]}",
        "empty": "",
        "dots": "..",
    }


@pytest.mark.parametrize("how", list(forged()))
def test_what_is_none_of_ours_opens_nothing(how: str) -> None:
    token = forged()[how]
    with pytest.raises(UnauthorizedError) as error:
        tokens().scope(token)
    assert "this server does not know the access token" in str(error.value)
    assert not token or token == ".." or token not in str(error.value)
