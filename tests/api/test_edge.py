"""What lies around all routes: HEAD, and pages of other origins."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from api.served import TOKEN, Server, serving, tile_url
from livemosaic.settings import Settings
from livemosaic.table.sqlite import SqliteTable

OURS, THEIRS = "https://maps.example.com", "https://evil.example.com"


class TestHead:
    @pytest.mark.parametrize("url", ["/health", "/mosaics/m/info", tile_url(".png"), "/docs"])
    def test_it_is_get_without_the_body(self, server: Server, url: str) -> None:
        head, get = server.client.head(url), server.get(url)
        for answer in (head, get):
            answer.headers.pop("Server-Timing", None)
        assert (head.status_code, head.headers, head.content) == (200, get.headers, b"")
        assert int(head.headers["Content-Length"]) == len(get.content) > 0

    def test_it_fails_as_get_does(self, server: Server) -> None:
        answer = server.client.head("/mosaics/x/info")
        assert (answer.status_code, answer.content) == (404, b"")


class TestOrigins:
    def test_every_page_may_read_where_none_is_named(self, server: Server) -> None:
        headers = server.client.get("/health", headers={"Origin": THEIRS}).headers
        assert headers["Access-Control-Allow-Origin"] == "*"

    @pytest.mark.parametrize("origins", [f"{OURS},http://localhost:3000", f" {OURS} , ", OURS])
    def test_only_pages_of_named_origins_may(
        self, sqlite_table: SqliteTable, tmp_path: Path, origins: str
    ) -> None:
        with serving(sqlite_table, tmp_path, cors_origins=origins) as server:
            ours = server.client.get("/health", headers={"Origin": OURS}).headers
            theirs = server.client.get("/health", headers={"Origin": THEIRS}).headers
        assert ours["Access-Control-Allow-Origin"] == OURS
        assert "Access-Control-Allow-Origin" not in theirs

    def test_the_environment_may_name_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LIVEMOSAIC_CORS_ORIGINS", "")
        assert Settings(token=TOKEN).cors_origins == ()

    @pytest.mark.parametrize(
        "origin", ["maps.example.com", f"{OURS}/", f"{OURS}/map", "https://", "https://*.a.b/"]
    )
    def test_what_is_no_origin_is_refused(self, origin: str) -> None:
        with pytest.raises(ValidationError, match="is no origin: write https://HOST"):
            Settings(cors_origins=(origin,))
