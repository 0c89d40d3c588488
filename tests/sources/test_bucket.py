"""Objects of S3 that hold Items, in an emulator."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cogs import write_cog
from items import NOW, item
from livemosaic.errors import InvalidRequestError
from livemosaic.ingest.sources.bucket import Prefix
from livemosaic.ingest.sources.geoparquet import Parquet
from livemosaic.ingest.sources.open import open_names
from livemosaic.storage.allowlist import AllowList
from sources.parquet import write

pytestmark = pytest.mark.emulator


def put(s3: Any, bucket: str, key: str, body: Any) -> None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=text)


def test_all_json_below_a_prefix_is_read_and_no_other(s3: Any, bucket: str) -> None:
    for key in ("a/1.json", "a/b/2.json", "a/3.geojson", "a/with space+plus.json"):
        put(s3, bucket, key, item(key))
    for key in ("b/4.json", "ab/5.json", "a/6.tif", "a/catalog.json", "a/b/collection.json"):
        put(s3, bucket, key, {"type": "Catalog"})
    (source,) = open_names([f"s3://{bucket}/a/"]).sources
    entries = list(source.read(NOW, None))
    found = {entry.source: json.loads(entry.message.body)["id"] for entry in entries}
    assert found == {
        f"s3://{bucket}/{key}": key
        for key in ("a/1.json", "a/b/2.json", "a/3.geojson", "a/with space+plus.json")
    }
    assert [entry.problem for entry in entries] == [""] * 4


def test_the_time_is_that_of_the_object_and_hrefs_are_relative_to_it(s3: Any, bucket: str) -> None:
    put(s3, bucket, "a.json", item("a"))
    (entry,) = Prefix(bucket, "").read(NOW, None)
    written = s3.head_object(Bucket=bucket, Key="a.json")["LastModified"]
    assert abs((entry.message.order.moment - written).total_seconds()) < 1
    assert not entry.message.order.snapshot
    assert entry.message.base == f"s3://{bucket}/a.json"


def test_reading_goes_on_behind_the_last_object_that_was_read(s3: Any, bucket: str) -> None:
    keys = [f"p/{n:04}.json" for n in range(150)]
    for key in keys:
        put(s3, bucket, key, item(key))
    source = Prefix(bucket, "p/")
    entries = list(source.read(NOW, None))
    assert [entry.mark.place for entry in entries if entry.mark] == keys
    rest = [entry.source for entry in source.read(NOW, keys[99])]
    assert rest == [f"s3://{bucket}/{key}" for key in keys[100:]]


def test_an_object_of_many_items_is_left_behind_with_the_last(s3: Any, bucket: str) -> None:
    items = [item(f"s{n}") for n in range(3)]
    put(s3, bucket, "a.json", {"type": "FeatureCollection", "features": items})
    put(s3, bucket, "b.json", "\n".join(map(json.dumps, items)).encode())
    entries = list(Prefix(bucket, "").read(NOW, None))
    assert [entry.line for entry in entries] == [1, 2, 3, 1, 2, 3]
    assert [bool(entry.mark) for entry in entries] == [False, False, True] * 2


def test_an_object_that_is_none_any_more_has_the_reason_with_it(
    s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, bucket, "a.json", item("a"))
    put(s3, bucket, "b.json", b"")
    entries = Prefix(bucket, "")
    monkeypatch.setattr("livemosaic.ingest.sources.bucket._MAX_BYTES", 10)
    large, empty = entries.read(NOW, None)
    assert "bytes; at most 10 are read" in large.problem
    assert (empty.message.body, empty.problem) == (b"", "")


def test_tiffs_below_a_prefix_are_read_where_it_names_them(
    s3: Any, bucket: str, tmp_path: Path
) -> None:
    for key in ("a/2025-07-01.tif", "a/b/x.TIF"):
        put(s3, bucket, key, b"no tiff")
    put(s3, bucket, "a/b/readme.txt", b"x")
    with pytest.raises(InvalidRequestError, match=rf"2 TIFFs: s3://{bucket}/a/\*\.tif makes Items"):
        list(Prefix(bucket, "a/").read(NOW, None))
    allow = AllowList([f"s3://{bucket}/"])
    reading = open_names([f"s3://{bucket}/a/*.tif"], allow)
    (source,) = reading.sources
    found = list(source.read(NOW, None))
    assert [entry.source for entry in found] == [
        f"s3://{bucket}/a/2025-07-01.tif",
        f"s3://{bucket}/a/b/x.TIF",
    ]
    assert reading.total is None
    rest = list(source.read(NOW, found[0].mark.place if found[0].mark else None))
    assert [entry.source for entry in rest] == [f"s3://{bucket}/a/b/x.TIF"]
    write_cog(tmp_path / "a.tif", np.ones((1, 9, 9)), bounds=(5e5, 5e6, 6e5, 5.1e6))
    put(s3, bucket, "c/2025-07-01.tif", (tmp_path / "a.tif").read_bytes())
    reading = open_names([f"s3://{bucket}/c/2025-07-01.tif"], allow)
    (entry,) = reading.sources[0].read(NOW, None)
    assert isinstance(entry.message.body, dict)
    assert entry.message.body["assets"]["data"]["href"] == f"s3://{bucket}/c/2025-07-01.tif"
    assert reading.total == 1


def test_a_bucket_that_is_not_there_is_named(s3: Any) -> None:
    with pytest.raises(InvalidRequestError, match="s3://no-such-bucket/p/ "):
        list(Prefix("no-such-bucket", "p/").read(NOW, None))


def test_stac_geoparquet_is_read_from_there_too(s3: Any, bucket: str, tmp_path: Path) -> None:
    path = write(tmp_path / "items.parquet", [item(f"s{n}") for n in range(3)])
    put(s3, bucket, "x/items.parquet", path.read_bytes())
    source = Parquet(f"s3://{bucket}/x/items.parquet")
    entries = list(source.read(NOW, None))
    assert [entry.message.body["id"] for entry in entries] == ["s0", "s1", "s2"]
    written = s3.head_object(Bucket=bucket, Key="x/items.parquet")["LastModified"]
    (later, *_) = source.read(datetime.now(UTC) + timedelta(hours=1), None)
    assert abs((later.message.order.moment - written).total_seconds()) < 1
    assert later.message.order.snapshot
    assert source.identity[1:] == [path.stat().st_size, source.identity[2]]
    with pytest.raises(InvalidRequestError, match=r"x/none\.parquet is missing"):
        list(Parquet(f"s3://{bucket}/x/none.parquet").read(NOW, None))
