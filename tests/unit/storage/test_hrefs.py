"""Hrefs as others may have them."""

import pytest

from livemosaic.storage.hrefs import without_query

LONG = "a" * 300


@pytest.mark.parametrize(
    ("href", "shared"),
    [
        (f"https://h/{LONG}.tif", f"https://h/{LONG}.tif"),
        ("https://h/c.tif?sig=SECRET", "https://h/c.tif"),
        ("https://u:p@h:8/c.tif?a=b#c", "https://h:8/c.tif"),
        ("HTTP://h/a@b.tif", "HTTP://h/a@b.tif"),
        ("s3://b/what?/a#1.tif", "s3://b/what?/a#1.tif"),
        (f"/data/{LONG}?.tif", f"/data/{LONG}?.tif"),
        ("file:///data/a.tif", "file:///data/a.tif"),
    ],
)
def test_nothing_but_credentials_is_taken_away(href: str, shared: str) -> None:
    assert without_query(href) == shared
