"""`livemosaic export` to PMTiles on S3."""

from pathlib import Path
from typing import Any

import obstore
import pytest

from api.overviews import build, make_scenes, publish, with_overviews
from cli.archives import counts, delete, export

pytestmark = pytest.mark.emulator


def names(s3: Any, bucket: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def read(s3: Any, bucket: str, key: str) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def test_an_archive_on_s3(
    s3: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It equals the one in a file, only changes are drawn, and a failed upload leaves it."""
    to, few = f"s3://{bucket}/maps/m.pmtiles", ("--zooms", "9-12")
    with with_overviews(tmp_path) as server:
        publish(server, make_scenes(server.folder, 6))
        build(server)
        s3.put_object(Bucket=bucket, Key="maps/m.2020-01-01.pmtiles", Body=b"x")
        s3.put_object(Bucket=bucket, Key="maps/other.2020-01-01.pmtiles", Body=b"x")
        drawn, _ = counts(export(server, to, *few, "--keep", "1"))
        export(server, tmp_path / "m.pmtiles", *few)
        assert read(s3, bucket, "maps/m.pmtiles") == (tmp_path / "m.pmtiles").read_bytes()
        found = names(s3, bucket)
        assert len(found) == 4
        assert {"maps/m.pmtiles", "maps/m.pmtiles.ledger"} < {*found}
        assert "maps/m.2020-01-01.pmtiles" not in found
        assert counts(export(server, to, *few)) == (0, drawn)

        delete(server, "s007")
        build(server)
        before = read(s3, bucket, "maps/m.pmtiles")
        with monkeypatch.context() as patch:
            patch.setattr(obstore, "put", _failing)
            assert "cannot write" in export(server, to, *few, code=1)
        assert read(s3, bucket, "maps/m.pmtiles") == before
        again, copied = counts(export(server, to, *few))
        assert again and copied
        export(server, tmp_path / "new.pmtiles", *few)
        assert read(s3, bucket, "maps/m.pmtiles") == (tmp_path / "new.pmtiles").read_bytes()


def _failing(*_: Any, **__: Any) -> None:
    raise OSError("the network is gone")


def test_a_bucket_that_is_not_there(s3: Any, tmp_path: Path) -> None:
    with with_overviews(tmp_path) as server:
        publish(server, make_scenes(server.folder, 3))
        assert "error: " in export(server, "s3://no-such-bucket-1/m.pmtiles", code=1)
