"""Pixels behind a login, read onto a grid as a tile reads them: by async-tiff and by GDAL."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from access.fakes import Answer, Asked, Fake, ranged
from access.test_logins import Earthdata, PlanetaryComputer
from cogs import write_cog
from livemosaic.cog.reader import CogReader
from livemosaic.errors import UnreadableAssetError
from livemosaic.model.raster import Grid
from livemosaic.model.render import Read
from livemosaic.storage.allowlist import AllowList

ORIGIN = Affine(10, 0, 1_000_000, 0, -10, 6_000_000)
GRID = Grid(CRS.from_epsg(3857), (1_000_000, 5_997_440, 1_002_560, 6_000_000), 256, 256)
DATA = np.random.default_rng(3).integers(1, 200, (1, 600, 600)).astype("uint8")
SECRET = "s3cret-token"

Respond = Callable[[Asked], Answer]


@pytest.fixture(autouse=True)
def nobody_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "EARTHDATA_", "PC_SDK_")):
            monkeypatch.delenv(name)


@pytest.fixture(params=["deflate", "lerc_deflate"])
def body(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """A COG that async-tiff reads, and one that only GDAL does."""
    path = tmp_path / "a.tif"
    how = {"crs": "EPSG:3857", "transform": ORIGIN, "compress": request.param}
    return write_cog(path, DATA, **how).read_bytes()


def pixels(prefix: str, href: str) -> np.ndarray:
    reader = CogReader(AllowList([prefix]))
    return asyncio.run(reader.read({"visual": href}, GRID, Read(), version="1")).data


def guarded(respond: Respond, body: bytes) -> Respond:
    """What is given to who may have it is a part of this file."""

    def answer(asked: Asked) -> Answer:
        found = respond(asked)
        return ranged(asked, body) if found.status in (200, 206) else found

    return answer


def test_a_bearer_token(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    with Fake(lambda a: ranged(a, body) if a.bearer == SECRET else Answer(401)) as api:
        found = pixels(f"{api.url}/ bearer=env:TOKEN", f"{api.url}/a.tif")
    np.testing.assert_array_equal(found, DATA[:, :256, :256])


def test_the_planetary_computer(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pc = PlanetaryComputer()
    with Fake(pc.token) as tokens, Fake(guarded(pc.blob, body)) as blobs:
        monkeypatch.setenv("PC_SDK_SAS_URL", tokens.url)
        found = pixels(f"{blobs.url}/ planetary-computer", f"{blobs.url}/c/a.tif")
    np.testing.assert_array_equal(found, DATA[:, :256, :256])
    assert pc.made == 1


def test_earthdata(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    nasa = Earthdata()
    monkeypatch.setenv("EARTHDATA_TOKEN", SECRET)
    with (
        Fake(guarded(nasa.deliver, body)) as nasa.delivery,
        Fake(nasa.urs) as nasa.login,
        Fake(nasa.data) as data,
    ):
        monkeypatch.setenv("EARTHDATA_HOST", nasa.login.url.removeprefix("http://"))
        found = pixels(f"{data.url}/ earthdata", f"{data.url}/lp-prod-protected/a.tif")
        assert len(data.asked) == 1
    np.testing.assert_array_equal(found, DATA[:, :256, :256])


def test_requester_pays(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def s3(asked: Asked) -> Answer:
        pays = asked.headers.get("x-amz-request-payer") == "requester"
        return ranged(asked, body) if pays and asked.headers["Authorization"] else Answer(403)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with Fake(s3) as bucket:
        monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.url)
        with pytest.raises(UnreadableAssetError, match="denies access"):
            pixels("s3://paid/", "s3://paid/a.tif")
        found = pixels("s3://paid/ requester-pays", "s3://paid/a.tif")
    np.testing.assert_array_equal(found, DATA[:, :256, :256])


def test_why_a_tile_leaves_a_scene_out_is_said_without_the_secret(body: bytes) -> None:
    with Fake(lambda _: Answer(401)) as api, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKEN", SECRET)
        with pytest.raises(UnreadableAssetError, match="without a login") as caught:
            pixels(f"{api.url}/ bearer=env:TOKEN", f"{api.url}/a.tif")
        assert SECRET not in str(caught.value)
