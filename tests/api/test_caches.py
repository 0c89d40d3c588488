"""Every response says what caches may do with it."""

import re

import pytest

from api.served import Server, tile_url
from api.test_public_url import FILL, paths

FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
def filled(server: Server) -> Server:
    server.create("other", renders={"red": {"assets": ["visual"]}})
    server.services.mosaics.update("m", {"renders": {"red": {"assets": ["visual"]}}})
    server.publish("old", (1, 2, 3))
    return server


def test_no_response_leaves_it_to_heuristics(filled: Server) -> None:
    seen = set()
    for template in [*paths(filled), "/docs", "/mosaics/none/map.html", "/none", "/static/none"]:
        path = re.sub(r"{(\w+)(:path)?}", lambda found: FILL[found[1]], template)
        is_ours = template.startswith("/mosaics") and "{item}" in template
        query = {"collection": "s2"} if is_ours else {}
        answer = filled.client.get(path, params=query)
        assert answer.headers["Cache-Control"] in ("no-cache", "no-store"), template
        is_refused = answer.status_code >= 400 or template.endswith("/wms")  # a service exception
        assert (answer.headers["Cache-Control"] == "no-store") <= is_refused
        seen.add(answer.status_code)
    assert seen == {200, 204, 404}


@pytest.mark.parametrize(
    ("agent", "control"),
    [
        ("Mozilla/5.0 QGIS/32216", "no-store"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0", "public, max-age=60"),
        ("GDAL WMS driver (http://www.gdal.org/frmt_wms.html)", "public, max-age=60"),
    ],
)
def test_qgis_alone_is_to_store_nothing(server: Server, agent: str, control: str) -> None:
    """It shows what it stored for good (tests/clients/test_qgis.py)."""
    server.create("kept", max_age_s=60)
    server.publish("a", 1, mosaic="kept")
    answer = server.client.get(tile_url(mosaic="kept"), headers={"User-Agent": agent})
    assert answer.headers["Cache-Control"].startswith(control)
    assert answer.headers["ETag"]


@pytest.mark.parametrize("page", ["/", "/docs", "/mosaics/m/map.html", "/mosaics/none/map.html"])
def test_the_files_of_a_page_are_kept_for_good(server: Server, page: str) -> None:
    text = server.client.get(page, headers={"Accept": "text/html"}).text
    files = re.findall(r"static/[0-9a-f]{16}/[\w./-]+", text)
    assert files
    assert len(files) == text.count("static/")
    for file in files:
        answer = server.get(f"/{file}")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, FOREVER), file


def test_what_a_file_loads_is_kept_with_it(server: Server) -> None:
    page = server.get("/mosaics/m/map.html").text
    [script] = re.findall(r'src="\.\./\.\./(static/\w+)/map\.js"', page)
    for name in re.findall(r'from "\./([\w/.]+)"', server.get(f"/{script}/map.js").text):
        assert server.get(f"/{script}/{name}").headers["Cache-Control"] == FOREVER


@pytest.mark.parametrize("version", ["", "0123456789abcdef/"])
def test_a_file_by_another_path_is_asked_for_again(server: Server, version: str) -> None:
    """Also by the path of another release: its page must not keep our file under its name."""
    answer = server.get(f"/static/{version}map.css")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    "path",
    ["0123456789abcdef/../../app.py", "0123456789abcdef", "0123456789abcdef/", "..%2fapp.py"],
)
def test_a_version_opens_no_other_folder(server: Server, path: str) -> None:
    assert server.get(f"/static/{path}").status_code == 404
