"""Assets behind a login over HTTP: a bearer token, Earthdata, the Planetary Computer."""

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from access.fakes import BODY, Answer, Asked, Fake, ranged
from livemosaic.storage.access import endpoints, expiring, logins
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.objects import (
    AbsentError,
    ClosedError,
    DeniedError,
    ObjectError,
    UnavailableError,
)
from livemosaic.storage.stores import Stores

SECRET = "s3cret-token"


@pytest.fixture(autouse=True)
def nobody_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "EARTHDATA_", "PC_SDK_", "NETRC")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was just fetched counts as old, and failures are forgotten at once."""
    monkeypatch.setattr(expiring, "_FRESH_S", -1.0)
    monkeypatch.setattr(expiring, "_DENIED_S", -1.0)
    monkeypatch.setattr(expiring, "_UNAVAILABLE_S", -1.0)


def opened(*prefixes: str) -> Stores:
    return Stores(AllowList(prefixes))


def read(stores: Stores, href: str) -> bytes:
    return stores.open(href).read_blocking(0, 10)


def refusal(stores: Stores, href: str, kind: type[ObjectError] = DeniedError) -> str:
    with pytest.raises(kind) as caught:
        read(stores, href)
    assert type(caught.value) is kind
    assert SECRET not in str(caught.value)
    return str(caught.value)


class TestBearer:
    @pytest.fixture
    def api(self) -> Iterator[Fake]:
        """An API that gives what it has to who shows the token."""
        with Fake(lambda a: ranged(a) if a.bearer == SECRET else Answer(401)) as fake:
            yield fake

    def test_the_token_of_the_environment_is_sent(
        self, api: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOKEN", f" {SECRET}\n")
        assert read(opened(f"{api.url}/ bearer=env:TOKEN"), f"{api.url}/a.tif") == BODY

    def test_it_goes_to_its_prefix_and_nowhere_else(
        self, api: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOKEN", SECRET)
        with Fake(ranged) as other:
            stores = opened(f"{api.url}/in/ bearer=env:TOKEN", f"{api.url}/", f"{other.url}/")
            assert read(stores, f"{api.url}/in/a.tif") == BODY
            assert "denies access" in refusal(stores, f"{api.url}/inside.tif", ClosedError)
            read(stores, f"{other.url}/in/a.tif")
            assert [asked.bearer for asked in (*api.asked, *other.asked)] == [SECRET, None, None]

    def test_a_redirect_is_not_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOKEN", SECRET)
        with Fake(ranged) as other:
            to = {"Location": f"{other.url}/a.tif"}
            with Fake(lambda _: Answer(302, headers=to)) as api:
                stores = opened(f"{api.url}/ bearer=env:TOKEN")
                assert "redirected" in refusal(stores, f"{api.url}/a.tif", ClosedError)
            assert other.asked == []

    def test_a_replaced_token_is_noticed(
        self, api: Fake, monkeypatch: pytest.MonkeyPatch, impatient: None
    ) -> None:
        monkeypatch.setenv("TOKEN", "old")
        stores = opened(f"{api.url}/ bearer=env:TOKEN")
        refusal(stores, f"{api.url}/a.tif", ClosedError)
        monkeypatch.setenv("TOKEN", SECRET)
        assert read(stores, f"{api.url}/a.tif") == BODY

    def test_a_token_that_stays_refused_is_not_read_again_by_each_request(
        self, api: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOKEN", "old")
        stores = opened(f"{api.url}/ bearer=env:TOKEN")
        for _ in range(3):
            refusal(stores, f"{api.url}/a.tif", ClosedError)
        assert len(api.asked) == 3

    def test_a_missing_secret_is_named(self, api: Fake) -> None:
        stores = opened(f"{api.url}/ bearer=env:TOKEN")
        assert "the secret env:TOKEN is empty" in refusal(stores, f"{api.url}/a.tif")
        assert api.asked == []

    def test_a_secret_that_no_header_can_carry_is_not_shown(
        self, api: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOKEN", f"{SECRET}\r\nX-Other: 1")
        said = refusal(opened(f"{api.url}/ bearer=env:TOKEN"), f"{api.url}/a.tif")
        assert "env:TOKEN is no bearer token" in said

    def test_whole_objects_need_it_too(self, api: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOKEN", SECRET)
        stores = opened(f"{api.url}/ bearer=env:TOKEN")
        assert stores.open(f"{api.url}/item.json").whole_blocking(100) == BODY


class PlanetaryComputer:
    """A token endpoint, and a blob host whose containers want its newest token."""

    def __init__(self) -> None:
        self.made = 0
        self.valid: set[str] = set()
        self.lasts = timedelta(minutes=45)
        self.status = 200
        self.delay_s = 0.0

    def token(self, asked: Asked) -> Answer:
        time.sleep(self.delay_s)
        if self.status != 200:
            return Answer(self.status, SECRET.encode())
        self.made += 1
        end = (datetime.now(UTC) + self.lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
        signature = f"{SECRET}-{self.made}-{asked.path.rpartition('/')[2]}"
        self.valid.add(signature)
        query = f"st=2026-01-01T00%3A00%3A00Z&se={end}&sp=rl&sv=2024-05-04&sr=c&sig={signature}"
        return Answer(200, json.dumps({"msft:expiry": end, "token": query}).encode())

    def blob(self, asked: Asked) -> Answer:
        container = asked.path.split("/")[1]
        signature = asked.query.get("sig", "")
        good = signature in self.valid and signature.endswith(container)
        return ranged(asked) if good else Answer(403)


class TestPlanetaryComputer:
    @pytest.fixture
    def pc(self) -> PlanetaryComputer:
        return PlanetaryComputer()

    @pytest.fixture
    def tokens(self, pc: PlanetaryComputer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
        with Fake(pc.token) as fake:
            monkeypatch.setenv("PC_SDK_SAS_URL", f"{fake.url}/token")
            yield fake

    @pytest.fixture
    def blobs(self, pc: PlanetaryComputer, tokens: Fake) -> Iterator[Fake]:
        with Fake(pc.blob) as fake:
            yield fake

    def test_blobs_are_read_with_the_token_of_their_container(
        self, pc: PlanetaryComputer, tokens: Fake, blobs: Fake
    ) -> None:
        stores = opened(f"{blobs.url}/ planetary-computer")
        for name in ("one/a.tif", "one/b/c.tif", "two/a.tif"):
            assert read(stores, f"{blobs.url}/{name}") == BODY
        assert [a.path for a in tokens.asked] == ["/token/localhost/one", "/token/localhost/two"]

    def test_the_subscription_key_is_for_the_endpoint_only(
        self, tokens: Fake, blobs: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "key")
        read(opened(f"{blobs.url}/ planetary-computer"), f"{blobs.url}/c/a.tif")
        sent = [a.headers.get("Ocp-Apim-Subscription-Key") for a in (*tokens.asked, *blobs.asked)]
        assert sent == ["key", None]

    def test_no_log_has_the_token(
        self, pc: PlanetaryComputer, tokens: Fake, blobs: Fake, caplog: pytest.LogCaptureFixture
    ) -> None:
        """urllib3 logs the URL of each request, and of each that it repeats."""
        caplog.set_level("DEBUG")
        stores = opened(f"{blobs.url}/ planetary-computer")
        read(stores, f"{blobs.url}/c/a.tif")
        blobs.respond = lambda _: Answer(503)
        refusal(stores, f"{blobs.url}/c/a.tif", UnavailableError)
        assert "/c/a.tif?…" in caplog.text
        assert SECRET not in caplog.text

    def test_a_row_that_was_stored_signed_is_signed_anew(
        self, pc: PlanetaryComputer, tokens: Fake, blobs: Fake
    ) -> None:
        """Before its prefix named a way in."""
        href = f"{blobs.url}/c/a.tif?se=2026-01-01T00%3A00%3A00Z&sv=2024-05-04&sr=c&sig=old"
        assert read(opened(f"{blobs.url}/ planetary-computer"), href) == BODY
        assert blobs.asked[0].target.count("sig=") == 1

    def test_concurrent_reads_share_one_token(
        self, pc: PlanetaryComputer, tokens: Fake, blobs: Fake
    ) -> None:
        pc.delay_s = 0.2
        stores = opened(f"{blobs.url}/ planetary-computer")
        with ThreadPoolExecutor(16) as pool:
            hrefs = [f"{blobs.url}/c/{n}.tif" for n in range(64)]
            objects = [stores.open(href) for href in hrefs]  # which one thread does
            assert set(pool.map(lambda found: found.read_blocking(0, 10), objects)) == {BODY}
        assert pc.made == 1

    def test_a_token_is_replaced_before_it_ends(
        self, pc: PlanetaryComputer, tokens: Fake, blobs: Fake, pass_s: Callable[[float], None]
    ) -> None:
        pc.lasts = timedelta(minutes=4)  # obstore asks with each read: it has less than 300 s left
        stores = opened(f"{blobs.url}/ planetary-computer")
        read(stores, f"{blobs.url}/c/a.tif")
        pass_s(150)
        assert read(stores, f"{blobs.url}/c/a.tif") == BODY
        assert pc.made == 2

    def test_a_token_that_is_refused_is_replaced(
        self, pc: PlanetaryComputer, tokens: Fake, blobs: Fake, impatient: None
    ) -> None:
        stores = opened(f"{blobs.url}/ planetary-computer")
        read(stores, f"{blobs.url}/c/a.tif")
        pc.valid.clear()
        assert read(stores, f"{blobs.url}/c/a.tif") == BODY

    @pytest.mark.parametrize(
        ("status", "kind", "says"),
        [
            (404, DeniedError, "token endpoint, for localhost/c, refuses (HTTP 404)"),
            (429, UnavailableError, "gives HTTP 429"),
            (503, UnavailableError, "gives HTTP 503"),
        ],
    )
    def test_an_endpoint_that_gives_no_token_is_named(
        self, pc: PlanetaryComputer, tokens: Fake, blobs: Fake,
        status: int, kind: type[ObjectError], says: str,
    ) -> None:  # fmt: skip
        pc.status = status
        stores = opened(f"{blobs.url}/ planetary-computer")
        assert says in refusal(stores, f"{blobs.url}/c/a.tif", kind)
        assert blobs.asked == []

    def test_an_outage_is_waited_for_once_by_many_reads(
        self, pc: PlanetaryComputer, tokens: Fake, blobs: Fake
    ) -> None:
        pc.status, pc.delay_s = 503, 0.2
        stores = opened(f"{blobs.url}/ planetary-computer")
        stores.open(f"{blobs.url}/c/a.tif")
        with ThreadPoolExecutor(16) as pool:
            hrefs = [f"{blobs.url}/c/{n}.tif" for n in range(32)]
            list(pool.map(lambda href: refusal(stores, href, UnavailableError), hrefs))
        assert len(tokens.asked) == 2  # with one retry

    def test_it_agrees_with_obstores_provider(self, pc: PlanetaryComputer, tokens: Fake) -> None:
        pytest.importorskip("requests", reason="obstore's provider needs it")
        from obstore.auth.planetary_computer import PlanetaryComputerCredentialProvider

        from livemosaic.storage.access.endpoints import Endpoints
        from livemosaic.storage.access.planetary_computer import SasTokens

        theirs = PlanetaryComputerCredentialProvider(
            "https://account.blob.core.windows.net/container/a/b.tif"
        )
        given = theirs()
        theirs._session.close()
        token, end = SasTokens(Endpoints()).of("account", "container").with_end()
        assert tokens.asked[0].path == tokens.asked[1].path == "/token/account/container"
        assert given["sas_token"].replace("-1-", "-2-").split("&")[2:] == token.split("&")[2:]
        assert given["expires_at"] is not None
        assert abs(given["expires_at"].timestamp() - end) <= 2


class Earthdata:
    """A data host, a host that delivers for it, and Earthdata Login."""

    def __init__(self) -> None:
        self.tokens = {SECRET}
        self.signatures: dict[str, float] = {}
        self.lasts_s = 3600.0
        self.licence = True
        self.to = ""
        self.account = ("user", "pass:word")
        self.delivery: Fake
        self.login: Fake
        self.key = 0

    def data(self, asked: Asked) -> Answer:
        if asked.path == "/s3credentials":
            return self._keys(asked)
        if asked.bearer not in self.tokens:
            to = f"{self.login.url}/oauth/authorize?client_id=x&redirect_uri=y"
            return Answer(302, b"login", {"Location": to})
        if not self.licence:
            return Answer(403)
        if asked.path.endswith("missing.tif"):
            return Answer(404)
        return Answer(303, headers={"Location": self.to or self._signed(asked.path)})

    def _keys(self, asked: Asked) -> Answer:
        if asked.bearer not in self.tokens:
            return Answer(307, headers={"Location": f"{self.login.url}/oauth/authorize"})
        self.key += 1
        end = datetime.now(UTC) + timedelta(seconds=self.lasts_s)
        document = {
            "accessKeyId": f"ASIA{self.key}",
            "secretAccessKey": "k",
            "sessionToken": "t",
            "expiration": end.strftime("%Y-%m-%d %H:%M:%S+00:00"),
        }
        return Answer(200, json.dumps(document).encode())

    def _signed(self, path: str) -> str:
        signature = f"{SECRET}{len(self.signatures)}"
        self.signatures[signature] = time.time() + self.lasts_s
        end = int(self.signatures[signature])
        query = f"A-userid=u&Expires={end}&Signature={signature}&Key-Pair-Id=K"
        return f"{self.delivery.url}/s3-x{path}?{query}"

    def deliver(self, asked: Asked) -> Answer:
        assert "Authorization" not in asked.headers
        end = self.signatures.get(asked.query.get("Signature", ""), 0)
        return ranged(asked) if end > time.time() else Answer(403)

    def urs(self, asked: Asked) -> Answer:
        pair = base64.b64encode(":".join(self.account).encode()).decode()
        if asked.method != "POST" or asked.path != "/api/users/find_or_create_token":
            return Answer(200, b"<html>please log in</html>")
        if asked.headers.get("Authorization") != f"Basic {pair}":
            return Answer(401)
        document = {"access_token": sorted(self.tokens)[0], "expiration_date": "12/31/2099"}
        return Answer(200, json.dumps(document).encode())


class TestEarthdata:
    @pytest.fixture
    def nasa(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Earthdata]:
        nasa = Earthdata()
        with Fake(nasa.deliver) as nasa.delivery, Fake(nasa.urs) as nasa.login:
            monkeypatch.setenv("EARTHDATA_HOST", nasa.login.url.removeprefix("http://"))
            yield nasa

    @pytest.fixture
    def data(self, nasa: Earthdata) -> Iterator[Fake]:
        with Fake(nasa.data) as fake:
            yield fake

    def test_a_token_of_the_environment_reads(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        stores = opened(f"{data.url}/ earthdata")
        for _ in range(3):
            assert read(stores, f"{data.url}/lp-prod-protected/a.tif") == BODY
        assert len(data.asked) == 1  # its redirect is kept

    def test_a_named_token_reads(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MINE", SECRET)
        monkeypatch.setenv("EARTHDATA_TOKEN", "another")
        assert read(opened(f"{data.url}/ earthdata=env:MINE"), f"{data.url}/a.tif") == BODY

    @pytest.mark.parametrize("how", ["variables", "netrc", "secret"])
    def test_an_account_gets_its_token(
        self, nasa: Earthdata, data: Fake, how: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        user, password = nasa.account
        way = "earthdata"
        if how == "variables":
            monkeypatch.setenv("EARTHDATA_USERNAME", user)
            monkeypatch.setenv("EARTHDATA_PASSWORD", password)
        elif how == "netrc":
            line = f"machine localhost login {user} password {password}\n"
            (tmp_path / ".netrc").write_text(line)
            (tmp_path / ".netrc").chmod(0o600)
        else:
            way = "earthdata=env:LOGIN"
            monkeypatch.setenv("LOGIN", json.dumps({"username": user, "password": password}))
        assert read(opened(f"{data.url}/ {way}"), f"{data.url}/a.tif") == BODY
        assert [asked.method for asked in nasa.login.asked] == ["POST"]
        assert "Basic" not in str([a.headers.items() for a in (*data.asked, *nasa.delivery.asked)])

    def test_a_wrong_password_is_not_shown(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_USERNAME", "user")
        monkeypatch.setenv("EARTHDATA_PASSWORD", SECRET)
        said = refusal(opened(f"{data.url}/ earthdata"), f"{data.url}/a.tif")
        assert "Earthdata Login refuses (HTTP 401)" in said

    def test_without_a_login_the_message_lists_how_to_give_one(self, data: Fake) -> None:
        said = refusal(opened(f"{data.url}/ earthdata"), f"{data.url}/a.tif")
        assert "EARTHDATA_TOKEN" in said
        assert "~/.netrc" in said
        assert data.asked == []

    def test_a_refused_token_is_said(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", "expired")
        said = refusal(opened(f"{data.url}/ earthdata"), f"{data.url}/a.tif")
        assert "Earthdata Login refuses the token" in said
        assert nasa.login.asked == []

    def test_a_token_that_was_replaced_is_noticed(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch, impatient: None
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        stores = opened(f"{data.url}/ earthdata")
        read(stores, f"{data.url}/a.tif")
        nasa.tokens = {"new"}
        monkeypatch.setenv("EARTHDATA_TOKEN", "new")
        assert read(stores, f"{data.url}/b.tif") == BODY

    def test_a_signed_url_that_ends_is_replaced(
        self,
        nasa: Earthdata,
        data: Fake,
        monkeypatch: pytest.MonkeyPatch,
        pass_s: Callable[[float], None],
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        nasa.lasts_s = 240
        stores = opened(f"{data.url}/ earthdata")
        read(stores, f"{data.url}/a.tif")
        pass_s(150)
        assert read(stores, f"{data.url}/a.tif") == BODY
        assert len(data.asked) == 2

    def test_a_signed_url_that_is_refused_is_replaced(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch, impatient: None
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        stores = opened(f"{data.url}/ earthdata")
        read(stores, f"{data.url}/a.tif")
        nasa.signatures.clear()
        assert read(stores, f"{data.url}/a.tif") == BODY

    def test_a_licence_to_be_accepted_is_said(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        nasa.licence = False
        said = refusal(opened(f"{data.url}/ earthdata"), f"{data.url}/a.tif")
        assert "its licence may have to be accepted" in said

    def test_a_missing_file_is_missing(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        stores = opened(f"{data.url}/ earthdata")
        assert refusal(stores, f"{data.url}/missing.tif", AbsentError) == "is missing"

    @pytest.mark.parametrize(
        "to",
        [
            "https://evil.example.com/a.tif",
            "https://cloudfront.net.evil.example.com/a.tif",
            "http://d1.cloudfront.net/a.tif",
            "https://ec2-10-0-0-1.compute-1.amazonaws.com/a.tif",
            "https://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
        ],
    )
    def test_redirects_lead_only_where_earthdata_delivers(
        self, nasa: Earthdata, data: Fake, to: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        nasa.to = to
        said = refusal(opened(f"{data.url}/ earthdata"), f"{data.url}/a.tif")
        assert "does not deliver for Earthdata" in said

    @pytest.mark.parametrize(
        "to",
        [
            "https://d1nklfio7vscoe.cloudfront.net/s3-x/lp/a.tif?Expires=1&Signature=s",
            "https://lp-prod-protected.s3.us-west-2.amazonaws.com/a.tif?X-Amz-Signature=s",
        ],
    )
    def test_the_hosts_of_cloudfront_and_s3_deliver(self, to: str) -> None:
        assert logins._delivery(to, "https://data.lpdaac.earthdatacloud.nasa.gov/lp/a.tif") == to

    def test_no_nasa_host_is_redirected_to_this_machine(self) -> None:
        with pytest.raises(ObjectError, match="does not deliver"):
            logins._delivery("http://localhost/a", "https://data.lpdaac.earthdatacloud.nasa.gov/a")

    def test_concurrent_reads_share_one_redirect(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        stores = opened(f"{data.url}/ earthdata")
        with ThreadPoolExecutor(16) as pool:
            hrefs = [f"{data.url}/{n % 2}.tif" for n in range(64)]
            objects = [stores.open(href) for href in hrefs]  # which one thread does
            assert set(pool.map(lambda found: found.read_blocking(0, 10), objects)) == {BODY}
        assert len(data.asked) == 2

    def test_keys_for_s3_are_had_and_shared(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        with Fake(ranged) as s3:
            monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
            way = f"earthdata s3credentials={data.url}/s3credentials"
            stores = opened(f"s3://one/ {way}", f"s3://two/ {way}")
            for href in ("s3://one/a.tif", "s3://one/b.tif", "s3://two/a.tif"):
                assert read(stores, href) == BODY
            signed = [a.headers["Authorization"].partition("Credential=")[2] for a in s3.asked]
        assert {text.split("/")[0] for text in signed} == {"ASIA1"}
        assert {text.split("/")[2] for text in signed} == {"us-west-2"}
        assert nasa.key == 1

    def test_keys_for_s3_that_are_refused_are_explained(
        self, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", "wrong")
        way = f"earthdata s3credentials={data.url}/s3credentials"
        said = refusal(opened(f"s3://one/ {way}"), "s3://one/a.tif")
        assert "the endpoint of Earthdata's keys (localhost) refuses (HTTP 307)" in said

    def test_they_agree_with_obstores_provider(
        self, nasa: Earthdata, data: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("requests", reason="obstore's provider needs it")
        from obstore.auth.earthdata import NasaEarthdataCredentialProvider

        from livemosaic.storage.access.earthdata import EarthdataKeys, EarthdataTokens
        from livemosaic.storage.access.endpoints import Endpoints

        monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
        theirs = NasaEarthdataCredentialProvider(f"{data.url}/s3credentials")
        given = dict(theirs())
        theirs.close()
        endpoints = Endpoints()
        tokens = EarthdataTokens(endpoints, None)
        ours = dict(EarthdataKeys(endpoints, tokens, f"{data.url}/s3credentials")())
        assert given.pop("access_key_id") == "ASIA1"
        assert ours.pop("access_key_id") == "ASIA2"
        theirs_end, ours_end = given.pop("expires_at"), ours.pop("expires_at")
        assert abs((theirs_end - ours_end).total_seconds()) <= 2
        assert given == ours


def test_a_server_that_takes_its_time_holds_up_no_other_login() -> None:
    """Each login waits for its own endpoint."""
    wait = threading.Event()

    def slow(asked: Asked) -> Answer:
        wait.wait(60)
        return Answer(503)

    with Fake(slow) as token, Fake(ranged) as free, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PC_SDK_SAS_URL", token.url)
        stores = opened(f"{free.url}/closed/ planetary-computer", f"{free.url}/")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(read, stores, f"{free.url}/closed/a.tif")
            assert read(stores, f"{free.url}/a.tif") == BODY
            assert not waiting.done()
            wait.set()
            with pytest.raises(UnavailableError):
                waiting.result()


class TestHostileEndpoints:
    """Answers of token endpoints that no honest one gives, of which nothing is sent or shown."""

    @pytest.mark.parametrize(
        "token",
        [None, 5, "", {"sig": SECRET}, [SECRET], f"{SECRET}\r\nX: y", f"{SECRET} x", f"{SECRET}é"],
    )
    def test_a_token_that_is_none_is_not_sent(
        self, token: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = json.dumps({"token": token, "msft:expiry": "2099-01-01T00:00:00Z"}).encode()
        with Fake(lambda _: Answer(200, body)) as endpoint, Fake(ranged) as blobs:
            monkeypatch.setenv("PC_SDK_SAS_URL", endpoint.url)
            stores = opened(f"{blobs.url}/ planetary-computer")
            assert "gives no token" in refusal(stores, f"{blobs.url}/c/a.tif")
            assert blobs.asked == []

    @pytest.fixture
    def far_from_utc(self) -> Iterator[None]:
        """A process whose local time is twelve hours behind UTC, until the test ends."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", "UTC+12")
            time.tzset()
            yield
        time.tzset()

    @pytest.mark.parametrize("end", ["tomorrow", 5, None, "9999-12-31T23:59:59", "2099-13-01"])
    def test_a_token_without_a_usable_end_is_not_sent(
        self, end: object, monkeypatch: pytest.MonkeyPatch, far_from_utc: None
    ) -> None:
        body = json.dumps({"token": f"sig={SECRET}", "msft:expiry": end}).encode()
        with Fake(lambda _: Answer(200, body)) as endpoint, Fake(ranged) as blobs:
            monkeypatch.setenv("PC_SDK_SAS_URL", endpoint.url)
            stores = opened(f"{blobs.url}/ planetary-computer")
            if end == "9999-12-31T23:59:59":
                assert read(stores, f"{blobs.url}/c/a.tif") == BODY
            else:
                assert "gives no token" in refusal(stores, f"{blobs.url}/c/a.tif")

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            (b"[" * 60_000, "does not answer with JSON"),
            (b"{" + b" " * 70_000 + b"}", "does not answer with JSON"),
            (b"[]", "answers with no JSON object"),
            (b"\xff\xfe", "does not answer with JSON"),
            (b"{}", "gives no token"),
        ],
    )
    def test_an_answer_that_is_none_is_named(
        self, body: bytes, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Fake(lambda _: Answer(200, body)) as endpoint, Fake(ranged) as blobs:
            monkeypatch.setenv("PC_SDK_SAS_URL", endpoint.url)
            stores = opened(f"{blobs.url}/ planetary-computer")
            assert says in refusal(stores, f"{blobs.url}/c/a.tif")
            assert blobs.asked == []

    def test_an_answer_that_drips_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(endpoints, "_WHOLE_S", 0.5)
        drip = Answer(200, b"{" + b" " * 600, pause_s=0.1)  # a minute
        with Fake(lambda _: drip) as endpoint, Fake(ranged) as blobs:
            monkeypatch.setenv("PC_SDK_SAS_URL", endpoint.url)
            stores = opened(f"{blobs.url}/ planetary-computer")
            began = time.monotonic()
            assert "takes too long" in refusal(stores, f"{blobs.url}/c/a.tif", UnavailableError)
            assert time.monotonic() - began < 30

    @pytest.mark.parametrize("token", [f"{SECRET}\nX: y", f"{SECRET} y", f"{SECRET}é"])
    def test_a_token_that_no_header_can_carry_is_not_shown(
        self, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EARTHDATA_TOKEN", token)
        with Fake(ranged) as data:
            stores = opened(f"{data.url}/ earthdata")
            assert "is no bearer token" in refusal(stores, f"{data.url}/a.tif")
            assert data.asked == []
